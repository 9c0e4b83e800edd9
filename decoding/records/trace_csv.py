"""A trace's steps as a table that is safe to open in a spreadsheet."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterator
from typing import Any

from decoding.records.step import DecodingStep
from decoding.records.trace import DecodingTrace
from decoding.records.tree import Branch

MEASURED = (
    "index",
    "phase",
    "input_tokens",
    "token_id",
    "token",
    "text",
    "is_special",
    "is_forced",
    "logprob",
    "probability",
    "rank",
    "sampling_probability",
    "entropy_bits",
    "varentropy_bits2",
    "tail_probability",
    "kept_tokens",
)
COLUMNS = (
    "branch",
    "parent",
    *MEASURED,
    "kv_cache_tokens",
    "kv_cache_bytes",
    "memory_bytes",
    "seconds",
    "finish_reason",
)
# Where a cell begins, or would where a spreadsheet splits at other signs than commas: a
# formula's sign there, behind what spreadsheets pass over; and a tab or return at the start.
_FORMULA = re.compile(
    "(?:^|(?<=[;\t\r\n\v\f\x85\u2028\u2029]))"
    "(?=[ \0\"'\xa0\u2000-\u200f\u3000\ufeff]*[=+@＝＋－＠-])|^(?=[\t\r])"
)


def trace_csv(trace: DecodingTrace) -> str:
    """One line for each step of each branch, as RFC 4180 has it.

    Numbers are exact, and empty where there is none: also a log-probability of -inf, beside
    which the probability is 0. What a spreadsheet could take for a formula has an apostrophe
    before it.
    """
    file = io.StringIO(newline="")
    writer = csv.writer(file)
    writer.writerow(COLUMNS)
    for branch in trace.branches:
        writer.writerows(_rows(branch))
    return file.getvalue()


def safe_cell(value: Any) -> Any:
    """A value as a cell: a formula, also one behind spaces or a separator, becomes a text."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if not isinstance(value, str):
        return value
    return _FORMULA.sub("'", value).encode("utf-8", "backslashreplace").decode()


def _rows(branch: Branch) -> Iterator[list[Any]]:
    for step in branch.steps:
        measured = [getattr(step, name) for name in MEASURED]
        row = [branch.number, branch.parent, *measured, *_held(step)]
        yield [safe_cell(value) for value in (*row, step.seconds, step.finish_reason)]


def _held(step: DecodingStep) -> tuple[int | None, int | None, int | None]:
    cache, memory = step.kv_cache, step.memory
    return (
        cache.tokens if cache else None,
        cache.bytes if cache else None,
        memory.bytes if memory else None,
    )
