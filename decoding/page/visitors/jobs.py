"""Longer jobs on the shared model: one for each visitor, in the same queue as the runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from decoding.live.shared_model import SharedModel
from decoding.live.stream import Stream
from decoding.page.jobs.job import Job
from decoding.page.visitors.newest import Newest
from decoding.page.visitors.queue import Queue, paced, with_failure
from decoding.page.wire.frames import error_message, message
from decoding.page.wire.job_log import JobLog, refusal_frame
from decoding.page.wire.last_logs import LastLogs


class Jobs:
    """The comparisons and measurements that visitors started."""

    def __init__(self, model: SharedModel, queue: Queue) -> None:
        self.model = model
        self.queue = queue
        self.last_jobs: LastLogs[JobLog] = LastLogs()
        self._newest: Newest[JobLog] = Newest()

    def frames(self, visitor: str, kind: str, read: Callable[[], Job]) -> Iterator[str]:
        """A job as the page's frames; ends the visitor's earlier one.

        A request that is refused has frames of no job, so that the last one stays.
        """
        logs: list[JobLog] = []

        def failed(error: Exception) -> str:
            if not logs:
                return refusal_frame(kind, error_message(error))
            logs[0].state, logs[0].message = "error", error_message(error)
            return logs[0].next_frame()

        def frames() -> Iterator[str]:
            job = read()
            self.stop(visitor)
            stream = self.queue.open(("job", visitor), lambda: job.start(self.model))
            logs.append(JobLog(job.kind, job.head))
            yield from self._frames(visitor, job, logs[0], stream)

        yield from with_failure(frames, failed)

    def stop(self, visitor: str) -> None:
        """Ends the visitor's job, waiting or not; returns at once."""
        self.queue.stop(("job", visitor))

    def _frames(self, visitor: str, job: Job, log: JobLog, stream: Stream[Any]) -> Iterator[str]:
        self._newest.put(visitor, log)
        self.last_jobs.keep(log)
        try:
            for events in paced(stream):
                for event in events:
                    row = job.take(event)
                    if row is not None:
                        log.add(row)
                if not self._newest.is_newest(visitor, log):
                    break
                if not stream.done:
                    self._describe(log, job, stream)
                    yield log.next_frame()
            # What a newer job of its kind replaced says no more: it would come after that one.
            newer = self._newest.get(visitor)
            if newer is not log and newer is not None and newer.kind == log.kind:
                return
            log.state = "finished" if job.is_complete else "stopped"
            log.message, log.progress, log.summary = job.note, None, job.summary
            yield log.next_frame()
        finally:
            self.queue.close(stream)
            self._newest.forget(visitor, log)

    def _describe(self, log: JobLog, job: Job, stream: Stream[Any]) -> None:
        """What the job is doing just now."""
        status = self.model.status
        log.summary = job.summary
        if not stream.started:
            log.message = message("queue_position", position=stream.position)
        elif status.state == "loading":
            log.state, log.message = "loading", message(f"loading_{status.stage}")
            log.progress = status.progress
        else:
            log.state, log.message = "running", job.note
            log.progress = None if job.total is None else (log.total, job.total)
