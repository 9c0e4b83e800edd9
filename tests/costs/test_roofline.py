"""A machine's limits, measured, and where prefill and decode lie below them."""

from __future__ import annotations

import pytest
import torch
from tiny import byte_tokenizer, tiny_model

from decoding import DecodingError, LanguageModel
from decoding.core import inference
from decoding.costs import roofline as roofline_module
from decoding.costs.roofline import measure_roofline, roofline_points
from decoding.records.comparisons import Roofline, RooflinePoint

CPU = torch.device("cpu")
PROMPT = list(b"what one token costs, and what many cost at once")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roofline_module, "CPU_COPY_BYTES", 2**20)
    monkeypatch.setattr(roofline_module, "MEASURING_SECONDS", 0.0)
    monkeypatch.setattr(roofline_module, "ENOUGH_SECONDS", 0.0)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_limits_are_positive_and_named(dtype: torch.dtype) -> None:
    limits = measure_roofline(CPU, dtype)
    assert limits.flops_per_second > 1e6
    assert limits.bytes_per_second > 1e6
    assert (limits.device, limits.dtype) == ("cpu", str(dtype).removeprefix("torch."))
    assert limits.ridge == limits.flops_per_second / limits.bytes_per_second


def test_limits_follow_from_sizes_and_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """A multiplication of 256 x 256 in 1 ms; a copy and a sum of 1 MiB in 1 ms."""
    monkeypatch.setattr(roofline_module, "CPU_COPY_BYTES", 2**20)
    monkeypatch.setattr(roofline_module, "LARGEST_MATRIX", 256)
    monkeypatch.setattr(roofline_module, "_best_seconds", lambda work, device, budget: 1e-3)
    limits = measure_roofline(CPU, torch.float32)
    assert limits == Roofline(2 * 256**3 / 1e-3, 2 * 2**20 / 1e-3, "cpu", "float32")


def test_matrices_grow_until_the_clock_can_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []

    def multiplying(size: int, device: torch.device, dtype: torch.dtype, budget: float) -> float:
        sizes.append(size)
        return size / 1024 * 0.02

    monkeypatch.setattr(roofline_module, "_multiplying", multiplying)
    assert roofline_module._flops_per_second(CPU, torch.float32) == 2 * 1024**3 / 0.02
    assert sizes == [256, 512, 1024, 1024]


def test_the_best_of_several_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 3.0, 10.0, 11.0, 20.0, 22.0])
    monkeypatch.setattr(roofline_module.time, "perf_counter", lambda: next(clock))
    calls: list[int] = []
    assert roofline_module._best_seconds(lambda: calls.append(1), CPU, 5.0) == 1.0
    assert len(calls) == 4  # one warms up


def test_no_memory_left_to_measure_in(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(device: torch.device, dtype: torch.dtype) -> float:
        raise torch.OutOfMemoryError("full")

    monkeypatch.setattr(roofline_module, "_flops_per_second", full)
    with pytest.raises(DecodingError, match="too little memory left on cpu"):
        measure_roofline(CPU, torch.float32)


@pytest.mark.parametrize(
    "words",
    ["[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory", "no kernel"],
)
def test_the_cpu_has_no_error_class_of_its_own(monkeypatch: pytest.MonkeyPatch, words: str) -> None:
    def full(device: torch.device, dtype: torch.dtype) -> float:
        raise RuntimeError(words)

    monkeypatch.setattr(roofline_module, "_flops_per_second", full)
    expected = RuntimeError if words == "no kernel" else DecodingError
    with pytest.raises(expected) as caught:
        measure_roofline(CPU, torch.float32)
    assert type(caught.value) is expected


def test_each_chunk_of_the_prompt_reads_the_weights(
    tiny_lm: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inference, "CPU_PREFILL_CHUNK", 20)
    prefill, _ = roofline_points(tiny_lm, PROMPT)
    cache = len(PROMPT) * tiny_lm.kv_bytes_per_token
    assert prefill.bytes == 3 * tiny_lm.weight_bytes + cache


def test_without_a_cache_an_inference_does_all_that_it_is_fed() -> None:
    lm = LanguageModel(tiny_model("openai-gpt"), byte_tokenizer())
    prefill, decode = roofline_points(lm, PROMPT[:12])
    assert decode.tokens > prefill.tokens == 12
    assert decode.bytes == prefill.bytes == lm.weight_bytes
    assert decode.flops > prefill.flops


def test_points_of_a_model(tiny_lm: LanguageModel) -> None:
    prefill, decode = roofline_points(tiny_lm, PROMPT)
    assert (prefill.phase, prefill.tokens) == ("prefill", len(PROMPT))
    assert (decode.phase, decode.tokens) == ("decode", 1)
    per_token = tiny_lm.kv_bytes_per_token
    assert prefill.bytes == tiny_lm.weight_bytes + len(PROMPT) * per_token
    fed = (decode.bytes - tiny_lm.weight_bytes) / per_token - len(PROMPT)
    assert fed in range(1, roofline_module.DECODE_INFERENCES + 1)
    assert min(prefill.seconds, decode.seconds) > 0
    assert prefill.flops > len(PROMPT) / 2 * decode.flops
    # Each weight but the embedding's is multiplied and added once for a token.
    linear = sum(p.numel() for p in tiny_lm.model.parameters() if p.dim() == 2)
    linear -= tiny_lm.model.get_input_embeddings().weight.numel()
    attention = 3 * 2 * 2 * 4 * 8 * len(PROMPT)
    assert decode.flops == pytest.approx(2 * linear + attention, rel=0.05)


def test_a_stop_while_the_prompt_is_fed(tiny_lm: LanguageModel) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        roofline_points(tiny_lm, PROMPT, stop)


def test_intensity() -> None:
    assert RooflinePoint("decode", 1, 10, 4, 1.0).intensity == 2.5


@pytest.mark.default_model
def test_prefill_and_decode_are_told_apart(default_lm: LanguageModel) -> None:
    ids = default_lm.tokenizer("A long prompt of many words. " * 16)["input_ids"]
    prefill, decode = roofline_points(default_lm, ids)
    assert prefill.intensity > 20 * decode.intensity
    assert decode.intensity < 2  # 2 operations for each weight of 4 bytes, and the cache
    # Every weight takes part in a token: the output layer is the embedding's.
    assert decode.flops == pytest.approx(2 * 134.5e6, rel=0.05)
