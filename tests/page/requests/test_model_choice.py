"""Another model for the page: what may be chosen, what is refused, what is shown meanwhile."""

import json
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from run_records import FACTS

from decoding.live.stream import Stopped
from decoding.live.worker import Worker
from decoding.models.catalogue import catalogue
from decoding.page.requests.model_choice import Offer, read_model_choice
from decoding.page.requests.refusals import RequestError
from decoding.page.visitors.queue import Queue
from decoding.page.visitors.switches import Switches
from decoding.records.errors import DecodingError, GenerationConfigError, ModelLoadError
from decoding.records.requests import ModelChoice, ModelStatus

LISTED = Offer(any_model=False)
GEMMA = "google/gemma-2b-it"


def choose(entry="default", typed="", quantization="none", dtype="auto", offer=LISTED):
    return read_model_choice(entry, typed, quantization, dtype, offer)


def test_the_list_has_the_catalogue_with_size_and_licence_and_gated_ones_marked():
    entries = LISTED.entries()
    assert [value for _label, value in entries] == [e.id or "default" for e in catalogue()]
    label = next(label for label, value in entries if value == GEMMA)
    assert "5 GB bfloat16" in label
    assert label.endswith("gated")
    assert Offer(own="mine").entries()[0] == ("mine", "own")


def test_an_entry_names_a_model_and_the_operators_own_has_none():
    assert choose(GEMMA) == ModelChoice(GEMMA)
    assert choose() == ModelChoice(None)
    assert choose(quantization="8bit", dtype="float16") == ModelChoice(None, "8bit", "float16")
    other = Offer(own="mine")
    assert choose(offer=other) == ModelChoice("")
    assert choose("own", offer=other) == ModelChoice(None)


def test_the_operators_own_model_in_another_form_is_not_taken_for_the_form_it_started_in():
    own = Offer(own="mine", quantization="8bit", dtype="float16")
    assert choose("own", quantization="8bit", dtype="float16", offer=own) == ModelChoice()
    assert choose("own", offer=own) == ModelChoice("mine")


def test_a_typed_name_comes_before_the_list():
    anything = Offer(any_model=True)
    for name in ("some/model", "/models/a b", "模型.gguf", " some/model "):
        assert choose(GEMMA, name, offer=anything).name == name.strip()
    assert choose(GEMMA, None, offer=anything).name == GEMMA


@pytest.mark.parametrize("entry", ["some/model", "own", "", None, 3, ["default"]])
def test_only_what_is_listed_can_be_chosen(entry):
    with pytest.raises(RequestError, match="models of the list") as caught:
        choose(entry)
    assert caught.value.message_key == "model_not_offered"


@pytest.mark.parametrize("typed", ["some/model", "/etc", GEMMA, 3])
def test_where_names_may_not_be_typed_none_is_taken(typed):
    with pytest.raises(RequestError, match="models of the list"):
        choose("default", typed)


@pytest.mark.parametrize("typed", ["a\x00b", "a\nb", "a\u202eb", "a\u200bb", "\ud800", "x" * 1_001])
def test_a_name_that_cannot_be_one_never_reaches_the_engine(typed):
    with pytest.raises(RequestError, match="at most 1,000 characters") as caught:
        choose("default", typed, offer=Offer(any_model=True))
    assert caught.value.message_values == {"limit": 1_000}


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ({"quantization": "2bit"}, "quantization must be one of none, 8bit, 4bit, got '2bit'"),
        ({"quantization": None}, "quantization must be one of"),
        ({"dtype": "int8"}, "dtype must be one of auto, float32, bfloat16, float16, got 'int8'"),
    ],
)
def test_a_form_that_there_is_not_is_refused(form, message):
    with pytest.raises(GenerationConfigError, match=message):
        choose(**form)


_anything = st.none() | st.integers() | st.text() | st.lists(st.text())


@given(_anything, _anything, _anything, _anything, st.booleans())
def test_whatever_is_sent_is_taken_or_refused_with_a_sentence(entry, typed, form, dtype, any_model):
    try:
        read_model_choice(entry, typed, form, dtype, Offer(any_model=any_model))
    except DecodingError as error:
        assert str(error).endswith(".")  # noqa: PT017  either outcome is right


class ScriptedModel:
    """Loads when the test says so."""

    def __init__(self, error=None):
        self.status = ModelStatus(state="ready", facts=FACTS)
        self.worker = Worker("scripted")
        self.may_load = threading.Event()
        self.error = error

    def switch(self, choice):
        def start(is_stopped):
            before = self.status
            try:
                self.status = ModelStatus(stage="load", progress=(1, 4))
                yield self.status
                while not self.may_load.wait(0.02):
                    if is_stopped():
                        raise Stopped
                if self.error:
                    raise self.error
            finally:
                self.status = before
            yield self.status

        return self.worker.stream(start)


@pytest.fixture
def scripted():
    models = []

    def make(**script):
        models.append(ScriptedModel(**script))
        return Switches(models[-1], Queue(2)), models[-1]

    yield make
    for model in models:
        model.worker.shutdown()


def read(frames):
    return [json.loads(frame) for frame in frames]


def test_a_switch_from_its_place_in_line_to_the_new_models_facts(scripted):
    switches, model = scripted()
    held = threading.Event()
    model.worker.submit(held.wait)
    frames = switches.frames("ann", choose)
    waiting = json.loads(next(frames))
    assert (waiting["state"], waiting["message"]["key"]) == ("queued", "queue_position")
    held.set()
    loading = next(f for f in map(json.loads, frames) if f["state"] == "loading")
    assert (loading["progress"], loading["message"]["key"]) == ([1, 4], "loading_load")
    model.may_load.set()
    last = read(frames)[-1]
    assert (last["state"], last["model"]["name"]) == ("ready", "m")
    assert last["message"] == {"key": "model_loaded", "args": {"name": "m", "form": "float32"}}
    assert {loading["run"], last["run"]} == {""}
    assert loading["switch"] is last["switch"] is True
    assert (switches.queue.streams, len(switches._newest)) == ({}, 0)


def test_a_refused_model_is_told_with_the_one_that_stayed(scripted):
    switches, model = scripted(error=ModelLoadError("It needs 16 GB, and 8 GB are free."))
    model.may_load.set()
    last = read(switches.frames("ann", choose))[-1]
    assert last["state"] == "error"
    assert last["message"]["args"]["text"] == "It needs 16 GB, and 8 GB are free."
    assert last["model"]["name"] == "m"


def test_a_choice_that_is_not_allowed_loads_nothing(scripted):
    switches, _ = scripted()
    (refused,) = read(switches.frames("ann", lambda: choose("some/model")))
    assert (refused["state"], refused["message"]["key"]) == ("error", "model_not_offered")
    assert refused["model"]["name"] == "m"


def test_cancelling_keeps_the_model_and_is_ones_own_right(scripted):
    switches, _ = scripted()
    frames = switches.frames("ann", choose)
    next(frames)
    switches.stop("bob")
    assert json.loads(next(frames))["state"] == "loading"
    switches.stop("ann")
    last = read(frames)[-1]
    assert (last["state"], last["message"]["key"]) == ("stopped", "model_kept")


def test_a_second_choice_takes_the_place_of_the_first(scripted):
    switches, model = scripted()
    first = switches.frames("ann", choose)
    next(first)
    second = switches.frames("ann", choose)
    next(second)
    assert read(first) == []
    model.may_load.set()
    assert read(second)[-1]["state"] == "ready"
