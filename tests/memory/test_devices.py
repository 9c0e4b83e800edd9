"""Which part of a model lies where, spread and offloaded models included."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from accelerate import cpu_offload, disk_offload, dispatch_model
from tiny import byte_tokenizer, tiny_model
from torch import nn

from decoding import LanguageModel, decode, forecast_memory, load_model
from decoding.core.description import model_facts
from decoding.memory import devices as room
from decoding.memory.devices import computing_devices, device_shares, input_device, weight_bytes
from decoding.records.model_facts import DeviceShare
from decoding.records.step import MemoryInUse


def test_all_of_a_small_model_lies_on_its_device(tiny_lm: LanguageModel) -> None:
    assert device_shares(tiny_lm.model) == (DeviceShare("cpu", (0, 1, 2), tiny_lm.weight_bytes),)


def test_layers_on_the_disk_are_told_from_those_in_memory(tmp_path: Path) -> None:
    model = tiny_model("llama", tie_word_embeddings=False)
    whole = weight_bytes(model)
    layers = {f"model.layers.{i}": "disk" if i else "cpu" for i in range(3)}
    device_map = {"model.embed_tokens": "cpu", "model.norm": "cpu", "lm_head": "cpu"}
    device_map |= {"model.rotary_emb": "cpu", **layers}
    dispatch_model(model, device_map, main_device="cpu", offload_dir=tmp_path, force_hooks=True)
    here, away = device_shares(model)
    assert (here.device, here.layers) == ("cpu", (0,))
    assert (away.device, away.layers) == ("disk", (1, 2))
    one_layer = sum(p.nbytes for p in tiny_model("llama").model.layers[0].parameters())
    assert away.weight_bytes == 2 * one_layer
    assert here.weight_bytes + away.weight_bytes == whole


def test_the_layers_of_what_sees_are_no_decoder_layers() -> None:
    model = nn.ModuleDict(
        {
            "vision_tower": nn.ModuleDict({"layers": nn.ModuleList([nn.Linear(2, 2)] * 5)}),
            "visual": nn.ModuleDict({"blocks": nn.ModuleList([nn.Linear(2, 2)] * 6)}),
            "language_model": nn.ModuleDict({"layers": nn.ModuleList([nn.Linear(2, 2)])}),
        }
    )
    (share,) = device_shares(model)
    assert share.layers == (0,)


@pytest.mark.parametrize("offload", ["cpu", "disk"])
def test_an_offloaded_model_decodes_as_before(tmp_path: Path, offload: str) -> None:
    expected = LanguageModel(tiny_model("llama"), byte_tokenizer())
    model = tiny_model("llama")
    if offload == "cpu":
        cpu_offload(model, execution_device=torch.device("cpu"))
    else:
        disk_offload(model, tmp_path, execution_device=torch.device("cpu"))
    assert input_device(model) == torch.device("cpu")
    lm = LanguageModel(model, byte_tokenizer())
    wanted = {"max_new_tokens": 5, "do_sample": False}
    assert [s.token_id for s in decode(lm, "Hi", **wanted)] == [
        s.token_id for s in decode(expected, "Hi", **wanted)
    ]
    assert lm.weight_bytes == expected.weight_bytes


def test_a_spread_model_computes_on_all_accelerators(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["cuda:0", "cuda:1", "cpu", "disk", "cuda:1"]
    stored = [(f"part.{i}", name, 1) for i, name in enumerate(names)]
    monkeypatch.setattr(room, "_stored", lambda _model: iter(stored))
    monkeypatch.setattr(room, "input_device", lambda _model: torch.device("cuda", 0))
    assert list(map(str, computing_devices(nn.Module()))) == ["cuda:0", "cuda:1"]


def test_what_is_told_of_a_spread_model_is_of_all_its_devices(
    tiny_lm: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = (torch.device("cuda", 0), torch.device("cuda", 1))
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda d: 300)
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda d: 500)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda d: (1000, 4000))
    monkeypatch.setattr(tiny_lm, "computing_devices", both)
    facts, forecast = model_facts(tiny_lm), forecast_memory(tiny_lm)
    assert (facts.free_bytes, facts.total_bytes) == (2400, 8000)
    assert (forecast.free_bytes, forecast.total_bytes) == (2400, 8000)
    assert forecast.device == "2 GPUs"
    step = next(decode(tiny_lm, "Hi", max_new_tokens=1))
    assert step.memory == MemoryInUse("cuda", 600, 1000)


def test_a_model_s_facts_are_complete(tiny_lm: LanguageModel) -> None:
    facts = model_facts(tiny_lm)
    assert facts.architecture == "LlamaForCausalLM"
    assert (facts.layers, facts.attention_heads, facts.hidden_size) == (3, 4, 32)
    assert facts.parameters == sum(p.numel() for p in tiny_lm.model.parameters())
    assert len(facts.cache_layers) == 3
    assert facts.kv_note is None
    assert facts.memory_kind == "process"
    assert facts.free_bytes is not None
    assert facts.total_bytes is not None
    assert 0 < facts.free_bytes <= facts.total_bytes


@pytest.mark.default_model
def test_packed_weights_count_as_the_parameters_they_stand_for(default_lm: LanguageModel) -> None:
    expected = model_facts(default_lm).parameters
    assert expected == 134_515_008
    facts = model_facts(load_model(device="cpu", quantization="4bit"))
    assert facts.parameters == expected
    assert [share.device for share in facts.placement] == ["cpu"]
    assert facts.placement[0].weight_bytes == facts.weight_bytes
    assert facts.placement[0].layers == tuple(range(30))
