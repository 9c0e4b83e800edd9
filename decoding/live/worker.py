"""The one thread that runs torch; it knows iterators and callables, and nothing of models.

OpenMP keeps one team of threads for each thread that ever ran a torch operation. With two
of them there are more workers than cores, and every thread is slow from then on. So one
thread, for the life of the process, does all of it, and hands results to whoever shows them.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from functools import partial
from typing import Generic, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
Job = Callable[[], None]
IsStopped = Callable[[], bool]

SECONDS_TO_STOP_AT_EXIT = 5.0
SECONDS_BETWEEN_CHORES = 60.0
# Between two items of a stream, so that whoever asks much does not hold up whoever decodes.
ASIDES_IN_A_ROW = 4
ASIDE_SECONDS = 0.05

log = logging.getLogger(__name__)


class Stopped(Exception):
    """Raised on the worker's thread by code that saw `is_stopped()`; ends the stream quietly."""


class Worker:
    """A daemon thread that runs what it is given in order, one at a time; asides in between."""

    def __init__(
        self,
        name: str = "torch",
        chore: Job | None = None,
        chore_seconds: float = SECONDS_BETWEEN_CHORES,
    ) -> None:
        """Starts the thread.

        Args:
            name: of the thread.
            chore: what is done again and again, also while nobody asks for anything.
            chore_seconds: between two times of it; more where one item takes longer.
        """
        self._line: deque[Job] = deque()
        self._asides: deque[Job] = deque()
        self._chore = chore
        self._chore_seconds = chore_seconds
        self._chore_due = time.monotonic() + chore_seconds
        self._is_busy = False
        self._has_ended = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()
        # A daemon thread that the interpreter kills inside a torch operation can take the
        # process down with it, so it is asked to stop before that.
        atexit.register(self.shutdown)

    def submit(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """The future of `function(*args, **kwargs)`, run on this thread when its turn comes."""
        return self._promise(self._line, partial(function, *args, **kwargs))

    def aside(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """The same for a small thing that does not wait in line.

        It runs at once while nothing else does, else between two items of the stream that
        runs; a few at a time, in order. Never within an item: what is measured there is the
        stream's own.
        """
        return self._promise(self._asides, partial(function, *args, **kwargs))

    def look(self, function: Callable[[IsStopped], R]) -> Future[R]:
        """An aside that may take long, and can be given up.

        Args:
            function: called as `function(is_given_up)`, which is true once the future was
                cancelled; that a future of this kind runs already is no obstacle.
        """
        given_up = threading.Event()
        call = partial(function, lambda: given_up.is_set() or self._has_ended)
        return self._promise(self._asides, call, _Look(given_up))

    @property
    def holds_up(self) -> bool:
        """Whether something else waits, or is under way, while an aside runs."""
        with self._changed:
            return self._is_busy or bool(self._line or self._asides)

    def stream(self, start: Callable[[IsStopped], Iterator[T]]) -> Stream[T]:
        """The items of an iterator that is made, consumed and closed on this thread.

        Args:
            start: called as `start(is_stopped)` when its turn comes; returns the iterator.
                `is_stopped()` is true once the stream was closed, so that long work before
                the first item can raise `Stopped`.
        """
        stream = Stream(self, start)
        self._join(self._line, stream._run)
        return stream

    def shutdown(self, timeout: float = SECONDS_TO_STOP_AT_EXIT) -> None:
        """Ends what waits, stops what runs at its next item, and waits for the thread."""
        with self._changed:
            self._has_ended = True
            self._changed.notify_all()
        self._thread.join(timeout)
        atexit.unregister(self.shutdown)

    def _promise(
        self, line: deque[Job], call: Callable[[], R], promise: Future[R] | None = None
    ) -> Future[R]:
        future: Future[R] = Future() if promise is None else promise
        self._join(line, partial(self._fulfil, future, call))
        return future

    def _join(self, line: deque[Job], job: Job) -> None:
        with self._changed:
            if self._has_ended:
                raise RuntimeError("this worker was shut down and takes no more work")
            line.append(job)
            self._changed.notify_all()

    def _leave(self, job: Job) -> bool:
        """Takes a job out of the line; false when its turn has come already."""
        with self._changed:
            if job not in self._line:
                return False
            self._line.remove(job)
            return True

    def _position(self, job: Job) -> int:
        with self._changed:
            return self._line.index(job) + self._is_busy if job in self._line else 0

    def _work(self) -> None:
        while True:
            with self._changed:
                self._is_busy = False
            self._look_aside()
            with self._changed:
                self._changed.wait_for(self._has_work, self._seconds_to_chore())
                if not self._line:
                    if self._has_ended and not self._asides:
                        return
                    continue
                job = self._line.popleft()
                self._is_busy = True
            job()
            del job  # waiting for the next one must not keep this one's tensors alive

    def _has_work(self) -> bool:
        return bool(self._line or self._asides) or self._has_ended

    def _look_aside(self) -> None:
        """A few of the small things that wait, and the chore where it is due."""
        ends = time.monotonic() + ASIDE_SECONDS
        for _ in range(ASIDES_IN_A_ROW):
            with self._changed:
                job = self._asides.popleft() if self._asides else None
            if job is None:
                break
            job()
            del job
            if time.monotonic() > ends:
                break
        if self._seconds_to_chore() == 0:
            self._do_chore()

    def _seconds_to_chore(self) -> float | None:
        return None if self._chore is None else max(0.0, self._chore_due - time.monotonic())

    def _do_chore(self) -> None:
        self._chore_due = time.monotonic() + self._chore_seconds
        try:
            if self._chore is not None and not self._has_ended:
                self._chore()
        except Exception:  # nobody waits for it who could be told, and the thread lives on
            log.exception("A chore failed")

    def _fulfil(self, future: Future[R], call: Callable[[], R]) -> None:
        if self._has_ended:
            future.cancel()
        if not future.set_running_or_notify_cancel():
            return
        try:
            future.set_result(call())
        except BaseException as error:  # the caller's to handle, and the thread lives on
            future.set_exception(error)
        finally:
            # The traceback holds this frame: without this the two keep each other alive
            # until the garbage collector comes by.
            del future


class _Look(Future[R]):
    """A future whose function is told that nobody waits for it any more."""

    def __init__(self, given_up: threading.Event) -> None:
        super().__init__()
        self._given_up = given_up

    def cancel(self) -> bool:
        self._given_up.set()
        return super().cancel()


class Stream(Generic[T]):
    """What a consumer on another thread holds of an iterator that runs on the worker's."""

    def __init__(self, worker: Worker, start: Callable[[IsStopped], Iterator[T]]) -> None:
        self._worker = worker
        self._start: Callable[[IsStopped], Iterator[T]] | None = start
        self._items: deque[T] = deque()
        self._error: BaseException | None = None
        self._ended = False
        self._begun = False
        self._closed = threading.Event()
        self._changed = threading.Condition()

    @property
    def started(self) -> bool:
        """Whether the thread began this stream; false while it waits in line."""
        return self._begun

    @property
    def position(self) -> int:
        """Jobs before this one that are not finished; 0 once it runs."""
        return self._worker._position(self._run)

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
            # As in `Worker._fulfil`: the frames below hold the model's tensors.
            del error

    def rest(self, seconds: float) -> None:
        """Waits so long, or until nothing more will come."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended, seconds)

    def close(self) -> None:
        """Asks for the end and returns at once.

        A stream that still waits in line leaves it and never starts. One that runs ends at
        its next item, which is dropped; items that were ready before can still be taken.
        """
        self._closed.set()
        if self._worker._leave(self._run):
            self._finish(None)

    def _is_stopped(self) -> bool:
        return self._closed.is_set() or self._worker._has_ended

    def _run(self) -> None:
        """Makes, consumes and closes the iterator; called on the worker's thread."""
        self._begun = True
        try:
            with contextlib.suppress(Stopped):
                self._consume()
        except BaseException as error:  # the consumer's to handle, and the thread lives on
            self._finish(error)
        else:
            self._finish(None)

    def _consume(self) -> None:
        start, self._start = self._start, None
        if start is None or self._is_stopped():
            return
        iterator = start(self._is_stopped)
        try:
            for item in iterator:
                if self._is_stopped():
                    return
                with self._changed:
                    self._items.append(item)
                    self._changed.notify_all()
                self._worker._look_aside()
        finally:
            close = getattr(iterator, "close", None)  # generators have one, iterators need not
            if close is not None:
                close()

    def _finish(self, failure: BaseException | None) -> None:
        with self._changed:
            self._error = failure
            self._start = None
            self._ended = True
            self._changed.notify_all()
