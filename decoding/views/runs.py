"""Who is decoding: each visitor's run, its place in line, and the frames that show it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any, Protocol

from decoding.run import ModelStatus, RunHead, RunRequest
from decoding.step import DecodingStep
from decoding.views.frames import error_message, model_frame, page_frame, say
from decoding.views.run_log import LastLogs, RunLog
from decoding.views.settings import Limits
from decoding.views.streams import SECONDS_A_SIGN_OF_LIFE, Line, paced, told
from decoding.worker import Stream

RunStream = Stream[RunHead | DecodingStep]


class Model(Protocol):
    """What is asked of the model that all visitors share."""

    status: ModelStatus

    def stream(self, request: RunRequest, on_prefill: Callable[[int, int], None]) -> RunStream:
        """The head and then the steps of a run that takes its place in line."""


class Runs:
    """The runs of all visitors on one model; a visitor is known by the session's hash."""

    def __init__(self, model: Model, limits: Limits, line: Line) -> None:
        self.model = model
        self.limits = limits
        self.line = line
        self.last_runs: LastLogs[RunLog] = LastLogs()
        self._newest: dict[str, RunLog] = {}

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

    def frames(self, visitor: str, read: Callable[[], RunRequest]) -> Iterator[str]:
        """A run as the page's frames; ends the visitor's earlier one.

        Until the prompt is known in tokens the frames belong to no run, so that a request
        that fails leaves the last run on the page.
        """
        run = RunLog()
        yield from told(
            lambda: self._frames(visitor, run, read()), lambda error: self._failed(run, error)
        )

    def steps(self, visitor: str, request: RunRequest) -> Iterator[dict[str, Any]]:
        """A run as full records, beside the visitor's other ones."""
        stream = self._open(visitor, request, lambda _done, _total: None)
        try:
            while not stream.done:
                for event in stream.take(SECONDS_A_SIGN_OF_LIFE):
                    if isinstance(event, DecodingStep):
                        yield asdict(event)
        finally:
            self.line.close(stream)

    def stop(self, visitor: str) -> None:
        """Ends all runs of this visitor, waiting ones too; returns at once."""
        self.line.stop(("run", visitor))

    def _frames(self, visitor: str, run: RunLog, request: RunRequest) -> Iterator[str]:
        def on_prefill(done: int, total: int) -> None:
            run.progress = (done, total)

        self.stop(visitor)
        self._newest[visitor] = run
        stream = self._open(visitor, request, on_prefill)
        try:
            yield self._waiting_frame(stream)
            for events in paced(stream):
                for event in events:
                    run.add(event)
                if self._newest.get(visitor) is not run:
                    break
                if run.has_head:
                    self.last_runs.keep(run)
                    yield run.next_frame()
                elif not stream.done:
                    yield self._waiting_frame(stream)
            # A run that a newer one replaced says no more: it would come after that one.
            if run.state != "finished" and self._newest.get(visitor) is run:
                run.state = "stopped"
                yield (
                    run.next_frame()
                    if run.has_head
                    else page_frame("stopped", message=say("stopped_waiting"))
                )
        finally:
            self.line.close(stream)
            if self._newest.get(visitor) is run:
                del self._newest[visitor]

    def _open(
        self, visitor: str, request: RunRequest, on_prefill: Callable[[int, int], None]
    ) -> RunStream:
        return self.line.open(("run", visitor), lambda: self.model.stream(request, on_prefill))

    def _waiting_frame(self, stream: RunStream) -> str:
        status = self.model.status
        if status.state == "loading":
            return model_frame(status)
        if stream.started:
            return page_frame("prefill")
        return page_frame("queued", message=say("queue_position", position=stream.position))

    def _failed(self, run: RunLog, error: Exception) -> str:
        if not run.has_head:
            return page_frame("error", message=error_message(error))
        run.state = "error"
        return run.next_frame(error_message(error))
