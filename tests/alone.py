"""Turns for tests in several processes: most run beside each other, some while none else does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from filelock import FileLock


class Turns:
    """One process's turns; `folder` is the same for all of them and `name` its own.

    The system lets a lock go when its process ends, however it ends.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        # Whoever waits to be alone holds it, so that no other test begins before.
        self._gate = self._lock(folder / "gate.lock")
        self._own = self._lock(folder / f"{name}.own")

    @contextmanager
    def beside_others(self) -> Iterator[None]:
        """A turn that waits for none but a test that is alone."""
        with self._gate:
            self._own.acquire()
        try:
            yield
        finally:
            self._own.release()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """A turn that begins when no other process has one, and lets none begin."""
        with ExitStack() as held:
            held.enter_context(self._gate)
            for path in sorted(self._folder.glob("*.own")):
                held.enter_context(self._lock(path))
            yield

    @staticmethod
    def _lock(path: Path) -> FileLock:
        return FileLock(path, poll_interval=0.01)
