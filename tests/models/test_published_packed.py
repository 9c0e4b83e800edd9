"""Checkpoints published packed: read as plain transformers reads them, or refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny import byte_tokenizer, tiny_model
from transformers import AutoModelForCausalLM, BitsAndBytesConfig

from decoding import ModelLoadError, load_model
from decoding.core.description import model_facts
from decoding.models.config import read_config
from decoding.models.fit import size_of
from decoding.models.weights import _check_taken

SCALE, BLOCK = 0.01, 64
SHAPE = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2}
REFUSED: dict[str, dict[str, Any]] = {
    "GPTQ": {"quant_method": "gptq", "bits": 4, "group_size": 32, "desc_act": False},
    "AWQ": {"quant_method": "awq", "bits": 4, "group_size": 32, "version": "gemm"},
    "compressed-tensors": {"quant_method": "compressed-tensors", "config_groups": {}},
    "torchao": {"quant_method": "torchao"},
}


def plain_logits(folder: Path) -> torch.Tensor:
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.no_grad():
        logits: torch.Tensor = model(torch.arange(10)[None]).logits
    return logits


def logits_of(lm: Any) -> torch.Tensor:
    with torch.no_grad():
        logits: torch.Tensor = lm.model(torch.arange(10)[None]).logits
    return logits


def saved(folder: Path, packing: dict[str, Any] | None = None) -> Path:
    tiny_model("llama", **SHAPE).save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    if packing is not None:
        config = json.loads((folder / "config.json").read_text())
        config["quantization_config"] = packing
        (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture
def fp8(tmp_path: Path) -> Path:
    """A block-wise FP8 checkpoint: a scale for each block of each matrix."""
    packing = {"quant_method": "fp8", "weight_block_size": [BLOCK, BLOCK]}
    folder = saved(tmp_path / "fp8", {**packing, "activation_scheme": "dynamic"})
    weights = {}
    for name, tensor in load_file(folder / "model.safetensors").items():
        weights[name] = tensor
        if name.endswith("proj.weight"):
            weights[name] = (tensor / SCALE).to(torch.float8_e4m3fn)
            blocks = [-(-size // BLOCK) for size in tensor.shape]
            weights[f"{name}_scale_inv"] = torch.full(blocks, SCALE)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def test_block_wise_fp8_is_read_with_its_scales(fp8: Path) -> None:
    lm = load_model(fp8, device="cpu")
    assert torch.equal(logits_of(lm), plain_logits(fp8))
    facts = model_facts(lm)
    assert (facts.published, facts.quantization, facts.dtype) == ("FP8", None, "float32")
    # On a CPU it takes what its shapes take.
    config, cpu = read_config(fp8), torch.device("cpu")
    assert size_of(config, 1, cpu)(torch.float32, None) == pytest.approx(lm.weight_bytes, rel=0.01)
    assert size_of(config, 1, torch.device("cuda"))(torch.float32, None) == 1


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.filterwarnings("ignore:MatMul8bitLt")
def test_bitsandbytes_stays_packed(tmp_path: Path, bits: int) -> None:
    source = saved(tmp_path / "source")
    packing = (
        BitsAndBytesConfig(load_in_8bit=True)
        if bits == 8
        else BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4")
    )
    packed = AutoModelForCausalLM.from_pretrained(
        source, quantization_config=packing, device_map={"": "cpu"}, dtype=torch.float32
    )
    packed.save_pretrained(tmp_path / "packed")
    byte_tokenizer().save_pretrained(tmp_path / "packed")
    lm = load_model(tmp_path / "packed", device="cpu")
    assert torch.equal(logits_of(lm), plain_logits(tmp_path / "packed"))
    assert (lm.quantization, lm.published) == (f"{bits}bit", "bitsandbytes")
    assert model_facts(lm).published == "bitsandbytes"


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_here_is_refused_by_name(tmp_path: Path, name: str) -> None:
    folder = saved(tmp_path / "packed", REFUSED[name])
    with pytest.raises(ModelLoadError, match=rf"packed is published packed in {name}, which can"):
        load_model(folder, device="cpu")


@pytest.mark.parametrize("method", ["nonsense", 7, None])
def test_an_unknown_format_is_refused(tmp_path: Path, method: object) -> None:
    folder = saved(tmp_path / "packed", {"quant_method": method})
    with pytest.raises(ModelLoadError, match=r"a format that transformers .* does not know"):
        load_model(folder, device="cpu")


def test_another_quantization_on_top_is_refused(fp8: Path) -> None:
    with pytest.raises(ModelLoadError, match="packed in FP8 already: load it without quant"):
        load_model(fp8, device="cpu", quantization="8bit")


def test_scales_that_nobody_takes_are_an_error(fp8: Path) -> None:
    config = json.loads((fp8 / "config.json").read_text())
    del config["quantization_config"]
    (fp8 / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelLoadError, match=r"14 tensors that belong .*_proj.weight_scale_inv is"):
        load_model(fp8, device="cpu")


def test_parts_of_a_larger_model_are_told() -> None:
    model = tiny_model("llama")
    with pytest.warns(UserWarning, match=r"2 tensors of it are no part .*: audio.x, vision.a.b"):
        _check_taken("it", ["vision.a.b", "audio.x"], model)
    with pytest.raises(ModelLoadError, match="1 tensors"):
        _check_taken("it", ["model.layers.0.self_attn.q_proj.qzeros"], model)
