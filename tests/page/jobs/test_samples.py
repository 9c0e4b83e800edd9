"""The job that samples answers: its rows and sums, what it refuses, what it says it will cost."""

import json
import re
from types import SimpleNamespace

import pytest
from scripted_model import ScriptedModel
from tiny import byte_tokenizer, tiny_model

from decoding import DecodingSession, LanguageModel, prompt_token_ids
from decoding.page.jobs.samples import (
    MAX_NEW_TOKENS,
    MAX_SHOWN_TOKENS,
    SAMPLES,
    TEMPERATURE,
    SampledJob,
)
from decoding.page.requests.refusals import RequestError
from decoding.page.texts import LANGUAGES, texts
from decoding.page.visitors.jobs import Jobs
from decoding.page.visitors.queue import Queue
from decoding.page.wire.run_log import RunTokens
from decoding.records.answers import SampledAnswer, TruthOpinion
from decoding.strategies.samples import sampled_cost

QUESTION = "Who?"


@pytest.fixture
def model():
    model = ScriptedModel()
    yield model
    model.worker.shutdown()


@pytest.fixture
def jobs(model):
    return Jobs(model, Queue(2))


def tiny(**settings):
    return LanguageModel(tiny_model("llama", **settings), byte_tokenizer(), name="m")


def run_of(lm, prompt=None, answer="It is I."):
    ids = prompt_token_ids(lm, [{"role": "user", "content": QUESTION}])
    tokens = [(i, chr(i)) for i in answer.encode()] + [(256, "<eos>")]
    return RunTokens(prompt or ids, tokens, "m", "float32", lm.vocab_size)


def frames_of(jobs, job):
    return [json.loads(frame) for frame in jobs.frames("ann", "sampled", lambda: job)]


def scripted(monkeypatch, texts):
    asked = {}

    def sample(_lm, _prompt, n, max_new_tokens, temperature, *, seed, on_progress):
        asked["sampled"] = (n, max_new_tokens, temperature, seed)
        for i, text in enumerate(texts):
            on_progress(i, n)
            yield SampledAnswer(i, text, (7, 8), -1.0, "eos", 3 + i, 9, "repeated", 0.5 + i)

    def judge(_lm, question, answer, *, on_prefill):
        asked["judged"] = (question, answer)
        return TruthOpinion(0.75, 0.5, 40, 0.25)

    monkeypatch.setattr("decoding.strategies.samples.sample_answers", sample)
    monkeypatch.setattr("decoding.trust.truth.p_true", judge)
    return asked


def test_a_job_from_its_first_answer_to_the_models_opinion(jobs, model, monkeypatch):
    model.lm = tiny()
    asked = scripted(monkeypatch, ["I.", "You", "It's you!", "I"])
    last = frames_of(jobs, SampledJob(run_of(model.lm)))[-1]
    assert asked == {"sampled": (SAMPLES, MAX_NEW_TOKENS, 0.5, 0), "judged": (QUESTION, "It is I.")}
    assert last["state"] == "finished"
    assert last["summary"] == {
        "measured_on": {"name": "m", "format": "float32"},
        "question": QUESTION,
        "answer": "It is I.",
        "agreeing": 2,
        "groups": 2,
        "agreement": 0.5,
        "semantic_entropy_bits": 1.0,
        "weighted_entropy_bits": 0.0,
        "p_true": 0.75,
        "p_true_mass": 0.5,
        "inferences": 7,
        "prompt_tokens": 9,
        "cache_use": "repeated",
        "seconds": 3.75,
    }


def test_rows_say_the_group_and_the_text_as_it_is(jobs, model, monkeypatch):
    model.lm = tiny()
    scripted(monkeypatch, ["<b>You</b>", "I"])
    frames = frames_of(jobs, SampledJob(run_of(model.lm)))
    rows = [row for frame in frames for row in frame["rows"]]
    assert rows == [
        [0, 1, "<b>You</b>", 0.36788, 2, "eos"],
        [1, 0, "I", 0.36788, 2, "eos"],
    ]


def test_with_the_real_engine(jobs, model):
    model.lm = tiny(max_position_embeddings=512)
    job = SampledJob(run_of(model.lm))
    frames = frames_of(jobs, job)
    assert frames[-1]["state"] == "finished"
    rows = [row for frame in frames for row in frame["rows"]]
    assert sorted(row[0] for row in rows) == list(range(SAMPLES))
    summary = frames[-1]["summary"]
    assert summary["question"] == QUESTION
    assert summary["inferences"] <= sampled_cost(SAMPLES, MAX_NEW_TOKENS) + 1
    assert summary["agreeing"] == sum(row[1] == 0 for row in rows)
    assert 0 < summary["p_true"] < 1


def test_a_stop_ends_it_before_the_opinion(jobs, model, monkeypatch):
    model.lm = tiny()
    stopped = []

    def judge(*_arguments, **_others):
        stopped.append("asked")

    scripted(monkeypatch, ["I"])
    monkeypatch.setattr("decoding.trust.truth.p_true", judge)

    def sample(_lm, _prompt, *_settings, seed, on_progress):
        yield SampledAnswer(0, "I", (7,), -1.0, "eos", 3, 9, "repeated", 0.5)
        jobs.stop("ann")
        while True:
            on_progress(0, 9)

    monkeypatch.setattr("decoding.strategies.samples.sample_answers", sample)
    last = frames_of(jobs, SampledJob(run_of(model.lm)))[-1]
    assert (last["state"], stopped) == ("stopped", [])
    assert last["summary"]["p_true"] is None


def test_another_model_is_refused(jobs, model):
    model.lm = SimpleNamespace(name="n", vocab_size=260)
    last = frames_of(jobs, SampledJob(run_of(tiny())))[-1]
    assert (last["state"], last["message"]["key"]) == ("error", "work_other_model")


def test_what_it_refuses_at_once_is_said_in_every_language():
    lm = tiny()
    session = DecodingSession(lm, QUESTION, max_new_tokens=1)
    list(session.run())
    SampledJob(run_of(lm), session.tree)
    scored = SimpleNamespace(branches=[SimpleNamespace(steps=[SimpleNamespace(phase="score")])])
    refusals = [
        lambda: SampledJob(run_of(lm, [1] * MAX_SHOWN_TOKENS)),
        lambda: SampledJob(run_of(lm), scored),
    ]
    for refuse in refusals:
        with pytest.raises(RequestError) as caught:
            refuse()
        message = texts()["en"]["messages"][caught.value.message_key]
        assert set(re.findall(r"\{(\w+)\}", message)) == set(caught.value.message_values)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_cost_stands_on_the_button_and_in_the_panel(language):
    most = sampled_cost(SAMPLES, MAX_NEW_TOKENS) + 1
    words = texts()[language]
    on_button = re.findall(r"\d+", words["page"]["sampled_start"])
    assert [int(found) for found in on_button] == [SAMPLES, most]
    told = re.findall(r"\d+(?:\.\d+)?", words["views"]["sampled"]["empty"])
    assert set(map(float, told)) == {SAMPLES, MAX_NEW_TOKENS, TEMPERATURE, most, most - 2}
