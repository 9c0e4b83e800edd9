"""A place in the tree of what was decoded: where it can go, and what is written there."""

from __future__ import annotations

from typing import Any

from decoding.records.errors import SessionError
from decoding.records.step import DecodingStep
from decoding.records.tree import MAX_BRANCHES, MAX_STEPS, DecodingTree, Restoration, SettingsChange


class Cursor:
    """Stands before a step of a branch; writing there prolongs the branch or begins another.

    Attributes:
        tree: every step.
        branch: number of the branch that it is on.
        position: index of the next step on it.
    """

    def __init__(self) -> None:
        """An empty tree."""
        self.tree = DecodingTree()
        self.branch = self.position = 0

    def path(self) -> list[DecodingStep]:
        """The steps from the prompt to here."""
        return self.tree.path(self.branch, self.position)

    def move(self, branch: int, at: int | None) -> bool:
        """Goes to the end of a branch, or to before its step `at`.

        Returns:
            Whether that is another place.

        Raises:
            SessionError: there is no such branch or no such step in it.
        """
        length = self._length(branch)
        place = length if at is None else at
        if not 0 <= place <= length:
            raise SessionError(f"Branch {branch} has {length} steps: there is no step {place}.")
        is_moved = (branch, place) != (self.branch, self.position)
        self.branch, self.position = branch, place
        return is_moved

    def check(self, branch: int, index: int) -> None:
        """Refuses a place that the tree does not have.

        Raises:
            SessionError: there is no such place.
        """
        if not 0 <= index <= self._length(branch):
            raise SessionError(f"Branch {branch} has no step {index}.")

    def refuse_too_much(self) -> None:
        """Refuses one more step or branch than a run may have.

        Raises:
            SessionError: it has that many.
        """
        if self.tree.size >= MAX_STEPS:
            raise SessionError(f"This run has {MAX_STEPS:,} steps, as many as it may have.")
        if self._parts and len(self.tree.branches) >= MAX_BRANCHES:
            raise SessionError(f"This run has {MAX_BRANCHES:,} branches, as many as it may have.")

    def write(
        self, step: DecodingStep, settings: dict[str, Any], restoration: Restoration | None
    ) -> None:
        """Records the step that was taken here, and stands behind it.

        Args:
            step: its index is the cursor's position.
            settings: in force when it was taken.
            restoration: what it took to have the cache ready; `None` where it was.
        """
        branch = self.tree.branches[self.branch]
        if self._parts:
            branch = self.tree.add(self.branch, self.position)
        if self.tree.settings(branch.number, self.position) != settings:
            branch.changes.append(SettingsChange(self.position, settings))
        if restoration is not None:
            branch.restorations.append(restoration)
        branch.steps.append(step)
        self.branch, self.position = branch.number, self.position + 1

    @property
    def _parts(self) -> bool:
        """Whether the next step begins a new branch."""
        last = self.tree.step_before(self.branch, self.position)
        has_ended = last is not None and last.finish_reason is not None
        return has_ended or self.position < self.tree.branches[self.branch].length

    def _length(self, branch: int) -> int:
        if not 0 <= branch < len(self.tree.branches):
            raise SessionError(
                f"There is no branch {branch}: there are {len(self.tree.branches)}, from 0 on."
            )
        return self.tree.branches[branch].length
