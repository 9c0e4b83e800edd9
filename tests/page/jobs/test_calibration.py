"""The calibration of a scored text as a job: its refusals, its diagram, its temperature."""

import json
import math
import threading
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from run_records import FACTS, make_step
from scripted_model import read
from tiny import byte_tokenizer, tiny_model
from torch.nn.functional import cross_entropy

from decoding import LanguageModel, decode, reliability
from decoding.live.stream import Stopped
from decoding.live.worker import Worker
from decoding.page.jobs.calibration import CalibrationJob
from decoding.page.requests.refusals import RequestError
from decoding.page.texts import texts
from decoding.page.visitors.jobs import Jobs
from decoding.page.visitors.queue import Queue
from decoding.page.wire.run_log import RunTokens
from decoding.records.requests import ModelStatus
from decoding.records.step import Candidate
from decoding.records.tree import Branch, DecodingTree
from decoding.strategies.scoring import score

LM = SimpleNamespace(name="m", device="cpu", dtype="float32", quantization=None, vocab_size=100)
RUN = RunTokens([1], [(7, "x")], "m", "float32", 100)
LOSS = 2.0


class OneModel:
    """Runs jobs on a thread of its own with one model."""

    def __init__(self, lm=LM):
        self.status = ModelStatus(state="ready", facts=FACTS)
        self.worker = Worker("scripted")
        self.lm = lm

    def use(self, make):
        return self.worker.stream(lambda is_stopped: make(self.lm, is_stopped))


@pytest.fixture
def model():
    model = OneModel()
    yield model
    model.worker.shutdown()


@pytest.fixture
def jobs(model):
    return Jobs(model, Queue(2))


@pytest.fixture
def asked(monkeypatch):
    """What losses were asked for; the loss is least at 2 and `LOSS` at 1."""
    asked = []

    def temperature_losses(lm, ids, temperatures, on_progress):
        asked.append((lm, list(ids), list(temperatures)))
        on_progress(len(ids), len(ids))
        return [LOSS - 2 + 2 / t + math.log(t) for t in temperatures]

    monkeypatch.setattr("decoding.strategies.scoring.temperature_losses", temperature_losses)
    return asked


def scored(index, probability=0.85, is_favourite=True, phase="score"):
    favourite = Candidate(7 if is_favourite else 8, "f", "f", probability, probability)
    other = Candidate(7, "x", "x", 0.01, 0.01)
    return replace(
        make_step(index, "x", candidates=0),
        phase=phase,
        token_id=7,
        logprob=-LOSS,
        candidates=(favourite,) if is_favourite else (favourite, other),
    )


def tree_of(steps):
    return DecodingTree([Branch(0, None, 0, list(steps))])


def text_of(count, right):
    return tree_of(scored(index, is_favourite=index < right) for index in range(count))


def ended(jobs, job):
    return read(jobs.frames("ann", "calibration", lambda: job))[-1]


def test_the_favourite_is_held_against_the_text(jobs, asked):
    last = ended(jobs, CalibrationJob(RUN, text_of(120, 60)))
    assert (last["state"], last["message"]) == ("finished", None)
    summary = last["summary"]
    assert summary["tokens"] == 120
    assert summary["ece"] == 0.35
    assert summary["bins"][8]["accuracy"] == 0.5
    assert summary["bins"][8]["confidence"] == 0.85
    assert [own["count"] for own in summary["bins"]] == [0] * 8 + [120, 0]
    assert summary["measured_on"] == {"name": "m", "format": "float32"}


def test_the_temperature_is_of_the_prompt_and_all_that_was_scored(jobs, asked):
    summary = ended(jobs, CalibrationJob(RUN, text_of(120, 60)))["summary"]
    assert summary["fit"]["temperature"] == pytest.approx(2, rel=0.011)
    assert summary["fit"]["loss_at_one"] == LOSS
    assert summary["fit"]["loss"] == pytest.approx(LOSS - 1 + math.log(2), abs=1e-3)
    assert (summary["fit"]["count"], summary["searched"]) == (120, True)
    assert [(lm, ids) for lm, ids, _ in asked] == [(LM, [1, *[7] * 120])] * 2


def test_the_diagram_is_there_before_the_temperature(jobs, model, asked):
    held = threading.Event()
    model.worker.submit(held.wait)
    frames = jobs.frames("ann", "calibration", lambda: CalibrationJob(RUN, text_of(120, 60)))
    first = json.loads(next(frames))
    assert first["head"] == {"model": "m", "text": "x" * 60}
    assert first["summary"]["ece"] == 0.35
    assert (first["summary"]["fit"], first["summary"]["searched"]) == (None, False)
    held.set()
    assert read(frames)[-1]["summary"]["searched"]


def test_of_too_few_tokens_only_their_number_is_told_and_no_text_is_read(jobs, asked):
    last = ended(jobs, CalibrationJob(RUN, text_of(99, 60)))
    assert (last["state"], asked) == ("finished", [])
    summary = last["summary"]
    assert (summary["tokens"], summary["least"], summary["ece"]) == (99, 100, None)
    assert summary["fit"] is None
    assert all(own["accuracy"] is None for own in summary["bins"])


def test_what_the_model_wrote_behind_a_scored_text_is_not_held_against_it(jobs, asked):
    steps = text_of(120, 60).branches[0].steps
    written = [scored(120 + n, phase="decode") for n in range(30)]
    fork = Branch(1, 0, 50, [scored(50, phase="decode")])
    tree = DecodingTree([Branch(0, None, 0, steps + written), fork])
    assert CalibrationJob(RUN, tree).summary["tokens"] == 120


def test_a_text_that_the_model_wrote_is_refused():
    steps = [scored(0, phase="prefill"), *(scored(n, phase="decode") for n in range(1, 200))]
    with pytest.raises(RequestError, match="chosen by the model itself") as caught:
        CalibrationJob(RUN, tree_of(steps))
    assert caught.value.message_key == "calibration_of_own_text"


@pytest.mark.parametrize(("run", "tree"), [(None, None), (RUN, None), (None, text_of(120, 60))])
def test_without_a_text_there_is_nothing_to_hold(run, tree):
    with pytest.raises(RequestError, match="Score a text first") as caught:
        CalibrationJob(run, tree)
    assert caught.value.message_key == "calibration_without_text"


def test_a_text_of_another_model_is_refused(jobs, asked):
    run = RunTokens([1], [], "other", "float32", 100)
    last = ended(jobs, CalibrationJob(run, text_of(120, 60)))
    assert last["message"] == {
        "key": "calibration_other_model",
        "args": {"before": "other", "now": "m"},
    }
    assert asked == []


def test_weights_in_another_format_are_refused(jobs, monkeypatch):
    def losses(_lm, _ids, temperatures, _on_progress):
        return [LOSS + 0.01 + (t - 2) ** 2 - 1 for t in temperatures]

    monkeypatch.setattr("decoding.strategies.scoring.temperature_losses", losses)
    last = ended(jobs, CalibrationJob(RUN, text_of(120, 60)))
    assert last["message"] == {
        "key": "calibration_other_weights",
        "args": {"before": "2.000", "now": "2.010"},
    }


def test_how_far_it_has_read_is_told_and_gone_once_it_was_stopped(jobs, monkeypatch):
    seen = []

    def losses(_lm, _ids, _temperatures, on_progress):
        on_progress(30, 120)
        seen.append(dict(job.note))
        jobs.stop("ann")
        with pytest.raises(Stopped):
            on_progress(60, 120)
        raise Stopped

    monkeypatch.setattr("decoding.strategies.scoring.temperature_losses", losses)
    job = CalibrationJob(RUN, text_of(120, 60))
    last = ended(jobs, job)
    assert seen == [{"key": "calibration_reading", "args": {"done": 30, "total": 240}}]
    assert (last["state"], last["message"]) == ("stopped", None)
    assert (last["summary"]["searched"], last["summary"]["fit"]) == (False, None)


def test_what_is_told_and_refused_has_its_words():
    for language in texts().values():
        messages = language["messages"]
        assert "{done}" in messages["calibration_reading"]
        assert "{before}" in messages["calibration_other_weights"]
        assert "{before}" in messages["calibration_other_model"]
        assert messages["calibration_without_text"]
        assert messages["calibration_of_own_text"]


def test_a_text_that_was_drawn_at_a_temperature_gives_it_back():
    lm = LanguageModel(
        tiny_model("llama", max_position_embeddings=2048), byte_tokenizer(), name="m"
    )
    drawn = {"do_sample": True, "temperature": 1.6, "top_k": 0, "max_new_tokens": 300}
    ids = [1, *(step.token_id for step in decode(lm, [1], seed=3, eos_token_id=None, **drawn))]
    model = OneModel(lm)
    try:
        run = RunTokens([1], [], "m", "float32", lm.vocab_size)
        job = CalibrationJob(run, tree_of(score(lm, ids)))
        summary = ended(Jobs(model, Queue(2)), job)["summary"]
    finally:
        model.worker.shutdown()
    fit = summary["fit"]
    assert fit["temperature"] == pytest.approx(1.6, rel=0.15)
    assert fit["count"] == 300
    with torch.no_grad():
        logits, truth = lm.model(torch.tensor([ids])).logits[0, :-1], torch.tensor(ids[1:])
    least, colder, warmer = (
        float(cross_entropy(logits / (fit["temperature"] * by), truth)) for by in (1, 0.98, 1.02)
    )
    assert fit["loss"] == pytest.approx(least, abs=1e-4)
    assert least < min(colder, warmer)
    sure, favourite = logits.softmax(-1).max(-1)
    right = (favourite == truth).tolist()
    assert summary["ece"] == pytest.approx(
        reliability(zip(sure.tolist(), right, strict=True)).ece, abs=1e-4
    )
