"""Of what each visitor asked for, the newest: what it replaced says nothing more."""

from __future__ import annotations

from threading import Lock
from typing import Generic, TypeVar

T = TypeVar("T")


class Newest(Generic[T]):
    """What each visitor asked for last, as long as it is under way; for any thread."""

    def __init__(self) -> None:
        """Nobody has asked for anything."""
        self._newest: dict[str, T] = {}
        self._lock = Lock()

    def __len__(self) -> int:
        """Visitors for whom something is under way."""
        return len(self._newest)

    def put(self, visitor: str, asked: T) -> T | None:
        """Takes what a visitor asks for now; what it replaces, if anything is under way."""
        with self._lock:
            earlier = self._newest.get(visitor)
            self._newest[visitor] = asked
            return earlier

    def get(self, visitor: str) -> T | None:
        """What is under way for a visitor."""
        return self._newest.get(visitor)

    def items(self) -> list[tuple[str, T]]:
        """Each visitor, and what is under way for them."""
        with self._lock:
            return list(self._newest.items())

    def is_newest(self, visitor: str, asked: T) -> bool:
        """Whether nothing has replaced it, so that it may still say something."""
        return self._newest.get(visitor) is asked

    def forget(self, visitor: str, asked: T) -> None:
        """It has ended; where something newer is under way, that goes on."""
        with self._lock:
            if self._newest.get(visitor) is asked:
                del self._newest[visitor]
