"""The tree of branches: paths, partings, owners, the settings in force."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decoding import DecodingStep, DecodingTree
from decoding.records.tree import Restoration, SettingsChange


def step(index: int, token_id: int) -> DecodingStep:
    return DecodingStep(
        index=index,
        phase="decode",
        input_tokens=1,
        token_id=token_id,
        token="",
        text="",
        is_special=False,
        logprob=-0.5,
        probability=0.6,
        rank=1,
        sampling_probability=0.6,
        entropy_bits=1.0,
        varentropy_bits2=1.0,
        candidates=(),
        tail_probability=0.4,
        kept_tokens=2,
        kv_cache=None,
        seconds=0.1,
        finish_reason=None,
    )


def grow(tree: DecodingTree, number: int, tokens: list[int]) -> None:
    branch = tree.branches[number]
    for token_id in tokens:
        branch.steps.append(step(branch.length, token_id))


def tokens(tree: DecodingTree, number: int, upto: int | None = None) -> list[int]:
    return [step.token_id for step in tree.path(number, upto)]


@pytest.fixture
def tree() -> DecodingTree:
    """0: a b c d; 1 leaves it at 2: x y; 2 leaves 1 at 3: z."""
    tree = DecodingTree()
    grow(tree, 0, [1, 2, 3, 4])
    tree.add(0, 2)
    grow(tree, 1, [20, 21])
    tree.add(1, 3)
    grow(tree, 2, [30])
    return tree


def test_paths(tree: DecodingTree) -> None:
    assert tokens(tree, 0) == [1, 2, 3, 4]
    assert tokens(tree, 1) == [1, 2, 20, 21]
    assert tokens(tree, 2) == [1, 2, 20, 30]
    assert tokens(tree, 2, 3) == [1, 2, 20]
    assert tokens(tree, 2, 1) == [1]
    assert tokens(tree, 2, 0) == []
    assert [branch.length for branch in tree.branches] == [4, 4, 4]


def test_a_branch_belongs_to_the_one_that_holds_what_came_before(tree: DecodingTree) -> None:
    assert tree.add(2, 3).parent == 1
    assert tree.add(2, 2).parent == 0
    assert tree.add(2, 0).parent == 0
    assert tree.add(2, 4).parent == 2
    assert [tree.owner(2, index) for index in range(5)] == [0, 0, 0, 1, 2]
    with pytest.raises(IndexError):
        tree.add(0, 5)
    with pytest.raises(IndexError):
        tree.add(0, -1)
    assert len(tree.branches) == 7


def test_where_two_part(tree: DecodingTree) -> None:
    assert tree.parting(0, 1) == 2
    assert tree.parting(1, 2) == tree.parting(2, 1) == 3
    assert tree.parting(0, 0) == 4
    tree.add(0, 2)
    grow(tree, 3, [3])  # the same token again: they part where one ends
    assert tree.parting(0, 3) == 3


def test_logprob_of_a_text(tree: DecodingTree) -> None:
    assert tree.logprob(2) == pytest.approx(-2.0)


def test_settings_in_force(tree: DecodingTree) -> None:
    first, second, third = {"top_k": 1}, {"top_k": 2}, {"top_k": 3}
    assert tree.settings(0, 0) is None
    tree.branches[0].changes += [SettingsChange(0, first), SettingsChange(2, second)]
    assert [tree.settings(0, i) for i in range(4)] == [first, first, second, second]
    assert tree.settings(1, 3) == first  # the parent's change came after it had left
    tree.branches[1].changes.append(SettingsChange(3, third))
    assert [tree.settings(1, i) for i in (2, 3)] == [first, third]
    assert tree.settings(2, 3) == first
    tree.add(0, 0)
    assert tree.settings(3, 0) is None  # nothing came before it to take them from


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(1, 3)), max_size=12))
def test_a_path_is_as_long_as_its_branch_and_numbered_through(
    forks: list[tuple[int, int, int]],
) -> None:
    tree = DecodingTree()
    grow(tree, 0, [0, 1, 2])
    for number, at, more in forks:
        number %= len(tree.branches)
        at = min(at, tree.branches[number].length)
        before = tokens(tree, number, at)
        branch = tree.add(number, at)
        grow(tree, branch.number, list(range(more)))
        assert tokens(tree, branch.number) == before + list(range(more))
        assert [s.index for s in tree.path(branch.number)] == list(range(branch.length))


def test_a_step_comes_with_its_branch_and_with_what_was_recorded_before_it(
    tree: DecodingTree,
) -> None:
    changed = [SettingsChange(index, {"seed": index}) for index in (2, 3)]
    tree.branches[1].changes.extend(changed)
    tree.branches[1].restorations.append(Restoration(2, 9, 1, 0.5))
    first, second = tree.run_step(1, 2), tree.run_step(1, 3)
    assert (first.step, first.branch, first.parent, first.at) == (tree.path(1)[2], 1, 0, 2)
    assert (first.changes, first.restorations) == ((changed[0],), (Restoration(2, 9, 1, 0.5),))
    assert (second.changes, second.restorations) == ((changed[1],), ())
    assert tree.run_step(0, 3).changes == ()


def test_what_somebody_lacks_of_a_tree(tree: DecodingTree) -> None:
    def lacking(*known: int) -> list[tuple[int, int]]:
        return [(item.branch, item.step.index) for item in tree.late_steps(known)]

    assert lacking(4, 2, 1) == []
    assert lacking(3, 2) == [(0, 3), (2, 3)]
    assert lacking() == [(0, 0), (0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]
    assert all(item.is_late for item in tree.late_steps(()))
