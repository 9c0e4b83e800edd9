"""What was produced last, for a browser that missed some frames; for any thread."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from threading import Lock
from typing import Generic, Protocol, TypeVar

LOGS_KEPT = 8


class Log(Protocol):
    """What is kept of a run or of a longer job."""

    log_id: str

    @property
    def total(self) -> int:
        """Steps or rows so far."""

    def frame_from(self, start: int) -> str:
        """A frame with all of them from `start` on."""


L = TypeVar("L", bound=Log)


class LastLogs(Generic[L]):
    """The last logs, for a browser that missed some frames."""

    def __init__(
        self, kept: int = LOGS_KEPT, rebuild: Callable[[str], L | None] | None = None
    ) -> None:
        """None is known yet.

        Args:
            kept: how many.
            rebuild: makes a log that is asked for and not kept, of its id; `None` where it
                cannot.
        """
        self._kept = kept
        self._rebuild = rebuild
        self._logs: OrderedDict[str, L] = OrderedDict()
        self._lock = Lock()

    def keep(self, log: L) -> None:
        """Remembers a log; the oldest beyond the bound are forgotten."""
        with self._lock:
            self._logs[log.log_id] = log
            while len(self._logs) > self._kept:
                self._logs.popitem(last=False)

    def forget(self, log_id: str) -> None:
        """Nobody is to find it any more."""
        with self._lock:
            self._logs.pop(log_id, None)

    def find(self, log_id: str) -> L | None:
        """The log; `None` for one that is not known (any more)."""
        with self._lock:
            log = self._logs.get(log_id)
        if log is None and self._rebuild is not None:
            log = self._rebuild(log_id)
            if log is not None:
                self.keep(log)
        return log

    def frame_from(self, log_id: str, start: int) -> str | None:
        """A frame with what came from `start` on; `None` for a log that is not known."""
        log = self.find(log_id)
        return None if log is None else log.frame_from(min(max(0, start), log.total))
