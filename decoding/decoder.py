"""The loop: prefill, choose, yield, next inference. It knows nothing of threads or pages."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import LongTensor, Tensor
from transformers import GenerationConfig, InfNanRemoveLogitsProcessor
from transformers.cache_utils import Cache

from decoding.detokenizer import Detokenizer, token_piece, token_text
from decoding.distribution import Measurement, measure
from decoding.errors import GenerationConfigError, LogitsError
from decoding.kv_cache import cache_of, kv_cache_size
from decoding.prompts import Prompt, prompt_token_ids
from decoding.sampling import Generation, prepare_generation
from decoding.step import Candidate, DecodingStep, FinishReason, KVCacheSize

if TYPE_CHECKING:
    from decoding.models import LanguageModel

OnPrefill = Callable[[int, int], None]

# Tokens a prefill feeds between two looks at whether it should go on.
CPU_PREFILL_CHUNK = 128
ACCELERATOR_PREFILL_CHUNK = 2048


def decode(
    lm: LanguageModel,
    prompt: Prompt,
    generation_config: GenerationConfig | None = None,
    *,
    seed: int | None = None,
    top_candidates: int = 20,
    use_cache: bool = True,
    on_prefill: OnPrefill | None = None,
    **generation_kwargs: Any,
) -> Generator[DecodingStep, None, None]:
    """Decodes token by token, each with the distribution that it was chosen from.

    For the same prompt, config and seed the token ids are those of `model.generate` after
    `torch.manual_seed(seed)`. All checks run at the call, before the first inference.

    Args:
        lm: model and tokenizer.
        prompt: text, chat messages or token ids; see `prompt_token_ids`.
        generation_config: as in `generate`; without it the model's own applies.
        seed: of a private random generator; `None` draws from torch's global one.
        top_candidates: how many of the model's favourites each step lists.
        use_cache: whether to keep the KV cache; without it each inference feeds everything.
        on_prefill: called with (tokens fed, prompt tokens) after each chunk of the prompt;
            an exception it raises ends the run.
        **generation_kwargs: fields of `GenerationConfig`, over those of `generation_config`.

    Returns:
        A generator of steps; closing it frees the cache.

    Raises:
        PromptError, ContextLengthError, GenerationConfigError: at the call.
        LogitsError: from the generator, when the model returns NaN or nothing finite.
    """
    if type(top_candidates) is not int or top_candidates < 1:
        raise GenerationConfigError(f"top_candidates must be 1 or more, got {top_candidates!r}.")
    token_ids = prompt_token_ids(lm, prompt)
    generation = prepare_generation(lm, token_ids, generation_config, use_cache, generation_kwargs)
    rng = None if seed is None else torch.Generator(lm.device).manual_seed(seed)
    return _run(lm, generation, rng, top_candidates, on_prefill)


@torch.inference_mode()
def _run(
    lm: LanguageModel,
    generation: Generation,
    rng: torch.Generator | None,
    top_candidates: int,
    on_prefill: OnPrefill | None,
) -> Generator[DecodingStep, None, None]:
    """One inference, one token, one step, until a criterion says stop."""
    model, ids = lm.model, generation.input_ids
    detokenizer = Detokenizer(lm.tokenizer)
    index, finish_reason = 0, None
    outputs: Any = None
    try:
        while finish_reason is None:
            started = time.perf_counter()
            input_tokens = _input_tokens(generation, ids, index)
            if index == 0:
                outputs = _prefill(model, generation, on_prefill)
            else:
                outputs = _infer(model, generation, ids, 1)
            # A copy: a view of the last row would keep the whole prompt's logits alive.
            logits = outputs.logits[:, -1].to(ids.device, torch.float32, copy=True)
            outputs = None
            measured, ids = _choose(generation, ids, logits, rng, top_candidates)
            seconds = time.perf_counter() - started
            if not measured.valid:
                raise LogitsError(
                    f"Inference {index + 1} returned no distribution (NaN, or nothing finite): "
                    f"the model does not work in {lm.dtype} on {lm.device}; try float32."
                )
            finish_reason = _finish_reason(generation, measured)
            yield DecodingStep(
                index=index,
                phase="decode" if index else "prefill",
                input_tokens=input_tokens,
                token_id=measured.token_id,
                token=token_piece(lm.tokenizer, measured.token_id),
                text=detokenizer.add(measured.token_id)
                + (detokenizer.flush() if finish_reason else ""),
                is_special=measured.token_id in lm.special_token_ids,
                logprob=measured.logprob,
                probability=measured.chosen[1],
                rank=measured.rank,
                sampling_probability=measured.chosen[2],
                entropy_bits=measured.entropy_bits,
                varentropy_bits2=measured.varentropy_bits2,
                candidates=_candidates(lm, measured),
                tail_probability=measured.tail_probability,
                kept_tokens=measured.kept_tokens,
                kv_cache=_cache_size(generation, fed_tokens=ids.shape[1] - 1),
                seconds=seconds,
                finish_reason=finish_reason,
            )
            index += 1
    finally:
        outputs = None
        generation.model_kwargs.clear()  # the cache lives there and nowhere else


def _cache_size(generation: Generation, fed_tokens: int) -> KVCacheSize | None:
    """`None` without a cache: what a model may keep of one uncached pass is no cache."""
    cache = cache_of(generation.model_kwargs) if generation.config.use_cache else None
    return None if cache is None else kv_cache_size(cache, fed_tokens)


def _input_tokens(generation: Generation, ids: Tensor, index: int) -> int:
    return ids.shape[1] if index == 0 or not generation.config.use_cache else 1


def _infer(model: Any, generation: Generation, ids: Tensor, new_tokens: int) -> Any:
    """One forward pass over the last `new_tokens` of `ids` (all of them without a cache)."""
    fed = new_tokens if generation.config.use_cache else None
    inputs = model.prepare_inputs_for_generation(
        ids, next_sequence_length=fed, **generation.model_kwargs
    )
    outputs = model(**inputs, return_dict=True)
    _remember(model, generation, outputs)
    return outputs


def _remember(model: Any, generation: Generation, outputs: Any) -> None:
    generation.model_kwargs.update(
        model._update_model_kwargs_for_generation(outputs, generation.model_kwargs)
    )


def _prefill(model: Any, generation: Generation, on_prefill: OnPrefill | None) -> Any:
    """Feeds the prompt in chunks, where the cache can be continued by more than one token.

    Source: `GenerationMixin._prefill`, here with a chance to stop between chunks.
    """
    ids, kwargs = generation.input_ids, generation.model_kwargs
    prompt_tokens = ids.shape[1]
    chunk = _prefill_chunk(model, generation)
    position_ids = kwargs.pop("position_ids", None) if chunk < prompt_tokens else None
    done, outputs = 0, None
    while done < prompt_tokens:
        end = min(done + chunk, prompt_tokens)
        positions = {} if position_ids is None else {"position_ids": position_ids[..., done:end]}
        inputs = model.prepare_inputs_for_generation(
            ids[:, done:end], is_first_iteration=True, **kwargs, **positions
        )
        outputs = model(**inputs, return_dict=True)
        done = end
        if on_prefill is not None:
            on_prefill(done, prompt_tokens)
    if position_ids is not None:
        kwargs["position_ids"] = position_ids
    _remember(model, generation, outputs)
    return outputs


def _prefill_chunk(model: Any, generation: Generation) -> int:
    """Recurrent states start a prompt anew with each pass of several tokens: one chunk then."""
    whole = int(generation.input_ids.shape[1])
    cache = cache_of(generation.model_kwargs)
    if not isinstance(cache, Cache) or model._is_stateful or cache.is_compileable:
        return whole
    if generation.config.prefill_chunk_size is not None:
        return int(generation.config.prefill_chunk_size)
    on_cpu = generation.input_ids.device.type == "cpu"
    return CPU_PREFILL_CHUNK if on_cpu else ACCELERATOR_PREFILL_CHUNK


def _choose(
    generation: Generation,
    ids: Tensor,
    logits: Tensor,
    rng: torch.Generator | None,
    top_candidates: int,
) -> tuple[Measurement, Tensor]:
    """Processors, the draw or the maximum, all numbers in one copy; and the ids, one longer."""
    if generation.config.remove_invalid_values:
        logits = InfNanRemoveLogitsProcessor()(ids, logits)
    scores = logits
    if generation.processors:  # they may write in place, and the logits are still to be measured
        scores = generation.processors(cast(LongTensor, ids), logits.clone())
    probabilities = torch.softmax(scores, dim=-1)  # (1, vocab_size)
    if generation.config.do_sample:
        # A row of NaN becomes a uniform one, and is told below: to draw from NaN kills CUDA.
        drawable = probabilities.nan_to_num(nan=1.0)
        token = torch.multinomial(drawable, 1, generator=rng).view(1)
    else:
        token = scores.argmax(dim=-1)
    ids = torch.cat([ids, token.view(1, 1)], dim=-1)
    flags = [criterion(ids, None) for criterion in generation.criteria]
    return measure(logits[0], probabilities[0], token, top_candidates, flags), ids


def _finish_reason(generation: Generation, measured: Measurement) -> FinishReason | None:
    reasons = zip(generation.finish_reasons, measured.flags, strict=True)
    return next((reason for reason, reached in reasons if reached), None)


def _candidates(lm: LanguageModel, measured: Measurement) -> tuple[Candidate, ...]:
    return tuple(
        Candidate(
            token_id,
            token_piece(lm.tokenizer, token_id),
            token_text(lm.tokenizer, token_id),
            probability,
            sampling_probability,
        )
        for token_id, probability, sampling_probability in measured.candidates
    )
