"""Keys and values that branches left behind, kept while they are no more than the cache was."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from typing import Any

from torch import Tensor

from decoding.memory.kv_cache import held_by_layer, storage_bytes

MAX_PARKED = 64  # each holds a list of all ids, which no byte of a cache stands for
Layers = list[tuple[Tensor, Tensor] | None]


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Keys and values of positions that another branch left behind.

    Attributes:
        ids: all tokens up to the last of these positions.
        start: the first of them.
        layers: keys and values of each layer; `None` of one that holds none.
        bytes: of these.
    """

    ids: list[int]
    start: int
    layers: Layers
    bytes: int


@dataclass(frozen=True, slots=True)
class Found:
    """Positions that can be put back behind those that a cache holds.

    Attributes:
        ids: all tokens up to the last of these positions.
        layers: keys and values of these positions, of each layer.
    """

    ids: list[int]
    layers: Layers

    @property
    def reach(self) -> int:
        """Positions that the cache holds then."""
        return len(self.ids)


class Parked:
    """What is parked stays within a count, and the most that the live cache has ever held.

    Attributes:
        bytes: of all parts.
    """

    def __init__(self, parts: Iterable[Part] = ()) -> None:
        """Holds these parts."""
        self._parts = list(parts)
        self.bytes = sum(part.bytes for part in self._parts)
        self._most_bytes = 0

    def beside(self) -> Parked:
        """The same parts in a list of its own."""
        return Parked(self._parts)

    def clear(self) -> None:
        """Lets go of all parts."""
        self._parts.clear()
        self.bytes = 0

    def park(self, cache: Any, ids: list[int], start: int) -> None:
        """Takes the positions from `start` on of a cache that has read these ids."""
        self._most_bytes = max(self._most_bytes, live_bytes(cache))
        if any(part.start <= start and part.ids == ids for part in self._parts):
            return
        layers = [
            (layer.keys[..., start:, :].clone(), layer.values[..., start:, :].clone())
            if is_filled(layer)
            else None
            for layer in cache.layers
        ]
        held = storage_bytes(chain.from_iterable(filter(None, layers)))
        self._parts.append(Part(ids, start, layers, held))
        self.bytes += held
        while self.bytes > self._most_bytes or len(self._parts) > MAX_PARKED:
            self._remove(self._parts[0])

    def on_the_way(self, ids: list[int], kept: int) -> Found | None:
        """What goes furthest on the way to `ids` behind the first `kept` of them.

        A part that is put back whole is parked no more.
        """
        usable = [part for part in self._parts if part.start <= kept]
        part = max(usable, key=lambda part: shared(part.ids, ids), default=None)
        reach = 0 if part is None else shared(part.ids, ids)
        if part is None or reach <= kept:
            return None
        if reach == len(part.ids):
            self._remove(part)
        wanted = slice(kept - part.start, reach - part.start)
        layers: Layers = [
            None if pair is None else (pair[0][..., wanted, :], pair[1][..., wanted, :])
            for pair in part.layers
        ]
        return Found(part.ids[:reach], layers)

    def _remove(self, part: Part) -> None:
        self._parts.remove(part)
        self.bytes -= part.bytes


def is_filled(layer: Any) -> bool:
    """Whether a cache's layer holds keys and values of some position."""
    return isinstance(getattr(layer, "keys", None), Tensor) and layer.keys.dim() > 1


def live_bytes(cache: Any) -> int:
    """In memory for all that a cache's layers hold, views counted by what they keep."""
    return storage_bytes(chain.from_iterable(held_by_layer(cache)))


def shared(one: list[int], other: list[int]) -> int:
    """How many ids two lists begin with alike."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((i for i, (a, b) in pairs if a != b), min(len(one), len(other)))
