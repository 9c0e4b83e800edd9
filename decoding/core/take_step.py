"""One step at the end of a text: an inference, a choice, and the record of both."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from decoding.core.choice import check_valid, choose, finish_reason, make_step
from decoding.core.detokenizer import Detokenizer
from decoding.core.generation import Generation
from decoding.core.inference import cache_size
from decoding.memory.allocator import memory_in_use
from decoding.records.step import DecodingStep

if TYPE_CHECKING:
    from decoding.core.language_model import LanguageModel

Infer = Callable[[], tuple[Tensor, int]]
Random = Callable[[int], torch.Generator | None]


@dataclass(slots=True)
class Text:
    """A text that grows by one token a step.

    Attributes:
        ids: (1, tokens) int64 on the model's device: the prompt, and what came after it.
        detokenizer: has taken what came after the prompt.
        index: of the next step.
    """

    ids: Tensor
    detokenizer: Detokenizer
    index: int = 0


def take_step(
    lm: LanguageModel,
    generation: Generation,
    text: Text,
    infer: Infer,
    random: Random,
    *,
    top_candidates: int,
    token_id: int | None = None,
) -> tuple[DecodingStep, Tensor]:
    """One inference, the token that is chosen or forced, and the step's record.

    Args:
        lm: model and tokenizer.
        generation: processors and criteria in force, and the model's inputs.
        text: gets the token.
        infer: the logits after the text, (1, vocab_size) float32, and the tokens fed for them.
        random: called before a draw with the width of the row; the generator that draws, `None`
            for torch's global one.
        top_candidates: how many of the model's favourites the step lists.
        token_id: a token that is taken in the place of any other, without a draw.

    Returns:
        The step, and its raw logits, (vocab_size,) float32.

    Raises:
        LogitsError: the model returned NaN or nothing finite.
    """
    started = time.perf_counter()
    logits, fed = infer()
    is_prefill = text.index == 0 and fed >= text.ids.shape[1]
    draws = token_id is None and generation.config.do_sample
    rng = random(logits.shape[-1]) if draws else None
    measured, text.ids = choose(generation, text.ids, logits, rng, top_candidates, token_id)
    seconds = time.perf_counter() - started
    check_valid(lm, measured, text.index)
    step = make_step(
        lm,
        measured,
        text.detokenizer,
        index=text.index,
        phase="prefill" if is_prefill else "decode",
        input_tokens=fed,
        seconds=seconds,
        kv_cache=cache_size(generation, fed_tokens=text.ids.shape[1] - 1),
        finish_reason=finish_reason(generation, measured),
        memory=memory_in_use(*lm.computing_devices),
        is_forced=token_id is not None,
    )
    text.index += 1
    return step, logits[0]
