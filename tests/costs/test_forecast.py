"""The forecast is what is measured later, and its lengths are right to the position."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny import byte_tokenizer, tiny_model
from transformers import LlamaConfig

from decoding import LanguageModel, MemoryForecast, ModelLoadError, decode, forecast_memory
from decoding.costs import forecast as room
from decoding.memory.kv_cache import cache_of, kv_cache_size
from decoding.models.fit import ROOM_TO_COMPUTE_BYTES
from decoding.records.model_facts import CacheLayer

FULL = CacheLayer("full", 0, 2, 8, 8, 100, 0, None)
WINDOW = CacheLayer("sliding", 1, 2, 8, 8, 100, 0, 10)
STATE = CacheLayer("state_space", 2, None, None, None, 0, 500, None)
SHARED = CacheLayer("shared", None, None, None, None, 0, 0, None, 0)
POSITIONS = 2000


def made(*layers: CacheLayer, weights: int = 5000, free: int = 9000) -> MemoryForecast:
    return MemoryForecast(
        "hand",
        "float32",
        None,
        weights,
        layers,
        50,
        "cpu",
        free + ROOM_TO_COMPUTE_BYTES,
        ROOM_TO_COMPUTE_BYTES + 10_000,
        is_loaded=False,
    )


def test_by_hand_full_layers() -> None:
    forecast = made(FULL, FULL)
    assert [forecast.cache_bytes(n) for n in (0, 1, 25, 26)] == [0, 200, 5000, 5200]
    assert forecast.cache_bytes(3, batch=4) == 2400
    assert forecast.cache_room_bytes == 4000
    assert (forecast.outgrows_weights_at(), forecast.outgrows_weights_at(8)) == (26, 4)
    assert (forecast.longest_context(), forecast.longest_context(8)) == (20, 2)


def test_by_hand_a_window_and_a_state_beside_a_full_layer() -> None:
    forecast = made(FULL, WINDOW, STATE, SHARED)
    assert [forecast.cache_bytes(n) for n in (1, 10, 11)] == [700, 2500, 2600]
    assert forecast.longest_context() == 25  # 500 + 10 · 100 + 25 · 100
    assert forecast.outgrows_weights_at() == 36


def test_by_hand_what_stops_growing_fits_at_any_length_or_at_few() -> None:
    assert made(WINDOW, STATE).longest_context() is None
    assert made(WINDOW, STATE).outgrows_weights_at() is None
    assert made(WINDOW, STATE, free=6200).longest_context() == 7
    assert made(STATE).longest_context() is None
    assert made(STATE, free=5400).longest_context() == 0
    assert made(STATE).longest_context(batch=9) == 0


def test_by_hand_weights_that_do_not_fit_and_weights_that_are_there() -> None:
    assert made(FULL, free=4000).cache_room_bytes == -1000
    assert made(FULL, free=4000).longest_context() == 0
    loaded = dataclasses.replace(made(FULL), free_bytes=4000, is_loaded=True)
    assert (loaded.cache_room_bytes, loaded.longest_context()) == (4000, 40)


def test_by_hand_weights_of_unknown_size_promise_no_length() -> None:
    unknown = dataclasses.replace(made(FULL), weight_bytes=None)
    assert unknown.cache_room_bytes is None
    assert unknown.longest_context() is None
    assert unknown.outgrows_weights_at() is None
    assert dataclasses.replace(unknown, is_loaded=True).cache_room_bytes == unknown.free_bytes


def test_weights_that_were_published_packed_take_what_their_files_do(tmp_path: Path) -> None:
    packing = {"quant_method": "gptq", "bits": 4}
    config = LlamaConfig(vocab_size=260, hidden_size=32, num_hidden_layers=2)
    config.quantization_config = packing
    config.save_pretrained(tmp_path)
    assert forecast_memory(tmp_path, device="cpu").weight_bytes is None
    assert forecast_memory(config, device="cpu").weight_bytes is None
    for part in (1, 2):
        (tmp_path / f"model-{part}-of-2.safetensors").write_bytes(b"x" * 1000)
    assert forecast_memory(tmp_path, device="cpu").weight_bytes == 2000


layers = st.builds(
    lambda step, fixed, most: CacheLayer("hybrid", 0, 1, 1, 1, step, fixed, most),
    st.integers(0, 300),
    st.integers(0, 3000),
    st.none() | st.integers(1, 40),
)


@given(
    st.lists(layers, min_size=1, max_size=4),
    st.integers(0, 9000),
    st.integers(0, 9000),
    st.integers(1, 5),
)
def test_the_lengths_are_the_last_that_fits_and_the_first_that_outgrows(
    layers: list[CacheLayer], weights: int, free: int, batch: int
) -> None:
    forecast = made(*layers, weights=weights, free=free)
    longest, outgrows = forecast.longest_context(batch), forecast.outgrows_weights_at(batch)
    if longest is None:
        assert forecast.cache_bytes(10**9, batch) <= forecast.cache_room_bytes
    else:
        assert longest == 0 or forecast.cache_bytes(longest, batch) <= forecast.cache_room_bytes
        assert forecast.cache_bytes(longest + 1, batch) > forecast.cache_room_bytes
    if outgrows is None:
        assert forecast.cache_bytes(10**9, batch) <= weights
    else:
        assert forecast.cache_bytes(outgrows, batch) > weights
        assert outgrows == 1 or forecast.cache_bytes(outgrows - 1, batch) <= weights


@pytest.mark.parametrize(
    "family",
    [
        *("llama", "gpt2", "falcon", "gpt_bigcode", "mixtral", "mistral", "gemma3_text"),
        *("deepseek_v3", "gemma3n_text", "gemma4_text", "qwen3_next", "mamba2", "jamba", "lfm2"),
    ],
)
@pytest.mark.parametrize("batch", [1, 3])
def test_the_forecast_is_the_measured_bytes(family: str, batch: int) -> None:
    length = "n_positions" if family in ("gpt2", "gpt_bigcode") else "max_position_embeddings"
    model = tiny_model(family, **{length: 4096})
    forecast = forecast_memory(model.config, dtype="float32", device="cpu")
    with torch.no_grad():
        outputs = model(torch.zeros(batch, 64, dtype=torch.long), use_cache=True)
    held = kv_cache_size(cache_of(dict(outputs)), 64).bytes
    assert held == forecast.cache_bytes(64, batch)
    if batch == 1:
        lm = LanguageModel(model, byte_tokenizer())
        step = next(decode(lm, [97] * POSITIONS, max_new_tokens=1))
        assert step.kv_cache is not None
        assert step.kv_cache.tokens == POSITIONS
        assert step.kv_cache.bytes == forecast.cache_bytes(POSITIONS)


@pytest.mark.default_model
def test_the_forecast_of_the_default_model(default_lm: LanguageModel) -> None:
    step = next(decode(default_lm, [500] * POSITIONS, max_new_tokens=1))
    assert step.kv_cache is not None
    foretold = forecast_memory(default_lm.model.config, dtype="float32", device="cpu")
    loaded = forecast_memory(default_lm)
    assert step.kv_cache.bytes == foretold.cache_bytes(POSITIONS) == 46_080 * POSITIONS
    assert step.kv_cache.bytes == loaded.cache_bytes(POSITIONS)
    assert foretold.weight_bytes == loaded.weight_bytes == default_lm.weight_bytes
    assert (foretold.is_loaded, loaded.is_loaded) == (False, True)
    assert foretold.outgrows_weights_at() == 538_060_288 // 46_080 + 1


def test_a_loaded_models_forecast_is_of_its_own_form(tiny_lm: LanguageModel) -> None:
    forecast = forecast_memory(tiny_lm)
    assert (forecast.name, forecast.dtype, forecast.device) == ("tiny-llama", "float32", "cpu")
    assert (forecast.context_length, forecast.weight_bytes) == (256, tiny_lm.weight_bytes)
    assert 0 < forecast.free_bytes <= forecast.total_bytes
    with pytest.raises(ModelLoadError, match="is loaded"):
        forecast_memory(tiny_lm, dtype="bfloat16")


def test_a_number_format_halves_the_cache_and_quantization_does_not(tmp_path: Path) -> None:
    LlamaConfig(vocab_size=260, hidden_size=32, num_hidden_layers=2).save_pretrained(tmp_path)
    plain, half, packed = (
        forecast_memory(tmp_path, device="cpu", dtype=dtype, quantization=quantization)
        for dtype, quantization in (("float32", None), ("bfloat16", None), ("float32", "4bit"))
    )
    assert plain.cache_bytes(7) == 2 * half.cache_bytes(7) == packed.cache_bytes(7)
    assert packed.weight_bytes < half.weight_bytes < plain.weight_bytes


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"quantization": "3bit"}, "quantization must be"),
        ({"dtype": "int8"}, "dtype must be"),
        ({"device": "abacus"}, "is no device"),
    ],
)
def test_what_cannot_be_is_refused(arguments: dict[str, str], message: str) -> None:
    with pytest.raises(ModelLoadError, match=message):
        forecast_memory(LlamaConfig(vocab_size=260, hidden_size=32), **arguments)


def test_a_cache_that_nobody_can_foretell(
    tiny_lm: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room.Blueprint, "cache_layers", lambda _self, _bytes: ())
    with pytest.raises(ModelLoadError, match="grows in ways"):
        forecast_memory(tiny_lm.model.config)
