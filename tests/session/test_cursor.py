"""The cursor: where it goes, and what writing does to the tree."""

from __future__ import annotations

import pytest
from steps import step_of

from decoding import SessionError
from decoding.records.tree import Restoration
from decoding.session.cursor import Cursor


def written(count: int, settings: dict[str, object] | None = None) -> Cursor:
    cursor = Cursor()
    for index in range(count):
        cursor.write(step_of(str(index), index=index), settings or {}, None)
    return cursor


def test_writing_at_the_end_prolongs_the_branch() -> None:
    cursor = written(3)
    assert (cursor.branch, cursor.position, len(cursor.tree.branches)) == (0, 3, 1)
    assert [step.text for step in cursor.path()] == ["0", "1", "2"]


def test_writing_before_the_end_begins_a_branch_and_loses_nothing() -> None:
    cursor = written(3)
    assert cursor.move(0, 1)
    restoration = Restoration(1, 4, 0, 0.01)
    cursor.write(step_of("other", index=1), {}, restoration)
    assert (cursor.branch, cursor.position) == (1, 2)
    assert [step.text for step in cursor.path()] == ["0", "other"]
    assert [step.text for step in cursor.tree.path(0)] == ["0", "1", "2"]
    assert cursor.tree.branches[1].restorations == [restoration]


def test_a_text_that_ended_is_gone_on_with_in_a_branch() -> None:
    cursor = written(2)
    cursor.write(step_of("2", index=2, finish_reason="length"), {}, None)
    cursor.write(step_of("3", index=3), {}, None)
    assert [branch.length for branch in cursor.tree.branches] == [3, 4]


def test_settings_are_recorded_where_they_change() -> None:
    cursor = written(2, {"top_k": 5})
    cursor.write(step_of("2", index=2), {"top_k": 9}, None)
    changes = cursor.tree.branches[0].changes
    assert [(change.index, change.settings) for change in changes] == [
        (0, {"top_k": 5}),
        (2, {"top_k": 9}),
    ]


def test_moving_tells_whether_it_moved() -> None:
    cursor = written(3)
    assert not cursor.move(0, None)
    assert cursor.move(0, 0)
    assert cursor.path() == []
    assert not cursor.move(0, 0)


@pytest.mark.parametrize(("branch", "at"), [(0, 4), (0, -1), (1, None), (-1, 0)])
def test_there_is_no_such_place(branch: int, at: int | None) -> None:
    cursor = written(3)
    with pytest.raises(SessionError, match=r"there is no step|There is no branch"):
        cursor.move(branch, at)
    assert (cursor.branch, cursor.position) == (0, 3)
    with pytest.raises(SessionError):
        cursor.check(branch, 4 if at is None else at)


def test_no_more_steps_and_branches_than_a_run_may_have(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("decoding.session.cursor.MAX_BRANCHES", 1)
    cursor = written(3)
    cursor.refuse_too_much()
    cursor.move(0, 1)
    with pytest.raises(SessionError, match="branches, as many"):
        cursor.refuse_too_much()
    monkeypatch.setattr("decoding.session.cursor.MAX_STEPS", 3)
    cursor.move(0, None)
    with pytest.raises(SessionError, match="steps, as many"):
        cursor.refuse_too_much()
