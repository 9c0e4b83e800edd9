"""The loop: prefill, choose, yield, next inference. It knows nothing of threads or pages."""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import LongTensor, Tensor
from transformers import GenerationConfig, InfNanRemoveLogitsProcessor

from decoding.detokenizer import Detokenizer, token_piece, token_text
from decoding.devices import computing_devices
from decoding.distribution import Measurement, measure
from decoding.errors import GenerationConfigError, LogitsError
from decoding.inference import OnPrefill, cache_size, free_cache, infer
from decoding.memory import memory_in_use
from decoding.prompts import Prompt, prompt_token_ids
from decoding.sampling import Generation, prepare_generation
from decoding.step import Candidate, DecodingStep, FinishReason

if TYPE_CHECKING:
    from decoding.models import LanguageModel


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
    ids = generation.input_ids
    detokenizer = Detokenizer(lm.tokenizer)
    devices = computing_devices(lm.model)
    index, finish_reason = 0, None
    try:
        while finish_reason is None:
            started = time.perf_counter()
            logits, fed = infer(lm.model, generation, ids, index, on_prefill)
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
                input_tokens=fed,
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
                kv_cache=cache_size(generation, fed_tokens=ids.shape[1] - 1),
                seconds=seconds,
                finish_reason=finish_reason,
                memory=memory_in_use(*devices),
            )
            index += 1
    finally:
        free_cache(generation)


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
