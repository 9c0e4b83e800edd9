"""The page's words: the same keys and placeholders in every language, and nothing missing."""

import re
from itertools import product
from types import SimpleNamespace

import gradio as gr
import pytest

from decoding.page.files import ASSETS
from decoding.page.jobs.job import MAX_POSITIONS, check_model, tokens_of
from decoding.page.jobs.measurements import CachingJob
from decoding.page.layout.components import Worded
from decoding.page.layout.job_controls import build_memory_section
from decoding.page.layout.model_controls import build_model_controls
from decoding.page.layout.trust_controls import build_trust_section
from decoding.page.requests.model_choice import Offer, read_model_choice
from decoding.page.requests.readers import read_request, read_score_request
from decoding.page.requests.refusals import RequestError
from decoding.page.requests.settings import PAGE_SETTINGS, SETTINGS, Limits
from decoding.page.texts import DEFAULT_LANGUAGE, LANGUAGES, examples, texts
from decoding.page.wire.last_logs import LastLogs
from decoding.page.wire.run_log import RunTokens


def leaves(node, path=""):
    if isinstance(node, dict):
        return {
            k: v for key, value in node.items() for k, v in leaves(value, f"{path}.{key}").items()
        }
    return {path: node}


def placeholders(text):
    return set(re.findall(r"\{(\w+)\}", text))


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_has_the_same_keys_and_placeholders(language):
    own, reference = leaves(texts()[language]), leaves(texts()[DEFAULT_LANGUAGE])
    assert own.keys() == reference.keys()
    for key, text in own.items():
        assert placeholders(text) == placeholders(reference[key]), key


def test_every_text_file_is_a_language():
    assert sorted(p.stem for p in (ASSETS / "texts").glob("*.json")) == sorted(LANGUAGES)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_control_has_a_label_with_its_name_and_one_line_of_help(language):
    words = texts()[language]["settings"]
    assert words.keys() == {setting.name for setting in PAGE_SETTINGS}
    for name, entry in words.items():
        assert entry["label"].startswith(name)
        assert entry["help"]
        assert "\n" not in entry["help"]


def test_messages_that_the_server_names_exist():
    messages = texts()[DEFAULT_LANGUAGE]["messages"]
    named = {f"loading_{stage}" for stage in ("download", "prepare", "load")}
    assert named | {"queue_position", "queue_full", "error", "failed"} <= messages.keys()
    for read, text in product((read_request, read_score_request), ("", "x" * 20)):
        with pytest.raises(RequestError) as caught:
            read(text, limits=Limits(prompt_chars=10))
        assert placeholders(messages[caught.value.message_key]) == set(caught.value.message_values)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_control_with_keys_has_its_words(language):
    worded = Worded()
    with gr.Blocks():
        build_model_controls(Offer(), worded)
        build_memory_section(worded)
        build_trust_section(worded)
    assert len(worded.keys) == len(worded.controls) > 15
    for keys in worded.keys:
        assert keys
        assert set(keys.values()) <= texts()[language]["page"].keys()


def test_what_jobs_and_choices_refuse_is_said_in_every_language():
    messages = texts()[DEFAULT_LANGUAGE]["messages"]
    long = RunTokens([1] * MAX_POSITIONS, [(1, "a")], "m", "float32", 260)
    refusals = [
        lambda: CachingJob(long, "none"),
        lambda: tokens_of(LastLogs(), ""),
        lambda: check_model(SimpleNamespace(name="n", vocab_size=260), long),
        lambda: read_model_choice("x", "", "none", "auto", Offer()),
        lambda: read_model_choice("default", "\0", "none", "auto", Offer()),
    ]
    for refuse in refusals:
        with pytest.raises(RequestError) as caught:
            refuse()
        assert placeholders(messages[caught.value.message_key]) == set(caught.value.message_values)
    note = CachingJob(RunTokens([1], [(1, "a")] * 300, "m", "float32", 260), "none").note
    assert placeholders(messages[note["key"]]) == set(note["args"])
    assert "model_kept" in messages


def test_examples_can_be_run_as_they_stand():
    names = {setting.name for setting in SETTINGS}
    for example in examples():
        assert set(example["label"]) == set(example["prompt"]) == set(LANGUAGES)
        assert example["settings"].keys() <= names
        read_request(example["prompt"]["zh-TW"], settings=example["settings"])


def test_traditional_characters_only():
    # Characters that simplified Chinese writes differently and that these texts would use.
    assert not set("输词设机态续语计开关长样会") & set(str(texts()["zh-TW"]))
