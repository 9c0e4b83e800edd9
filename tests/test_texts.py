"""The page's words: the same keys and placeholders in every language, and nothing missing."""

import re

import pytest

from decoding.views.settings import PAGE_SETTINGS, SETTINGS, Limits, RequestError, read_request
from decoding.views.texts import ASSETS, DEFAULT_LANGUAGE, LANGUAGES, examples, texts


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
    for prompt in ("", "x" * 20):
        with pytest.raises(RequestError) as caught:
            read_request(prompt, limits=Limits(prompt_chars=10))
        assert placeholders(messages[caught.value.message_key]) == set(caught.value.message_values)


def test_examples_can_be_run_as_they_stand():
    names = {setting.name for setting in SETTINGS}
    for example in examples():
        assert set(example["label"]) == set(example["prompt"]) == set(LANGUAGES)
        assert example["settings"].keys() <= names
        read_request(example["prompt"]["zh-TW"], settings=example["settings"])


def test_traditional_characters_only():
    # Characters that simplified Chinese writes differently and that these texts would use.
    assert not set("输词设机态续语计开关长样会") & set(str(texts()["zh-TW"]))
