"""Longer jobs on the shared model: one for each visitor, in the same line as the runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from decoding.live.shared_model import SharedModel
from decoding.live.worker import Stream
from decoding.page.jobs.job import Work
from decoding.page.visitors.newest import Newest
from decoding.page.visitors.queue import Line, paced, told
from decoding.page.wire.frames import error_message, say
from decoding.page.wire.job_log import WorkLog, refusal_frame
from decoding.page.wire.run_log import LastLogs


class Works:
    """The comparisons and measurements that visitors started."""

    def __init__(self, model: SharedModel, line: Line) -> None:
        self.model = model
        self.line = line
        self.last_works: LastLogs[WorkLog] = LastLogs()
        self._newest: Newest[WorkLog] = Newest()

    def frames(self, visitor: str, kind: str, read: Callable[[], Work]) -> Iterator[str]:
        """A job as the page's frames; ends the visitor's earlier one.

        A request that is refused has frames of no job, so that the last one stays.
        """
        logs: list[WorkLog] = []

        def failed(error: Exception) -> str:
            if not logs:
                return refusal_frame(kind, error_message(error))
            logs[0].state, logs[0].message = "error", error_message(error)
            return logs[0].next_frame()

        def frames() -> Iterator[str]:
            work = read()
            self.stop(visitor)
            stream = self.line.open(("work", visitor), lambda: work.start(self.model))
            logs.append(WorkLog(work.kind, work.head))
            yield from self._frames(visitor, work, logs[0], stream)

        yield from told(frames, failed)

    def stop(self, visitor: str) -> None:
        """Ends the visitor's job, waiting or not; returns at once."""
        self.line.stop(("work", visitor))

    def _frames(self, visitor: str, work: Work, log: WorkLog, stream: Stream[Any]) -> Iterator[str]:
        self._newest.put(visitor, log)
        self.last_works.keep(log)
        try:
            for events in paced(stream):
                for event in events:
                    row = work.take(event)
                    if row is not None:
                        log.add(row)
                if not self._newest.is_newest(visitor, log):
                    break
                if not stream.done:
                    self._describe(log, work, stream)
                    yield log.next_frame()
            # What a newer job of its kind replaced says no more: it would come after that one.
            newer = self._newest.get(visitor)
            if newer is not log and newer is not None and newer.kind == log.kind:
                return
            log.state = "finished" if work.is_complete else "stopped"
            log.message, log.progress, log.summary = work.note, None, work.summary
            yield log.next_frame()
        finally:
            self.line.close(stream)
            self._newest.forget(visitor, log)

    def _describe(self, log: WorkLog, work: Work, stream: Stream[Any]) -> None:
        """What the job is doing just now."""
        status = self.model.status
        log.summary = work.summary
        if not stream.started:
            log.message = say("queue_position", position=stream.position)
        elif status.state == "loading":
            log.state, log.message = "loading", say(f"loading_{status.stage}")
            log.progress = status.progress
        else:
            log.state, log.message = "running", work.note
            log.progress = None if work.total is None else (log.total, work.total)
