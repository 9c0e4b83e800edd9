"""One visitor's run on its way, from Generate or Resume to its end or its next pause."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from typing import Literal

from decoding.page.requests.settings import Limits
from decoding.page.visitors.queue import SECONDS_A_FRAME, SECONDS_A_SIGN_OF_LIFE, RunStream
from decoding.page.visitors.spent import Spent
from decoding.page.wire.run_log import RunLog
from decoding.records.requests import ContinueOrder, RunHead
from decoding.records.tree import RunStep

Ending = Literal["paused", "stopped"]


class Turn:
    """A run that is shown while it goes on.

    With a speed it is decoded a few inferences at a time and rests in between, in the page's
    own thread: who else waits in the queue goes first meanwhile.

    Attributes:
        run: what it writes.
        stream: of the inferences that are under way or were last.
        has_begun: something came of it.
        ending: the run's state once this ends before the text does.
    """

    def __init__(self, run: RunLog, speed: float | None = None, steps: int | None = None) -> None:
        """Nothing runs yet.

        Args:
            run: what it writes.
            speed: tokens a second at most; `None` as fast as it goes.
            steps: inferences at most; `None` until an end.
        """
        self.run = run
        self.stream: RunStream | None = None
        self.has_begun = False
        self.ending: Ending = "paused"
        self._spent = Spent()
        self._speed = speed
        self._left = steps
        self._due = 0.0
        self._is_over = threading.Event()

    def begin(self, stream: RunStream) -> RunStream:
        """Takes the next inferences."""
        self.stream = stream
        if self._speed is not None:
            self._due = time.monotonic() + (self.batch or 0) / self._speed
        return stream

    def end(self, ending: Ending) -> None:
        """Nothing more is to be begun."""
        self.ending = ending
        self._is_over.set()

    def spend(self, event: RunHead | RunStep, limits: Limits) -> None:
        """Counts what came of it; raises RequestError at the operator's limit."""
        self._spent.take(event, limits)

    @property
    def has_started(self) -> bool:
        """Whether the inferences that it takes now are under way or over."""
        return self.stream is not None and self.stream.started

    @property
    def is_over(self) -> bool:
        """Whether it was told to end."""
        return self._is_over.is_set()

    def is_over_after(self, seconds: float) -> bool:
        """The same so many seconds from now, or sooner where it is over."""
        return self._is_over.wait(seconds)

    @property
    def batch(self) -> int | None:
        """How many inferences are decoded at once: as few as frames can show."""
        if self._speed is None:
            return self._left
        batch = max(1, math.ceil(self._speed * SECONDS_A_FRAME))
        return batch if self._left is None else min(batch, self._left)

    def goes_on(self) -> bool:
        """Whether more is to follow the inferences that have ended."""
        if self._speed is None or self.is_over or self.run.state == "finished":
            return False
        if self._left is not None:
            self._left -= self.batch or 0
        return self._left != 0

    def resting(self) -> Iterator[None]:
        """Comes back from time to time until the next inference is due or all is over."""
        while (left := self._due - time.monotonic()) > 0:
            if self.is_over_after(min(left, SECONDS_A_SIGN_OF_LIFE)):
                return
            if left > SECONDS_A_SIGN_OF_LIFE:
                yield

    def next_order(self) -> ContinueOrder | None:
        """What follows; `None` when it is over."""
        if self.is_over:
            return None
        return ContinueOrder(self.run.branch, None, steps=self.batch, known=self.run.known)
