"""How far a model's way onto this machine and into memory has come."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal, TypeVar

from tqdm import tqdm

T = TypeVar("T")
Stage = Literal["download", "prepare", "load"]
# Called as progress(stage, done_bytes, total_bytes); total 0 = not known yet. What it raises
# ends the loading.
Progress = Callable[[Stage, int, int], None]


class Interrupted(BaseException):
    """Carries what a caller's progress raised past every `except Exception` on the way."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(str(error))
        self.error = error


def interruptible(work: Callable[[Progress], T], progress: Progress) -> T:
    """What `work(progress)` returns; an error that the progress raises comes out as it was."""

    def report(stage: Stage, done: int, total: int) -> None:
        try:
            progress(stage, done, total)
        except BaseException as error:
            raise Interrupted(error) from error

    try:
        return work(report)
    except Interrupted as interrupted:
        error = interrupted.error
    # Out of the `except`, and without the traceback: both would keep half a model alive.
    raise error.with_traceback(None)


def say_nothing(stage: Stage, done: int, total: int) -> None:
    """A progress for callers that want none."""


@contextmanager
def progress_or_bar(progress: Progress | None) -> Iterator[Progress]:
    """The caller's own progress, else a bar on the terminal, else silence."""
    if progress is not None:
        yield progress
    elif sys.stderr.isatty():
        bars = TerminalBars()
        try:
            yield bars
        finally:
            bars.close()
    else:
        yield say_nothing


class TerminalBars:
    """One bar on the terminal for each stage, in turn."""

    def __init__(self) -> None:
        self._stage: Stage | None = None
        self._bar: Any = None

    def __call__(self, stage: Stage, done: int, total: int) -> None:
        if self._bar is None or stage != self._stage:
            self.close()
            self._stage = stage
            self._bar = tqdm(desc=stage, unit="B", unit_scale=True, unit_divisor=1000)
        self._bar.total = total or None
        self._bar.n = done
        self._bar.refresh()

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None
