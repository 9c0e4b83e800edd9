"""An iterator that runs on one thread and is taken from on others; it knows nothing of models."""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Generic, Protocol, TypeVar

from decoding.records.errors import as_exception

T = TypeVar("T")
Task = Callable[[], bool | None]  # true: it has had its turn, and more is to come
IsStopped = Callable[[], bool]

TIME_FOR_OTHERS: Any = object()  # an item that is none: others may have their turn


class Stopped(Exception):
    """Raised on the worker's thread by code that saw `is_stopped()`; ends the stream quietly."""


class Thread(Protocol):
    """What a stream asks of the thread that it runs on."""

    has_ended: bool

    def position(self, task: Task) -> int:
        """How many tasks come before this one; 0 once it runs."""

    def leave(self, task: Task) -> bool:
        """Takes a task out of the queue; false when its turn has come already."""

    def soon(self, task: Task) -> bool:
        """Has a short task done between two items; false when the thread has ended."""

    def between_items(self) -> None:
        """Does what waits to be done between two items."""

    def gives_way(self) -> bool:
        """Whether what runs has had its turn, and others wait."""


class Stream(Generic[T]):
    """What a consumer on another thread holds of an iterator that runs on the worker's.

    Where others wait it rests between two items after each of its turns.
    """

    def __init__(self, worker: Thread, start: Callable[[IsStopped], Iterator[T]]) -> None:
        self._worker = worker
        self._start: Callable[[IsStopped], Iterator[T]] | None = start
        self._iterator: Iterator[T] | None = None
        self._items: deque[T] = deque()
        self._error: BaseException | None = None
        self._ended = False
        self._begun = False
        self._closed = threading.Event()
        self._changed = threading.Condition()

    @property
    def started(self) -> bool:
        """Whether the thread began this stream; false while it waits in the queue."""
        return self._begun

    @property
    def position(self) -> int:
        """Turns of others before this one's; 0 while it runs."""
        return self._worker.position(self.run)

    @property
    def is_resting(self) -> bool:
        """Whether it has begun and others have their turn."""
        return self._begun and self.position > 0

    @property
    def done(self) -> bool:
        """Whether nothing more will come and all that came was taken."""
        with self._changed:
            return self._ended and not self._items and self._error is None

    def take(self, timeout: float) -> list[T]:
        """All items that are ready, in order; waits up to `timeout` seconds for the first.

        Raises:
            BaseException: what the iterator raised, with its traceback, once the items
                before it were taken.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._items or self._ended, timeout)
            items, error = list(self._items), None
            self._items.clear()
            if not items:
                error, self._error = self._error, None
        if error is None:
            return items
        try:
            raise error
        finally:
            # The traceback holds this frame, and the frames below hold the model's tensors.
            del error

    def rest(self, seconds: float) -> None:
        """Waits so long, or until nothing more will come."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended, seconds)

    def close(self) -> None:
        """Asks for the end and returns at once.

        A stream that still waits in the queue leaves it and never starts. One that runs ends at
        its next item, which is dropped; items that were ready before can still be taken.
        """
        self._closed.set()
        is_out = self._worker.leave(self.run)
        # What has begun ends on the worker's thread.
        if is_out and (self._iterator is None or not self._worker.soon(self.run)):
            self._finish(None)

    def _is_stopped(self) -> bool:
        return self._closed.is_set() or self._worker.has_ended

    def run(self) -> bool:
        """Makes, consumes and closes the iterator; called on the worker's thread.

        Returns:
            Whether there is more to come, and it is others' turn.
        """
        self._begun = True
        try:
            with contextlib.suppress(Stopped):
                if self._consume():
                    return True
        except BaseException as error:  # the consumer's to handle, and the thread lives on
            self._finish(as_exception(error))
        else:
            self._finish(None)
        return False

    def _consume(self) -> bool:
        start, self._start = self._start, None
        if start is not None and not self._is_stopped():
            self._iterator = start(self._is_stopped)
        rests = False
        try:
            rests = self._take_turn()
        finally:
            if not rests:
                self._close_iterator()
        return rests

    def _take_turn(self) -> bool:
        """Items until there are no more, nobody wants them, or others are to have their turn."""
        if self._iterator is None or self._is_stopped():
            return False
        for item in self._iterator:
            if self._is_stopped():
                return False
            if item is not TIME_FOR_OTHERS:
                with self._changed:
                    self._items.append(item)
                    self._changed.notify_all()
            self._worker.between_items()
            if self._worker.gives_way():
                return True
        return False

    def _close_iterator(self) -> None:
        iterator, self._iterator = self._iterator, None
        close = getattr(iterator, "close", None)  # generators have one, iterators need not
        if close is not None:
            close()

    def _finish(self, failure: BaseException | None) -> None:
        with self._changed:
            self._error = failure
            self._start = None
            self._ended = True
            self._changed.notify_all()
