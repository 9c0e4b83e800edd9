"""What one visitor may have of the page: places in line, answers that wait, seconds, tokens."""

from __future__ import annotations

import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from run_records import make_step

from decoding.page.requests.refusals import RequestError
from decoding.page.requests.settings import Limits
from decoding.page.visitors import unread
from decoding.page.visitors.queue import MOST_OF_A_VISITOR, Queue, QueueFullError, Visitor
from decoding.page.visitors.spent import Spent
from decoding.page.visitors.unread import MOST_WAITING, Mailbox, while_read
from decoding.records.tree import RunStep


class NoStream:
    def close(self) -> None:
        """There is nothing to end."""


def opened(queue: Queue, visitor: str, count: int) -> int:
    """How many of so many requests of a visitor are taken."""
    taken = 0
    for _ in range(count):
        try:
            queue.open(("run", visitor), NoStream)  # type: ignore[arg-type]
        except QueueFullError:
            continue
        taken += 1
    return taken


def test_one_visitor_cannot_fill_the_line() -> None:
    queue = Queue(64)
    assert opened(queue, Visitor("eve", "10.0.0.1"), 100) == MOST_OF_A_VISITOR
    with pytest.raises(QueueFullError, match="8 of your runs") as caught:
        queue.open(("job", Visitor("eve")), NoStream)  # type: ignore[arg-type]
    assert caught.value.message_key == "queue_own_full"
    assert opened(queue, Visitor("bob", "10.0.0.1"), 1) == 1
    queue.stop(("run", "eve"))
    assert opened(queue, Visitor("eve"), 1) == 1


def test_one_address_cannot_fill_the_line_with_ever_new_visitors() -> None:
    queue = Queue(63)
    taken = sum(opened(queue, Visitor(f"eve{n}", "10.0.0.1"), 1) for n in range(100))
    assert taken == 48
    assert opened(queue, Visitor("bob", "10.0.0.2"), 1) == 1
    assert sum(opened(queue, Visitor(f"v{n}"), 1) for n in range(100)) == 15  # of no known address


def step(**fields: Any) -> RunStep:
    return RunStep(make_step(index=0, **fields))


def test_seconds_and_tokens_of_a_run_are_bounded() -> None:
    limits, spent = Limits(seconds=10, read_tokens=1_000), Spent()
    for _ in range(5):
        spent.take(step(seconds=2.0, input_tokens=10), limits)
    with pytest.raises(RequestError, match="10 seconds") as caught:
        spent.take(step(seconds=0.5, input_tokens=10), limits)
    assert caught.value.message_key == "limit_seconds"
    spent = Spent()
    spent.take(step(seconds=0.0, input_tokens=999), limits)
    with pytest.raises(RequestError, match="1,000 tokens") as caught:
        spent.take(step(seconds=0.0, input_tokens=2), limits)
    assert caught.value.message_key == "limit_tokens"


class Letters:
    """As much of Gradio's queue as holds a session's answers."""

    def __init__(self) -> None:
        self.waiting = 0
        self.job = SimpleNamespace(session_hash="ann", alive=True)
        self.active_jobs = [None, [self.job]]
        self.pending_messages_per_session = {"ann": self, "bob": self}
        self.pending_event_ids_session = {"ann": {"x"}, "bob": {"y"}}

    def qsize(self) -> int:
        return self.waiting


def numbers(closed: list[bool]) -> Iterator[int]:
    try:
        yield from range(1000)
    finally:
        closed.append(True)


def test_what_nobody_reads_ends_and_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unread, "SECONDS_UNREAD", 0.2)
    letters, closed, left = Letters(), list[bool](), list[bool]()
    taken = []
    for number in while_read(numbers(closed), Mailbox(letters, "ann"), lambda: left.append(True)):
        taken.append(number)
        letters.waiting += 1
    assert taken == list(range(MOST_WAITING + 1))
    assert (closed, left) == ([True], [True])
    assert not letters.job.alive
    assert list(letters.pending_messages_per_session) == ["bob"]
    assert list(letters.pending_event_ids_session) == ["bob"]


def test_whoever_reads_slowly_gets_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unread, "SECONDS_UNREAD", 0.2)
    letters = Letters()

    def read_one(_seconds: float) -> None:
        letters.waiting -= 1

    monkeypatch.setattr(time, "sleep", read_one)
    closed: list[bool] = []
    most, count = 0, 0
    for _ in while_read(numbers(closed), Mailbox(letters, "ann"), pytest.fail):
        letters.waiting, count = letters.waiting + 1, count + 1
        most = max(most, letters.waiting)
    assert count == 1000
    assert most == MOST_WAITING + 1


def test_whoever_has_no_session_is_read() -> None:
    assert Mailbox(Letters(), None).waiting == 0
