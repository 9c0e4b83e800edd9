"""What weights take is what a loaded model holds, packed or not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from families import FAMILIES
from tiny import byte_tokenizer, tiny_model
from transformers import LlamaConfig

from decoding import LanguageModel, load_model
from decoding.memory.blueprint import blueprint
from decoding.models.config import read_config

GetLM = Callable[[str], LanguageModel]
LLAMA = FAMILIES["llama"]


@pytest.mark.parametrize("family", FAMILIES)
def test_the_weights_have_the_real_ones_bytes(tiny_lms: GetLM, family: str) -> None:
    lm = tiny_lms(family)
    plan = blueprint(lm.model.config)
    assert plan.expected_weight_bytes(torch.float32) == lm.weight_bytes
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
    assert plan.expected_weight_bytes(lm.dtype, quantization) == lm.weight_bytes


@pytest.mark.default_model
def test_the_default_models_weights_in_each_format(default_lm: LanguageModel) -> None:
    plan = blueprint(default_lm.model.config)
    assert plan.expected_weight_bytes(torch.float32) == default_lm.weight_bytes
    for dtype, quantization in (("bfloat16", None), ("float32", "8bit"), ("float32", "4bit")):
        lm = load_model(device="cpu", dtype=dtype, quantization=quantization)
        assert plan.expected_weight_bytes(lm.dtype, quantization) == lm.weight_bytes


def test_packed_weights_by_hand() -> None:
    """One layer: 4 attention matrices, 3 of the feed-forward; the rest stays in bfloat16."""
    plan = blueprint(LlamaConfig(**{**LLAMA, "num_hidden_layers": 1}))
    matrices = [(32, 32), (16, 32), (16, 32), (32, 32), (48, 32), (48, 32), (32, 48)]
    kept = 2 * (2 * 260 * 32 + 3 * 32) + 2 * 4 * 4  # embeddings, output, norms; rotary in float32
    eight = sum(rows * columns + 4 * rows for rows, columns in matrices)
    four = sum(rows * columns // 2 + 4 * rows * columns // 64 + 64 for rows, columns in matrices)
    assert plan.expected_weight_bytes(torch.bfloat16, "8bit") == kept + eight
    assert plan.expected_weight_bytes(torch.bfloat16, "4bit") == kept + four
