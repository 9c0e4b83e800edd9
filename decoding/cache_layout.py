"""How a model's cache is laid out, by its config; it runs no model."""

from __future__ import annotations

from typing import Any

import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from decoding.facts import KVFormula


def kv_formula(config: Any, dtype: torch.dtype) -> KVFormula | None:
    """What a position costs; `None` where a cache is more than every position's keys and values.

    Args:
        config: of the text part of a transformers model.
        dtype: of the cache's values.
    """
    heads = getattr(config, "num_attention_heads", None)
    is_latent = getattr(config, "kv_lora_rank", None) is not None
    # These families name or count their shared heads in ways of their own.
    is_shared = getattr(config, "multi_query", False) or getattr(config, "num_kv_shared_layers", 0)
    if not heads or is_latent or is_shared:
        return None
    layers = DynamicCache(config=config).layers
    if not layers or any(type(layer) is not DynamicLayer for layer in layers):
        return None
    kv_heads = getattr(config, "num_key_value_heads", None) or heads
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // heads
    return KVFormula(len(layers), kv_heads, head_dim, dtype.itemsize)


def context_length(config: Any) -> int | None:
    """Positions that a model was made for; `None` where it has no limit."""
    for name in ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length"):
        length = getattr(config, name, None)
        if isinstance(length, int) and length > 0:
            return length
    return None
