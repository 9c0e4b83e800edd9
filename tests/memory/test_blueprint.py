"""A model without weights has the cache, the weights and the operations of the real one."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from families import FAMILIES
from tiny import tiny_model
from transformers import AutoConfig, LlamaConfig

from decoding import LanguageModel
from decoding.memory.blueprint import blueprint, layers_of_model
from decoding.memory.cache_layers import config_value
from decoding.memory.kv_cache import cache_of, kv_cache_size

GetLM = Callable[[str], LanguageModel]
LLAMA = FAMILIES["llama"]
# Its cache is not among a forward's outputs; test_architectures measures it.
FORWARDS = [family for family in FAMILIES if family != "recurrent_gemma"]


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


def test_the_facts_of_a_config() -> None:
    plan = blueprint(LlamaConfig(**LLAMA))
    assert plan.architecture == "LlamaForCausalLM"
    assert (plan.layers, plan.attention_heads, plan.hidden_size) == (3, 4, 32)
    assert (plan.vocab_size, plan.context_length, plan.packed_as) == (260, 256, None)


def test_operations_by_hand() -> None:
    """Twice the weights of each matrix for each token, and twice two products with the cache.

    The output layer reads the last token alone, as in a run.
    """
    plan = blueprint(LlamaConfig(**LLAMA))
    layer = 32 * 32 * 2 + 32 * 16 * 2 + 3 * 32 * 48
    for new, cached in ((7, 0), (1, 20), (5, 11)):
        attention = 3 * 2 * (new * (new + cached) * 32)
        assert plan.flops(new, cached) == 2 * (new * 3 * layer + 260 * 32 + attention)


def test_only_the_experts_that_are_asked_count(tiny_lms: GetLM) -> None:
    plan = blueprint(tiny_lms("mixtral").model.config)
    dense = blueprint(LlamaConfig(**LLAMA))
    one_expert = 3 * 2 * 3 * 32 * 48
    router = 3 * 2 * 32 * 4
    assert plan.flops(1, 8) - dense.flops(1, 8) == one_expert + router


def test_of_a_model_that_also_sees_the_part_that_reads_counts_for_the_cache() -> None:
    text = {**FAMILIES["gemma4_text"], "pad_token_id": 0}
    plan = blueprint(AutoConfig.for_model("gemma4", text_config=text))
    assert plan.architecture == "Gemma4ForConditionalGeneration"
    kinds = [layer.kind for layer in plan.cache_layers(4)]
    assert kinds == ["sliding", "full", "sliding", "full", "shared", "shared"]
    assert plan.flops(4, 0) == blueprint(plan.config.text_config).flops(4, 0)


def test_a_config_that_needs_its_padding_token_keeps_it() -> None:
    shape = {"vocab_size": 260, "hidden_size": 32, "intermediate_size": 48}
    counts = {"num_hidden_layers": 3, "num_attention_heads": 4, "local_attention": 8}
    tokens = dict.fromkeys(("pad_token_id", "eos_token_id", "bos_token_id"), 256)
    tokens |= dict.fromkeys(("cls_token_id", "sep_token_id"), 256)
    config = AutoConfig.for_model("modernbert-decoder", **shape, **counts, **tokens)
    assert len(blueprint(config).cache_layers(4)) == 3


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


def test_values_for_each_layer_are_no_number() -> None:
    class Ambiguous:
        @property
        def n_positions(self) -> int:
            raise RuntimeError("one for each layer")

    assert config_value(Ambiguous(), "n_positions") is None
    assert config_value(Ambiguous(), "no such name") is None


def test_a_threshold_from_values_and_a_table_of_experts() -> None:
    sparse = {**FAMILIES["gemma3n_text"], "activation_sparsity_pattern": [0.95] * 6}
    assert len(blueprint(AutoConfig.for_model("gemma3n_text", **sparse)).cache_layers(4)) == 6
    doge = AutoConfig.for_model("doge", num_hidden_layers=2)
    assert doge.num_experts == 16_384
    assert len(blueprint(doge).cache_layers(4)) == 2
