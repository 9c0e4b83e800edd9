"""How a model would have predicted a given text: one pass over it, a step for each token."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from decoding.core.choice import check_valid, make_step
from decoding.core.detokenizer import Detokenizer
from decoding.core.distribution import Measurement, measure_rows
from decoding.core.inference import OnPrefill
from decoding.core.prompts import any_token_ids
from decoding.core.supported import check_count
from decoding.records.errors import PromptError
from decoding.records.step import DecodingStep
from decoding.strategies.coverage import covered_bytes
from decoding.strategies.windows import Window, blocks_of, logits_of, windows_of

if TYPE_CHECKING:
    from decoding.core.language_model import LanguageModel


@dataclass(frozen=True, slots=True)
class TextScore:
    """What the scored tokens of a text come to.

    Attributes:
        tokens: that were scored.
        bytes: of the given text that they stand for, in UTF-8; `None` where the tokenizer
            changes what it reads and does not tell which part became which token.
        logprob: of all of them in a row, in nats.
        perplexity: exp(−logprob / tokens); models with other tokens cannot be compared by it.
        bits_per_byte: −logprob / ln 2 / bytes, by which they can; `None` without
            a byte, or where these are not known.
    """

    tokens: int
    bytes: int | None
    logprob: float
    perplexity: float
    bits_per_byte: float | None


def scored_ids(lm: LanguageModel, text: str | Sequence[int]) -> list[int]:
    """All tokens of a text. The first has none before it and is not scored.

    Args:
        lm: whose tokenizer applies; where that begins a text with a token of its own, every
            token of the text itself is scored.
        text: as it stands, or token ids.

    Raises:
        PromptError: empty, one token alone, not valid Unicode, ids out of range.
    """
    ids = any_token_ids(lm, text)
    if len(ids) < 2:
        raise PromptError(
            "This text is one token: a token is scored by those before it, so write more."
        )
    return ids


def score(
    lm: LanguageModel,
    text: str | Sequence[int],
    *,
    top_candidates: int = 20,
    overlap: int | None = None,
    on_progress: OnPrefill | None = None,
) -> Iterator[DecodingStep]:
    """Each token of a text with the distribution that the model had before it.

    One pass over the text. A text longer than the context is read in windows, of which each
    begins with the last `overlap` tokens of the one before, so that every token has at least as
    many before it; a token that the tokenizer puts before every text stands before each window.

    Args:
        lm: model and tokenizer.
        text: as it stands, or token ids; see `scored_ids`.
        top_candidates: how many of the model's favourites each step lists.
        overlap: of windows, in tokens; half the context without it.
        on_progress: called with (tokens read, tokens) between passes; an exception it raises
            ends the scoring.

    Returns:
        A generator of steps of phase "score", the second token's the first. `input_tokens` is
        what was fed in the pass that measured a step, `seconds` that pass' time divided by
        its tokens; nothing is drawn, so the sampling probability is the probability.

    Raises:
        PromptError, GenerationConfigError: at the call.
        LogitsError: from the generator, when the model returns NaN or nothing finite.
    """
    check_count("top_candidates", top_candidates)
    ids = scored_ids(lm, text)
    windows = windows_of(lm, ids, overlap)
    sizes = covered_bytes(lm.tokenizer, text, ids)
    return _steps(lm, ids, sizes, windows, top_candidates, on_progress)


def text_score(steps: Sequence[DecodingStep]) -> TextScore:
    """What scored steps come to.

    Raises:
        ValueError: there are none.
    """
    if not steps:
        raise ValueError("A score needs one step or more.")
    logprob = math.fsum(step.logprob for step in steps)
    size = _bytes_of(steps)
    mean = -logprob / len(steps)
    return TextScore(
        tokens=len(steps),
        bytes=size,
        logprob=logprob,
        perplexity=math.exp(mean) if mean < 700 else math.inf,
        bits_per_byte=-logprob / math.log(2) / size if size else None,
    )


def _bytes_of(steps: Sequence[DecodingStep]) -> int | None:
    if any(step.phase != "score" for step in steps):
        return len("".join(step.text for step in steps).encode())
    known = [step.text_bytes for step in steps if step.text_bytes is not None]
    return sum(known) if len(known) == len(steps) else None


@torch.inference_mode()
def temperature_losses(
    lm: LanguageModel,
    ids: Sequence[int],
    temperatures: Sequence[float],
    on_progress: OnPrefill | None = None,
) -> list[float]:
    """The mean loss of a text's tokens, were the logits divided by each of these temperatures.

    Args:
        lm: model and tokenizer.
        ids: as of `scored_ids`; read in the windows of `score`.
        temperatures: each above 0.
        on_progress: as of `score`.

    Returns:
        Of each temperature −mean ln softmax(logits / T) of the tokens, in nats.
    """
    totals = torch.zeros(len(temperatures), dtype=torch.float64)
    windows = windows_of(lm, list(ids), None)
    for part in logits_of(lm, windows, on_progress):
        for rows, tokens in blocks_of(part):
            own = rows.gather(1, tokens[:, None])[:, 0]
            losses = [(torch.logsumexp(rows / t, dim=-1) - own / t).sum() for t in temperatures]
            totals += torch.stack(losses).cpu()  # one copy to the host a block
    return [float(total) / (len(ids) - 1) for total in totals]


@torch.inference_mode()
def _steps(
    lm: LanguageModel,
    ids: list[int],
    sizes: list[int] | None,
    windows: list[Window],
    top_candidates: int,
    on_progress: OnPrefill | None,
) -> Iterator[DecodingStep]:
    detokenizer = Detokenizer(lm.tokenizer)
    # What the first token leaves incomplete is released with the second.
    detokenizer.add(ids[0])
    index, last = 0, len(ids) - 2
    for part in logits_of(lm, windows, on_progress):
        started = time.perf_counter()
        measured = [
            row for block in blocks_of(part) for row in measure_rows(*block, top_candidates)
        ]
        seconds = (part.seconds + time.perf_counter() - started) / len(measured)
        for row in measured:
            check_valid(lm, row, index)
            size = None if sizes is None else sizes[index + 1]
            step = _step(lm, row, detokenizer, index, part.fed, seconds, is_last=index == last)
            yield replace(step, text_bytes=size)
            index += 1


def _step(
    lm: LanguageModel,
    row: Measurement,
    detokenizer: Detokenizer,
    index: int,
    fed: int,
    seconds: float,
    is_last: bool,
) -> DecodingStep:
    return make_step(
        lm,
        row,
        detokenizer,
        index=index,
        phase="score",
        input_tokens=fed,
        seconds=seconds,
        kv_cache=None,
        finish_reason="length" if is_last else None,
        memory=None,
    )
