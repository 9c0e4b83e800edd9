"""A model without weights has the sizes of the real one, and broken configs are refused."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import FAMILIES, byte_tokenizer, tiny_model
from transformers import LlamaConfig

from decoding import LanguageModel, ModelLoadError, load_model
from decoding.blueprint import blueprint, layers_of_model
from decoding.kv_cache import cache_of, kv_cache_size
from decoding.model_config import MOST_PARTS, read_config

GetLM = Callable[[str], LanguageModel]
LLAMA = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "vocab_size": 260,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
}
BAD_NAMES = '{"model_type": "llama", "architectures": [5]}'
# Its cache is not among a forward's outputs; test_architectures measures it.
FORWARDS = [family for family in FAMILIES if family != "recurrent_gemma"]


def folder_with(folder: Path, config: Any) -> Path:
    text = config if isinstance(config, str) else json.dumps(config)
    (folder / "config.json").write_text(text)
    return folder


@pytest.mark.parametrize("family", FORWARDS)
def test_the_cache_has_the_real_ones_bytes(tiny_lms: GetLM, family: str) -> None:
    lm = tiny_lms(family)
    with torch.no_grad():
        outputs = lm.model(torch.zeros(1, 20, dtype=torch.long), use_cache=True)
    measured = kv_cache_size(cache_of(dict(outputs)), 20)
    foretold = tuple(layer.bytes_at(20) for layer in blueprint(lm.model.config).cache_layers(4))
    assert foretold == measured.layer_bytes


@pytest.mark.parametrize("family", ["llama", "mamba2", "qwen3_next", "gemma3n_text", "deepseek_v3"])
def test_states_that_stay_in_float32_are_counted_as_they_are(family: str) -> None:
    model = tiny_model(family).to(torch.bfloat16)
    with torch.no_grad():
        outputs = model(torch.zeros(1, 20, dtype=torch.long), use_cache=True)
    measured = kv_cache_size(cache_of(dict(outputs)), 20)
    foretold = [layer.bytes_at(20) for layer in blueprint(model.config).cache_layers(2)]
    assert foretold == list(measured.layer_bytes)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_weights_have_the_real_ones_bytes(tiny_lms: GetLM, family: str) -> None:
    lm = tiny_lms(family)
    plan = blueprint(lm.model.config)
    assert plan.weight_bytes(torch.float32) == lm.weight_bytes
    assert plan.parameters == sum(p.numel() for p in lm.model.parameters())


@pytest.mark.parametrize("quantization", [None, "8bit", "4bit"])
@pytest.mark.parametrize("family", ["gpt2", "mixtral", "deepseek_v3", "gemma3n_text"])
def test_the_weights_of_a_model_that_is_loaded_so(
    tmp_path: Path, family: str, quantization: str | None
) -> None:
    """Turned and tied matrices, stacked experts, and buffers that stay in float32."""
    tiny_model(family).save_pretrained(tmp_path)
    byte_tokenizer().save_pretrained(tmp_path)
    plan = blueprint(read_config(tmp_path))
    lm = load_model(tmp_path, device="cpu", dtype="bfloat16", quantization=quantization)
    assert plan.weight_bytes(lm.dtype, quantization) == lm.weight_bytes


@pytest.mark.default_model
def test_the_default_models_weights_in_each_format(default_lm: LanguageModel) -> None:
    plan = blueprint(default_lm.model.config)
    assert plan.weight_bytes(torch.float32) == default_lm.weight_bytes
    for dtype, quantization in (("bfloat16", None), ("float32", "8bit"), ("float32", "4bit")):
        lm = load_model(device="cpu", dtype=dtype, quantization=quantization)
        assert plan.weight_bytes(lm.dtype, quantization) == lm.weight_bytes


def test_packed_weights_by_hand() -> None:
    """One layer: 4 attention matrices, 3 of the feed-forward; the rest stays in bfloat16."""
    plan = blueprint(LlamaConfig(**{**LLAMA, "num_hidden_layers": 1}))
    matrices = [(32, 32), (16, 32), (16, 32), (32, 32), (48, 32), (48, 32), (32, 48)]
    kept = 2 * (2 * 260 * 32 + 3 * 32) + 2 * 4 * 4  # embeddings, output, norms; rotary in float32
    eight = sum(rows * columns + 4 * rows for rows, columns in matrices)
    four = sum(rows * columns // 2 + 4 * rows * columns // 64 + 64 for rows, columns in matrices)
    assert plan.weight_bytes(torch.bfloat16, "8bit") == kept + eight
    assert plan.weight_bytes(torch.bfloat16, "4bit") == kept + four


def test_the_facts_of_a_config() -> None:
    plan = blueprint(LlamaConfig(**LLAMA))
    assert plan.architecture == "LlamaForCausalLM"
    assert (plan.layers, plan.attention_heads, plan.hidden_size) == (3, 4, 32)
    assert (plan.vocab_size, plan.context_length, plan.packed_as) == (260, 256, None)


def test_operations_by_hand() -> None:
    """Twice the weights of each matrix for each token, and twice two products with the cache."""
    plan = blueprint(LlamaConfig(**LLAMA))
    layer = 32 * 32 * 2 + 32 * 16 * 2 + 3 * 32 * 48
    matrices = 3 * layer + 260 * 32
    for new, cached in ((7, 0), (1, 20), (5, 11)):
        attention = 3 * 2 * (new * (new + cached) * 32)
        assert plan.flops(new, cached) == 2 * (new * matrices + attention)


def test_only_the_experts_that_are_asked_count(tiny_lms: GetLM) -> None:
    plan = blueprint(tiny_lms("mixtral").model.config)
    dense = blueprint(LlamaConfig(**LLAMA))
    one_expert = 3 * 2 * 3 * 32 * 48
    router = 3 * 2 * 32 * 4
    assert plan.flops(1, 8) - dense.flops(1, 8) == one_expert + router


def test_a_model_that_is_packed_already_says_so() -> None:
    config = LlamaConfig(**LLAMA, quantization_config={"quant_method": "gptq", "bits": 4})
    assert blueprint(config).packed_as == "gptq"


def test_the_real_models_config_is_left_alone(tiny_lm: LanguageModel) -> None:
    before = tiny_lm.model.config.to_dict()
    blueprint(tiny_lm.model.config, type(tiny_lm.model)).cache_layers(2)
    assert tiny_lm.model.config.to_dict() == before


def test_a_model_that_no_config_describes_has_no_layers(tiny_lm: LanguageModel) -> None:
    class Odd(torch.nn.Module):
        config = tiny_lm.model.config
        dtype = torch.float32

    assert layers_of_model(Odd()) == ()


@pytest.mark.parametrize(
    "broken",
    [
        {"num_hidden_layers": 10**9},
        {"num_hidden_layers": MOST_PARTS + 1},
        {"num_hidden_layers": -1},
        {"num_hidden_layers": "many"},
        {"num_hidden_layers": 10**400},
        {"hidden_size": 10**18},
        {"hidden_size": 0},
        {"hidden_size": "wide"},
        {"vocab_size": 10**30},
        {"vocab_size": -5},
        {"num_attention_heads": 0},
        {"num_attention_heads": 7},
        {"num_key_value_heads": 3},
        {"head_dim": -1},
        {"head_dim": 10**30},
        {"max_position_embeddings": "long"},
        {"layer_types": ["full_attention"] * 10_000},
        {"rope_parameters": {"rope_type": "no such type"}},
        {"hidden_act": "no such function"},
        {"dtype": "no such type"},
        {"model_type": "mixtral", "num_local_experts": 10**9},
        {"model_type": "gpt_neo", "attention_types": [[["global"], 10**9]]},
        {"model_type": "gemma3", "text_config": {"num_hidden_layers": 10**9}},
    ],
    ids=str,
)
def test_a_broken_config_gives_one_sentence_soon(tmp_path: Path, broken: dict[str, Any]) -> None:
    started = time.perf_counter()
    folder = folder_with(tmp_path, {**LLAMA, "architectures": None, **broken})
    with pytest.raises(ModelLoadError) as error:
        blueprint(read_config(folder)).cache_layers(4)
    assert len(str(error.value)) < 700
    assert "\n" not in str(error.value)
    assert time.perf_counter() - started < 20


@pytest.mark.parametrize(
    "text", ["", "[]", "{", "\x00\x01", '{"model_type": []}', "[" * 100_000, BAD_NAMES]
)
def test_a_config_that_is_no_json_object(tmp_path: Path, text: str) -> None:
    with pytest.raises(ModelLoadError):
        read_config(folder_with(tmp_path, text))


def test_a_folder_without_a_config(tmp_path: Path) -> None:
    with pytest.raises(ModelLoadError, match=r"has no config\.json"):
        read_config(tmp_path)


def test_a_config_is_read_from_a_folder_without_weights(tmp_path: Path) -> None:
    config = read_config(folder_with(tmp_path, LLAMA))
    assert (config.model_type, config.name_or_path) == ("llama", tmp_path.name)


def test_a_config_that_transformers_saved_with_infinity_in_it(tmp_path: Path) -> None:
    tiny_model("nemotron_h").config.save_pretrained(tmp_path)
    assert "Infinity" in (tmp_path / "config.json").read_text()
    assert read_config(tmp_path).time_step_limit[1] == float("inf")


def test_a_broken_gguf_file(tmp_path: Path) -> None:
    file = tmp_path / "broken.gguf"
    file.write_bytes(b"GGUF" + b"\xff" * 400)
    with pytest.raises(ModelLoadError, match=r"The config of broken\.gguf is broken"):
        read_config(file)
