"""How a model's cache is laid out, read from a cache that the model has filled."""

from __future__ import annotations

from itertools import zip_longest
from typing import Any

from torch import Tensor
from transformers.cache_utils import (
    DummyLayer,
    DynamicIndexedLayer,
    DynamicLayer,
    DynamicSlidingWindowLayer,
    LinearAttentionAndFullAttentionLayer,
    LinearAttentionAndSlidingWindowAttentionLayer,
    LinearAttentionLayer,
)

from decoding.memory.kv_cache import held_by_layer, held_bytes, stored_positions
from decoding.records.model_facts import CacheLayer, KVFormula, LayerKind

# Layers that grow by the same bytes with each position, or not at all.
STEADY = {
    DummyLayer,
    DynamicIndexedLayer,
    DynamicLayer,
    DynamicSlidingWindowLayer,
    LinearAttentionAndFullAttentionLayer,
    LinearAttentionAndSlidingWindowAttentionLayer,
    LinearAttentionLayer,
}
GROWING = ("keys", "values", "indexer_keys", "indexer_position_ids")
# What the configs of state-space models call the numbers that each channel remembers.
STATE_SIZES = ("state_size", "ssm_state_size", "mamba_d_state")
STATES = {"linear", "state_space", "convolution", "hybrid"}


def cache_layers_of(cache: Any, config: Any) -> tuple[CacheLayer, ...]:
    """How each decoder layer remembers.

    Args:
        cache: filled by a few positions of one sequence.
        config: of the text part of the model.

    Returns:
        One entry for each decoder layer; one for all of them where a model keeps its states
        in an object of its own; none where the cache grows in other ways than by position.
    """
    layers = getattr(cache, "layers", None)
    if layers is None:
        states = held_bytes(held_by_layer(cache)[0])
        return (CacheLayer(_state_kind(config), 0, None, None, None, 0, states, None),)
    if any(type(layer) not in STEADY for layer in layers):
        return ()
    pairs = zip_longest(layers, held_by_layer(cache))
    return tuple(
        _layer(i, layer, held_bytes(held), config) for i, (layer, held) in enumerate(pairs)
    )


def _layer(index: int, layer: Any, total_bytes: int, config: Any) -> CacheLayer:
    stored = stored_positions(layer) or 0
    grown = sum(_bytes(getattr(layer, name, None)) for name in GROWING) if stored else 0
    fixed = total_bytes - grown
    if not stored:
        kind = _kind_without_positions(index, layer, fixed, config)
        entry = index if fixed else None
        source = _source(index, config) if kind == "shared" else None
        return CacheLayer(kind, entry, None, None, None, 0, fixed, None, source)
    window = getattr(layer, "sliding_window", None)
    _, heads, _, key_size = layer.keys.shape
    value_size = int(layer.values.shape[-1])
    kind = "hybrid" if fixed else _kind_with_positions(window, heads, key_size, value_size, config)
    # A window of one position is cut by [-0:], which keeps them all.
    most = window - 1 or None if window else None
    return CacheLayer(kind, index, heads, key_size, value_size, grown // stored, fixed, most)


def _bytes(tensor: Tensor | None) -> int:
    return 0 if tensor is None else int(tensor.nbytes)


def _kind_with_positions(
    window: int | None, heads: int, key_size: int, value_size: int, config: Any
) -> LayerKind:
    rank = config_value(config, "kv_lora_rank")
    if rank and heads == 1 and rank in (key_size, value_size, key_size + value_size):
        return "latent"
    return "sliding" if window else "full"


def _kind_without_positions(index: int, layer: Any, fixed: int, config: Any) -> LayerKind:
    modes = config_value(config, "kv_sharing_modes")
    if modes and str(modes[index]).startswith("reuse"):
        return "shared"
    if not fixed:
        return "none"
    states = getattr(layer, "recurrent_states", None)
    if states is not None and all(state is None for state in states.values()):
        return "convolution"
    return _state_kind(config)


def _state_kind(config: Any) -> LayerKind:
    is_state_space = any(config_value(config, name) for name in STATE_SIZES)
    return "state_space" if is_state_space else "linear"


def _source(index: int, config: Any) -> int | None:
    """The last layer of the same type that keeps keys and values for those after it."""
    types, modes = config.layer_types, config.kv_sharing_modes
    sources = [i for i in range(index) if types[i] == types[index] and modes[i] == "store"]
    return sources[-1] if sources else None


def kv_formula(layers: tuple[CacheLayer, ...], value_bytes: int) -> KVFormula | None:
    """What a position costs, where that is the same keys and values in each layer that has any."""
    note = kv_note(layers)
    kept = [layer for layer in layers if layer.kind == "full"]
    if note is not None or not kept:
        return None
    heads, size = kept[0].kv_heads or 0, kept[0].key_size or 0
    return KVFormula(len(kept), heads, size, value_bytes)


def kv_note(layers: tuple[CacheLayer, ...]) -> str | None:
    """Why there is no formula; `None` where there is one."""
    kinds = {layer.kind for layer in layers} - {"none"}
    if not kinds:
        return "unknown"
    for kind in ("shared", "latent", "sliding"):
        if kind in kinds and not kinds & STATES:
            return kind
    if kinds & STATES:
        return "state"
    shapes = {(x.kv_heads, x.key_size, x.value_size) for x in layers if x.kind == "full"}
    is_even = len(shapes) == 1 and all(x.key_size == x.value_size for x in layers)
    return None if is_even else "uneven"


def context_length(config: Any) -> int | None:
    """Positions that a model was made for; `None` where it has no limit."""
    for name in ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length"):
        length = config_value(config, name)
        if isinstance(length, int) and length > 0:
            return length
    return None


def config_value(config: Any, name: str) -> Any:
    """`None` where there is none, or one for each layer: transformers then refuses to name one."""
    try:
        return getattr(config, name, None)
    except RuntimeError:
        return None
