"""Who is decoding: each visitor's run, its place in the queue, and the frames that show it."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import asdict
from functools import partial
from threading import RLock
from typing import Any

from decoding.live.live_model import LiveModel
from decoding.live.stream import Stream
from decoding.page.requests.orders import Order, read_speed, unusable
from decoding.page.requests.refusals import RequestError
from decoding.page.requests.settings import Limits
from decoding.page.visitors.newest import Newest
from decoding.page.visitors.queue import (
    SECONDS_A_SIGN_OF_LIFE,
    Queue,
    QueueFullError,
    RunStream,
    paced,
    with_failure,
)
from decoding.page.visitors.spent import Spent
from decoding.page.visitors.turns import Ending, Turn
from decoding.page.wire.frames import Message, error_message, message, model_frame, page_frame
from decoding.page.wire.last_logs import LastLogs
from decoding.page.wire.run_log import RunLog
from decoding.records.requests import ContinueOrder, RunHead, RunRequest, ScoreRequest
from decoding.records.tree import RunStep


class Runs:
    """The runs of all visitors on one model; a visitor is known by the session's hash."""

    def __init__(self, model: LiveModel, limits: Limits, queue: Queue) -> None:
        self.model = model
        self.limits = limits
        self.queue = queue
        self.last_runs: LastLogs[RunLog] = LastLogs(rebuild=self._rebuilt)
        self._turns: Newest[Turn] = Newest()
        self._kept: dict[str, set[str]] = {}
        # Whoever holds it says who writes which run.
        self._lock = RLock()

    def model_frames(self) -> Iterator[str]:
        """How far the model is, until it is ready or failed."""
        shown = None
        while True:
            status = self.model.status
            if status != shown:
                yield model_frame(status)
            if status.state != "loading":
                return
            shown = status
            time.sleep(SECONDS_A_SIGN_OF_LIFE)

    def frames(
        self, visitor: str, read: Callable[[], RunRequest], order: str = ""
    ) -> Iterator[str]:
        """A run as the page's frames; ends the visitor's earlier one.

        Until the prompt is known in tokens the frames belong to no run, so that a request
        that fails leaves the last run on the page.

        Args:
            visitor: whose it is.
            read: the request, or the error that refuses it.
            order: the page's JSON, of which the speed counts here.
        """
        run = RunLog(self.model.keeps_sessions)

        def frames() -> Iterator[str]:
            request, speed = read(), read_speed(order)
            turn = Turn(run, speed if self.model.keeps_sessions else None)
            start = partial(self.model.stream, run.log_id, request, run.on_prefill, turn.batch)
            yield from self._generated(visitor, turn, start)

        return with_failure(frames, partial(_failed, run))

    def score(self, visitor: str, read: Callable[[], ScoreRequest]) -> Iterator[str]:
        """A text that was given as a run's frames; ends the visitor's earlier run."""
        run = RunLog(self.model.keeps_sessions)

        def frames() -> Iterator[str]:
            start = partial(self.model.score, run.log_id, read(), run.on_prefill)
            yield from self._generated(visitor, Turn(run), start)

        return with_failure(frames, partial(_failed, run))

    def resume(self, visitor: str, read: Callable[[], Order]) -> Iterator[str]:
        """More of a run that is there as the page's frames; who knows its id may go on with it."""
        return with_failure(
            lambda: self._resumed(visitor, read()),
            lambda error: page_frame("error", message=error_message(error)),
        )

    def steps(self, visitor: str, request: RunRequest | ScoreRequest) -> Iterator[dict[str, Any]]:
        """A run, or a text that was given, as full records, beside the visitor's other ones."""
        key = secrets.token_urlsafe()
        if isinstance(request, ScoreRequest):
            start = partial(self.model.score, key, request, _no_progress)
        else:
            start = partial(self.model.stream, key, request, _no_progress)
        stream, spent = self.queue.open(("run", visitor), start), Spent()
        try:
            while not stream.done:
                for event in stream.take(SECONDS_A_SIGN_OF_LIFE):
                    spent.take(event, self.limits)
                    if isinstance(event, RunStep):
                        yield asdict(event.step)
        finally:
            self.queue.close(stream)
            self.model.forget(key)

    def pause(self, visitor: str) -> None:
        """This visitor's run ends after the inference under way and can go on; returns at once."""
        self._end(visitor, "paused")

    def stop(self, visitor: str) -> None:
        """The same for good, though it can go on where sessions are kept."""
        self._end(visitor, "stopped")

    def hush(self, visitor: str) -> None:
        """The same without a word: something else is to be shown."""
        with self._lock:
            turn = self._end(visitor, "stopped")
            if turn is not None:
                self._turns.forget(visitor, turn)

    def leave(self, visitor: str) -> set[str]:
        """Ends all runs of this visitor, and what is kept of them; returns their ids at once."""
        self.hush(visitor)
        self.queue.stop(("run", visitor))
        with self._lock:
            keys = self._kept.pop(visitor, set())
        for key in keys:
            self.model.forget(key)
        return keys

    def drop(self, visitor: str) -> None:
        """The same, and nobody finds what was shown of them: for whoever is not there."""
        for key in self.leave(visitor):
            self.last_runs.forget(key)

    def _generated(
        self, visitor: str, turn: Turn, start: Callable[[], Stream[Any]]
    ) -> Iterator[str]:
        self.leave(visitor)
        self._take_over(visitor, turn)
        yield from self._shown(visitor, turn, start)

    def _resumed(self, visitor: str, order: Order) -> Iterator[str]:
        run = self.last_runs.find(order.run)
        if run is None:
            raise RequestError("This run is not kept any more: generate it anew.", "run_unknown")
        if not run.has_branch(order.branch):
            raise unusable()
        turn = Turn(run, order.speed, order.steps)
        yield from with_failure(
            lambda: self._continued(visitor, turn, order), partial(_failed, run)
        )

    def _continued(self, visitor: str, turn: Turn, order: Order) -> Iterator[str]:
        with self._lock:
            self._take_over(visitor, turn)
            turn.run.go_on(order.branch)
            more = ContinueOrder(
                order.branch,
                order.at,
                order.token_id,
                turn.batch,
                dict(order.generation),
                turn.run.known,
            )
        start = partial(self.model.resume, turn.run.log_id, more, turn.run.on_prefill)
        yield from self._shown(visitor, turn, start)

    def _shown(self, visitor: str, turn: Turn, start: Callable[[], Stream[Any]]) -> Iterator[str]:
        """A turn from its place in the queue to its end, the rests of a slow one included."""
        run = turn.run
        try:
            while True:
                stream = yield from self._opened(visitor, turn, start)
                if stream is None:
                    break
                try:
                    yield from self._taken(visitor, turn, stream)
                finally:
                    self.queue.close(stream)
                if not turn.goes_on():
                    break
                for _ in turn.resting():
                    yield from self._next_frame(visitor, turn)
                order = turn.next_order()
                if order is None:
                    break
                start = partial(self.model.resume, run.log_id, order, run.on_prefill)
            yield from self._last_frame(visitor, turn)
        finally:
            self._turns.forget(visitor, turn)

    def _opened(
        self, visitor: str, turn: Turn, start: Callable[[], Stream[Any]]
    ) -> Generator[str, None, RunStream | None]:
        """The stream; `None` where a run found the queue full after a rest, and then was ended."""
        while True:
            try:
                stream = turn.begin(self.queue.open(("run", visitor), start))
                break
            except QueueFullError:
                if not turn.has_begun:
                    raise
            if turn.is_over_after(SECONDS_A_SIGN_OF_LIFE):
                return None
            yield from self._next_frame(visitor, turn)
        with self._lock:
            # It may have been told to end before there was a stream that could be ended.
            if turn.is_over and self._turns.is_newest(visitor, turn):
                self._halt(turn)
        return stream

    def _taken(self, visitor: str, turn: Turn, stream: RunStream) -> Iterator[str]:
        """What comes of a stream, until a newer turn has the word."""
        if not turn.has_begun:
            yield self._waiting_frame(stream)
        for events in paced(stream):
            if not (yield from self._next_frame(visitor, turn, events)):
                return
            if not turn.has_begun and not stream.done:
                yield self._waiting_frame(stream)

    def _next_frame(
        self, visitor: str, turn: Turn, events: Iterable[RunHead | RunStep] = ()
    ) -> Generator[str, None, bool]:
        """The run's next frame, once something came of it; whether the turn has the word."""
        run = turn.run
        with self._lock:
            if not self._turns.is_newest(visitor, turn):
                return False
            for event in events:
                run.add(event)
                turn.spend(event, self.limits)
            turn.has_begun = turn.has_begun or (run.has_head and turn.has_started)
            frame = run.next_frame(_sharing(turn)) if turn.has_begun else None
        if frame is not None:
            self.last_runs.keep(run)
            yield frame
        return True

    def _last_frame(self, visitor: str, turn: Turn) -> Iterator[str]:
        run = turn.run
        with self._lock:
            # A run that a newer one replaced says no more: it would come after that one.
            if run.state == "finished" or not self._turns.is_newest(visitor, turn):
                return
            if run.has_head:
                run.state = turn.ending if run.is_live else "stopped"
                frame = run.next_frame()
            else:
                frame = page_frame("stopped", message=message("stopped_waiting"))
        yield frame

    def _take_over(self, visitor: str, turn: Turn) -> None:
        """Its run is this visitor's, and nobody else writes it any more."""
        with self._lock:
            for other, had in self._turns.items():
                if other == visitor or had.run.log_id == turn.run.log_id:
                    self.hush(other)
            for keys in self._kept.values():
                keys.discard(turn.run.log_id)
            self._kept.setdefault(visitor, set()).add(turn.run.log_id)
            self._turns.put(visitor, turn)

    def _end(self, visitor: str, ending: Ending) -> Turn | None:
        """Ends the visitor's turn, which is returned where there is one."""
        with self._lock:
            turn = self._turns.get(visitor)
            if turn is not None:
                turn.end(ending)
                self._halt(turn)
            return turn

    def _halt(self, turn: Turn) -> None:
        self.model.pause(turn.run.log_id)
        if turn.stream is None:
            return
        if turn.stream.started:
            self.queue.release(turn.stream)  # its reader may be slow to hear of it
        else:
            self.queue.close(turn.stream)

    def _rebuilt(self, key: str) -> RunLog | None:
        """Sessions are kept for longer than what was encoded of them."""
        trace = self.model.trace(key)
        return None if trace is None else RunLog.from_trace(trace, key)

    def _waiting_frame(self, stream: RunStream) -> str:
        status = self.model.status
        if status.state == "loading":
            return model_frame(status)
        if stream.started:
            return page_frame("prefill")
        return page_frame("queued", message=message("queue_position", position=stream.position))


def _sharing(turn: Turn) -> Message | None:
    """While others have their turn, that they do."""
    if turn.stream is None or not turn.stream.is_resting:
        return None
    return message("taking_turns", n=turn.stream.position)


def _failed(run: RunLog, error: Exception) -> str:
    if not run.has_head:
        return page_frame("error", message=error_message(error))
    run.state = "error"
    return run.next_frame(error_message(error))


def _no_progress(_done: int, _total: int) -> None:
    """Whoever asks for records does not hear how far the prompt is read."""
