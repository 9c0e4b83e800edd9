"""Runs as files: made one at a time, and not made again at once."""

from __future__ import annotations

import json
import time
from threading import Lock
from typing import Any

import pytest
from traces import made_trace

from decoding.page.visitors import traces as traces_room
from decoding.page.visitors.traces import Traces
from decoding.records.trace import DecodingTrace
from decoding.records.trace_file import trace_json


class NoRuns:
    """A model that nobody has asked for anything."""

    def trace(self, run: str) -> DecodingTrace | None:
        return made_trace() if run == "live" else None


class Readings:
    """Counts how often a trace is read, slowly, and how many are read at once."""

    def __init__(self, read: Any) -> None:
        self.count = self.now = self.most = 0
        self._read = read
        self._lock = Lock()

    def __call__(self, content: bytes) -> DecodingTrace:
        with self._lock:
            self.count, self.now = self.count + 1, self.now + 1
            self.most = max(self.most, self.now)
        time.sleep(0.02)
        with self._lock:
            self.now -= 1
        trace: DecodingTrace = self._read(content)
        return trace


@pytest.fixture
def readings(monkeypatch: pytest.MonkeyPatch) -> Readings:
    made = Readings(traces_room.read_trace)
    monkeypatch.setattr(traces_room, "read_trace", made)
    return made


def opened(traces: Traces) -> str:
    frames = list(traces.frames(trace_json(made_trace()).encode(), lambda: None))
    return str(json.loads(frames[-1])["run"])


def test_files_are_made_one_at_a_time_and_the_last_is_kept(readings: Readings) -> None:
    traces: Any = Traces(NoRuns())  # type: ignore[arg-type]
    run = opened(traces)
    assert readings.count == 1
    asked = [traces.file(run, kind) for kind in ["json"] * 6 + ["csv"] * 6]
    files = [file.result(timeout=30) for file in asked]
    assert files[0].content == trace_json(made_trace()).encode()
    assert len({file.name for file in files}) == 2
    assert (readings.count, readings.most) == (3, 1)


def test_a_file_is_kept_for_a_while_only(
    readings: Readings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(traces_room, "SECONDS_A_FILE_IS_KEPT", 0.0)
    traces: Any = Traces(NoRuns())  # type: ignore[arg-type]
    run = opened(traces)
    assert traces.file(run, "csv").result() == traces.file(run, "csv").result()
    assert readings.count == 3


def test_what_is_not_known_has_no_file() -> None:
    traces: Any = Traces(NoRuns())  # type: ignore[arg-type]
    assert traces.file("live", "json").result().media_type == "application/json"
    assert traces.file("live", "exe").result() is None
    assert traces.file("guessed", "json").result() is None
