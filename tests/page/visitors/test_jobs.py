"""Longer jobs: their rows, sums, places in line and ends; with an engine of this file's own."""

import json
import threading
import time

import pytest
from run_records import FACTS
from scripted_model import LM, ScriptedModel, read

from decoding.page.jobs.job import MAX_POSITIONS, MAX_TOKENS, tokens_of
from decoding.page.jobs.measurements import CachingJob, PrecisionJob, RooflineJob
from decoding.page.requests.refusals import RequestError
from decoding.page.visitors.jobs import Jobs
from decoding.page.visitors.queue import Queue
from decoding.page.wire.last_logs import LastLogs
from decoding.page.wire.run_log import RunTokens
from decoding.records.comparisons import (
    ComparedStep,
    PrecisionStart,
    PrecisionSummary,
    PrecisionToken,
    Roofline,
    RooflinePoint,
    Side,
)
from decoding.records.errors import DecodingError, GenerationConfigError
from decoding.records.requests import ModelStatus


@pytest.fixture
def model():
    model = ScriptedModel()
    yield model
    model.worker.shutdown()


@pytest.fixture
def jobs(model):
    return Jobs(model, Queue(2))


@pytest.fixture
def turns(monkeypatch):
    """`turns.release(n)` lets the comparison of caches make n steps."""
    turns = threading.Semaphore(0)

    def compare(_lm, prompt_ids, token_ids, other, _on_prefill):
        for index, token_id in enumerate(token_ids):
            while not turns.acquire(timeout=0.02):
                yield from ()
            positions = len(prompt_ids) + index
            plain, fed = Side(1, 0.01, 100 * positions), positions if other == "none" else 1
            side = Side(fed, 0.03, None if other == "none" else 50 * positions)
            yield ComparedStep(
                index, positions, token_id, plain, side, 0.5 * index, 0.25, index != 1
            )

    monkeypatch.setattr("decoding.costs.caches.compare_caches", compare)
    return turns


def run_of(tokens=3, prompt=4, model="m"):
    return RunTokens(
        list(range(prompt)), [(7 + i, "x") for i in range(tokens)], model, "float32", LM.vocab_size
    )


def caching(other="none", **run):
    return lambda: CachingJob(run_of(**run), other)


def next_where(frames, condition):
    for frame in frames:
        fields = json.loads(frame)
        if condition(fields):
            return fields
    raise AssertionError("the frames ended before")


def test_a_comparison_of_caches_from_its_head_to_its_sums(jobs, turns):
    turns.release(3)
    frames = read(jobs.frames("ann", "caching", caching()))
    assert [row[0] for frame in frames for row in frame["rows"]] == [0, 1, 2]
    assert frames[0]["head"] == {
        "other": "none",
        "tokens": [[7, "x"], [8, "x"], [9, "x"]],
        "prompt_tokens": 4,
        "model": "m",
    }
    assert sum("head" in frame for frame in frames) == 1
    last = frames[-1]
    assert (last["state"], last["total"], last["progress"]) == ("finished", 3, None)
    assert {frame["work"] for frame in frames} == {last["work"]}
    assert last["summary"] == {
        "measured_on": {"name": "m", "format": "float32"},
        "plain_seconds": 0.03,
        "other_seconds": 0.09,
        "largest_logit_difference": 1.0,
        "mean_kl_nats": 0.25,
        "changed": 1,
        "plain_bytes": 600,
        "other_bytes": None,
    }
    rows = [row for frame in frames for row in frame["rows"]]
    assert rows[1] == [1, 5, 0.01, 0.03, 1, 5, 500, None, 0.5, 0.25, 0]
    assert jobs.queue.streams == {}


def test_rows_that_come_fast_share_a_frame(jobs, turns):
    turns.release(200)
    assert len(list(jobs.frames("ann", "caching", caching(tokens=200)))) < 20


def test_a_browser_that_missed_rows_gets_them(jobs, turns):
    turns.release(3)
    job = read(jobs.frames("ann", "caching", caching()))[-1]["work"]
    missed = json.loads(jobs.last_jobs.frame_from(job, 1))
    assert [row[0] for row in missed["rows"]] == [1, 2]
    assert missed["state"] == "finished"
    assert "head" in json.loads(jobs.last_jobs.frame_from(job, 0))
    assert jobs.last_jobs.frame_from("guessed", 0) is None


def test_a_job_waits_in_the_line_of_the_runs(jobs, model, turns):
    held = threading.Event()
    model.worker.submit(held.wait)
    frames = jobs.frames("ann", "caching", caching())
    waiting = json.loads(next(frames))
    assert waiting["state"] == "queued"
    assert waiting["message"] == {"key": "queue_position", "args": {"position": 1}}
    others = [jobs.frames(name, "caching", caching()) for name in ("bob", "cas")]
    next(others[0]), next(others[1])
    (refused,) = read(jobs.frames("dan", "caching", caching()))
    assert (refused["work"], refused["message"]["key"]) == ("", "queue_full")
    for other in others:
        other.close()
    held.set()
    turns.release(3)
    assert read(frames)[-1]["state"] == "finished"


def test_stopping_keeps_what_was_measured(jobs, turns):
    frames = jobs.frames("ann", "caching", caching())
    turns.release(2)
    next_where(frames, lambda frame: frame["total"] == 2)
    jobs.stop("bob")
    jobs.stop("ann")
    turns.release(1)
    last = read(frames)[-1]
    assert (last["state"], last["total"]) == ("stopped", 2)


def test_a_new_job_ends_the_earlier_one_without_a_word_from_it(jobs, turns):
    first = jobs.frames("ann", "caching", caching())
    next(first)
    second = jobs.frames("ann", "caching", caching("quantized"))
    turns.release(1)
    next(second)
    assert read(first) == []
    turns.release(3)
    last = read(second)[-1]
    assert (last["state"], last["summary"]["other_bytes"]) == ("finished", 300)


def test_a_job_that_one_of_another_kind_replaced_says_that_it_stopped(jobs, turns):
    first = jobs.frames("ann", "caching", caching())
    next(first)
    second = jobs.frames("ann", "precision", lambda: PrecisionJob(run_of()))
    next(second)
    turns.release(1)
    assert [frame["state"] for frame in read(first)][-1:] == ["stopped"]
    second.close()


@pytest.mark.serial
def test_closing_the_frames_ends_the_job_at_once(jobs, turns):
    frames = jobs.frames("ann", "caching", caching())
    next(frames)
    started = time.monotonic()
    frames.close()
    assert time.monotonic() - started < 0.05
    turns.release(1)
    assert (jobs.queue.streams, len(jobs._newest)) == ({}, 0)


def test_an_error_in_the_middle_is_told_and_the_rows_stay(jobs, monkeypatch, turns):
    def broken(*_arguments):
        yield ComparedStep(0, 4, 7, Side(4, 0.1, 9), Side(4, 0.1, 9), 0.0, 0.0, True)
        raise DecodingError("No cache.")

    monkeypatch.setattr("decoding.costs.caches.compare_caches", broken)
    last = read(jobs.frames("ann", "caching", caching()))[-1]
    assert (last["state"], last["total"]) == ("error", 1)
    assert last["message"] == {"key": "error", "args": {"text": "No cache."}}


def test_a_bug_is_logged_and_told_in_general(jobs, monkeypatch, caplog):
    def broken(*_arguments):
        raise ZeroDivisionError("inner secret")

    monkeypatch.setattr("decoding.costs.caches.compare_caches", broken)
    last = read(jobs.frames("ann", "caching", caching()))[-1]
    assert last["message"]["key"] == "failed"
    assert "secret" not in json.dumps(last)
    assert "ZeroDivisionError: inner secret" in caplog.text


def test_a_text_of_another_model_is_not_fed_to_this_one(jobs, turns):
    last = read(jobs.frames("ann", "caching", caching(model="other")))[-1]
    assert last["message"] == {"key": "work_other_model", "args": {"before": "other", "now": "m"}}


def test_a_run_that_nobody_knows_is_refused_and_the_last_job_stays():
    with pytest.raises(RequestError, match="Generate a text first") as caught:
        tokens_of(LastLogs(), "guessed")
    assert caught.value.message_key == "work_without_run"


def test_a_comparison_is_bounded_and_says_so():
    long = run_of(tokens=300)
    job = CachingJob(long, "none")
    assert (job.total, len(job.head["tokens"])) == (MAX_TOKENS, MAX_TOKENS)
    assert job.note == {"key": "work_cut", "args": {"kept": 256, "total": 300}}
    assert CachingJob(long, "quantized").total == MAX_TOKENS
    assert PrecisionJob(long).total == 3 * MAX_TOKENS
    near = CachingJob(run_of(tokens=20, prompt=MAX_POSITIONS - 5), "none")
    assert near.total == 5
    with pytest.raises(RequestError, match="2,048 positions"):
        CachingJob(run_of(prompt=MAX_POSITIONS), "none")


@pytest.mark.parametrize("other", ["dynamic", "paged", None, 3])
def test_only_caches_that_there_are_can_be_compared(other):
    with pytest.raises(GenerationConfigError, match="other must be one of none, static"):
        CachingJob(run_of(), other)


def test_precisions_follow_one_another_and_are_summed_up_as_they_end(jobs, model, monkeypatch):
    def compare(load, _prompt_ids, token_ids, precisions, _on_prefill):
        for number, precision in enumerate(precisions):
            load(precision)
            yield PrecisionStart(precision, "float32", 400)
            for index, token_id in enumerate(token_ids):
                kl, same = (0.125, False) if number else (None, None)
                yield PrecisionToken(precision, index, token_id, -1.5, kl, same, 0.02)
            yield PrecisionSummary(precision, "float32", 400, 4.5, 0.02, 0.125, 3)

    monkeypatch.setattr("decoding.costs.precisions.compare_precisions", compare)
    frames = read(jobs.frames("ann", "precision", lambda: PrecisionJob(run_of())))
    assert model.alone == [None, "8bit", "4bit"]
    assert frames[0]["head"]["precisions"] == ["float32", "8bit", "4bit"]
    rows = [row for frame in frames for row in frame["rows"]]
    assert rows[0] == [0, 0, -1.5, None, None, 0.02]
    assert rows[-1] == [2, 2, -1.5, 0.125, 0, 0.02]
    models = frames[-1]["summary"]["models"]
    assert [entry["precision"] for entry in models] == ["float32", "8bit", "4bit"]
    assert models[1] == {
        "precision": "8bit",
        "dtype": "float32",
        "weight_bytes": 400,
        "perplexity": 4.5,
        "seconds_per_token": 0.02,
        "mean_kl_nats": 0.125,
        "changed": 3,
    }


def test_while_a_model_loads_for_it_a_job_says_so(jobs, model, turns):
    model.status = ModelStatus(stage="load", progress=(1, 4))
    frames = jobs.frames("ann", "caching", caching())
    loading = next_where(frames, lambda frame: frame["state"] == "loading")
    assert (loading["message"]["key"], loading["progress"]) == ("loading_load", [1, 4])
    model.status = ModelStatus(state="ready", facts=FACTS)
    turns.release(3)
    assert read(frames)[-1]["state"] == "finished"


def test_the_roofline_is_one_record(jobs, monkeypatch):
    point = RooflinePoint("prefill", 128, 10**9, 10**6, 0.25)
    monkeypatch.setattr(
        "decoding.costs.roofline.measure_roofline",
        lambda device, dtype: Roofline(1e12, 1e10, "cpu", "f"),
    )
    monkeypatch.setattr("decoding.costs.roofline.roofline_points", lambda *_arguments: (point,))
    last = read(jobs.frames("ann", "roofline", RooflineJob))[-1]
    assert (last["state"], last["rows"]) == ("finished", [])
    assert last["summary"] == {
        "measured_on": {"name": "m", "format": "float32"},
        "flops_per_second": 1e12,
        "bytes_per_second": 1e10,
        "device": "cpu",
        "dtype": "f",
        "points": [
            {"phase": "prefill", "tokens": 128, "flops": 1e9, "bytes": 1e6, "seconds": 0.25}
        ],
    }


def test_a_divergence_without_bound_is_no_number_on_the_wire():
    job, side = CachingJob(run_of(), "quantized"), Side(1, 0.01, 9)
    endless = float("inf")
    row = job.take(ComparedStep(0, 4, 7, side, side, endless, endless, False))
    assert row[8:10] == [None, None]
    assert job.summary["mean_kl_nats"] is job.summary["largest_logit_difference"] is None
