"""Who comes next: each owner in turn, and an owner's own tasks one after the other."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from decoding.live.stream import Task

SECONDS_A_TURN = 1.0
MOST_OWED = 60.0  # turns that an owner sits out at most after one that took long

_whose: ContextVar[str] = ContextVar("whose", default="")


@contextmanager
def on_behalf_of(owner: str) -> Iterator[None]:
    """Whatever joins a line meanwhile, from here, is this owner's."""
    token = _whose.set(owner)
    try:
        yield
    finally:
        _whose.reset(token)


@dataclass(slots=True)
class Waiting:
    """A task in the line.

    Attributes:
        is_alone: it begins when nothing else has begun, and ends before anything else begins.
        has_begun: it had turns before.
    """

    task: Task
    owner: str
    is_alone: bool = False
    has_begun: bool = False


class Line:
    """The tasks that wait, in a ring of their owners; not for several threads at once.

    Who had a turn goes behind all others. Who took longer than a turn sits out as many as that
    was longer, as long as others wait.
    """

    def __init__(self) -> None:
        """Nobody waits."""
        self._ring: OrderedDict[str, deque[Waiting]] = OrderedDict()
        self._owed: dict[str, float] = {}

    def __len__(self) -> int:
        """Tasks that wait."""
        return sum(map(len, self._ring.values()))

    def join(self, task: Task, *, is_alone: bool = False) -> None:
        """Behind the other tasks of its owner, who is the one of `on_behalf_of`."""
        waiting = Waiting(task, _whose.get(), is_alone)
        self._ring.setdefault(waiting.owner, deque()).append(waiting)

    def go_on(self, waiting: Waiting) -> None:
        """One whose turn is over and which has more to do: before its owner's other tasks."""
        waiting.has_begun = True
        self._ring.setdefault(waiting.owner, deque()).appendleft(waiting)

    def spent(self, owner: str, seconds: float) -> None:
        """Tells how long an owner's turn took."""
        owed = self._owed.get(owner, 0.0) + seconds / SECONDS_A_TURN - 1
        if owner in self._ring and owed > 0:
            self._owed[owner] = min(owed, MOST_OWED)
        else:
            self._owed.pop(owner, None)

    def next(self) -> Waiting | None:
        """The one whose turn it is, taken out; `None` where nobody waits."""
        while len(self._ring) > 1 and self._sits_out(next(iter(self._ring))):
            continue
        owner = self._first_that_may()
        return None if owner is None else self._taken(owner)

    def has_others(self, owner: str) -> bool:
        """Whether anybody else waits."""
        return any(other != owner for other in self._ring)

    def leave(self, task: Task) -> bool:
        """Takes a task out; false when it is not here."""
        for owner, tasks in self._ring.items():
            found = next((waiting for waiting in tasks if waiting.task == task), None)
            if found is not None:
                tasks.remove(found)
                if not tasks:
                    del self._ring[owner]
                return True
        return False

    def position(self, task: Task) -> int | None:
        """How many turns come before a task's; `None` where it is not here."""
        for place, (owner, tasks) in enumerate(self._ring.items()):
            own = next((i for i, waiting in enumerate(tasks) if waiting.task == task), None)
            if own is not None:
                others = [
                    (other_place < place, len(others))
                    for other_place, (other, others) in enumerate(self._ring.items())
                    if other != owner
                ]
                return own + sum(min(count, own + before) for before, count in others)
        return None

    def _sits_out(self, owner: str) -> bool:
        """Whether this owner still owes a turn, which this one is."""
        owed = self._owed.get(owner, 0.0)
        if owed <= 0:
            return False
        self._owed[owner] = owed - 1
        self._ring.move_to_end(owner)
        return True

    def _first_that_may(self) -> str | None:
        """What wants to be alone waits for all that has begun, and lets nothing else begin."""
        some_have_begun = any(tasks[0].has_begun for tasks in self._ring.values())
        is_blocked = False
        for owner, tasks in self._ring.items():
            first = tasks[0]
            if first.has_begun or not (is_blocked or (first.is_alone and some_have_begun)):
                return owner
            is_blocked = is_blocked or first.is_alone
        return None

    def _taken(self, owner: str) -> Waiting:
        tasks = self._ring[owner]
        waiting = tasks.popleft()
        if tasks:
            self._ring.move_to_end(owner)
        else:
            del self._ring[owner]
        return waiting
