"""Visitors' sessions, kept within bounds; it knows no model, and no visitor but by a key."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from decoding.records.errors import SessionError

if TYPE_CHECKING:
    from decoding.core.inference import OnPrefill
    from decoding.core.language_model import LanguageModel
    from decoding.session.session import DecodingSession

COUNT = 8
HELD_BYTES = 2 * 1024**3
IDLE_SECONDS = 900.0
RECORDS = 64
RECORD_BYTES = 1024**3
WORTH_RETURNING = 64 * 1024**2  # bytes; to hand memory back to the system takes a while


class KeptSession:
    """One session, and what is asked of it from other threads.

    Attributes:
        session: `None` until its run has begun.
        model: name and format of the model it decodes with.
        lm: that model while it is in memory.
        pauses: how often a pause was asked for; what was asked for before that ends.
        is_running: a stream of its steps is under way.
        is_freed: it holds nothing since it was used last.
        is_forgotten: nobody can find it any more.
        used: when it was used last, by `time.monotonic`.
    """

    def __init__(self) -> None:
        self.session: DecodingSession | None = None
        self.model = ""
        self.lm: LanguageModel | None = None
        self.pauses = 0
        self.is_running = False
        self.is_freed = False
        self.is_forgotten = False
        self.used = time.monotonic()
        self._on_prefill: OnPrefill | None = None

    @property
    def held_bytes(self) -> int:
        """What it keeps in memory."""
        return 0 if self.session is None or self.lm is None else self.session.held_bytes

    @property
    def record_bytes(self) -> int:
        """About what its text takes, with all that is recorded of each step."""
        session = self.session  # another thread may ask
        return 0 if session is None else session.record_bytes

    def on_prefill(self, done: int, total: int) -> None:
        """What its session calls while it reads: told to the stream that runs."""
        if self._on_prefill is not None:
            self._on_prefill(done, total)

    def begin(self, session: DecodingSession, lm: LanguageModel) -> None:
        """Takes the session that it is for."""
        self.session, self.lm, self.model = session, lm, in_words(lm)

    @contextmanager
    def running(self, on_prefill: OnPrefill) -> Iterator[None]:
        """While this lasts it is neither freed nor closed."""
        self.is_running, self._on_prefill = True, on_prefill
        self.touch()
        try:
            yield
        finally:
            self.is_running, self._on_prefill = False, None
            self.used = time.monotonic()
            if self.is_forgotten:
                self.close()

    def touch(self) -> None:
        """It was used just now, and holds what it has read."""
        self.used, self.is_freed = time.monotonic(), False

    def attach(self, lm: LanguageModel) -> DecodingSession:
        """Its session with this model.

        Raises:
            SessionError: it has not begun, or its model is another one.
        """
        if self.session is None:
            raise SessionError("This run has not begun yet: wait until it reads its prompt.")
        if self.lm is not lm:
            if in_words(lm) != self.model:
                raise SessionError(
                    f"This text was written by {self.model}, and now {in_words(lm)} is loaded: "
                    f"load {self.model} again, or generate the text anew."
                )
            self.session.attach(lm)
            self.lm = lm
        self.is_freed = False
        return self.session

    def free(self) -> int:
        """Gives back what can be had again by reading; how many bytes that was.

        A run that goes on afterwards reads it again.
        """
        if self.session is None or self.lm is None or self.is_freed:
            return 0
        held = self.held_bytes
        self.session.free()
        self.is_freed = True
        return held

    def detach(self) -> None:
        """Lets its model go."""
        if self.session is not None and self.lm is not None:
            self.session.detach()
            self.lm, self.is_freed = None, True

    def close(self) -> None:
        """Gives all of it back, at the end of its stream where one runs."""
        if self.session is not None and not self.is_running:
            self.session.close()
            self.session = self.lm = None


class SessionRegistry:
    """The sessions of all visitors, the one used last at the end.

    To expect, to find and to forget are for any thread; all else, which touches tensors, is
    for the worker's. Of the sessions that run, in turns, the one that had the last is never freed.
    """

    def __init__(
        self,
        count: int = COUNT,
        held_bytes: int = HELD_BYTES,
        idle_seconds: float = IDLE_SECONDS,
        records: int = RECORDS,
        record_bytes: int = RECORD_BYTES,
    ) -> None:
        """Nothing is kept yet.

        Args:
            count: sessions with a cache; beyond that those used longest ago are freed, which
                leaves them their text: they read it again when they go on.
            held_bytes: of caches and what goes with them; the same beyond that.
            idle_seconds: after which a session is freed.
            records: sessions with or without a cache; beyond that those used longest ago are
                dropped, for good.
            record_bytes: of all their texts, about; the same beyond that.
        """
        self._count = count
        self._held_bytes = held_bytes
        self._idle_seconds = idle_seconds
        self._records = records
        self._record_bytes = record_bytes
        self._kept: OrderedDict[str, KeptSession] = OrderedDict()
        # Only its stream holds one that waits: a stream that never starts leaves nothing.
        self._expected: WeakValueDictionary[str, KeptSession] = WeakValueDictionary()
        self._leaving: list[KeptSession] = []
        self._lock = threading.Lock()

    def expect(self, key: str) -> KeptSession:
        """The place of a session that is still to be made; it is found under its key at once."""
        kept = KeptSession()
        with self._lock:
            self._expected[key] = kept
        return kept

    def find(self, key: str) -> KeptSession | None:
        """What is kept, or expected, under a key."""
        with self._lock:
            return self._kept.get(key) or self._expected.get(key)

    def use(self, key: str) -> KeptSession:
        """The same for what must be there, which is now the latest used.

        Raises:
            SessionError: it was never there, or had to make way.
        """
        kept = self.find(key)
        if kept is None:
            raise SessionError(
                "This run is not kept any more, only the latest of all visitors are: generate it "
                "anew, with its seed it will be the same."
            )
        kept.used = time.monotonic()
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
        return kept

    def forget(self, key: str) -> None:
        """Nobody finds it any more, and what runs of it ends; the next look closes it."""
        with self._lock:
            places = (self._kept.pop(key, None), self._expected.pop(key, None))
            for kept in filter(None, places):
                kept.pauses += 1
                kept.is_forgotten = True
                self._leaving.append(kept)

    def keep(self, key: str, kept: KeptSession) -> None:
        """Takes in a session, as the latest used; others may have to make way."""
        with self._lock:
            self._expected.pop(key, None)
            if not kept.is_forgotten:
                self._kept[key] = kept
                self._kept.move_to_end(key)
        self.look_after()

    def look_after(self) -> None:
        """Closes what was forgotten, drops and frees what is beyond the bounds."""
        for key in self._keys_beyond():
            self.forget(key)
        self._close_leaving()
        freed = self._free_idle(time.monotonic() - self._idle_seconds) + self._free_beyond()
        if freed >= WORTH_RETURNING:
            from decoding.memory.allocator import release_memory

            release_memory()

    def let_go(self, lm: LanguageModel) -> None:
        """Detaches the sessions of a model that leaves memory."""
        self._close_leaving()
        for kept in self._sessions():
            if kept.lm is lm:
                kept.detach()

    def _close_leaving(self) -> None:
        with self._lock:
            leaving, self._leaving = self._leaving, []
        for kept in leaving:
            kept.close()

    def _free_idle(self, since: float) -> int:
        idle = [kept for kept in self._sessions() if kept.used < since and not kept.is_running]
        return sum(kept.free() for kept in idle)

    def _free_beyond(self) -> int:
        """Bytes that it gave back."""
        held = {kept: kept.held_bytes for kept in self._sessions() if not kept.is_freed}
        running = sorted((kept for kept in held if kept.is_running), key=lambda kept: kept.used)
        count, held_bytes, freed = len(held), sum(held.values()), 0
        for kept in [*(kept for kept in held if not kept.is_running), *running[:-1]]:
            # Freed for their number alone, runs that take turns would do nothing but read again.
            are_many = count > self._count and not kept.is_running
            if are_many or held_bytes > self._held_bytes:
                freed += kept.free()
                count, held_bytes = count - 1, held_bytes - held[kept]
        return freed

    def _keys_beyond(self) -> list[str]:
        """Of those that have to be dropped."""
        with self._lock:
            kept = list(self._kept.items())
        sizes = [session.record_bytes for _, session in kept]
        count, size, beyond = len(kept), sum(sizes), []
        for (key, session), own in zip(kept, sizes, strict=True):
            if count <= self._records and size <= self._record_bytes:
                break
            if not session.is_running:
                beyond.append(key)
                count, size = count - 1, size - own
        return beyond

    def _sessions(self) -> list[KeptSession]:
        """The one used longest ago first."""
        with self._lock:
            return list(self._kept.values())


def in_words(lm: LanguageModel) -> str:
    """A model's name and format, as a sentence tells it."""
    name = lm.name or type(lm.model).__name__
    return f"{name} ({lm.quantization or str(lm.dtype).removeprefix('torch.')})"
