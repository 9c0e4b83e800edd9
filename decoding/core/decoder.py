"""The loop: prefill, choose, yield, next inference. It knows nothing of threads or pages."""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import torch
from transformers import GenerationConfig

from decoding.core.choice import check_valid, choose, finish_reason, make_step
from decoding.core.detokenizer import Detokenizer
from decoding.core.generation import Generation, prepare_generation
from decoding.core.inference import OnPrefill, cache_size, free_cache, infer
from decoding.core.prompts import Prompt, prompt_token_ids
from decoding.memory.allocator import memory_in_use
from decoding.memory.devices import computing_devices
from decoding.records.errors import GenerationConfigError
from decoding.records.step import DecodingStep

if TYPE_CHECKING:
    from decoding.core.language_model import LanguageModel


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
    index, reason = 0, None
    try:
        while reason is None:
            started = time.perf_counter()
            logits, fed = infer(lm.model, generation, ids, index, on_prefill)
            measured, ids = choose(generation, ids, logits, rng, top_candidates)
            seconds = time.perf_counter() - started
            check_valid(lm, measured, index)
            reason = finish_reason(generation, measured)
            yield make_step(
                lm,
                measured,
                detokenizer,
                index=index,
                phase="decode" if index else "prefill",
                input_tokens=fed,
                seconds=seconds,
                kv_cache=cache_size(generation, fed_tokens=ids.shape[1] - 1),
                finish_reason=reason,
                memory=memory_in_use(*devices),
            )
            index += 1
    finally:
        free_cache(generation)
