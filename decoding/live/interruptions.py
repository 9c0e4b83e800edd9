"""What ends before it is done: a paused run, a text that nobody waits for any more."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, TypeVar

from decoding.live.kept_sessions import KeptSession
from decoding.live.stream import IsStopped, Stopped
from decoding.records.errors import SessionError

if TYPE_CHECKING:
    from decoding.core.inference import OnPrefill

T = TypeVar("T")

SECONDS_OF_OTHERS = 2.0


def until_left(
    on_prefill: OnPrefill, is_stopped: IsStopped, kept: KeptSession, pauses: int = 0
) -> OnPrefill:
    """An `on_prefill` that ends the reading once nobody waits for it."""

    def look_up(done: int, total: int) -> None:
        on_prefill(done, total)
        if is_stopped() or kept.pauses != pauses:
            raise Stopped

    return look_up


def until_paused(items: Iterator[T], kept: KeptSession, pauses: int) -> Iterator[T]:
    """The items before a pause; each that the session has recorded is among them."""
    try:
        if kept.pauses != pauses:
            return
        for item in items:
            kept.touch()
            yield item
            if kept.pauses != pauses:
                return
    finally:
        items.close()  # type: ignore[attr-defined]


def patient(holds_up: Callable[[], bool], is_given_up: IsStopped) -> OnPrefill:
    """An `on_prefill` that lets a look take long while it holds up nobody."""
    since = time.monotonic()

    def look_up(done: int, total: int) -> None:
        nonlocal since
        if is_given_up():
            raise CancelledError
        if not holds_up():
            since = time.monotonic()
        elif done < total and time.monotonic() - since > SECONDS_OF_OTHERS:
            raise SessionError(
                "To show this step its text has to be read again, which takes longer than a "
                "run can be held up: try again when no run is under way."
            )

    return look_up
