"""Answers that nobody reads: they do not pile up, and what makes them ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

T = TypeVar("T")

MOST_WAITING = 4  # answers; what comes after them waits until some were read
SECONDS_UNREAD = 10.0
SECONDS_A_LOOK = 0.05


class Mailbox:
    """What Gradio keeps of a session's answers until somebody reads them.

    Source: `gradio.queueing.Queue`, which bounds neither their number nor their time.
    """

    def __init__(self, queue: Any, session: str | None) -> None:
        """Of whoever has no session, nothing is known."""
        self._queue = queue
        self._session = session

    @property
    def waiting(self) -> int:
        """How many were not read."""
        messages = self._queue.pending_messages_per_session.get(self._session)
        return 0 if messages is None else int(messages.qsize())

    def drop(self) -> None:
        """Forgets them, and has no more sent."""
        for jobs in self._queue.active_jobs:
            for job in jobs or ():
                if job.session_hash == self._session:
                    job.alive = False
        self._queue.pending_messages_per_session.pop(self._session, None)
        self._queue.pending_event_ids_session.pop(self._session, None)


def while_read(answers: Iterator[T], mailbox: Mailbox, leave: Callable[[], None]) -> Iterator[T]:
    """The answers, each once those before it were read.

    Args:
        answers: closed once nothing of them was read for `SECONDS_UNREAD`.
        mailbox: where they are put.
        leave: called then.
    """
    for answer in answers:
        yield answer
        if not _is_read(mailbox):
            answers.close()  # type: ignore[attr-defined]
            leave()
            mailbox.drop()
            return


def _is_read(mailbox: Mailbox) -> bool:
    """Waits while too many are unread; false when none of them was read for long."""
    fewest, ends = mailbox.waiting, time.monotonic() + SECONDS_UNREAD
    while (waiting := mailbox.waiting) > MOST_WAITING:
        if waiting < fewest:
            fewest, ends = waiting, time.monotonic() + SECONDS_UNREAD
        elif time.monotonic() > ends:
            return False
        time.sleep(SECONDS_A_LOOK)
    return True
