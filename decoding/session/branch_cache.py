"""The one live cache of a session, and what it takes to have it end at another place."""

from __future__ import annotations

import copy
import weakref
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import (
    Cache,
    DummyLayer,
    DynamicCache,
    DynamicLayer,
    DynamicSlidingWindowLayer,
    LinearAttentionCacheLayerMixin,
    QuantizedCache,
    StaticLayer,
)

from decoding.core.generation import Generation
from decoding.core.inference import (
    OnPrefill,
    Part,
    cache_size,
    continues,
    infer,
    prefill_chunk,
    read,
    read_parts,
    reads_alike,
)
from decoding.memory.kv_cache import CACHE_NAMES, cache_of
from decoding.records.step import KVCacheSize
from decoding.session.parked import Found, Parked, is_filled, live_bytes, shared


@dataclass(frozen=True, slots=True)
class Place:
    """How the cache came to end where it does.

    Attributes:
        reused: positions taken as they were.
        fed: tokens that were read again.
        reason: why not all were reused, see `Restoration`.
    """

    reused: int
    fed: int
    reason: str | None


@dataclass(frozen=True, slots=True)
class Ahead:
    """A prompt that is read in parts before its first step.

    Attributes:
        cache: that it is read into.
        parts: those that are still to be read.
    """

    ids: list[int]
    cache: Any
    parts: Iterator[Part]


class BranchCache:
    """A model's inputs, the cache among them, and the ids that the cache has read.

    Attributes:
        generation: in force; its `model_kwargs` hold the live cache and nothing else does.
        ids: what the cache has read.
    """

    def __init__(self, model: Any, generation: Generation) -> None:
        """Nothing is read yet.

        Args:
            model: the transformers model.
            generation: as prepared for the prompt, with a new and empty cache.
        """
        self.generation = generation
        self.ids: list[int] = []
        self._model = model
        self._prompt_tokens = int(self.generation.input_ids.shape[1])
        self._parked = Parked()
        self._why_empty: str | None = None
        self._inside: weakref.ref[Tensor] | None = None
        self._parks = True
        self._ahead: Ahead | None = None
        self._keepers = [m for m in model.modules() if "recurrent_states" in vars(m)]

    @property
    def size(self) -> KVCacheSize | None:
        """Of the live cache; `None` while there is none."""
        return cache_size(self.generation, len(self.ids)) if self.ids else None

    @property
    def held_bytes(self) -> int:
        """In memory for the live cache and what is parked, views counted by what they keep."""
        cache = cache_of(self.generation.model_kwargs)
        return (0 if cache is None else live_bytes(cache)) + self._parked.bytes

    @property
    def is_dropped(self) -> bool:
        """Whether all that was read has been let go of."""
        return self.generation.config.use_cache and not self.ids and self._why_empty is not None

    @property
    def is_lost(self) -> bool:
        """Whether there is nothing to go on from, as the next inference would."""
        if not self.generation.config.use_cache:
            return False
        return not self.ids or self._state_inside() is not (self._inside and self._inside())

    def configure(self, generation: Generation) -> None:
        """Other processors and criteria; the cache stays, where it is long enough."""
        is_longer = generation.config.max_length > self.generation.config.max_length
        if is_longer and _is_static(cache_of(self.generation.model_kwargs)):
            if self.ids:
                self.drop("static")
            self.generation.model_kwargs.clear()
        self.generation = replace(generation, model_kwargs=self.generation.model_kwargs)

    def drop(self, reason: str | None = "evicted") -> None:
        """Lets go of everything that was read; `reason` is told when it is read again."""
        self.ids, self._ahead = [], None
        self.generation.model_kwargs.clear()
        self._parked.clear()
        self._why_empty = reason

    def beside(self) -> BranchCache:
        """Another one for the same ids, which may go anywhere and leaves this as it is."""
        other = copy.copy(self)
        other.ids, other._parked, other._parks = list(self.ids), self._parked.beside(), False
        other._ahead = None
        other.generation = replace(self.generation, model_kwargs={})
        reason = self._obstacle()
        if reason is not None:
            other.drop(reason if self.ids else self._why_empty)
            return other
        for name, value in self.generation.model_kwargs.items():
            other.generation.model_kwargs[name] = _twin(value) if name in CACHE_NAMES else value
        return other

    def read_ahead(self, ids: list[int], on_prefill: OnPrefill | None) -> Iterator[int]:
        """Feeds a prompt in parts, all but the last, which the first inference feeds.

        Args:
            ids: of the prompt.
            on_prefill: called as in `read`.

        Returns:
            How many tokens were fed, after each part; none where it is read in one.
        """
        if not self.generation.config.use_cache or self.ids:
            return
        if not self.generation.model_kwargs:
            self._renew()
        chunk = prefill_chunk(self._model, self.generation, len(ids))
        self._fit(len(ids))
        wanted = torch.tensor([ids], device=self.generation.input_ids.device)
        parts = read_parts(self._model, self.generation, wanted)
        ahead = Ahead(ids, cache_of(self.generation.model_kwargs), parts)
        for done in range(chunk, len(ids), chunk):
            next(parts)
            self._ahead = ahead
            if on_prefill is not None:
                on_prefill(done, len(ids))
            yield done
            if not self.is_ahead(ids):  # it was freed meanwhile: the first inference reads it all
                return

    def is_ahead(self, ids: list[int]) -> bool:
        """Whether parts of this prompt are read, for the next inference to go on with."""
        cache = cache_of(self.generation.model_kwargs)
        return self._ahead is not None and self._ahead.ids == ids and self._ahead.cache is cache

    def infer(
        self, ids: Tensor, ids_list: list[int], is_first: bool, on_prefill: OnPrefill | None
    ) -> tuple[Tensor, int]:
        """The logits after `ids`: the cache has read all but the last of them, or none.

        Args:
            ids: (1, tokens).
            ids_list: the same on the host.
            is_first: whether they are the prompt and nothing more.
            on_prefill: called as in `read`, while the prompt is read.
        """
        prefills = not self.ids if self.generation.config.use_cache else is_first
        ahead = self._ahead if self.is_ahead(ids_list) else None
        parts, self._ahead = None if ahead is None else ahead.parts, None
        if not self.generation.model_kwargs:
            self._renew()
        if (prefills and parts is None) or not self.generation.config.use_cache:
            self._fit(ids.shape[1])
        outcome = infer(self._model, self.generation, ids, 0 if prefills else 1, on_prefill, parts)
        if self.ids:
            self.ids.append(ids_list[-1])
        else:
            self.ids = list(ids_list)
        self._remember_inside()
        return outcome

    def go_to(self, ids: list[int], on_prefill: OnPrefill | None = None) -> Place | None:
        """Has the cache hold these ids; `None` where it does or where there is no cache.

        Where it has to begin anew and not even the whole prompt is wanted, it is left empty:
        the next inference is a prefill.
        """
        if not self.generation.config.use_cache or (self.ids == ids and not self.is_lost):
            return None
        reason = self._obstacle()
        if reason is None:
            kept = shared(self.ids, ids)
            self._crop(kept)
            kept = self._join(ids, kept)
            reason = "other_branch" if kept < len(ids) else None
        else:
            kept, first = 0, self._why_empty is None and not self.ids
            self.drop(reason)
            if len(ids) < self._prompt_tokens:
                return None if first else Place(0, 0, reason)
        self._read(ids, kept, on_prefill)
        return Place(kept, len(ids) - kept, reason)

    def _obstacle(self) -> str | None:
        """Why the cache cannot be cropped; `None` where it can."""
        if self.is_lost:
            return self._why_empty or "evicted"
        cache = cache_of(self.generation.model_kwargs)
        layers = getattr(cache, "layers", ())
        if isinstance(cache, QuantizedCache):
            return "quantized"
        if self._model._is_stateful or not isinstance(cache, Cache) or _has_states(cache):
            return "state"
        if _is_static(cache):
            return "static"
        if any(_has_slid(layer) for layer in layers):
            return "sliding"
        plain = all(type(layer) in _CROPPED for layer in layers)
        is_known = type(cache) is DynamicCache and not cache.offloading and plain
        return None if is_known and continues(self._model, cache) else "unknown"

    def _crop(self, positions: int) -> None:
        """Drops what comes after, and parks it; the next inference frees the memory behind it."""
        if positions == len(self.ids):
            return
        cache = cache_of(self.generation.model_kwargs)
        assert cache is not None
        if self._parks:
            self._parked.park(cache, self.ids, positions)
        for layer in filter(is_filled, cache.layers):
            layer.keys = layer.keys[..., :positions, :]
            layer.values = layer.values[..., :positions, :]
            if isinstance(layer, DynamicSlidingWindowLayer):
                layer.cumulative_length = positions
        self.ids = self.ids[:positions]

    def _join(self, ids: list[int], kept: int) -> int:
        """Puts back what is parked of the way on to `ids`; how far that goes."""
        while found := self._parked.on_the_way(ids, kept):
            self._put_back(found, kept)
            kept = found.reach
        return kept

    def _put_back(self, found: Found, kept: int) -> None:
        cache = cache_of(self.generation.model_kwargs)
        assert cache is not None
        for layer, pair in zip(cache.layers, found.layers, strict=True):
            if pair is None:
                continue
            layer.keys = torch.cat([layer.keys, pair[0]], dim=-2)
            layer.values = torch.cat([layer.values, pair[1]], dim=-2)
            if isinstance(layer, DynamicSlidingWindowLayer):
                layer.cumulative_length = found.reach
        self.ids = found.ids

    def _read(self, ids: list[int], kept: int, on_prefill: OnPrefill | None) -> None:
        if not self.generation.model_kwargs:
            self._renew()
        if kept == len(ids):
            self._fit(kept + 1)
            return
        wanted = torch.tensor([ids], device=self.generation.input_ids.device)
        # What a quantized cache stores, and what a model that looks ahead sees, depends on what
        # was read together.
        by_one = isinstance(cache_of(self.generation.model_kwargs), QuantizedCache)
        whole = self._prompt_tokens if by_one or not reads_alike(self._model) else len(ids)
        self._fit(whole)
        read(self._model, self.generation, wanted[:, :whole], kept, on_prefill)
        for end in range(whole + 1, len(ids) + 1):
            infer(self._model, self.generation, wanted[:, :end], 1)
            if on_prefill is not None:
                on_prefill(end, len(ids))
        self.ids = list(ids)
        self._remember_inside()

    def _renew(self) -> None:
        assert self.generation.anew is not None
        self.generation.model_kwargs = self.generation.anew().model_kwargs

    def _remember_inside(self) -> None:
        inside = self._state_inside()
        self._inside = None if inside is None else weakref.ref(inside)

    def _state_inside(self) -> Tensor | None:
        """Of a model that keeps its state in itself: whoever runs it next puts another there."""
        states = (vars(module)["recurrent_states"] for module in self._keepers)
        return next((state for state in states if isinstance(state, Tensor)), None)

    def _fit(self, tokens: int) -> None:
        """Has what goes along with the ids be as long as `tokens` of them."""
        inputs = self.generation.model_kwargs
        for name in (*_REPEATED, "position_ids"):
            value = inputs.get(name)
            if not isinstance(value, Tensor):
                continue
            more = max(0, tokens - value.shape[-1])
            added = value[..., -1:].expand(*value.shape[:-1], more)
            if name == "position_ids":
                added = added + torch.arange(1, more + 1, device=value.device)
            inputs[name] = torch.cat([value[..., :tokens], added], dim=-1)


_CROPPED = {DummyLayer, DynamicLayer, DynamicSlidingWindowLayer}
_REPEATED = ("attention_mask", "token_type_ids", "mm_token_type_ids")


def _twin(cache: Any) -> Any:
    """The same keys and values in layers of its own, which grow by concatenation."""
    twin = copy.copy(cache)
    twin.layers = [copy.copy(layer) for layer in cache.layers]
    return twin


def _is_static(cache: Any) -> bool:
    return any(isinstance(layer, StaticLayer) for layer in getattr(cache, "layers", ()))


def _has_states(cache: Cache) -> bool:
    layers = (isinstance(layer, LinearAttentionCacheLayerMixin) for layer in cache.layers)
    return any(layers) or hasattr(cache, "linear_cache")


def _has_slid(layer: Any) -> bool:
    is_sliding = isinstance(layer, DynamicSlidingWindowLayer) and is_filled(layer)
    return is_sliding and layer.keys.shape[-2] != layer.cumulative_length
