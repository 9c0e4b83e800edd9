"""Weights that are packed as they are read: matrices of any shape are multiplied."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from bitsandbytes.functional import dequantize_4bit
from bitsandbytes.nn import Linear4bit
from tiny import byte_tokenizer, tiny_model

from decoding import decode, load_model

NARROW = {"hidden_size": 48, "intermediate_size": 100, "num_attention_heads": 3}


@pytest.fixture
def narrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model none of whose matrices is a whole number of bitsandbytes' blocks."""
    # As on a processor with bfloat16 instructions, whichever the tests run on.
    monkeypatch.setattr("bitsandbytes.nn.modules.has_avx512bf16", lambda: True)
    model = tiny_model("llama", **NARROW, num_key_value_heads=1)
    model.save_pretrained(tmp_path)
    byte_tokenizer().save_pretrained(tmp_path)
    return tmp_path


def test_4bit_weights_narrower_than_a_block_compute_what_they_say(narrow: Path) -> None:
    packed = load_model(narrow, device="cpu", quantization="4bit").model
    plain = load_model(narrow, device="cpu").model
    layers = {n: m for n, m in packed.named_modules() if isinstance(m, Linear4bit)}
    assert layers
    ids = torch.arange(10)[None]
    with torch.no_grad():
        for name, layer in layers.items():
            unpacked = dequantize_4bit(layer.weight.data, layer.weight.quant_state)
            plain.get_submodule(name).weight.copy_(unpacked)
        assert torch.allclose(packed(ids).logits, plain(ids).logits, atol=1e-5)


@pytest.mark.filterwarnings("ignore:MatMul8bitLt")
@pytest.mark.parametrize("quantization", ["4bit", "8bit"])
def test_narrow_models_decode_packed(narrow: Path, quantization: str) -> None:
    lm = load_model(narrow, device="cpu", quantization=quantization)
    assert len(list(decode(lm, "narrow", max_new_tokens=3, eos_token_id=None))) == 3
