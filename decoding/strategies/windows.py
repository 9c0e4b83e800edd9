"""What reads a given text: its windows, the passes over each, the logits of every token."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from decoding.core.generation import Generation, prepare_generation
from decoding.core.inference import (
    OnPrefill,
    continues,
    free_cache,
    infer,
    read_parts,
    reads_forward,
)
from decoding.memory.kv_cache import cache_of
from decoding.records.errors import GenerationConfigError

if TYPE_CHECKING:
    from decoding.core.language_model import LanguageModel

# Of one pass: numbers in its logits. On a CPU shorter passes take longer over all.
MOST_LOGITS = 1 << 25
# Numbers that are measured at once.
BLOCK_LOGITS = 1 << 19
_PLAIN = {"max_new_tokens": 1, "do_sample": False, "num_beams": 1}


@dataclass(frozen=True, slots=True)
class Window:
    """Tokens that are read together.

    Attributes:
        ids: what is read, the last token included, which needs no reading.
        scored: index in `ids` of the first token that is scored here.
    """

    ids: list[int]
    scored: int


@dataclass(frozen=True, slots=True)
class Logits:
    """A part of what one pass returned.

    Attributes:
        rows: (tokens, vocab_size) raw, each the distribution before one token.
        ids: (tokens,) int64, those tokens.
        fed: tokens that were fed in the pass.
        seconds: that it took.
    """

    rows: Tensor
    ids: Tensor
    fed: int
    seconds: float


def windows_of(lm: LanguageModel, ids: list[int], overlap: int | None) -> list[Window]:
    """The windows of a text; one where it fits the context."""
    size = lm.context_length
    if size is None or len(ids) <= size:
        return [Window(ids, 1)]
    opening = ids[:1] if ids[0] == lm.tokenizer.bos_token_id else []
    room = size - len(opening)
    shared = room // 2 if overlap is None else overlap
    if not 1 <= shared < room:
        raise GenerationConfigError(
            f"overlap must be 1 to {room - 1} in a context of {size:,} tokens, got {overlap}."
        )
    windows, end = [Window(ids[:size], 1)], size
    while end < len(ids):
        start = end - shared
        end = min(start + room, len(ids))
        windows.append(Window(opening + ids[start:end], len(opening) + shared))
    return windows


def logits_of(
    lm: LanguageModel, windows: list[Window], on_progress: OnPrefill | None
) -> Iterator[Logits]:
    """The logits before each scored token, in order."""
    total = sum(len(window.ids) for window in windows)
    before = 0
    for window in windows:
        generation = prepare_generation(lm, window.ids[:-1], None, True, dict(_PLAIN))
        try:
            for part, done in _passes(lm, generation, window):
                if len(part.ids):
                    yield part
                if on_progress is not None:
                    on_progress(before + done, total)
        finally:
            free_cache(generation)
        before += len(window.ids)


def _passes(
    lm: LanguageModel, generation: Generation, window: Window
) -> Iterator[tuple[Logits, int]]:
    """Each pass over a part of the window, and how many tokens were read with it."""
    ids = generation.input_ids
    targets = torch.tensor(window.ids[1:], device=ids.device)
    read = 0
    for done, rows, seconds in _timed(lambda: _rows(lm, generation, ids)):
        first = max(window.scored - 1, read)
        kept = rows[first - read :] if first < done else rows[:0]
        yield Logits(kept, targets[min(first, done) : done], done - read, seconds), done + 1
        read = done


def _rows(lm: LanguageModel, generation: Generation, ids: Tensor) -> Iterator[tuple[int, Tensor]]:
    """(tokens read so far, logits after each token that was read last).

    In chunks where the cache can be continued by several tokens; else in one pass where its
    logits are few enough and none sees the tokens behind it, and otherwise token by token.
    """
    tokens, size = ids.shape[1], lm.vocab_size
    most = max(1, MOST_LOGITS // size)
    is_one_pass = tokens <= most and reads_forward(lm.model)
    if is_one_pass or continues(lm.model, cache_of(generation.model_kwargs)):
        chunk = min(most, tokens)
        for done, outputs in read_parts(lm.model, generation, ids, chunk=chunk, all_logits=True):
            yield done, outputs.logits[0]
    else:
        yield from _one_by_one(lm, ids)


def _one_by_one(lm: LanguageModel, ids: Tensor) -> Iterator[tuple[int, Tensor]]:
    """The same where each token is fed by itself, as generation would feed it."""
    tokens = ids.shape[1]
    settings = {**_PLAIN, "max_new_tokens": tokens}
    generation = prepare_generation(lm, ids[0, :1].tolist(), None, True, settings)
    try:
        for index in range(tokens):
            logits, _fed = infer(lm.model, generation, ids[:, : index + 1], index)
            yield index + 1, logits
    finally:
        free_cache(generation)


def _timed(
    make: Callable[[], Iterator[tuple[int, Tensor]]],
) -> Iterator[tuple[int, Tensor, float]]:
    """The same with the seconds that each took, and not those that pass between them."""
    parts = make()
    while True:
        started = time.perf_counter()
        part = next(parts, None)
        if part is None:
            return
        yield *part, time.perf_counter() - started


def blocks_of(part: Logits) -> Iterator[tuple[Tensor, Tensor]]:
    """Few rows at a time: what is computed of them stays small, and close to the processor."""
    rows = max(1, BLOCK_LOGITS // part.rows.shape[-1])
    for start in range(0, len(part.ids), rows):
        block = part.rows[start : start + rows].to(torch.float32, copy=True)
        yield block, part.ids[start : start + rows]
