"""Which kind each decoder layer is, what it holds, and where the formula stops."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch
from transformers.cache_utils import DynamicCache, DynamicLayer

from decoding import LanguageModel
from decoding.memory.cache_layers import cache_layers_of, context_length, kv_formula, kv_note
from decoding.records.model_facts import CacheLayer, KVFormula

GetLM = Callable[[str], LanguageModel]
KINDS = {
    "llama": "full full full",
    "gpt_bigcode": "full full full",
    "mistral": "sliding sliding sliding",
    "gemma3_text": "sliding sliding sliding sliding sliding full",
    "deepseek_v3": "latent latent latent",
    "gemma3n_text": "sliding full sliding full shared shared",
    "gemma4_text": "sliding full sliding full shared shared",
    "qwen3_next": "linear linear linear full",
    "qwen3_5_text": "linear linear linear full",
    "minimax": "linear full linear",
    "mamba": "state_space state_space state_space",
    "mamba2": "state_space state_space state_space",
    "falcon_mamba": "state_space state_space state_space",
    "jamba": "state_space full state_space full",
    "bamba": "state_space full state_space",
    "zamba2": "state_space hybrid state_space hybrid",
    "nemotron_h": "state_space none full none",
    "falcon_h1": "hybrid hybrid hybrid",
    "lfm2": "convolution full convolution",
    # Its recurrent states lie in the model's modules: the cache holds nothing for them.
    "recurrent_gemma": "none none sliding",
    # One state object for all layers.
    "rwkv": "linear",
    "xlstm": "linear",
}
NOTES = {
    "llama": None,
    "gpt_bigcode": None,
    "mistral": "sliding",
    "gemma3_text": "sliding",
    "deepseek_v3": "latent",
    "gemma3n_text": "shared",
    "qwen3_next": "state",
    "mamba": "state",
    "lfm2": "state",
    "recurrent_gemma": "sliding",
}


@pytest.mark.parametrize("family", KINDS)
def test_each_layers_kind(tiny_lms: GetLM, family: str) -> None:
    layers = tiny_lms(family).cache_layers
    assert " ".join(layer.kind for layer in layers) == KINDS[family]
    for index, layer in enumerate(layers):
        assert layer.entry in (None, index)
        assert (layer.entry is None) == (layer.bytes_at(10) == 0)
        assert (layer.kind in ("linear", "state_space", "convolution")) == (
            layer.position_bytes == 0 and layer.fixed_bytes > 0
        )


@pytest.mark.parametrize("family", NOTES)
def test_why_there_is_no_formula(tiny_lms: GetLM, family: str) -> None:
    lm = tiny_lms(family)
    assert lm.kv_note == NOTES[family]
    assert (lm.kv_cache_formula is None) == (NOTES[family] is not None)


def test_the_sizes_of_a_layer(tiny_lms: GetLM) -> None:
    assert tiny_lms("llama").cache_layers[1] == CacheLayer(
        "full", 1, 2, 8, 8, 2 * 2 * 8 * 4, 0, None
    )
    assert tiny_lms("gpt_bigcode").cache_layers[0].kv_heads == 1
    assert tiny_lms("mistral").cache_layers[0].max_positions == 5
    latent = tiny_lms("deepseek_v3").cache_layers[0]
    assert (latent.kv_heads, latent.key_size, latent.value_size) == (1, 8, 4)
    wide, narrow = (tiny_lms("gemma4_text").cache_layers[i].key_size for i in (1, 0))
    assert (wide, narrow) == (16, 8)


def test_a_shared_layer_reads_the_last_one_of_its_type(tiny_lms: GetLM) -> None:
    layers = tiny_lms("gemma3n_text").cache_layers
    assert [layer.source for layer in layers] == [None, None, None, None, 2, 3]
    assert all(layer.bytes_at(100) == 0 for layer in layers[4:])


def filled(*layers: DynamicLayer) -> DynamicCache:
    cache = DynamicCache()
    cache.layers = list(layers)
    return cache


def layer_of(heads: int, key_size: int, value_size: int) -> DynamicLayer:
    layer = DynamicLayer()
    layer.update(torch.zeros(1, heads, 4, key_size), torch.zeros(1, heads, 4, value_size))
    return layer


@pytest.mark.parametrize("second", [(1, 8, 8), (2, 4, 4), (2, 8, 4)])
def test_layers_that_differ_have_no_formula(second: tuple[int, int, int]) -> None:
    layers = cache_layers_of(filled(layer_of(2, 8, 8), layer_of(*second)), SimpleNamespace())
    assert kv_note(layers) == "uneven"
    assert kv_formula(layers, 4) is None
    assert sum(layer.bytes_at(1) for layer in layers) == 4 * (
        16 + 16 + second[0] * (second[1] + second[2])
    )


def test_layers_without_attention_do_not_spoil_the_formula() -> None:
    layers = cache_layers_of(filled(layer_of(2, 8, 8), DynamicLayer()), SimpleNamespace())
    assert kv_formula(layers, 4) == KVFormula(1, 2, 8, 4)


def test_a_layer_of_a_kind_that_is_not_known_is_not_guessed_at() -> None:
    class Compressing(DynamicLayer):
        pass

    layer = Compressing()
    layer.update(torch.zeros(1, 1, 4, 8), torch.zeros(1, 1, 4, 8))
    assert cache_layers_of(filled(layer), SimpleNamespace()) == ()
    assert kv_note(()) == "unknown"
    assert kv_formula((), 4) is None


def test_nothing_is_held_before_the_first_position() -> None:
    layer = CacheLayer("hybrid", 0, 2, 8, 8, 100, 1000, 5)
    assert [layer.bytes_at(n) for n in (0, 1, 5, 6)] == [0, 1100, 1500, 1500]


@pytest.mark.parametrize("name", ["max_position_embeddings", "n_positions", "max_seq_len"])
def test_the_context_length_by_its_names(name: str) -> None:
    assert context_length(SimpleNamespace(**{name: 77})) == 77
    assert context_length(SimpleNamespace(**{name: -1})) is None
