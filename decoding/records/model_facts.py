"""What is known of a model in memory or of one that is only a config; plain Python, no tensors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from decoding.records.step import MemoryKind

LayerKind = Literal[
    "full", "sliding", "latent", "shared", "linear", "state_space", "convolution", "hybrid", "none"
]


@dataclass(frozen=True, slots=True)
class KVFormula:
    """What one position of a plain attention cache costs: a formula, not a measurement."""

    layers: int
    kv_heads: int
    head_dim: int
    value_bytes: int

    @property
    def bytes_per_token(self) -> int:
        """2 (key and value) · layers · kv_heads · head_dim · value_bytes."""
        return 2 * self.layers * self.kv_heads * self.head_dim * self.value_bytes


@dataclass(frozen=True, slots=True)
class CacheLayer:
    """How one decoder layer remembers, by its config; for one sequence.

    Attributes:
        kind: `"full"` keeps keys and values of every position, `"sliding"` of the last ones,
            `"latent"` compressed ones, `"shared"` reads another layer's, `"linear"`,
            `"state_space"` and `"convolution"` keep a state that does not grow, `"hybrid"`
            a state beside keys and values, `"none"` nothing.
        entry: its place in the cache object's layers; `None` where it has none of its own.
        kv_heads: heads that are stored; `None` for a state.
        key_size, value_size: numbers for each head and position; `None` for a state.
        position_bytes: growth with each position, until `max_positions`.
        fixed_bytes: held from the first position on.
        max_positions: positions kept at most; `None` without a bound.
        source: of `"shared"`, the decoder layer whose keys and values it reads.
    """

    kind: LayerKind
    entry: int | None
    kv_heads: int | None
    key_size: int | None
    value_size: int | None
    position_bytes: int
    fixed_bytes: int
    max_positions: int | None
    source: int | None = None

    def bytes_at(self, positions: int) -> int:
        """Bytes held once the cache stands for so many positions."""
        if positions < 1:
            return 0
        kept = positions if self.max_positions is None else min(positions, self.max_positions)
        return self.fixed_bytes + self.position_bytes * kept


@dataclass(frozen=True, slots=True)
class DeviceShare:
    """What of a model lies on one device, such as `"cpu"`, `"cuda:0"` or `"disk"`.

    Attributes:
        layers: indices of the decoder layers there.
        weight_bytes: measured there; of `"disk"` and of offloaded weights, by their shapes.
    """

    device: str
    layers: tuple[int, ...]
    weight_bytes: int


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What the page says about the model; sizes in bytes, lengths in tokens.

    Attributes:
        kv: the formula, where it holds.
        kv_note: where it does not, why: a key of the page's words (`views.layers.note_…`).
        cache_layers: one entry for each decoder layer; empty where they are not known.
        memory_kind: whose figures the steps' `memory` holds.
        free_bytes: memory that was free on the device once the model was loaded.
        total_bytes: memory of the device.
        published: the format that the weights were packed in when they were published.
        thinking_switch: whether the chat template reads `enable_thinking`.
    """

    name: str
    device: str
    dtype: str
    quantization: str | None
    vocab_size: int
    context_length: int | None
    weight_bytes: int
    kv: KVFormula | None
    kv_note: str | None = None
    architecture: str = ""
    parameters: int | None = None
    layers: int | None = None
    attention_heads: int | None = None
    hidden_size: int | None = None
    cache_layers: tuple[CacheLayer, ...] = ()
    placement: tuple[DeviceShare, ...] = ()
    memory_kind: MemoryKind = "process"
    free_bytes: int | None = None
    total_bytes: int | None = None
    published: str | None = None
    thinking_switch: bool = False
