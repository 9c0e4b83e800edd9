"""What is fed in each inference, and that every kind of cache decodes as `generate` does."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest
import torch
from tiny import byte_tokenizer, tiny_model

from decoding import GenerationConfigError, LanguageModel, decode
from decoding.core.cache_kinds import cache_settings
from decoding.core.generation import prepare_generation
from decoding.core.inference import CPU_PREFILL_CHUNK
from decoding.memory.kv_cache import cache_of
from decoding.records.choices import CACHE_KINDS

LONG = list(b"a prompt that is fed in more than one piece " * 4)
FEW_BITS = ("quantized_4bit", "quantized_2bit")
HERE = [
    kind
    for kind in CACHE_KINDS
    if (kind != "offloaded" or torch.accelerator.is_available())
    and (kind not in FEW_BITS or importlib.util.find_spec("hqq"))
]


@pytest.mark.parametrize("kind", HERE)
def test_every_kind_of_cache_decodes_as_generate_does(tiny_lm: LanguageModel, kind: str) -> None:
    assert len(LONG) > CPU_PREFILL_CHUNK
    settings: dict[str, Any] = {
        "max_new_tokens": 24,
        "do_sample": True,
        "suppress_tokens": [256],
        **cache_settings(kind, tiny_lm),
    }
    x = torch.tensor([LONG])
    torch.manual_seed(3)
    expected = tiny_lm.model.generate(x, attention_mask=torch.ones_like(x), **settings)
    steps = list(decode(tiny_lm, LONG, seed=3, **settings))
    assert [s.token_id for s in steps] == expected[0, len(LONG) :].tolist()
    if kind == "none":
        assert {s.kv_cache for s in steps} == {None}
    else:
        sizes = [s.kv_cache for s in steps if s.kv_cache]
        assert [size.tokens for size in sizes] == list(range(len(LONG), len(LONG) + 24))


def test_bytes_of_a_quantized_cache_are_those_of_its_tensors(tiny_lm: LanguageModel) -> None:
    settings = {"max_new_tokens": 6, "suppress_tokens": [256]}
    plain = list(decode(tiny_lm, LONG, **settings))
    small = list(decode(tiny_lm, LONG, **settings, **cache_settings("quantized", tiny_lm)))
    for one, other in zip(plain, small, strict=True):
        assert one.kv_cache is not None
        assert other.kv_cache is not None
        assert other.kv_cache.bytes * 4 == one.kv_cache.bytes  # float8 for float32
        assert sum(other.kv_cache.layer_bytes) == other.kv_cache.bytes


def test_settings_of_each_kind(tiny_lm: LanguageModel) -> None:
    assert cache_settings("none", tiny_lm) == {"use_cache": False}
    assert cache_settings("dynamic", tiny_lm) == {}
    assert cache_settings("static", tiny_lm) == {"cache_implementation": "static"}
    with pytest.raises(GenerationConfigError, match="choose among"):
        cache_settings("large", tiny_lm)


def test_dynamic_overrides_the_models_own_choice() -> None:
    lm = LanguageModel(tiny_model("llama"), byte_tokenizer())
    lm.model.generation_config.cache_implementation = "static"
    assert cache_settings("dynamic", lm) == {"cache_implementation": "dynamic"}
    generation = prepare_generation(lm, LONG, None, True, cache_settings("dynamic", lm))
    assert type(cache_of(generation.model_kwargs)).__name__ == "DynamicCache"


def test_few_bits_need_their_package(
    tiny_lm: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("decoding.core.cache_kinds.find_spec", lambda name: None)
    with pytest.raises(GenerationConfigError, match=r"4-bit .*pip install hqq"):
        cache_settings("quantized_4bit", tiny_lm)


@pytest.mark.parametrize(
    ("bits", "head_dim", "axis", "group"), [(4, 8, 1, 4), (4, 80, 1, 8), (2, 64, 0, 64)]
)
def test_groups_divide_a_head(
    bits: int, head_dim: int, axis: int, group: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("decoding.core.cache_kinds.find_spec", lambda name: object())
    lm = LanguageModel(tiny_model("llama", head_dim=head_dim), byte_tokenizer())
    settings = cache_settings(f"quantized_{bits}bit", lm)
    assert settings["cache_implementation"] == "quantized"
    assert settings["cache_config"] == {
        "backend": "hqq",
        "nbits": bits,
        "axis_key": axis,
        "axis_value": axis,
        "q_group_size": group,
    }


def test_heads_that_fill_no_whole_bytes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("decoding.core.cache_kinds.find_spec", lambda name: object())
    lm = LanguageModel(tiny_model("llama", head_dim=10), byte_tokenizer(), name="odd")
    assert cache_settings("quantized_4bit", lm)["cache_config"]["q_group_size"] == 1
    with pytest.raises(GenerationConfigError, match=r"heads of odd have 10 numbers.*2 bits"):
        cache_settings("quantized_2bit", lm)


def test_few_bits_only_where_every_position_is_kept(
    tiny_lms: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("decoding.core.cache_kinds.find_spec", lambda name: object())
    with pytest.raises(GenerationConfigError, match="every position"):
        cache_settings("quantized_2bit", tiny_lms("mamba"))


def test_a_cache_that_would_be_ignored_is_refused(tiny_lms: Any) -> None:
    with pytest.raises(GenerationConfigError, match="would change nothing"):
        decode(tiny_lms("minimax"), LONG, cache_implementation="static")


def test_a_kind_of_cache_needs_the_cache(tiny_lm: LanguageModel) -> None:
    with pytest.raises(GenerationConfigError, match="use_cache=True"):
        decode(tiny_lm, LONG, use_cache=False, cache_implementation="static")
