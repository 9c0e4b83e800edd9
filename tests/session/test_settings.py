"""The settings of a session: what is laid over what, and what a text that ended may do."""

from __future__ import annotations

import pytest
from transformers import GenerationConfig

from decoding import GenerationConfigError, LanguageModel
from decoding.session.settings import SessionSettings


def learnt(lm: LanguageModel, settings: SessionSettings) -> SessionSettings:
    settings.learn(lm, settings.prepare(lm, [1, 2, 3]))
    return settings


def begun(lm: LanguageModel, **fields: object) -> SessionSettings:
    return learnt(lm, SessionSettings(None, fields, seed=7, use_cache=True))


def test_fields_are_laid_over_those_before(tiny_lm: LanguageModel) -> None:
    settings = begun(tiny_lm, max_new_tokens=5, repetition_penalty=1.5)
    later = learnt(tiny_lm, settings.changed(None, {"max_new_tokens": 9}))
    assert (later.in_force["max_new_tokens"], later.in_force["repetition_penalty"]) == (9, 1.5)
    assert settings.in_force["max_new_tokens"] == 5
    assert later.in_force["seed"] == 7


def test_of_what_a_config_replaces_the_kind_of_cache_stays(tiny_lm: LanguageModel) -> None:
    settings = begun(tiny_lm, repetition_penalty=1.5, cache_implementation="static")
    later = settings.changed(GenerationConfig(max_new_tokens=3), {})
    generation = later.prepare(tiny_lm, [1, 2, 3])
    assert generation.config.cache_implementation == "static"
    assert "repetition_penalty" not in learnt(tiny_lm, later).in_force


def test_a_config_is_copied(tiny_lm: LanguageModel) -> None:
    config = GenerationConfig(max_new_tokens=3)
    settings = SessionSettings(config, {}, seed=7, use_cache=True)
    config.max_new_tokens = 30
    assert learnt(tiny_lm, settings).in_force["max_new_tokens"] == 3


def test_another_kind_of_cache_is_refused(tiny_lm: LanguageModel) -> None:
    settings = begun(tiny_lm)
    now = settings.prepare(tiny_lm, [1, 2, 3])
    settings.refuse_another_cache(now, settings.prepare(tiny_lm, [1, 2, 3]))
    static = settings.changed(None, {"cache_implementation": "static"})
    with pytest.raises(GenerationConfigError, match="kind of cache"):
        static.refuse_another_cache(now, static.prepare(tiny_lm, [1, 2, 3]))
    without = settings.changed(None, {"use_cache": False})
    with pytest.raises(GenerationConfigError, match="kind of cache"):
        without.refuse_another_cache(now, now)


@pytest.mark.parametrize(
    ("reason", "tokens", "seconds", "goes_on"),
    [
        (None, 999, 999.0, True),
        ("eos", 4, 0.0, False),
        ("stop_string", 4, 0.0, False),
        ("length", 7, 0.0, True),
        ("length", 8, 0.0, False),
        ("max_time", 4, 1.9, True),
        ("max_time", 4, 2.0, False),
    ],
)
def test_what_ended_may_go_on_where_more_is_allowed(
    tiny_lm: LanguageModel, reason: str | None, tokens: int, seconds: float, goes_on: bool
) -> None:
    settings = begun(tiny_lm, max_new_tokens=5, max_time=2.0)
    assert settings.allows_more(reason, tokens, seconds) is goes_on
