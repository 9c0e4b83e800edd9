"""Owners take turns; what wants to be alone is."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from decoding.live.line import MOST_OWED, SECONDS_A_TURN, Line, Waiting, on_behalf_of


class Named:
    """A task that is told from others by its name."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self) -> None:
        """Nothing is done here."""


def joined(line: Line, owner: str, *names: str, is_alone: bool = False) -> list[Named]:
    tasks = [Named(name) for name in names]
    with on_behalf_of(owner):
        for task in tasks:
            line.join(task, is_alone=is_alone)
    return tasks


def turn(line: Line) -> Waiting:
    waiting = line.next()
    assert waiting is not None
    return waiting


def names(line: Line) -> Iterator[str]:
    while (waiting := line.next()) is not None:
        yield waiting.task.name  # type: ignore[attr-defined]


def test_owners_take_turns_and_their_own_tasks_keep_their_order() -> None:
    line = Line()
    joined(line, "ann", "a1", "a2", "a3", "a4")
    joined(line, "bob", "b1", "b2")
    joined(line, "eve", "e1")
    assert len(line) == 7
    assert list(names(line)) == ["a1", "b1", "e1", "a2", "b2", "a3", "a4"]


def test_a_position_is_the_number_of_turns_before_it() -> None:
    line = Line()
    tasks = joined(line, "ann", "a1", "a2", "a3")
    tasks += joined(line, "bob", "b1", "b2")
    tasks += joined(line, "eve", "e1")
    expected = {task.name: line.position(task) for task in tasks}
    assert [expected[name] for name in names(line)] == list(range(6))
    assert line.position(tasks[0]) is None


def test_what_goes_on_comes_before_its_owners_other_tasks_and_after_all_others() -> None:
    line = Line()
    joined(line, "ann", "a1", "a2")
    joined(line, "bob", "b1")
    first = turn(line)
    line.go_on(first)
    assert turn(line).owner == "bob"
    assert turn(line) is first
    assert list(names(line)) == ["a2"]


def test_who_took_long_sits_out_as_many_turns() -> None:
    line = Line()
    joined(line, "ann", "a")
    long = turn(line)
    joined(line, "bob", *"bcdef")
    line.go_on(long)
    line.spent("ann", 3.5 * SECONDS_A_TURN)
    assert "".join(names(line)) == "bcdeaf"  # two and a half turns are three


def test_nothing_is_owed_where_nobody_else_waits() -> None:
    line = Line()
    joined(line, "ann", "a")
    long = turn(line)
    line.go_on(long)
    line.spent("ann", 10_000.0)
    assert turn(line) is long
    line.spent("ann", 10_000.0)  # it has ended
    joined(line, "ann", "a")
    joined(line, "bob", "b")
    assert "".join(names(line)) == "ab"


def test_what_is_owed_is_bounded() -> None:
    line = Line()
    joined(line, "ann", "a")
    long = turn(line)
    line.go_on(long)
    line.spent("ann", 10_000.0)
    joined(line, "bob", *("b" * 200))
    turns = list(itertools.takewhile(lambda name: name != "a", names(line)))
    assert len(turns) == MOST_OWED


def test_what_wants_to_be_alone_waits_for_all_that_has_begun_and_lets_nothing_else_begin() -> None:
    line = Line()
    joined(line, "ann", "a")
    begun = turn(line)
    line.go_on(begun)
    joined(line, "bob", "switch", is_alone=True)
    joined(line, "eve", "e")
    for _ in range(3):
        waiting = turn(line)
        assert waiting is begun
        line.go_on(waiting)
    assert turn(line) is begun  # and it ends
    assert list(names(line)) == ["switch", "e"]


def test_leaving() -> None:
    line = Line()
    first, second = joined(line, "ann", "a1", "a2")
    assert line.leave(first)
    assert not line.leave(first)
    assert line.leave(second)
    assert line.next() is None
    assert len(line) == 0


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.integers(1, 4), st.booleans()), max_size=12))
def test_whatever_waits_has_its_turn_and_none_is_lost(wanted: list[tuple[str, int, bool]]) -> None:
    line = Line()
    turns = {}
    for owner, count, is_alone in wanted:
        (task,) = joined(line, owner, str(len(turns)), is_alone=is_alone)
        turns[task] = 1 if is_alone else count
    begun: set[object] = set()
    for _ in range(sum(turns.values())):
        waiting = turn(line)
        assert not waiting.is_alone or not begun - {waiting.task}
        turns[waiting.task] -= 1  # type: ignore[index]
        begun.discard(waiting.task)
        if turns[waiting.task]:  # type: ignore[index]
            begun.add(waiting.task)
            line.go_on(waiting)
    assert line.next() is None
    assert not any(turns.values())
