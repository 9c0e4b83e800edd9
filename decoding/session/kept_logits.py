"""The raw logits of the latest steps, within a bound; it knows the steps by a key only."""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor

Key = tuple[int, int]
MAX_BYTES = 32 << 20


class KeptLogits:
    """Rows by key; the one that was longest not asked for goes first."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._rows: OrderedDict[Key, Tensor] = OrderedDict()
        self._max_bytes = max_bytes
        self.held_bytes = 0

    def get(self, key: Key) -> Tensor | None:
        """(vocab_size,) float32, or `None` where it is not kept."""
        if key in self._rows:
            self._rows.move_to_end(key)
        return self._rows.get(key)

    def keep(self, key: Key, row: Tensor) -> None:
        """Keeps a row that is a whole tensor of its own, and at least this one."""
        before = self._rows.pop(key, None)
        self.held_bytes += row.nbytes - (0 if before is None else before.nbytes)
        self._rows[key] = row
        while self.held_bytes > self._max_bytes and len(self._rows) > 1:
            self.held_bytes -= self._rows.popitem(last=False)[1].nbytes

    def clear(self) -> None:
        """Lets go of all of them."""
        self._rows.clear()
        self.held_bytes = 0
