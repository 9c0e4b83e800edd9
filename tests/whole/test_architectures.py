"""What holds for each architecture: bytes, formula, ids, forecast; and that the table says so."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from architectures import ALL, BEGIN, END, HEAD, STANDS_FOR, measure, sizes_and_tensors
from families import FAMILIES, PECULIAR
from generated import PROMPT, TWO_SETTINGS, decode_ids, generate_ids
from readmes import room
from tiny import byte_tokenizer, tiny_model
from transformers import AutoConfig, AutoModelForCausalLM

from decoding import LanguageModel, decode
from decoding.core import inference

pytestmark = [pytest.mark.slow, pytest.mark.no_cover]

GetLM = Callable[[str], LanguageModel]
TABLE = room("memory").split(BEGIN)[1].split(END)[0].strip().splitlines()
# Layers, heads of keys and values, and head size, as the tiny configs have them.
FORMULAS = {
    **dict.fromkeys(("llama", "qwen2", "qwen3", "phi3", "starcoder2", "olmo2"), (3, 2, 8)),
    **dict.fromkeys(("granite", "stablelm", "nemotron"), (3, 2, 8)),
    **dict.fromkeys(("mixtral", "qwen3_moe", "olmoe"), (3, 2, 8)),
    **dict.fromkeys(("gpt2", "gpt_neox", "gptj", "opt", "bloom", "mpt"), (3, 4, 8)),
    **dict.fromkeys(("phi", "persimmon"), (3, 4, 8)),
    **dict.fromkeys(("gpt_bigcode", "falcon"), (3, 1, 8)),
    "gpt_neo": (2, 4, 8),
    "gemma": (3, 2, 16),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_bytes_are_the_sum_over_the_tensors(tiny_lms: GetLM, family: str) -> None:
    lm = tiny_lms(family)
    prompt_tokens = len(lm.tokenizer(PROMPT)["input_ids"])
    measured = sizes_and_tensors(lm)
    assert [list(size.layer_bytes) for size, _ in measured] == [held for _, held in measured]
    assert [size.bytes for size, _ in measured] == [sum(held) for _, held in measured]
    assert [size.tokens for size, _ in measured] == list(range(prompt_tokens, prompt_tokens + 12))
    assert all(size.bytes > 0 for size, _ in measured)


@pytest.mark.parametrize("family", FAMILIES)
def test_bytes_are_the_formulas_where_it_applies(tiny_lms: GetLM, family: str) -> None:
    lm = tiny_lms(family)
    formula = lm.kv_cache_formula
    if family not in FORMULAS:
        assert formula is None
        assert lm.kv_note is not None
        return
    assert formula is not None
    assert (formula.layers, formula.kv_heads, formula.head_dim) == FORMULAS[family]
    for size, _ in sizes_and_tensors(lm):
        assert size.bytes == size.tokens * formula.bytes_per_token


@pytest.mark.parametrize("family", ALL)
def test_what_the_readme_says_of_an_architecture_is_measured(family: str) -> None:
    row = measure(family)
    assert str(row) in TABLE
    assert row.ids.startswith("equal")
    assert row.bytes in ("equal", "no cache")
    if row.measured_bytes is not None:
        assert row.forecast_bytes == pytest.approx(row.measured_bytes, rel=0.02)
    if family in FAMILIES:
        assert (row.ids, row.bytes) == ("equal", "equal")


def test_the_table_names_every_architecture_and_no_other() -> None:
    assert TABLE[:2] == HEAD.splitlines()
    named = [line.split("|")[1].strip() for line in TABLE[2:]]
    assert named == list(ALL) == list(STANDS_FOR)
    assert len(named) >= 25


def test_a_model_without_a_cache_is_fed_everything_each_time() -> None:
    lm = LanguageModel(tiny_model("openai-gpt"), byte_tokenizer())
    steps = list(decode(lm, PROMPT, max_new_tokens=4, suppress_tokens=[256]))
    prompt_tokens = steps[0].input_tokens
    assert [step.input_tokens for step in steps] == list(range(prompt_tokens, prompt_tokens + 4))
    assert all(step.kv_cache is None for step in steps)


@pytest.mark.parametrize("family", PECULIAR)
def test_a_prompt_goes_in_whole_where_a_part_would_read_otherwise(
    family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inference, "CPU_PREFILL_CHUNK", 7)
    lm = LanguageModel(tiny_model(family), byte_tokenizer())
    ids = lm.tokenizer(PROMPT)["input_ids"]
    chunks: list[int] = []
    settings = {"max_new_tokens": 8, "do_sample": True, "suppress_tokens": [256]}
    got = decode_ids(lm, ids, on_prefill=lambda done, total: chunks.append(done), **settings)
    assert chunks == [len(ids)]
    assert got == generate_ids(lm, ids, **settings)


@pytest.mark.parametrize("family", ["gemma3", "gemma4"])
def test_a_model_that_also_sees_keeps_the_promise(family: str) -> None:
    text = {**FAMILIES[f"{family}_text"], "pad_token_id": 256, "eos_token_id": 256}
    eyes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2}
    eyes |= {"num_attention_heads": 4, "image_size": 28, "patch_size": 14}
    settings = {"vision_config": eyes} if family == "gemma3" else {}
    config = AutoConfig.for_model(family, text_config=text, **settings)
    lm = LanguageModel(AutoModelForCausalLM.from_config(config), byte_tokenizer())
    ids = lm.tokenizer(PROMPT)["input_ids"]
    for use_cache in (True, False):
        sampled = {**TWO_SETTINGS["sampled"], "max_new_tokens": 8, "use_cache": use_cache}
        assert decode_ids(lm, ids, **sampled) == generate_ids(lm, ids, **sampled)
    for size, held in sizes_and_tensors(lm):
        assert list(size.layer_bytes) == held
        assert size.bytes == sum(layer.bytes_at(size.tokens) for layer in lm.cache_layers)
