"""What a cache object holds, in positions and bytes; it knows tensors, not models' outputs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import zip_longest
from typing import Any

from torch import Tensor

from decoding.records.step import KVCacheSize

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
        (bookkeeping scalars left out), in total and by layer; and the positions that each
        layer stores, of a static one those it has room for.
    """
    layer_bytes = tuple(map(held_bytes, held_by_layer(cache)))
    layers = getattr(cache, "layers", None) or ()
    layer_tokens = [stored_positions(layer) for layer in layers]
    layer_tokens += [None] * (len(layer_bytes) - len(layer_tokens))
    return KVCacheSize(
        _positions(cache, fed_tokens), sum(layer_bytes), layer_bytes, tuple(layer_tokens)
    )


def stored_positions(layer: Any) -> int | None:
    """Positions whose keys and values a layer of a cache stores; `None` where it has none."""
    keys = getattr(layer, "keys", None)
    if not isinstance(keys, Tensor):
        return None
    if hasattr(layer, "_quantized_keys"):  # packed in its backend's way, and counted beside it
        return int(layer.cumulative_length)
    return int(keys.shape[-2]) if keys.dim() > 1 else 0


def _positions(cache: Any, fed_tokens: int) -> int:
    attention = [
        layer for layer in getattr(cache, "layers", ()) if hasattr(layer, "get_seq_length")
    ]
    lengths = [layer.get_seq_length() for layer in attention]
    counted = [length for length in lengths if isinstance(length, int)]
    return max(counted, default=0) or fed_tokens


def held_by_layer(cache: Any) -> list[Iterable[Any]]:
    """What each layer of a cache holds, tensors among it; one entry where it has no layers."""
    if isinstance(cache, (list, tuple)):  # RWKV's states: each tensor is of all layers
        return [cache]
    if getattr(cache, "layers", None) is None:
        return [vars(cache).values()]
    beside = getattr(cache, "linear_cache", ())  # MiniMax's states, which no layer holds
    pairs = zip_longest(cache.layers, beside)
    return [[*(vars(layer).values() if layer is not None else ()), s] for layer, s in pairs]


def held_bytes(values: Iterable[Any]) -> int:
    """Bytes of the distinct tensors among these values and in the containers among them."""
    distinct = {id(tensor): tensor for tensor in _tensors(values, depth=3)}
    return sum(tensor.nbytes for tensor in distinct.values() if tensor.dim() > 0)


def storage_bytes(values: Iterable[Any]) -> int:
    """Bytes that the same tensors keep in memory: of a view, all that it is a view of."""
    parts = (tensor.untyped_storage() for tensor in _tensors(values, depth=3))
    return sum({storage.data_ptr(): storage.nbytes() for storage in parts}.values())


def _tensors(values: Iterable[Any], depth: int) -> Iterator[Tensor]:
    """The tensors among these values and in the containers among them."""
    for value in values:
        if isinstance(value, Tensor):
            yield from _parts(value)
        elif depth and isinstance(value, dict):
            yield from _tensors(value.values(), depth - 1)
        elif depth and isinstance(value, (list, tuple)):
            yield from _tensors(value, depth - 1)


def _parts(tensor: Tensor) -> Iterator[Tensor]:
    """The tensor itself; of a quantized one, which only wraps them, its parts."""
    if hasattr(tensor, "__tensor_flatten__"):
        yield from _tensors((getattr(tensor, n) for n in tensor.__tensor_flatten__()[0]), 1)
    else:
        yield tensor
