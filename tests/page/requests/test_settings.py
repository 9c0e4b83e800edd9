"""Values from the page and the API: what is taken, what is refused, and how it is said."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import GenerationConfig

from decoding.page.layout.components import NumberSlider
from decoding.page.requests.readers import (
    read_changes,
    read_request,
    read_score_request,
    read_settings,
)
from decoding.page.requests.settings import SETTINGS, Limits, within
from decoding.records.errors import GenerationConfigError, PromptError

LIMITS = Limits(prompt_chars=100, new_tokens=64, waiting=2)
OWN_ARGUMENTS = {"seed", "top_candidates", "use_cache"}
OF_THE_CHAT = {"answer_prefix", "enable_thinking"}


def test_every_setting_is_a_field_of_generation_config_or_an_argument_of_decode():
    fields = set(vars(GenerationConfig()))
    assert {s.name for s in SETTINGS} - OWN_ARGUMENTS - OF_THE_CHAT <= fields


def test_defaults_are_within_their_ranges():
    for setting in SETTINGS:
        if setting.kind in ("whole", "number") and setting.default is not None:
            assert setting.low <= setting.default <= setting.high, setting.name


def test_a_request_without_settings_is_complete():
    request = read_request("Hello")
    assert request.prompt == [{"role": "user", "content": "Hello"}]
    assert request.generation["temperature"] == 0.7
    assert request.generation["max_new_tokens"] == 128
    assert request.top_candidates == 20
    assert request.use_cache is True
    assert 0 <= request.seed < 2**32


def test_a_seed_that_is_not_given_is_new_each_time():
    assert len({read_request("Hello").seed for _ in range(5)}) > 1


def test_the_kind_of_cache_travels_where_there_is_a_cache():
    def sent(**settings):
        return read_request("a", settings=settings).generation.get("cache_implementation")

    assert sent() == "dynamic"
    assert sent(cache_implementation="quantized") == "quantized"
    assert sent(cache_implementation="static", use_cache=False) is None


def test_a_raw_prompt_stays_as_it_stands_and_a_system_turn_comes_first():
    assert read_request(" a\n", chat=False).prompt == " a\n"
    turns = read_request("a", system="s").prompt
    assert [turn["role"] for turn in turns] == ["system", "user"]


def test_the_answers_beginning_is_a_last_message_of_the_assistant():
    request = read_request("a", system="s", settings={"answer_prefix": "It is"})
    assert [turn["role"] for turn in request.prompt] == ["system", "user", "assistant"]
    assert request.prompt[-1]["content"] == "It is"
    assert "answer_prefix" not in request.generation
    assert read_request("a", chat=False, settings={"answer_prefix": "It is"}).prompt == "a"


def test_variables_of_the_chat_template():
    def variables(thinking="auto", given=None, chat=True):
        settings = {"enable_thinking": thinking}
        return read_request(
            "a", chat, settings=settings, chat_template_kwargs=given
        ).chat_template_kwargs

    assert variables() == {}
    assert variables("on") == {"enable_thinking": True}
    assert variables("off", {"date": "today"}) == {"enable_thinking": False, "date": "today"}
    assert variables("off", chat=False) == {}
    with pytest.raises(GenerationConfigError, match="chat_template_kwargs must be an object"):
        variables(given=["a"])
    with pytest.raises(PromptError, match="at most 100"):
        read_request("a", limits=LIMITS, chat_template_kwargs={"documents": ["x" * 100]})


def test_settings_of_the_chat_change_nothing_in_mid_run():
    assert read_changes({"answer_prefix": "x", "enable_thinking": "on"}, LIMITS) == {}


def test_greedy_leaves_out_what_only_sampling_knows():
    generation = read_request("a", settings={"do_sample": False, "temperature": 2}).generation
    assert "temperature" not in generation
    assert "top_h" not in generation
    assert generation["repetition_penalty"] == 1


@pytest.mark.parametrize("settings", [{"temperature": 0}, {"do_sample": True, "temperature": 0.0}])
def test_a_temperature_of_0_is_greedy(settings):
    generation = read_request("a", settings=settings).generation
    assert generation["do_sample"] is False
    assert "temperature" not in generation
    assert read_changes({**settings, "top_p": 0.5}, LIMITS) == {"do_sample": False}


def test_a_number_that_is_missing_is_the_default():
    emptied = {s.name: None for s in SETTINGS}
    assert read_settings(emptied, LIMITS) == read_settings({}, LIMITS)
    assert NumberSlider(1, 64, 32).preprocess(None) is None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"temperature": 7}, "temperature must be a number from 0 to 5, got 7."),
        ({"temperature": -0.1}, "temperature must be a number from 0 to 5, got -0.1."),
        ({"temperature": float("nan")}, "temperature must be a number from 0 to 5, got nan."),
        ({"temperature": "hot"}, "temperature must be a number from 0 to 5, got 'hot'."),
        ({"temperature": True}, "temperature must be a number from 0 to 5, got True."),
        ({"top_k": 2.5}, "top_k must be a whole number from 0 to 1,000, got 2.5."),
        ({"max_new_tokens": 65}, "max_new_tokens must be a whole number from 1 to 64, got 65."),
        ({"max_new_tokens": 10**30}, "max_new_tokens must be a whole number from 1 to 64"),
        ({"min_new_tokens": 65}, "min_new_tokens must be a whole number from 0 to 64, got 65."),
        ({"seed": -1}, "seed must be a whole number from 0 to 4,294,967,295, got -1."),
        ({"seed": "-7"}, "seed must be a whole number from 0 to 4,294,967,295, got '-7'."),
        ({"seed": "9" * 30}, "seed must be a whole number from 0 to 4,294,967,295, got '999"),
        ({"do_sample": 1}, "do_sample must be true or false, got 1."),
        ({"use_cache": "no"}, "use_cache must be true or false, got 'no'."),
        ({"top_candidates": 0}, "top_candidates must be a whole number from 1 to 50, got 0."),
        ({"stop_strings": 3}, "stop_strings must be a list of texts, got 3."),
        ({"stop_strings": ["x"] * 5}, "stop_strings must be at most 4 texts"),
        ({"top_k": 10**400}, "top_k must be a whole number from 0 to 1,000"),
        ({"stop_strings": ["x" * 21]}, "stop_strings must be at most 4 texts"),
        (
            {"cache_implementation": "paged"},
            "cache_implementation must be one of dynamic, static, quantized, quantized_4bit, "
            "quantized_2bit, offloaded, got 'paged'.",
        ),
        ({"cache_implementation": 3}, "cache_implementation must be one of dynamic, static"),
        ({"num_beams": 4}, "Unknown setting 'num_beams': known are answer_prefix,"),
    ],
)
def test_a_value_out_of_range_names_setting_range_and_value(settings, message):
    with pytest.raises(GenerationConfigError, match=re.escape(message)):
        read_settings(settings, LIMITS)


def test_settings_that_are_no_object_are_refused():
    with pytest.raises(GenerationConfigError, match="settings must be an object"):
        read_request("a", settings=[1])


def test_whole_numbers_come_as_floats_from_a_browser():
    read = read_settings({"top_k": 5.0, "seed": 3.0}, LIMITS)
    assert (read["top_k"], read["seed"]) == (5, 3)
    assert type(read["top_k"]) is int


def test_a_seed_is_typed_as_text_on_the_page():
    assert read_settings({"seed": " 42 "}, LIMITS)["seed"] == 42
    assert read_settings({"seed": " "}, LIMITS)["seed"] is None


def test_stop_strings_are_lines_on_the_page_and_a_list_in_the_api():
    assert read_settings({"stop_strings": "END\n\n\\n"}, LIMITS)["stop_strings"] == ["END", "\n"]
    assert read_settings({"stop_strings": ["a\\n"]}, LIMITS)["stop_strings"] == ["a\\n"]
    assert "stop_strings" not in read_settings({"stop_strings": ""}, LIMITS)


def test_the_operators_limit_lowers_the_default_and_the_range():
    setting = next(s for s in SETTINGS if s.name == "max_new_tokens")
    assert (within(setting, LIMITS).default, within(setting, LIMITS).high) == (64, 64)
    assert read_settings({}, LIMITS)["max_new_tokens"] == 64


@pytest.mark.parametrize("prompt", ["", None])
def test_an_empty_prompt_is_refused_with_a_message_in_every_language(prompt):
    with pytest.raises(PromptError) as caught:
        read_request(prompt)
    assert caught.value.message_key == "prompt_empty"


def test_a_prompt_past_the_limit_says_both_lengths():
    with pytest.raises(PromptError, match="100,000 characters") as caught:
        read_request("x" * 99_990, system="s" * 10, limits=LIMITS)
    assert caught.value.message_values == {"length": 100_000, "limit": 100}


@pytest.mark.parametrize("prompt", [5, ["a"], {"role": "user"}])
def test_a_prompt_that_is_no_text_is_refused(prompt):
    with pytest.raises(PromptError, match="prompt must be a text"):
        read_request(prompt)


def test_chat_must_be_a_switch():
    with pytest.raises(GenerationConfigError, match="chat must be true or false"):
        read_request("a", chat="yes")


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=4,
)


@given(st.dictionaries(st.sampled_from([s.name for s in SETTINGS]), _json))
def test_whatever_is_sent_is_read_or_refused_with_a_sentence(settings):
    try:
        read = read_settings(settings, LIMITS)
    except GenerationConfigError as error:
        assert str(error).endswith(".")  # noqa: PT017  either outcome is right
    else:
        assert 1 <= read["max_new_tokens"] <= 64


def test_a_text_to_score_is_taken_as_it_stands():
    request = read_score_request(" a\n", 3, "7")
    assert (request.text, request.top_candidates, request.seed) == (" a\n", 3, 7)
    assert read_score_request("a").top_candidates == 20
    assert len({read_score_request("a").seed for _ in range(5)}) > 1
    assert read_score_request("x" * 100, limits=LIMITS).text == "x" * 100


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("",), PromptError, "There is no text"),
        (("x" * 101,), PromptError, "101 characters, and this page takes at most 100"),
        ((5,), PromptError, "text must be a text, got 5"),
        (("a", 51), GenerationConfigError, "top_candidates must be a whole number from 1 to 50"),
        (("a", 2.5), GenerationConfigError, "top_candidates must be a whole number"),
        (("a", 3, "x"), GenerationConfigError, "seed must be"),
    ],
)
def test_a_text_that_cannot_be_scored(arguments, error, message):
    with pytest.raises(error, match=message):
        read_score_request(*arguments, limits=LIMITS)
