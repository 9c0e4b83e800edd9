"""Streams of the worker as a page sees them: how many may wait, how often they are looked at."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from threading import Lock
from typing import Any, Literal, TypeVar

from decoding.live.line import on_behalf_of
from decoding.live.stream import Stream
from decoding.page.requests.refusals import RequestError
from decoding.records.errors import DecodingError
from decoding.records.requests import RunHead
from decoding.records.tree import RunStep

T = TypeVar("T")
RunStream = Stream[RunHead | RunStep]
Owner = tuple[Literal["run", "job", "switch"], str]

# Of what may wait in all: one visitor's share, and that of all visitors from one address, behind
# which there may be a whole class.
MOST_OF_A_VISITOR = 8
SHARE_OF_AN_ADDRESS = 0.75

SECONDS_A_FRAME = 1 / 12
# Gradio can close a generator only between two yields, so what waits yields too.
SECONDS_A_SIGN_OF_LIFE = 0.25
# The same while it is others' turn: every sign takes a little of the time of whoever decodes.
SECONDS_A_SIGN_IN_LINE = 1.0

log = logging.getLogger(__name__)


class QueueFullError(RequestError):
    """As many wait as may."""


class Visitor(str):
    """A session's hash, and the address that it comes from; "" where that is not known."""

    address: str

    def __new__(cls, key: str, address: str = "") -> Visitor:
        """A text like any other."""
        visitor = super().__new__(cls, key)
        visitor.address = address
        return visitor


def _address(owner: Owner) -> str:
    return getattr(owner[1], "address", "")


class Queue:
    """The streams of all visitors, so that no more of them wait than the operator allows.

    Attributes:
        streams: each with what it is and whose.
    """

    def __init__(self, waiting: int) -> None:
        self.streams: dict[Stream[Any], Owner] = {}
        self._waiting = waiting
        self._lock = Lock()

    def open(self, owner: Owner, start: Callable[[], Stream[T]]) -> Stream[T]:
        """The stream that `start` makes; it takes turns with those of other visitors.

        Raises:
            QueueFullError: as many wait as may, of all, of this visitor or from this address.
        """
        with self._lock:
            self._refuse_too_many(owner)
            with on_behalf_of(owner[1]):
                stream = start()
            self.streams[stream] = owner
            return stream

    def _refuse_too_many(self, owner: Owner) -> None:
        own = sum(other[1] == owner[1] for other in self.streams.values())
        if own >= MOST_OF_A_VISITOR:
            raise QueueFullError(
                f"{own} of your runs are under way or waiting, which is all one visitor may have: "
                "wait for one of them, or stop it.",
                "queue_own_full",
                limit=own,
            )
        address = _address(owner)
        near = sum(_address(other) == address for other in self.streams.values()) if address else 0
        share = max(MOST_OF_A_VISITOR, round(SHARE_OF_AN_ADDRESS * (self._waiting + 1)))
        if len(self.streams) > self._waiting or near >= share:
            raise QueueFullError(
                f"{self._waiting} runs are waiting already, which is all this page "
                "takes: try again in a minute.",
                "queue_full",
                limit=self._waiting,
            )

    def close(self, stream: Stream[Any]) -> None:
        """Ends a stream and forgets it; returns at once."""
        stream.close()
        self.release(stream)

    def release(self, stream: Stream[Any]) -> None:
        """Another may wait in the place of a stream that is ending; returns at once."""
        with self._lock:
            self.streams.pop(stream, None)

    def stop(self, owner: Owner) -> None:
        """Ends all streams of an owner; returns at once."""
        with self._lock:
            own = [stream for stream, of in self.streams.items() if of == owner]
        for stream in own:
            self.close(stream)


def paced(stream: Stream[T]) -> Iterator[list[T]]:
    """What a stream brought, twelve times a second at most; empty lists while nothing comes."""
    rests_until = 0.0
    while not stream.done:
        # The rest comes before the wait, so that a token after a pause is shown at once, and
        # ends with the stream, so that the last one is.
        stream.rest(max(0.0, rests_until - time.monotonic()))
        is_in_line = stream.position > 0
        items = stream.take(SECONDS_A_SIGN_IN_LINE if is_in_line else SECONDS_A_SIGN_OF_LIFE)
        rests_until = time.monotonic() + SECONDS_A_FRAME
        yield items


def with_failure(
    frames: Callable[[], Iterator[str]], failed: Callable[[Exception], str]
) -> Iterator[str]:
    """The frames, and where they break off one that says why; a bug keeps its traceback."""
    try:
        yield from frames()
    except DecodingError as error:
        yield failed(error)
    except Exception as error:
        log.exception("Something the page did not expect")
        yield failed(error)
