"""What a cache object holds, in positions and bytes; it knows tensors, not models' outputs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import Tensor

from decoding.step import KVCacheSize

CACHE_NAMES = ("past_key_values", "cache_params", "state")


def cache_of(model_kwargs: dict[str, Any]) -> Any | None:
    """The cache among a model's inputs, under whichever name its family uses."""
    for name in CACHE_NAMES:
        if model_kwargs.get(name) is not None:
            return model_kwargs[name]
    return None


def kv_cache_size(cache: Any, fed_tokens: int) -> KVCacheSize:
    """Measures a cache from the tensors it holds.

    Args:
        cache: a transformers `Cache`, or the state object of a family with its own.
        fed_tokens: tokens fed so far. A recurrent state has no positions, and a static
            cache counts them on the device: there this number stands for them.

    Returns:
        Positions; bytes as the sum of `numel * element_size` over every tensor held
        (bookkeeping scalars left out), in total and by layer.
    """
    layers = getattr(cache, "layers", None)
    layer_bytes = tuple(_held_bytes(layer) for layer in (layers if layers is not None else [cache]))
    return KVCacheSize(_positions(cache, fed_tokens), sum(layer_bytes), layer_bytes)


def _positions(cache: Any, fed_tokens: int) -> int:
    attention = [
        layer for layer in getattr(cache, "layers", ()) if hasattr(layer, "get_seq_length")
    ]
    lengths = [layer.get_seq_length() for layer in attention]
    counted = [length for length in lengths if isinstance(length, int)]
    return max(counted, default=0) or fed_tokens


def _held_bytes(holder: Any) -> int:
    distinct = {id(tensor): tensor for tensor in _tensors(holder, depth=3)}
    return sum(t.numel() * t.element_size() for t in distinct.values() if t.dim() > 0)


def _tensors(holder: Any, depth: int) -> Iterator[Tensor]:
    """Tensors in a layer's attributes, and in the containers and small objects among them."""
    if isinstance(holder, Tensor):
        inner = getattr(holder, "__tensor_flatten__", None)
        if inner is None:
            yield holder
        else:  # a quantized tensor is a wrapper: what it holds are its parts
            for name in inner()[0]:
                yield from _tensors(getattr(holder, name), depth)
    elif depth and isinstance(holder, dict):
        for value in holder.values():
            yield from _tensors(value, depth - 1)
    elif depth and isinstance(holder, (list, tuple)):
        for value in holder:
            yield from _tensors(value, depth - 1)
    elif depth and hasattr(holder, "__dict__") and not isinstance(holder, type):
        for value in vars(holder).values():
            if isinstance(value, (Tensor, dict, list, tuple)):
                yield from _tensors(value, depth - 1)
