"""The loop: prefill, choose, yield, next inference. It knows nothing of threads or pages."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers import GenerationConfig

from decoding.core.detokenizer import Detokenizer
from decoding.core.generation import Generation, prepare_generation
from decoding.core.inference import OnPrefill, free_cache, infer
from decoding.core.prompts import Prompt, prompt_token_ids
from decoding.core.supported import check_count, check_seed
from decoding.core.take_step import Text, take_step
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
    chat_template_kwargs: Mapping[str, Any] | None = None,
    on_prefill: OnPrefill | None = None,
    **generation_kwargs: Any,
) -> Generator[DecodingStep, None, None]:
    """Decodes token by token, each with the distribution that it was chosen from.

    For the same prompt, config and seed the token ids are those of `model.generate` after
    `torch.manual_seed(int(seed))`. All checks run at the call, before the first inference.

    Args:
        lm: model and tokenizer.
        prompt: text, chat messages or token ids; see `prompt_token_ids`.
        generation_config: as in `generate`; without it the model's own applies.
        seed: of a private random generator; `None` draws from torch's global one.
        top_candidates: how many of the model's favourites each step lists.
        use_cache: whether to keep the KV cache; without it each inference feeds everything.
        chat_template_kwargs: variables of the chat template; see `prompt_token_ids`.
        on_prefill: called with (tokens fed, prompt tokens) after each chunk of the prompt;
            an exception it raises ends the run.
        **generation_kwargs: fields of `GenerationConfig`, over those of `generation_config`.

    Returns:
        A generator of steps; closing it frees the cache.

    Raises:
        PromptError, ContextLengthError, GenerationConfigError: at the call.
        LogitsError: from the generator, when the model returns NaN or nothing finite.
    """
    check_count("top_candidates", top_candidates)
    check_seed(seed)
    token_ids = prompt_token_ids(lm, prompt, chat_template_kwargs)
    generation = prepare_generation(lm, token_ids, generation_config, use_cache, generation_kwargs)
    rng = None if seed is None else torch.Generator(lm.device).manual_seed(int(seed))
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
    prompt_ids = generation.input_ids[0].tolist()
    text = Text(generation.input_ids, Detokenizer.after(lm.tokenizer, prompt_ids))

    def read() -> tuple[Tensor, int]:
        return infer(lm.model, generation, text.ids, text.index, on_prefill)

    reason = None
    try:
        while reason is None:
            step, _logits = take_step(
                lm, generation, text, read, lambda _width: rng, top_candidates=top_candidates
            )
            reason = step.finish_reason
            yield step
    finally:
        free_cache(generation)
