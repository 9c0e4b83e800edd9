"""A causal language model and its tokenizer in memory, with the facts that decoding needs."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from transformers import GenerationConfig

from decoding.memory.blueprint import layers_of_model
from decoding.memory.cache_layers import context_length, kv_formula, kv_note
from decoding.memory.devices import computing_devices, input_device, weight_bytes
from decoding.records.model_facts import CacheLayer, KVFormula


class LanguageModel:
    """A causal language model and its tokenizer, with the facts that decoding needs.

    Attributes:
        model: the transformers model, in eval mode.
        tokenizer: its tokenizer.
        name: for people; the Hub id, or the folder's or file's name.
        device: where the token ids go in.
        computing_devices: where it computes and its cache lies, that one first.
        dtype: of the computation, and so of the cache's values.
        vocab_size: entries of one row of logits.
        context_length: positions the model was made for; `None` where it has no limit.
        eos_token_ids: the ids that end a text.
        special_token_ids: the ids of the tokenizer's special tokens.
        weight_bytes: measured over the storage of all parameters and buffers; of offloaded
            ones, by their shapes.
        cache_layers: how each decoder layer remembers, by the config; empty where that is
            not known.
        kv_cache_formula: `None` where a cache is more than keys and values of every
            position (sliding windows, states, latent attention).
        kv_note: then why: "sliding", "latent", "shared", "state", "uneven" or "unknown".
        kv_bytes_per_token: by that formula.
        published: how the weights were packed when they were published, by transformers' name of
            the method; they may have been unpacked as they were read. `None` where they were not.
        quantization: `"8bit"`, `"4bit"` or another method's name; `None` without.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        name: str | None = None,
        *,
        published: str | None = None,
    ) -> None:
        config = model.config.get_text_config()
        if model.generation_config is None:
            model.generation_config = GenerationConfig.from_model_config(model.config)
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.name = name or Path(model.config.name_or_path).name or type(model).__name__
        self.device = input_device(model)
        self.computing_devices = computing_devices(model)
        self.dtype: torch.dtype = model.dtype
        self.vocab_size: int = config.vocab_size
        self.context_length = context_length(config)
        self.eos_token_ids = eos_token_ids(model, tokenizer)
        self.special_token_ids = _special_token_ids(tokenizer)
        self.weight_bytes = weight_bytes(model)
        self.quantization = _quantization_of(model)
        self.published = published

    @cached_property
    def cache_layers(self) -> tuple[CacheLayer, ...]:
        """Worked out on first use, from a copy of the model without weights."""
        return layers_of_model(self.model)

    @property
    def kv_cache_formula(self) -> KVFormula | None:
        """What a position costs; a formula, not a measurement."""
        return kv_formula(self.cache_layers, self.dtype.itemsize)

    @property
    def kv_note(self) -> str | None:
        """Why there is no formula; `None` where there is one."""
        return kv_note(self.cache_layers)

    @property
    def kv_bytes_per_token(self) -> int | None:
        """Bytes of KV cache for each position, by the formula."""
        return self.kv_cache_formula.bytes_per_token if self.kv_cache_formula else None


def _quantization_of(model: Any) -> str | None:
    if getattr(model, "is_loaded_in_8bit", False):
        return "8bit"
    if getattr(model, "is_loaded_in_4bit", False):
        return "4bit"
    quantizer = getattr(model, "hf_quantizer", None)
    return str(quantizer.quantization_config.quant_method.value) if quantizer else None


def eos_token_ids(model: Any, tokenizer: Any) -> tuple[int, ...]:
    """The ids that end a text: the generation config's, else the tokenizer's."""
    eos = getattr(model.generation_config, "eos_token_id", None)
    eos = tokenizer.eos_token_id if eos is None else eos
    if eos is None:
        return ()
    return (eos,) if isinstance(eos, int) else tuple(eos)


def _special_token_ids(tokenizer: Any) -> frozenset[int]:
    added = tokenizer.added_tokens_decoder.items()
    return frozenset(tokenizer.all_special_ids) | {i for i, token in added if token.special}
