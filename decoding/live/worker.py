"""The one thread that runs torch; it knows iterators and callables, and nothing of models.

OpenMP keeps one team of threads for each thread that ever ran a torch operation. With two
of them there are more workers than cores, and every thread is slow from then on. So one
thread, for the life of the process, does all of it, and hands results to whoever shows them.
"""

from __future__ import annotations

import atexit
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from functools import partial
from typing import ParamSpec, TypeVar

from decoding.live.line import SECONDS_A_TURN, Line, Waiting
from decoding.live.stream import IsStopped, Stream, Task
from decoding.records.errors import as_exception, is_failure

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

SECONDS_TO_STOP_AT_EXIT = 5.0
PERIOD_SECONDS = 60.0
# Between two items of a stream, so that whoever asks much does not hold up whoever decodes.
BACKGROUND_IN_A_ROW = 4
BACKGROUND_SECONDS = 0.05

log = logging.getLogger(__name__)


class Worker:
    """A daemon thread that runs what it is given, one at a time.

    Each owner's tasks run in order; the streams of several owners take turns. Small background
    tasks come in between.

    Attributes:
        has_ended: it was shut down.
    """

    def __init__(
        self,
        name: str = "torch",
        periodic: Task | None = None,
        period_seconds: float = PERIOD_SECONDS,
    ) -> None:
        """Starts the thread.

        Args:
            name: of the thread.
            periodic: what is done again and again, also while nobody asks for anything.
            period_seconds: between two times of it; more where one item takes longer.
        """
        self._line = Line()
        self._turn: Waiting | None = None
        self._turn_began = 0.0
        self._background: deque[Task] = deque()
        self._periodic = periodic
        self._period_seconds = period_seconds
        self._periodic_due = time.monotonic() + period_seconds
        self.has_ended = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()
        # A daemon thread that the interpreter kills inside a torch operation can take the
        # process down with it, so it is asked to stop before that.
        atexit.register(self.shutdown)

    def submit(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """The future of `function(*args, **kwargs)`, run on this thread when its turn comes."""
        future: Future[R] = Future()
        task = partial(self._fulfil, future, partial(function, *args, **kwargs))
        with self._changed:
            self._refuse_at_end()
            self._line.join(task)
            self._changed.notify_all()
        return future

    def submit_background(
        self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs
    ) -> Future[R]:
        """The same for a small thing that does not wait in the queue.

        It runs at once while nothing else does, else between two items of the stream that
        runs; a few at a time, in order. Never within an item: what is measured there is the
        stream's own.
        """
        return self._promise(partial(function, *args, **kwargs), Future())

    def submit_cancellable(self, function: Callable[[IsStopped], R]) -> Future[R]:
        """A background task that may take long, and can be given up.

        Args:
            function: called as `function(is_given_up)`, which is true once the future was
                cancelled; that a future of this kind runs already is no obstacle.
        """
        given_up = threading.Event()
        call = partial(function, lambda: given_up.is_set() or self.has_ended)
        return self._promise(call, _Cancellable(given_up))

    @property
    def holds_up(self) -> bool:
        """Whether something else waits, or is under way, while a background task runs."""
        with self._changed:
            return self._turn is not None or bool(len(self._line) or self._background)

    def stream(
        self, start: Callable[[IsStopped], Iterator[T]], *, is_alone: bool = False
    ) -> Stream[T]:
        """The items of an iterator that is made, consumed and closed on this thread.

        Args:
            start: called as `start(is_stopped)` when its turn comes; returns the iterator.
                `is_stopped()` is true once the stream was closed, so that long work before
                the first item can raise `Stopped`.
            is_alone: it takes no turns: nothing else has begun while it runs.
        """
        stream: Stream[T] = Stream(self, start)
        with self._changed:
            self._refuse_at_end()
            self._line.join(stream.run, is_alone=is_alone)
            self._changed.notify_all()
        return stream

    def shutdown(self, timeout: float = SECONDS_TO_STOP_AT_EXIT) -> None:
        """Ends what waits, stops what runs at its next item, and waits for the thread."""
        with self._changed:
            self.has_ended = True
            self._changed.notify_all()
        self._thread.join(timeout)
        atexit.unregister(self.shutdown)

    def leave(self, task: Task) -> bool:
        """Takes a task out of the queue; false when its turn has come already."""
        with self._changed:
            return self._line.leave(task)

    def position(self, task: Task) -> int:
        """How many turns come before this one's, the one under way included; 0 once it runs."""
        with self._changed:
            before = self._line.position(task)
            return 0 if before is None else before + (self._turn is not None)

    def soon(self, task: Task) -> bool:
        """Has a short task done between two items; false when the thread has ended."""
        with self._changed:
            if self.has_ended:
                return False
            self._background.append(task)
            self._changed.notify_all()
            return True

    def gives_way(self) -> bool:
        """Whether the task that runs has had its turn, and others wait."""
        with self._changed:
            turn = self._turn
            if turn is None or turn.is_alone:
                return False
            is_over = time.monotonic() - self._turn_began > SECONDS_A_TURN
            return is_over and self._line.has_others(turn.owner)

    def between_items(self) -> None:
        """Does a few of the background tasks that wait, and the periodic one where it is due."""
        ends = time.monotonic() + BACKGROUND_SECONDS
        for _ in range(BACKGROUND_IN_A_ROW):
            with self._changed:
                task = self._background.popleft() if self._background else None
            if task is None:
                break
            task()
            del task
            if time.monotonic() > ends:
                break
        if self._seconds_to_periodic() == 0:
            self._do_periodic()

    def _promise(self, call: Callable[[], R], future: Future[R]) -> Future[R]:
        with self._changed:
            self._refuse_at_end()
            self._background.append(partial(self._fulfil, future, call))
            self._changed.notify_all()
        return future

    def _refuse_at_end(self) -> None:
        if self.has_ended:
            raise RuntimeError("this worker was shut down and takes no more tasks")

    def _work(self) -> None:
        while True:
            self.between_items()
            with self._changed:
                self._changed.wait_for(self._has_work, self._seconds_to_periodic())
                self._turn, self._turn_began = self._line.next(), time.monotonic()
                if self._turn is None:
                    if self.has_ended and not self._background:
                        return
                    continue
                task = self._turn.task
            self._end_turn(goes_on=bool(task()))
            del task  # waiting for the next one must not keep this one's tensors alive

    def _end_turn(self, goes_on: bool) -> None:
        with self._changed:
            turn, self._turn = self._turn, None
            assert turn is not None
            if goes_on:
                self._line.go_on(turn)
            self._line.spent(turn.owner, time.monotonic() - self._turn_began)

    def _has_work(self) -> bool:
        return bool(len(self._line) or self._background) or self.has_ended

    def _seconds_to_periodic(self) -> float | None:
        return None if self._periodic is None else max(0.0, self._periodic_due - time.monotonic())

    def _do_periodic(self) -> None:
        self._periodic_due = time.monotonic() + self._period_seconds
        try:
            if self._periodic is not None and not self.has_ended:
                self._periodic()
        except BaseException as error:  # nobody waits for it who could be told
            if not is_failure(error):
                raise
            log.exception("A background task failed")

    def _fulfil(self, future: Future[R], call: Callable[[], R]) -> None:
        if self.has_ended:
            future.cancel()
        if not future.set_running_or_notify_cancel():
            return
        try:
            future.set_result(call())
        except BaseException as error:  # the caller's to handle, and the thread lives on
            future.set_exception(as_exception(error))
        finally:
            # The traceback holds this frame: without this the two keep each other alive
            # until the garbage collector comes by.
            del future


class _Cancellable(Future[R]):
    """A future whose function is told that nobody waits for it any more."""

    def __init__(self, given_up: threading.Event) -> None:
        super().__init__()
        self._given_up = given_up

    def cancel(self) -> bool:
        self._given_up.set()
        return super().cancel()
