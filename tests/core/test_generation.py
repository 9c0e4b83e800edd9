"""What `generate` would start with: processors and criteria, theirs and in their order."""

from __future__ import annotations

from typing import Any

import pytest
from transformers import GenerationConfig

from decoding import GenerationConfigError, LanguageModel
from decoding.core.generation import Generation, prepare_generation

IDS = [65, 66, 67]


def prepared(lm: LanguageModel, config: GenerationConfig | None = None, **kw: Any) -> Generation:
    return prepare_generation(lm, IDS, config, kw.pop("use_cache", True), kw)


def processor_names(generation: Generation) -> list[str]:
    return [type(p).__name__ for p in generation.processors]


def test_every_processor_in_transformers_order(tiny_lm: LanguageModel) -> None:
    generation = prepared(
        tiny_lm,
        do_sample=True,
        eta_cutoff=0.01,
        epsilon_cutoff=0.01,
        typical_p=0.9,
        min_p=0.01,
        top_p=0.9,
        top_k=50,
        top_h=0.9,
        temperature=0.7,
        suppress_tokens=[1],
        no_repeat_ngram_size=3,
        repetition_penalty=1.1,
        sequence_bias=[[[9], 2.0]],
        bad_words_ids=[[5]],
        renormalize_logits=True,
    )
    assert processor_names(generation) == [
        "SequenceBiasLogitsProcessor",
        "RepetitionPenaltyLogitsProcessor",
        "NoRepeatNGramLogitsProcessor",
        "NoBadWordsLogitsProcessor",
        "SuppressTokensLogitsProcessor",
        "TemperatureLogitsWarper",
        "TopHLogitsWarper",
        "TopKLogitsWarper",
        "TopPLogitsWarper",
        "MinPLogitsWarper",
        "TypicalLogitsWarper",
        "EpsilonLogitsWarper",
        "EtaLogitsWarper",
        "LogitNormalization",
    ]


def test_sampling_settings_do_nothing_when_greedy(tiny_lm: LanguageModel) -> None:
    assert processor_names(prepared(tiny_lm, do_sample=False)) == []


def test_the_end_token_claims_the_reason_before_the_length(tiny_lm: LanguageModel) -> None:
    generation = prepared(tiny_lm, stop_strings=["x"], max_time=5.0, max_new_tokens=4)
    assert generation.finish_reasons == ["eos", "stop_string", "length", "max_time"]


def test_stop_strings_of_the_models_own_config(tiny_lm: LanguageModel) -> None:
    config = GenerationConfig(stop_strings=["x"], max_new_tokens=4)
    assert "stop_string" in prepared(tiny_lm, config).finish_reasons
    assert "stop_string" not in prepared(tiny_lm, config, stop_strings=None).finish_reasons


def test_the_callers_config_is_left_alone(tiny_lm: LanguageModel) -> None:
    config = GenerationConfig(max_new_tokens=4)
    before = config.to_dict()
    generation = prepared(tiny_lm, config, use_cache=False, do_sample=True)
    assert generation.config.use_cache is False
    assert config.to_dict() == before
    assert tiny_lm.model.generation_config.max_new_tokens is None


@pytest.mark.parametrize("name", ["top_p", "min_p", "typical_p", "epsilon_cutoff", "eta_cutoff"])
@pytest.mark.parametrize("value", [-0.1, 1.1])
def test_shares_are_shares(tiny_lm: LanguageModel, name: str, value: float) -> None:
    with pytest.raises(GenerationConfigError, match=name):
        prepared(tiny_lm, do_sample=True, **{name: value})
