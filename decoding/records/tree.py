"""What was decoded, as a tree of branches; it knows records, and nothing of models."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any, TypeVar

from decoding.records.step import DecodingStep

MAX_STEPS = 20_000
MAX_BRANCHES = 1_000


@dataclass(frozen=True, slots=True)
class Restoration:
    """What it took to have the cache ready at a place where it did not end.

    Attributes:
        index: of the step before which it happened.
        reused_positions: taken from a cache without an inference.
        fed_tokens: that had to be read again, before the step's own inference.
        seconds: all of it: cropping, putting back and reading again.
        reason: why not everything was reused, one of `"evicted"`, `"scored"` (the text was
            measured without keeping a cache), `"sliding"`, `"state"`, `"quantized"`, `"static"`,
            `"other_branch"`, `"unknown"`; `None` when nothing was read again.
    """

    index: int
    reused_positions: int
    fed_tokens: int
    seconds: float
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class SettingsChange:
    """The settings in force from a step on.

    Attributes:
        index: of the first step they applied to.
        settings: fields of `GenerationConfig` by name, and `seed`; all that differ from
            transformers' own defaults, and top_k where it is drawn.
    """

    index: int
    settings: dict[str, Any]


@dataclass(slots=True)
class Branch:
    """One way on from a place in another branch; the first one begins after the prompt.

    Attributes:
        number: its place in `DecodingTree.branches`.
        parent: number of the branch it left; `None` for the first.
        at: index of its first own step: what came before is its parent's.
        steps: its own.
    """

    number: int
    parent: int | None
    at: int
    steps: list[DecodingStep] = field(default_factory=list)
    changes: list[SettingsChange] = field(default_factory=list)
    restorations: list[Restoration] = field(default_factory=list)

    @property
    def length(self) -> int:
        """Tokens on the way from the prompt to its end, its parents' among them."""
        return self.at + len(self.steps)


@dataclass(frozen=True, slots=True)
class RunStep:
    """One step with all that it adds to its run's tree: whoever takes these needs no tree.

    Attributes:
        step: as it was decoded, or measured.
        branch: number of the branch that it is in.
        parent, at: of that branch, as in `Branch`.
        changes: of the settings before it.
        restorations: what it took to have the cache ready for it.
        is_late: an earlier stream had recorded it and not handed it over; what is written now
            is elsewhere.
    """

    step: DecodingStep
    branch: int = 0
    parent: int | None = None
    at: int = 0
    changes: tuple[SettingsChange, ...] = ()
    restorations: tuple[Restoration, ...] = ()
    is_late: bool = False


def given_tokens(path: Iterable[DecodingStep]) -> int:
    """How many steps at the beginning of a path are of a text that was given, as a prompt is.

    They were measured in one pass, and no draw made them.
    """
    return sum(1 for _ in takewhile(lambda step: step.phase == "score", path))


@dataclass(slots=True)
class DecodingTree:
    """Every step that was decoded after one prompt; branches are added and never removed."""

    branches: list[Branch] = field(default_factory=lambda: [Branch(0, None, 0)])

    @property
    def size(self) -> int:
        """Steps of all branches."""
        return sum(len(branch.steps) for branch in self.branches)

    def step_before(self, number: int, at: int) -> DecodingStep | None:
        """The last step on the way to a place of a branch; `None` at the prompt."""
        holder = self.branches[self.owner(number, at)]
        return holder.steps[at - 1 - holder.at] if at else None

    def add(self, parent: int, at: int) -> Branch:
        """A new branch that leaves `parent` before its step `at`.

        Raises:
            IndexError: there is no such branch or no such place in it.
        """
        if not 0 <= at <= self.branches[parent].length:
            raise IndexError(f"branch {parent} has {self.branches[parent].length} steps, not {at}")
        branch = Branch(len(self.branches), self.owner(parent, at), at)
        self.branches.append(branch)
        return branch

    def path(self, number: int, upto: int | None = None) -> list[DecodingStep]:
        """The steps from the prompt to the end of a branch, or to before step `upto`."""
        parts: list[list[DecodingStep]] = []
        end = self.branches[number].length if upto is None else upto
        following: int | None = number
        while following is not None:
            branch = self.branches[following]
            if end > branch.at:
                parts.append(branch.steps[: end - branch.at])
                end = branch.at
            following = branch.parent
        return [step for part in reversed(parts) for step in part]

    def run_step(self, number: int, index: int, *, is_late: bool = False) -> RunStep:
        """One step of a branch's own, with what was recorded before it."""
        branch = self.branches[number]
        return RunStep(
            branch.steps[index - branch.at],
            number,
            branch.parent,
            branch.at,
            _recorded_at(branch.changes, index),
            _recorded_at(branch.restorations, index),
            is_late,
        )

    def late_steps(self, known: Sequence[int]) -> Iterator[RunStep]:
        """What somebody lacks who knows so many steps of each branch's own, in order."""
        for branch in self.branches:
            count = known[branch.number] if branch.number < len(known) else 0
            for index in range(branch.at + count, branch.length):
                yield self.run_step(branch.number, index, is_late=True)

    def parting(self, one: int, other: int) -> int:
        """Index of the first step at which two branches chose differently, or one ends."""
        pairs = zip(self.path(one), self.path(other), strict=False)
        same = 0
        for a, b in pairs:
            if a.token_id != b.token_id:
                break
            same += 1
        return same

    def logprob(self, number: int) -> float:
        """Of a branch's whole text after the prompt, in the model's own distributions, in nats."""
        return sum(step.logprob for step in self.path(number))

    def settings(self, number: int, index: int) -> dict[str, Any] | None:
        """The settings recorded for a step of a branch; `None` where none are yet."""
        following: int | None = number
        while following is not None:
            branch = self.branches[following]
            known = [change for change in branch.changes if change.index <= index]
            if known:
                return known[-1].settings
            following, index = branch.parent, min(index, branch.at - 1)
        return None

    def owner(self, number: int, at: int) -> int:
        """The branch that holds the step right before `at`: the parent of who leaves there."""
        while (parent := self.branches[number].parent) is not None and at <= self.branches[
            number
        ].at:
            number = parent
        return number


Recorded = TypeVar("Recorded", Restoration, SettingsChange)


def _recorded_at(records: list[Recorded], index: int) -> tuple[Recorded, ...]:
    """Those of one step, of records in the steps' order."""
    first = bisect_left(records, index, key=lambda record: record.index)
    return tuple(takewhile(lambda record: record.index == index, records[first:]))
