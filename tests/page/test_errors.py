"""What the engine refuses is said on the page in the visitor's language, with the same facts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tiny import byte_tokenizer
from transformers import LlamaConfig

from decoding import DecodingError, DecodingSession, LanguageModel
from decoding.core.prompts import prompt_token_ids
from decoding.live.orders import go_on
from decoding.memory.blueprint import blueprint
from decoding.models.checkpoint import check_config, check_files
from decoding.models.fit import Room, check_fits
from decoding.models.hub import _no_access, _no_such_model, _out_of_reach
from decoding.models.placement import Placement
from decoding.models.source import local_path
from decoding.page.requests.readers import read_settings
from decoding.page.requests.settings import Limits
from decoding.page.texts import LANGUAGES, texts
from decoding.page.wire.frames import Message, error_message
from decoding.records.requests import ContinueOrder

CPU = torch.device("cpu")


def raised(action: Callable[[], object]) -> DecodingError:
    with pytest.raises(DecodingError) as caught:
        action()
    return caught.value


def filled(message: Message, language: str) -> str:
    """As the page fills it: numbers with their thousands apart."""
    return texts()[language]["messages"][message["key"]].format(**shown(message))


def shown(message: Message) -> dict[str, str]:
    return {
        name: f"{value:,}" if isinstance(value, int) else value
        for name, value in message["args"].items()
    }


def assert_told(error: DecodingError) -> None:
    message = error_message(error)
    assert message["key"] != "error"
    assert filled(message, "en").replace("’", "'") == str(error)
    for language in LANGUAGES:
        told = filled(message, language)
        assert all(value in told for value in shown(message).values())


def test_an_error_without_a_key_is_told_in_its_own_words() -> None:
    assert error_message(DecodingError("no")) == {"key": "error", "args": {"text": "no"}}


def test_prompts_and_lengths_that_do_not_fit(tiny_lm: LanguageModel) -> None:
    assert_told(raised(lambda: prompt_token_ids(tiny_lm, "x" * 2_000)))
    assert_told(raised(lambda: DecodingSession(tiny_lm, "x", max_new_tokens=5_000)))
    without = LanguageModel(tiny_lm.model, byte_tokenizer(chat=False))
    assert_told(raised(lambda: prompt_token_ids(without, [{"role": "user", "content": "x"}])))


@pytest.mark.parametrize("settings", [{"top_k": 1.5}, {"temperature": -1}, {"seed": "abc"}])
def test_settings_out_of_range(settings: dict[str, object]) -> None:
    assert_told(raised(lambda: read_settings(settings, Limits())))


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"max_new_tokens": 2}, "length"),
        ({"max_new_tokens": 9, "max_time": 1e-6}, "max_time"),
        ({"max_new_tokens": 9, "eos_token_id": list(range(260))}, "eos"),
    ],
)
def test_texts_that_ended(tiny_lm: LanguageModel, settings: dict, reason: str) -> None:
    session = DecodingSession(tiny_lm, "x", do_sample=False, **settings)
    list(session.run())
    error = raised(lambda: list(go_on(session, ContinueOrder(0, None))))
    assert error.message_key == f"ended_{reason}"
    assert_told(error)
    assert "ended_stop_string" in texts()["en"]["messages"]


def test_models_that_are_not_there(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.touch()
    assert_told(raised(lambda: local_path(tmp_path / "none")))
    assert_told(raised(lambda: local_path(file)))
    assert_told(_no_access("some/one"))
    assert_told(_no_such_model("some/one"))
    assert_told(_out_of_reach("some/one", OSError("no route")))


def test_models_that_are_none() -> None:
    assert_told(raised(lambda: check_files({"config.json", "pytorch_model.bin"}, "some/one")))
    own_code = {"model_type": "evil", "auto_map": {"AutoModelForCausalLM": "modeling.Evil"}}
    assert_told(raised(lambda: check_config(own_code, "some/one")))
    bert = {"model_type": "bert", "architectures": ["BertForMaskedLM"]}
    assert_told(raised(lambda: check_config(bert, "some/one")))


@pytest.mark.parametrize("allowed", [None, 10])
@pytest.mark.parametrize(("free", "form"), [(0, "in_any_form"), (0.9, "")])
def test_models_that_are_too_large(
    monkeypatch: pytest.MonkeyPatch, allowed: int | None, free: float, form: str
) -> None:
    size = blueprint(LlamaConfig(vocab_size=1_000)).expected_weight_bytes
    room = Room() if allowed is None else Room(int(free * size(torch.float32, None)))
    monkeypatch.setattr("decoding.models.fit.ROOM_TO_COMPUTE_BYTES", 0)
    known = 10**15 if allowed else int(free * size(torch.float32, None))
    monkeypatch.setattr("decoding.models.fit.free_memory", lambda *_: known)
    placement = Placement(CPU, torch.float32, {"": CPU}, None)
    error = raised(lambda: check_fits("some/one", size, placement, room))
    assert error.message_key.endswith(form)
    assert ("operator" in error.message_key) == (allowed is not None)
    assert_told(error)
