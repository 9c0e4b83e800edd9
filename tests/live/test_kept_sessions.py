"""The registry of sessions: what is freed, dropped and let go, and what never is."""

from __future__ import annotations

import gc
import threading
from contextlib import ExitStack
from typing import Any

import pytest

from decoding.live.kept_sessions import KeptSession, SessionRegistry
from decoding.records.errors import SessionError


class Session:
    """What the registry asks of a session."""

    def __init__(self, held_bytes: int = 10) -> None:
        self.held_bytes = held_bytes
        self.record_bytes = 5
        self.calls: list[str] = []

    def free(self) -> None:
        self.calls.append("free")
        self.held_bytes = 0

    def detach(self) -> None:
        self.calls.append("detach")

    def close(self) -> None:
        self.calls.append("close")
        self.held_bytes = 0


class Model:
    """What is told of a model."""

    name, quantization, dtype = "some", None, "torch.float32"


MODEL = Model()


def keep(registry: SessionRegistry, key: str, lm: Any = MODEL) -> Session:
    kept, session = registry.expect(key), Session()
    kept.begin(session, lm)  # type: ignore[arg-type]
    registry.keep(key, kept)
    return session


def no_reading(done: int, total: int) -> None:
    pass


def test_beyond_the_count_the_one_used_longest_ago_is_freed_and_goes_on() -> None:
    registry = SessionRegistry(count=2)
    sessions = [keep(registry, str(number)) for number in range(9)]
    assert [s.calls for s in sessions] == [["free"]] * 7 + [[], []]
    kept = registry.use("0")
    assert kept.attach(MODEL) is sessions[0]  # type: ignore[arg-type,comparison-overlap]
    registry.look_after()
    assert [s.calls for s in sessions] == [["free"]] * 8 + [[]]


def test_runs_that_take_turns_are_freed_beyond_the_bytes_but_never_the_last() -> None:
    registry = SessionRegistry(count=1, held_bytes=25)
    sessions = [keep(registry, key) for key in "abcd"]
    for session in sessions:
        session.held_bytes, session.calls = 10, []
    with ExitStack() as turns:
        kept = [registry.use(key) for key in "abcd"]
        for one in kept:
            turns.enter_context(one.running(no_reading))
        kept[0].touch()
        registry.look_after()
        assert [s.calls for s in sessions] == [[], ["free"], ["free"], []]
        for session in sessions:
            session.held_bytes = 30
        kept[1].touch()
        registry.look_after()
        # Not for their number alone, nor the one that reads just now.
        assert [s.calls for s in sessions] == [["free"], ["free"], ["free"], ["free"]]


def test_what_let_its_model_go_takes_no_place_among_those_with_a_cache() -> None:
    registry, other = SessionRegistry(count=1), Model()
    gone = keep(registry, "gone")
    registry.let_go(MODEL)  # type: ignore[arg-type]
    session = keep(registry, "session", other)
    assert (gone.calls, session.calls) == (["detach"], [])


def test_beyond_the_bytes_of_all_texts_the_one_used_longest_ago_is_dropped() -> None:
    registry = SessionRegistry(record_bytes=20)
    sessions = [keep(registry, key) for key in "abc"]
    sessions[2].record_bytes = 10
    registry.look_after()
    assert [s.calls for s in sessions] == [[], [], []]
    sessions[2].record_bytes = 11
    registry.look_after()
    assert [s.calls for s in sessions] == [["close"], [], []]


def test_beyond_the_records_the_one_used_longest_ago_is_dropped() -> None:
    registry = SessionRegistry(records=2)
    first, second = keep(registry, "first"), keep(registry, "second")
    registry.use("first")
    third = keep(registry, "third")
    assert [s.calls for s in (first, second, third)] == [[], ["close"], []]
    assert registry.find("second") is None
    with pytest.raises(SessionError, match="not kept any more"):
        registry.use("second")
    assert registry.use("first").session is first  # type: ignore[comparison-overlap]


def test_beyond_the_bytes_the_one_used_longest_ago_is_freed_and_stays() -> None:
    registry = SessionRegistry(held_bytes=25)
    sessions = [keep(registry, key) for key in ("a", "b")]
    assert [s.calls for s in sessions] == [[], []]
    registry.use("a")
    sessions.append(keep(registry, "c"))
    assert [s.calls for s in sessions] == [[], ["free"], []]
    assert registry.use("b").session is sessions[1]  # type: ignore[comparison-overlap]


def test_what_is_idle_is_freed_and_what_was_used_is_not() -> None:
    registry = SessionRegistry(idle_seconds=100)
    idle, used = keep(registry, "idle"), keep(registry, "used")
    for key in ("idle", "used"):
        registry.use(key).used -= 200
    registry.use("used")
    registry.look_after()
    assert idle.calls == ["free"]
    assert used.calls == []


def test_what_is_freed_is_not_freed_each_minute_but_after_its_next_use() -> None:
    registry = SessionRegistry(idle_seconds=100)
    idle = keep(registry, "idle")
    for times in (1, 2):
        kept = registry.use("idle")
        kept.attach(MODEL)  # type: ignore[arg-type]
        kept.used -= 200
        registry.look_after()
        registry.look_after()
        assert idle.calls == ["free"] * times


def test_a_session_that_runs_is_neither_freed_nor_dropped() -> None:
    registry = SessionRegistry(count=1, held_bytes=10, idle_seconds=100, records=1)
    running = keep(registry, "running")
    kept = registry.use("running")
    with kept.running(no_reading):
        running.held_bytes = 100
        kept.used -= 200
        other = keep(registry, "other")
        registry.look_after()
        assert running.calls == []
        assert registry.find("running") is kept
        assert other.calls == ["close"], "there is no place beside the one that runs"
    assert running.calls == []
    registry.look_after()
    assert running.calls == ["free"], "it holds more than there is room for"


def test_a_forgotten_session_is_closed_by_the_next_look() -> None:
    registry = SessionRegistry()
    session = keep(registry, "key")
    kept = registry.use("key")
    registry.forget("key")
    assert registry.find("key") is None
    assert kept.pauses == 1, "what runs of it ends"
    assert session.calls == []
    registry.look_after()
    registry.look_after()
    assert session.calls == ["close"]
    assert kept.session is None


def test_one_that_is_forgotten_while_it_runs_is_closed_at_the_end_of_its_stream() -> None:
    registry = SessionRegistry()
    session = keep(registry, "key")
    kept = registry.use("key")
    with kept.running(no_reading):
        registry.forget("key")
        registry.look_after()
        assert session.calls == []
    assert session.calls == ["close"]


def test_one_that_was_forgotten_before_it_began_is_not_kept() -> None:
    registry = SessionRegistry()
    kept = registry.expect("key")
    registry.forget("key")
    kept.begin(Session(), MODEL)  # type: ignore[arg-type]
    registry.keep("key", kept)
    assert registry.find("key") is None


def test_what_is_expected_is_found_for_as_long_as_its_stream_holds_it() -> None:
    registry = SessionRegistry()
    kept = registry.expect("key")
    assert registry.find("key") is kept
    del kept
    gc.collect()
    assert registry.find("key") is None


def test_a_model_that_leaves_is_let_go_by_its_sessions_alone() -> None:
    registry, one, other = SessionRegistry(), Model(), Model()
    own, its = keep(registry, "own", one), keep(registry, "its", other)
    gone = keep(registry, "gone", one)
    registry.forget("gone")
    registry.let_go(one)  # type: ignore[arg-type]
    assert (own.calls, its.calls, gone.calls) == (["detach"], [], ["close"])


def test_reading_is_told_to_the_stream_that_runs_only() -> None:
    kept, told = KeptSession(), []
    kept.on_prefill(1, 9)
    with kept.running(lambda done, total: told.append((done, total))):
        kept.on_prefill(2, 9)
    kept.on_prefill(3, 9)
    assert told == [(2, 9)]


def test_finding_and_forgetting_from_many_threads() -> None:
    registry = SessionRegistry(records=4)
    failed: list[BaseException] = []

    def visit(name: int) -> None:
        try:
            for turn in range(200):
                registry.find(f"{name}-{turn - 1}")
                registry.forget(f"{name}-{turn - 2}")
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=visit, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for turn in range(200):
        for name in range(4):
            keep(registry, f"{name}-{turn}")
    for thread in threads:
        thread.join(10)
    assert failed == []
    assert len(registry._kept) <= 4
