"""What a longer job has produced: each row encoded once, to be sent and sent again."""

from __future__ import annotations

import secrets
from typing import Any

from decoding.page.wire.frames import Message, to_json

Row = list[Any]


class JobLog:
    """The rows of one job and what they come to.

    Attributes:
        log_id: cannot be guessed, so that knowing it is the right to read the job.
        state: `"queued"`, `"loading"`, `"running"`, `"finished"`, `"stopped"` or `"error"`.
        message: what it waits for, what went wrong, or a note on what is shown.
        progress: (done, total) in rows; while a model loads, in bytes.
        summary: of the rows so far.
        kind: of the job, as the frames name it.
    """

    def __init__(self, kind: str, head: dict[str, Any]) -> None:
        self.log_id = secrets.token_urlsafe(12)
        self.state = "queued"
        self.message: Message | None = None
        self.progress: tuple[int, int] | None = None
        self.summary: dict[str, Any] | None = None
        self.kind = kind
        self._head = to_json(head)
        self._rows: list[str] = []
        self._sent: int | None = None

    @property
    def total(self) -> int:
        """Rows so far."""
        return len(self._rows)

    def add(self, row: Row) -> None:
        """Takes the next row."""
        self._rows.append(to_json(row))

    def next_frame(self) -> str:
        """What no frame has carried yet: the head, once, and the newest rows."""
        start, is_first = self._sent or 0, self._sent is None
        self._sent = self.total
        return self._frame(start, is_first)

    def frame_from(self, start: int) -> str:
        """The rows from `start` on, with the head when they begin with the first."""
        return self._frame(start, start == 0)

    def _frame(self, start: int, with_head: bool) -> str:
        known = {
            "work": self.log_id,
            "kind": self.kind,
            "state": self.state,
            "message": self.message,
            "progress": self.progress,
        }
        rows = self._rows[start:]
        head = f',"head":{self._head}' if with_head else ""
        return (
            f'{to_json(known)[:-1]}{head},"start":{start},"total":{start + len(rows)},'
            f'"rows":[{",".join(rows)}],"summary":{to_json(self.summary)}}}'
        )


def refusal_frame(kind: str, message: Message) -> str:
    """A frame of no job: it says why there is none, and leaves what is shown."""
    fields = {"work": "", "kind": kind, "state": "error", "message": message, "progress": None}
    return to_json({**fields, "start": 0, "total": 0, "rows": [], "summary": None})
