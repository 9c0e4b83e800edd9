"""One inference's logits -> the token that is taken, and its step; it runs no inference."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch import LongTensor, Tensor
from transformers import InfNanRemoveLogitsProcessor

from decoding.core.detokenizer import Detokenizer, token_piece, token_text
from decoding.core.distribution import Measurement, measure
from decoding.core.generation import Generation
from decoding.records.errors import LogitsError
from decoding.records.step import (
    Candidate,
    DecodingStep,
    FinishReason,
    KVCacheSize,
    MemoryInUse,
    Phase,
)

if TYPE_CHECKING:
    from decoding.core.language_model import LanguageModel


def choose(
    generation: Generation,
    ids: Tensor,
    logits: Tensor,
    rng: torch.Generator | None,
    top_candidates: int,
    forced: int | None = None,
) -> tuple[Measurement, Tensor]:
    """Processors, the draw or the maximum, all numbers in one copy to the host.

    Args:
        generation: whose processors and criteria apply.
        ids: (1, tokens) prompt and new tokens so far.
        logits: (1, vocab_size) float32, raw; they are left as they are.
        rng: that a draw takes its random numbers from; `None` for torch's global one.
        top_candidates: how many favourites are listed.
        forced: a token that is taken in the place of any other, without a draw.

    Returns:
        The measurement, and the ids with the token behind them.
    """
    if generation.config.remove_invalid_values:
        logits = InfNanRemoveLogitsProcessor()(ids, logits)
    scores = logits
    if generation.processors:  # they may write in place, and the logits are still to be measured
        scores = generation.processors(cast(LongTensor, ids), logits.clone())
    probabilities = torch.softmax(scores, dim=-1)  # (1, vocab_size)
    if forced is not None:
        token = torch.tensor([forced], device=ids.device)
    elif generation.config.do_sample:
        # A row of NaN becomes a uniform one, and is told below: to draw from NaN kills CUDA.
        drawable = probabilities.nan_to_num(nan=1.0)
        token = torch.multinomial(drawable, 1, generator=rng).view(1)
    else:
        token = scores.argmax(dim=-1)
    ids = torch.cat([ids, token.view(1, 1)], dim=-1)
    flags = [criterion(ids, None) for criterion in generation.criteria]
    return measure(logits[0], probabilities[0], token, top_candidates, flags), ids


def check_valid(lm: LanguageModel, measured: Measurement, index: int) -> None:
    """Raises LogitsError where inference `index` returned no distribution."""
    if not measured.valid:
        raise LogitsError(
            f"Inference {index + 1} returned no distribution (NaN, or nothing finite): "
            f"the model does not work in {lm.dtype} on {lm.device}; try float32."
        )


def finish_reason(generation: Generation, measured: Measurement) -> FinishReason | None:
    """Of the criteria that say stop, the first one's reason."""
    reasons = zip(generation.finish_reasons, measured.flags, strict=True)
    return next((reason for reason, reached in reasons if reached), None)


def make_step(
    lm: LanguageModel,
    measured: Measurement,
    detokenizer: Detokenizer,
    *,
    index: int,
    phase: Phase,
    input_tokens: int,
    seconds: float,
    kv_cache: KVCacheSize | None,
    finish_reason: FinishReason | None,
    memory: MemoryInUse | None,
    is_forced: bool = False,
) -> DecodingStep:
    """The record of one inference; the detokenizer goes one token on."""
    text = detokenizer.add(measured.token_id)
    return DecodingStep(
        index=index,
        phase=phase,
        input_tokens=input_tokens,
        token_id=measured.token_id,
        token=token_piece(lm.tokenizer, measured.token_id),
        text=text + (detokenizer.flush() if finish_reason else ""),
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
        kv_cache=kv_cache,
        seconds=seconds,
        finish_reason=finish_reason,
        memory=memory,
        is_forced=is_forced,
    )


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
