"""What is measured on each architecture's tiny model, as the table of `decoding/memory/README.md`.

python tests/architectures.py
"""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

sys.path.insert(0, str(Path(__file__).parents[1]))

from families import FAMILIES, PECULIAR
from generated import PROMPT, TWO_SETTINGS, both_ids
from tiny import byte_tokenizer, tiny_lm, tiny_model
from torch import Tensor

from decoding import LanguageModel, decode, forecast_memory
from decoding.core import inference
from decoding.memory.kv_cache import kv_cache_size
from decoding.records.step import KVCacheSize

POSITIONS = 2000
ALL = {**FAMILIES, **PECULIAR}
LENGTHS = ("max_position_embeddings", "n_positions", "max_seq_len", "context_length")
BEGIN, END = "<!-- architectures -->", "<!-- end of architectures -->"
HEAD = (
    "| architecture | stands for | layers of its cache | formula | ids of `generate` | "
    "bytes of the tensors | forecast at 2,000 positions, bytes | measured there |\n"
    "|---|---|---|---|---|---|---|---|"
)

STANDS_FOR = {
    "llama": "grouped-query attention",
    "qwen2": "grouped queries, biases on queries, keys and values",
    "qwen3": "grouped queries, normed queries and keys",
    "phi3": "grouped queries, fused projections",
    "starcoder2": "grouped queries, layer norms and biases",
    "olmo2": "grouped queries, norms after each block",
    "granite": "grouped queries, scaled residuals and logits",
    "stablelm": "grouped queries, a part of each head rotated",
    "nemotron": "grouped queries, squared ReLU",
    "gemma": "grouped queries, heads wider than the hidden size",
    "gpt2": "every query its own key and value; learned positions",
    "gpt_neox": "the same; attention and MLP in parallel",
    "gptj": "the same; interleaved rotation",
    "gpt_neo": "local attention, whose cache keeps every position",
    "opt": "learned positions with an offset",
    "bloom": "ALiBi instead of positions",
    "mpt": "ALiBi, no biases",
    "phi": "parallel blocks, a part of each head rotated",
    "persimmon": "normed queries and keys, squared ReLU",
    "gpt_bigcode": "multi-query attention: one key and value for all heads",
    "falcon": "multi-query attention, parallel blocks",
    "mixtral": "mixture of experts",
    "qwen3_moe": "mixture of small experts",
    "olmoe": "mixture of experts, normed queries and keys",
    "mistral": "a sliding window in every layer",
    "gemma2": "windows and full attention in turn",
    "gemma3_text": "five windows to one full layer",
    "cohere2": "three windows to one full layer",
    "exaone4": "three windows to one full layer without rotation",
    "gpt_oss": "windows with attention sinks, mixture of experts",
    "deepseek_v2": "latent attention",
    "deepseek_v3": "latent attention, experts in groups",
    "gemma3n_text": "layers that read another layer's cache",
    "gemma4_text": "the same; wider heads in the full layers",
    "qwen3_next": "gated linear attention, mixture of experts",
    "qwen3_5_text": "gated linear attention",
    "minimax": "lightning attention, mixture of experts",
    "mamba": "state space",
    "mamba2": "state space with heads",
    "falcon_mamba": "state space, normed",
    "jamba": "Mamba, attention and experts in turn",
    "bamba": "Mamba 2 and attention",
    "falcon_h1": "Mamba 2 and attention side by side in each layer",
    "nemotron_h": "Mamba 2, attention, MLP or experts: one a layer",
    "zamba2": "Mamba 2 and an attention block that layers share",
    "lfm2": "short convolutions and attention",
    "recurrent_gemma": "gated recurrence and local attention",
    "rwkv": "recurrence in place of attention",
    "xlstm": "matrix memory in place of attention",
    "deepseek_v32": "latent attention that chooses positions",
    "openai-gpt": "the first GPT: it has no cache and is fed everything each time",
}


@dataclass(frozen=True)
class Row:
    """What was measured on one family's tiny model."""

    family: str
    layers: str
    formula: str
    ids: str
    bytes: str
    forecast_bytes: int | None
    measured_bytes: int | None

    def __str__(self) -> str:
        return (
            f"| {self.family} | {STANDS_FOR[self.family]} | {self.layers} | {self.formula} | "
            f"{self.ids} | {self.bytes} | {_told(self.forecast_bytes)} | "
            f"{_told(self.measured_bytes)} |"
        )


def _told(held_bytes: int | None) -> str:
    return "none" if held_bytes is None else f"{held_bytes:,}"


def measure(family: str) -> Row:
    """Runs a family's tiny model, and once more with room for 2,000 positions."""
    lm, roomy = tiny_lm(family), _roomy(family)
    prompt = [(7 * i * i + 3 * i) % 256 for i in range(POSITIONS)]
    size = next(decode(roomy, prompt, max_new_tokens=1)).kv_cache
    assert size is None or size.tokens == POSITIONS
    measured = None if size is None else size.bytes
    told = forecast_memory(roomy.model.config, dtype="float32").cache_bytes(POSITIONS) or None
    return Row(family, _layers(lm), _formula(lm), _ids(lm), _bytes(lm), told, measured)


def _roomy(family: str) -> LanguageModel:
    lengths = {name: 2 * POSITIONS for name in LENGTHS if name in ALL[family]}
    return LanguageModel(tiny_model(family, **lengths), byte_tokenizer(), name=family)


def _layers(lm: LanguageModel) -> str:
    kinds = Counter(layer.kind.replace("_", " ") for layer in lm.cache_layers)
    return ", ".join(f"{number} {kind}" for kind, number in kinds.items())


def _formula(lm: LanguageModel) -> str:
    return f"none: {lm.kv_note}" if lm.kv_note else "holds"


def _ids(lm: LanguageModel) -> str:
    """Whether both ways to feed the model give the ids of `generate`, and the same ones."""
    found = []
    for config in TWO_SETTINGS.values():
        for use_cache in (True, False):
            decoded, generated = both_ids(lm, use_cache=use_cache, **config)
            if decoded != generated:
                return "differ"
            found.append(generated)
    return "equal" if found[0::2] == found[1::2] else "equal; other ones without a cache"


def _bytes(lm: LanguageModel) -> str:
    sizes = sizes_and_tensors(lm)
    if not sizes:
        return "no cache"
    return "equal" if all(list(size.layer_bytes) == held for size, held in sizes) else "differ"


@cache
def sizes_and_tensors(lm: LanguageModel) -> list[tuple[KVCacheSize, list[int]]]:
    """Each step's size of the cache, beside the bytes of its tensors by their names."""
    held: list[list[int]] = []

    def watching(cache: Any, fed: int) -> KVCacheSize:
        held.append(tensor_bytes(cache))
        return kv_cache_size(cache, fed)

    with patch.object(inference, "kv_cache_size", watching):
        steps = list(decode(lm, PROMPT, max_new_tokens=12, suppress_tokens=[256]))
    sizes = [step.kv_cache for step in steps if step.kv_cache]
    return list(zip(sizes, held, strict=True)) if sizes else []


def tensor_bytes(cache: Any) -> list[int]:
    """Bytes in each layer, by the names that transformers gives the tensors."""
    if isinstance(cache, list):  # rwkv
        return [_sum(cache)]
    if hasattr(cache, "rnn_state"):  # xlstm
        states = [state for layer in cache.rnn_state.values() for state in layer]
        return [_sum([*states, cache.seqlen_offset])]
    held = []
    for layer in cache.layers:
        tensors = [getattr(layer, name, None) for name in ("keys", "values", "indexer_keys")]
        for name in ("conv_states", "recurrent_states"):
            tensors += (getattr(layer, name, None) or {}).values()
        held.append(_sum(tensors))
    for index, state in enumerate(getattr(cache, "linear_cache", ())):  # minimax
        held += [0] * (index + 1 - len(held))
        held[index] += _sum([state])
    return held


def _sum(tensors: list[Any]) -> int:
    return sum(t.numel() * t.element_size() for t in tensors if isinstance(t, Tensor))


def main() -> None:
    """Prints the table between its marks."""
    print(BEGIN, HEAD, *map(measure, ALL), END, sep="\n")


if __name__ == "__main__":
    main()
