"""Runs as files: what is sent to be kept, and what is opened again."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from time import monotonic, sleep
from typing import TYPE_CHECKING

from decoding.page.requests.refusals import RequestError
from decoding.page.visitors.queue import SECONDS_A_FRAME, with_failure
from decoding.page.wire.frames import error_message, page_frame
from decoding.page.wire.last_logs import LastLogs
from decoding.page.wire.replay import replay_html
from decoding.page.wire.run_log import RunLog
from decoding.records.errors import TraceError
from decoding.records.trace_csv import trace_csv
from decoding.records.trace_file import read_trace, trace_json

if TYPE_CHECKING:
    from decoding.live.live_model import LiveModel
    from decoding.records.trace import DecodingTrace

OPENED_KEPT = 4
SECONDS_A_FILE_IS_KEPT = 30.0
SECONDS_TO_SHOW = 3.0


@dataclass(frozen=True, slots=True)
class TraceFile:
    """A run as a file to be kept."""

    name: str
    media_type: str
    content: bytes


class OpenedTrace:
    """A trace that somebody opened; what was in the file is kept small."""

    def __init__(self, content: bytes) -> None:
        """Reads it.

        Raises:
            TraceError: it is none.
        """
        self.run = RunLog.from_trace(read_trace(content))
        self.log_id = self.run.log_id
        self._packed = zlib.compress(content, 1)

    @property
    def total(self) -> int:
        """As the run's."""
        return self.run.total

    @property
    def trace(self) -> DecodingTrace:
        """The trace, read anew."""
        return read_trace(zlib.decompress(self._packed))

    def frame_from(self, start: int) -> str:
        """As the run's."""
        return self.run.frame_from(start)


class Traces:
    """The runs that are kept, and the last ones that were opened."""

    def __init__(self, model: LiveModel) -> None:
        self._model = model
        self._opened: LastLogs[OpenedTrace] = LastLogs(OPENED_KEPT)
        # Of a large trace each takes seconds, in which nothing else gets far: one at a time.
        self._maker = ThreadPoolExecutor(1, "traces")
        self._made: tuple[tuple[str, str], float, TraceFile | None] | None = None

    def frames(self, content: bytes | None, shown: Callable[[], None]) -> Iterator[str]:
        """What a file shows, as the page's frames.

        Args:
            content: of the file; `None` where it did not arrive.
            shown: called before the first of them.
        """
        return with_failure(
            lambda: self._frames(content, shown),
            lambda error: page_frame("error", message=error_message(error)),
        )

    def find(self, run: str) -> RunLog | None:
        """The run of a trace that was opened."""
        opened = self._opened.find(run)
        return None if opened is None else opened.run

    def file(self, run: str, kind: str) -> Future[TraceFile | None]:
        """A run as a file, made in its turn; `None` where the run or the kind is not known."""
        return self._maker.submit(self._file, run, kind)

    def _file(self, run: str, kind: str) -> TraceFile | None:
        if kind not in _WRITERS:
            return None
        opened = self._opened.find(run)
        if opened is None:
            return _written(self._model.trace(run), kind)
        if self._made is not None and self._made[0] == (run, kind) and monotonic() < self._made[1]:
            return self._made[2]
        file = _written(opened.trace, kind)
        self._made = (run, kind), monotonic() + SECONDS_A_FILE_IS_KEPT, file
        return file

    def _frames(self, content: bytes | None, shown: Callable[[], None]) -> Iterator[str]:
        opened = self._maker.submit(_opened, content).result()
        self._opened.keep(opened)
        shown()
        # A browser merges what comes at once; what it misses it asks for.
        rest = min(SECONDS_A_FRAME, SECONDS_TO_SHOW / opened.run.branches)
        for frame in opened.run.frames():
            yield frame
            sleep(rest)


def _opened(content: bytes | None) -> OpenedTrace:
    if content is None:
        raise RequestError("The file did not arrive whole: choose it again.", "trace_gone")
    try:
        return OpenedTrace(content)
    except TraceError as error:
        raise RequestError(str(error), "trace_refused", text=str(error)) from error


def _written(trace: DecodingTrace | None, kind: str) -> TraceFile | None:
    if trace is None:
        return None
    media_type, write = _WRITERS[kind]
    return TraceFile(f"{_name(trace)}.{kind}", media_type, write(trace))


def _name(trace: DecodingTrace) -> str:
    """When it began, in digits: the file's name tells neither the run's id nor its text."""
    digits = "".join(re.findall(r"[0-9]", trace.created))
    return f"decoding-{digits[:8]}-{digits[8:14]}"


def _json(trace: DecodingTrace) -> bytes:
    return trace_json(trace).encode()


def _csv(trace: DecodingTrace) -> bytes:
    return trace_csv(trace).encode("utf-8-sig")  # spreadsheets take it for Latin-1 otherwise


def _html(trace: DecodingTrace) -> bytes:
    return replay_html(trace).encode()


# Of the page, a browser is to see a file and never a page of this address.
_WRITERS: dict[str, tuple[str, Callable[[DecodingTrace], bytes]]] = {
    "json": ("application/json", _json),
    "csv": ("text/csv; charset=utf-8", _csv),
    "html": ("application/octet-stream", _html),
}
