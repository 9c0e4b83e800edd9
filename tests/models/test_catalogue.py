"""The catalogue's facts: order, ids, both languages, and sizes that follow from the shapes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
from transformers.pytorch_utils import Conv1D

from decoding.models.catalogue import CatalogueEntry, catalogue
from decoding.models.default_model import DEFAULT_MODEL_NAME

SHAPES = json.loads((Path(__file__).parents[1] / "data" / "catalogue_shapes.json").read_text())
DEFAULT_ON_THE_HUB = "HuggingFaceTB/SmolLM2-135M-Instruct"
ENTRIES = catalogue()


def test_the_default_model_comes_first_and_the_others_grow() -> None:
    assert (ENTRIES[0].id, ENTRIES[0].name) == ("", DEFAULT_MODEL_NAME)
    sizes = [entry.parameters for entry in ENTRIES[1:]]
    assert sizes == sorted(sizes)
    assert 15 <= len(ENTRIES) <= 25
    assert len({entry.id for entry in ENTRIES}) == len({entry.name for entry in ENTRIES})


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_an_entry_says_all_there_is_to_say(entry: CatalogueEntry) -> None:
    assert entry is ENTRIES[0] or re.fullmatch(r"[\w.-]+/[\w.-]+", entry.id)
    assert entry.licence
    assert isinstance(entry.gated, bool)
    assert entry.good_for.keys() == {"en", "zh-TW"}
    assert re.search(r"[\u4e00-\u9fff]", entry.good_for["zh-TW"])
    assert entry.good_for["en"].endswith(".")
    assert entry.context_length is None or entry.context_length >= 1024


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_bytes_follow_from_the_parameters(entry: CatalogueEntry) -> None:
    packed = entry.parameters - entry.unpacked_parameters
    assert entry.bytes == {
        "float32": 4 * entry.parameters,
        "bfloat16": 2 * entry.parameters,
        "8bit": packed + 2 * entry.unpacked_parameters,
        "4bit": packed // 2 + packed // 16 + 2 * entry.unpacked_parameters,
    }


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_parameters_are_those_of_a_model_of_that_shape(entry: CatalogueEntry) -> None:
    shape = dict(SHAPES[entry.id or DEFAULT_ON_THE_HUB])
    model_type = shape.pop("model_type")
    assert model_type in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(model_type, **shape))
    output = model.get_output_embeddings()
    packed = sum(
        module.weight.numel()
        for module in model.modules()
        if isinstance(module, torch.nn.Linear | Conv1D) and module is not output
    )
    assert entry.parameters == sum(parameter.numel() for parameter in model.parameters())
    assert entry.unpacked_parameters == entry.parameters - packed


def test_gemma_is_among_them() -> None:
    ids = {entry.id for entry in ENTRIES}
    assert {"google/gemma-2b-it", "google/gemma-3-1b-it", "google/gemma-3-4b-it"} <= ids
    gemma = next(entry for entry in ENTRIES if entry.id == "google/gemma-2b-it")
    assert gemma.gated
