"""`decode` gives the token ids of `model.generate`, for every family and setting."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from families import FAMILIES
from generated import PROMPT, TWO_SETTINGS, both_ids, decode_ids, generate_ids
from transformers import GenerationConfig

from decoding import LanguageModel, decode
from decoding.core import inference

pytestmark = [pytest.mark.slow, pytest.mark.no_cover]

GetLM = Callable[[str], LanguageModel]
SAMPLED: dict[str, dict[str, Any]] = {
    "plain": {},
    "temperature, top_k": {"temperature": 0.6, "top_k": 10},
    "temperature, top_p": {"temperature": 1.3, "top_p": 0.8, "top_k": 0},
    "min_p, repetition": {"min_p": 0.05, "repetition_penalty": 1.3},
    "typical_p, ngrams": {"typical_p": 0.7, "no_repeat_ngram_size": 2},
    "epsilon, eta": {"epsilon_cutoff": 0.01, "eta_cutoff": 0.02},
    "top_h": {"top_h": 0.5},
    "bias, min_new_tokens": {"sequence_bias": [[[9], 2.0]], "min_new_tokens": 5},
    "bad words, suppressed": {"bad_words_ids": [[5], [7, 8]], "suppress_tokens": [1, 2]},
    "forced, decay": {
        "forced_eos_token_id": 256,
        "exponential_decay_length_penalty": (4, 1.1),
        "renormalize_logits": True,
    },
}
GREEDY: dict[str, dict[str, Any]] = {
    "greedy": {},
    "greedy, penalties": {
        "repetition_penalty": 1.2,
        "encoder_repetition_penalty": 1.1,
        "encoder_no_repeat_ngram_size": 2,
        "begin_suppress_tokens": [3],
        "bad_words_ids": [[5], [7, 8]],
    },
}
CONFIGS = {
    **GREEDY,
    **{name: {"do_sample": True, **config} for name, config in SAMPLED.items()},
}
# The settings meet the logits, not the architecture: these families go through all of them, the
# others through one greedy and one sampled run that no end token cuts short.
EVERY_SETTING = (
    *("llama", "qwen2", "qwen3", "phi3", "gpt2", "gpt_neox", "mixtral"),
    *("mistral", "gemma2", "gemma3_text", "deepseek_v3", "mamba", "jamba", "qwen3_next"),
)
CASES = [
    pytest.param(family, config, id=f"{family}-{name}")
    for family in FAMILIES
    for name, config in (CONFIGS if family in EVERY_SETTING else TWO_SETTINGS).items()
]


@pytest.mark.parametrize(("family", "config"), CASES)
def test_ids_are_those_of_generate(tiny_lms: GetLM, family: str, config: dict[str, Any]) -> None:
    lm = tiny_lms(family)
    cached, expected = both_ids(lm, use_cache=True, **config)
    assert cached == expected
    uncached, generated = both_ids(lm, use_cache=False, **config)
    assert uncached == generated
    assert uncached == expected


@pytest.mark.parametrize("family", FAMILIES)
def test_a_prompt_in_chunks_gives_the_same_ids(
    tiny_lms: GetLM, family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inference, "CPU_PREFILL_CHUNK", 7)
    lm = tiny_lms(family)
    ids = lm.tokenizer(PROMPT * 2)["input_ids"]
    chunks: list[int] = []
    settings = {**TWO_SETTINGS["sampled"], "max_new_tokens": 12}
    got = decode_ids(lm, ids, on_prefill=lambda done, total: chunks.append(done), **settings)
    assert got == generate_ids(lm, ids, **settings)
    assert chunks[-1] == len(ids)
    at_once = lm.model._is_stateful or family == "minimax"  # it makes a cache of its own kind
    assert len(chunks) == (1 if at_once else -(-len(ids) // 7))


def test_a_generation_config_and_its_overrides(tiny_lm: LanguageModel) -> None:
    ids = tiny_lm.tokenizer(PROMPT)["input_ids"]
    config = GenerationConfig(do_sample=True, top_k=5, max_new_tokens=10)
    expected = generate_ids(tiny_lm, ids, generation_config=config)
    assert decode_ids(tiny_lm, ids, generation_config=config) == expected
    overridden = generate_ids(tiny_lm, ids, generation_config=config, top_k=2)
    assert decode_ids(tiny_lm, ids, generation_config=config, top_k=2) == overridden


def test_without_a_length_it_stops_where_generate_does(tiny_lm: LanguageModel) -> None:
    ids = tiny_lm.tokenizer(PROMPT)["input_ids"]
    config = {"suppress_tokens": [256]}
    with pytest.warns(UserWarning, match="model-agnostic default"):
        expected = generate_ids(tiny_lm, ids, **config)
    assert decode_ids(tiny_lm, ids, **config) == expected


def test_without_a_seed_it_draws_from_the_global_generator(tiny_lm: LanguageModel) -> None:
    ids = tiny_lm.tokenizer(PROMPT)["input_ids"]
    torch.manual_seed(3)
    got = [s.token_id for s in decode(tiny_lm, ids, do_sample=True, max_new_tokens=10)]
    assert got == generate_ids(tiny_lm, ids, do_sample=True, max_new_tokens=10)


def test_several_eos_ids(tiny_lm: LanguageModel) -> None:
    ids = tiny_lm.tokenizer(PROMPT)["input_ids"]
    free = generate_ids(tiny_lm, ids, max_new_tokens=10, suppress_tokens=[256])
    eos = [256, free[4]]
    steps = list(decode(tiny_lm, ids, max_new_tokens=10, eos_token_id=eos))
    assert [s.token_id for s in steps] == generate_ids(
        tiny_lm, ids, max_new_tokens=10, eos_token_id=eos
    )
    assert steps[-1].finish_reason == "eos"


def test_stop_strings(tiny_lm: LanguageModel) -> None:
    ids = tiny_lm.tokenizer(PROMPT)["input_ids"]
    settings: dict[str, Any] = {"do_sample": True, "max_new_tokens": 60, "top_k": 0}
    allowed = {ord(c) for c in "abc"}
    settings["suppress_tokens"] = [i for i in range(260) if i not in allowed]
    steps = list(decode(tiny_lm, ids, seed=3, stop_strings=["abc", "ca"], **settings))
    expected = generate_ids(tiny_lm, ids, stop_strings=["abc", "ca"], **settings)
    assert [s.token_id for s in steps] == expected
    assert steps[-1].finish_reason == "stop_string"
    assert "".join(s.text for s in steps).endswith(("abc", "ca"))


@pytest.mark.parametrize("cache", ["static", "offloaded"])
def test_other_cache_kinds(tiny_lm: LanguageModel, cache: str) -> None:
    if cache == "offloaded" and not torch.cuda.is_available():
        cache = "dynamic"  # offloading needs an accelerator to offload from
    ids = tiny_lm.tokenizer(PROMPT)["input_ids"]
    settings = {"max_new_tokens": 10, "cache_implementation": cache}
    steps = list(decode(tiny_lm, ids, seed=3, **settings))
    assert [s.token_id for s in steps] == generate_ids(tiny_lm, ids, **settings)
    assert [s.kv_cache.tokens for s in steps if s.kv_cache] == list(
        range(len(ids), len(ids) + len(steps))
    )


@pytest.mark.default_model
@pytest.mark.parametrize(
    "config",
    [
        {"do_sample": False},
        {"do_sample": True, "temperature": 0.7, "top_p": 0.9, "top_k": 40},
        {"do_sample": True, "min_p": 0.05, "repetition_penalty": 1.1, "top_k": 0},
    ],
    ids=["greedy", "top_p", "min_p"],
)
def test_the_default_model(default_lm: LanguageModel, config: dict[str, Any]) -> None:
    messages = [{"role": "user", "content": "大型語言模型是什麼？ Answer in English."}]
    ids = default_lm.tokenizer.apply_chat_template(
        messages, add_generation_prompt=True, return_dict=False
    )
    expected = generate_ids(default_lm, ids, max_new_tokens=32, **config)
    steps = list(decode(default_lm, messages, seed=3, max_new_tokens=32, **config))
    assert [s.token_id for s in steps] == expected
    assert decode_ids(default_lm, ids, use_cache=False, max_new_tokens=32, **config) == expected
    assert "".join(s.text for s in steps) == default_lm.tokenizer.decode(expected)
