"""The same forced tokens under several precisions of the weights, one model after the other."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Sequence
from functools import partial
from statistics import fmean
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from decoding.core.inference import OnPrefill
from decoding.costs.divergence import check_numbers, kl_nats
from decoding.memory.allocator import release_memory
from decoding.records.comparisons import (
    PrecisionEvent,
    PrecisionStart,
    PrecisionSummary,
    PrecisionToken,
)
from decoding.records.errors import GenerationConfigError
from decoding.strategies.forced import ForcedRun

if TYPE_CHECKING:
    from decoding.core.language_model import LanguageModel

Load = Callable[[str | None], "LanguageModel"]
Feed = Callable[["LanguageModel"], ForcedRun]
REFERENCE_BYTES = 512 * 10**6


def comparable_tokens(vocab_size: int) -> int:
    """How many tokens' distributions the reference may keep: 512 MB of float32 numbers."""
    return REFERENCE_BYTES // (4 * vocab_size)


def compare_precisions(
    load: Load,
    prompt_ids: Sequence[int],
    token_ids: Sequence[int],
    precisions: Sequence[str | None] = (None, "8bit", "4bit"),
    on_prefill: OnPrefill | None = None,
) -> Generator[PrecisionEvent, None, None]:
    """What quantization does to a text's probabilities, to the memory and to the time.

    Never two models at once: each is dropped and its memory given back before the next one
    is loaded. Of the first one, the reference, the distributions are kept in this machine's
    memory.

    Args:
        load: makes the model for a precision, and holds on to none of them.
        prompt_ids: fed by the first inference of each model.
        token_ids: fed after it, one by one; at most `comparable_tokens(vocab_size)`.
        precisions: as `load_model` names quantizations; the first is the reference.
        on_prefill: called with (tokens fed, prompt tokens) after each chunk of a prompt; an
            exception it raises ends the comparison.

    Returns:
        A generator: for each precision a start, its tokens and a summary. Closing it frees
        the model that is in memory.

    Raises:
        DecodingError: from the generator, where a model cannot be had or the text not be fed.
    """
    feed = partial(ForcedRun, prompt_ids=prompt_ids, token_ids=token_ids, on_prefill=on_prefill)
    return _compare(load, feed, token_ids, precisions)


def _compare(
    load: Load, feed: Feed, token_ids: Sequence[int], precisions: Sequence[str | None]
) -> Generator[PrecisionEvent, None, None]:
    reference: list[Tensor] | None = None
    for precision in precisions:
        try:
            start, run = _start(load, feed, precision, len(token_ids))
            rows = _Rows(reference)
            try:
                yield start
                for index, token_id in enumerate(token_ids):
                    logits, side = run.infer(index)
                    yield rows.token(start, index, token_id, logits, side.seconds)
            finally:
                run.close()
            reference = reference or rows.logprobs
            yield rows.summary(start)
        finally:
            release_memory()


def _start(
    load: Load, feed: Feed, precision: str | None, tokens: int
) -> tuple[PrecisionStart, ForcedRun]:
    lm = load(precision)
    if tokens > comparable_tokens(lm.vocab_size):
        raise GenerationConfigError(
            f"The distributions of {tokens:,} tokens over {lm.vocab_size:,} vocabulary entries "
            f"are too many to keep: compare at most {comparable_tokens(lm.vocab_size):,} tokens."
        )
    start = PrecisionStart(precision, str(lm.dtype).removeprefix("torch."), lm.weight_bytes)
    return start, feed(lm)


class _Rows:
    """What was measured of one model: beside a reference, or to become it."""

    def __init__(self, reference: list[Tensor] | None) -> None:
        self.reference = reference
        self.logprobs: list[Tensor] = []  # of the reference to be, (vocab_size,) each
        self.tokens: list[PrecisionToken] = []

    def token(
        self, start: PrecisionStart, index: int, token_id: int, logits: Tensor, seconds: float
    ) -> PrecisionToken:
        logprobs = torch.log_softmax(logits[0], dim=-1)
        kl = same = None
        if self.reference is None:
            self.logprobs.append(logprobs.cpu())
            logprob = float(self.logprobs[-1][token_id])
        else:
            logprob, kl, equal = _against(logprobs, self.reference[index], token_id)
            same = equal > 0
        check_numbers(index, logprob, kl or 0.0)
        self.tokens.append(
            PrecisionToken(start.precision, index, token_id, logprob, kl, same, seconds)
        )
        return self.tokens[-1]

    def summary(self, start: PrecisionStart) -> PrecisionSummary:
        divergences = [token.kl_nats for token in self.tokens if token.kl_nats is not None]
        after_prefill = [token.seconds for token in self.tokens[1:]]
        return PrecisionSummary(
            precision=start.precision,
            dtype=start.dtype,
            weight_bytes=start.weight_bytes,
            perplexity=math.exp(-fmean(token.logprob for token in self.tokens)),
            seconds_per_token=fmean(after_prefill) if after_prefill else None,
            mean_kl_nats=fmean(divergences) if divergences else None,
            changed_favourites=(
                sum(token.same_favourite is False for token in self.tokens) if divergences else None
            ),
        )


def _against(logprobs: Tensor, reference: Tensor, token_id: int) -> tuple[float, float, float]:
    """(logprob, KL(reference ‖ this), same favourite) in one copy to the host."""
    reference = reference.to(logprobs.device)
    same = logprobs.argmax() == reference.argmax()
    numbers = torch.stack([logprobs[token_id], kl_nats(reference, logprobs), same.float()])
    logprob, kl, equal = numbers.tolist()
    return logprob, kl, equal
