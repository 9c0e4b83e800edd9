"""Visitors in line: places, stopping, starting anew, failures; with a model of this file's own."""

import contextlib
import json
import threading
import time
from dataclasses import replace

import pytest
from run_records import FACTS, HEAD, make_step, make_trace

from decoding.live.worker import Worker
from decoding.page.requests.orders import Order
from decoding.page.requests.readers import read_request, read_score_request
from decoding.page.requests.refusals import RequestError
from decoding.page.requests.settings import Limits
from decoding.page.visitors.queue import Queue
from decoding.page.visitors.runs import Runs
from decoding.page.visitors.turns import Turn
from decoding.page.wire.last_logs import LOGS_KEPT
from decoding.page.wire.run_log import RunLog
from decoding.records.errors import DecodingError, LogitsError, SessionError
from decoding.records.requests import ModelStatus, RunRequest, ScoreRequest
from decoding.records.tree import DecodingTree, Restoration, SettingsChange


class ScriptedModel:
    """Yields the head and a step each time the test lets it, into a tree like a session's."""

    def __init__(self, steps=3, error=None, keeps_sessions=True):
        self.keeps_sessions = keeps_sessions
        self.status = ModelStatus(state="ready", facts=FACTS)
        self.worker = Worker("scripted")
        self.turns = threading.Semaphore(0)
        self.closed, self.forgotten, self.orders = [], [], []
        self.trees, self.pauses, self.scored = {}, {}, set()
        self.steps, self.error = steps, error

    def score(self, key, request, on_prefill):
        self.scored.add(key)
        return self.stream(key, RunRequest(request.text, {}, request.seed), on_prefill)

    def stream(self, key, request, on_prefill, steps=None):
        pauses = self.pauses.setdefault(key, 0)

        def events(is_stopped):
            try:
                self.trees[key] = DecodingTree()
                self.trees[key].branches[0].changes.append(SettingsChange(0, {"seed": 7}))
                yield HEAD
                on_prefill(1, 2)
                yield from self.made(
                    key, 0, steps, lambda: is_stopped() or self.is_over(key, pauses)
                )
            finally:
                self.closed.append(request.prompt)

        return self.worker.stream(events)

    def resume(self, key, order, on_prefill):
        self.orders.append(order)
        pauses = self.pauses[key]

        def events(is_stopped):
            if key in self.forgotten:
                raise SessionError("This run is not kept any more.")
            tree, number = self.trees[key], order.branch
            yield from tree.late_steps(order.known)
            at = tree.branches[number].length if order.at is None else order.at
            if at < tree.branches[number].length:
                number = tree.add(number, at).number
                tree.branches[number].restorations.append(Restoration(at, at, 0, 0.001))
            yield from self.made(
                key, number, order.steps, lambda: is_stopped() or self.is_over(key, pauses)
            )

        return self.worker.stream(events)

    def made(self, key, number, steps, is_over):
        branch = self.trees[key].branches[number]
        ends = self.steps if steps is None else min(self.steps, branch.length + steps)
        while branch.length < ends:
            while not self.turns.acquire(timeout=0.02):
                if is_over():
                    return
            last = branch.length == self.steps - 1 and not self.error
            step = make_step(branch.length, finish_reason="length" if last else None)
            is_given = key in self.scored and number == 0
            branch.steps.append(replace(step, phase="score") if is_given else step)
            yield self.trees[key].run_step(number, step.index)
            if is_over():
                return
        if self.error and steps is None:
            raise self.error

    def is_over(self, key, pauses):
        return self.pauses[key] > pauses

    def pause(self, key):
        self.pauses[key] = self.pauses.get(key, 0) + 1

    def forget(self, key):
        self.forgotten.append(key)
        self.pauses[key] = self.pauses.get(key, 0) + 1

    def tree(self, key):
        is_kept = self.keeps_sessions and key not in self.forgotten
        return self.trees.get(key) if is_kept else None

    def trace(self, key):
        tree = self.tree(key)
        return None if tree is None else make_trace(*tree.branches)

    def let(self, steps):
        self.turns.release(steps)


@pytest.fixture
def scripted():
    models = []

    def make(waiting=2, **script):
        models.append(ScriptedModel(**script))
        return Runs(models[-1], Limits(), Queue(waiting)), models[-1]

    yield make
    for model in models:
        model.worker.shutdown()


def ask(prompt="a"):
    return lambda: RunRequest(prompt, {}, 0)


def read(frames):
    return [json.loads(frame) for frame in frames]


def until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.01)


def next_where(frames, condition):
    for frame in frames:
        fields = json.loads(frame)
        if condition(fields):
            return fields
    raise AssertionError("the frames ended before")


def test_a_run_from_its_place_in_line_to_its_end(scripted):
    runs, model = scripted()
    model.let(3)
    frames = read(runs.frames("ann", ask()))
    assert [s["i"] for f in frames for s in f["steps"]] == [0, 1, 2]
    assert frames[0]["run"] == ""
    assert frames[-1]["state"] == "finished"
    assert sum("head" in f for f in frames if f["total"]) == 1
    assert len({f["run"] for f in frames if f["run"]}) == 1
    assert model.closed == ["a"]
    assert runs.queue.streams == {}


def test_steps_that_come_fast_share_a_frame(scripted):
    runs, model = scripted(steps=200)
    model.let(200)
    assert len(list(runs.frames("ann", ask()))) < 30


def test_the_prompts_progress_is_shown(scripted):
    runs, model = scripted()
    frames = runs.frames("ann", ask())
    assert next_where(frames, lambda f: f["progress"])["progress"] == [1, 2]
    frames.close()
    until(lambda: model.closed)


def test_the_second_visitor_waits_and_sees_the_place(scripted):
    runs, model = scripted()
    first, second = runs.frames("ann", ask("1")), runs.frames("bob", ask("2"))
    next_where(first, lambda f: f["run"])
    waiting = json.loads(next(second))
    assert waiting["state"] == "queued"
    assert waiting["message"] == {"key": "queue_position", "args": {"position": 1}}
    model.let(6)
    assert read(first)[-1]["state"] == "finished"
    assert read(second)[-1]["state"] == "finished"
    assert model.closed == ["1", "2"]


def test_stopping_ends_ones_own_run_and_nobody_elses(scripted):
    runs, model = scripted()
    first, second = runs.frames("ann", ask("1")), runs.frames("bob", ask("2"))
    next_where(first, lambda f: f["run"])
    next(second)
    runs.stop("bob")
    assert read(second)[-1]["state"] == "stopped"
    model.let(1)
    next_where(first, lambda f: f["total"] == 1)
    runs.stop("ann")
    last = read(first)[-1]
    assert (last["state"], last["total"]) == ("stopped", 1)
    assert model.closed == ["1"]


def test_a_full_line_says_so_and_takes_the_next_one_later(scripted):
    runs, model = scripted(waiting=1)
    line = [runs.frames(name, ask()) for name in ("ann", "bob")]
    for frames in line:
        next(frames)
    (refused,) = read(runs.frames("cas", ask()))
    assert (refused["run"], refused["state"]) == ("", "error")
    assert refused["message"] == {"key": "queue_full", "args": {"limit": 1}}
    with pytest.raises(RequestError, match="try again"):
        list(runs.steps("dan", ask()()))
    line[1].close()
    model.let(6)
    assert read(line[0])[-1]["state"] == "finished"
    assert read(runs.frames("cas", ask()))[-1]["state"] == "finished"


@pytest.mark.parametrize("model_has_ended", [True, False])
def test_starting_anew_ends_the_earlier_run_without_a_word_from_it(scripted, model_has_ended):
    runs, model = scripted()
    first = runs.frames("ann", ask("1"))
    next_where(first, lambda f: f["run"])
    second = runs.frames("ann", ask("2"))
    next(second)
    if model_has_ended:
        until(lambda: model.closed)
    assert read(first) == []
    model.let(3)
    assert read(second)[-1]["state"] == "finished"
    assert model.closed == ["1", "2"]


@pytest.mark.serial
def test_closing_the_frames_never_blocks_and_ends_the_run(scripted):
    runs, model = scripted()
    frames = runs.frames("ann", ask())
    next_where(frames, lambda f: f["run"])
    started = time.monotonic()
    frames.close()
    assert time.monotonic() - started < 0.05
    until(lambda: model.closed == ["a"])
    assert (runs.queue.streams, len(runs._turns)) == ({}, 0)


def test_an_error_in_the_middle_keeps_the_text_so_far(scripted):
    runs, model = scripted(error=LogitsError("Inference 4 returned no distribution."))
    model.let(3)
    last = read(runs.frames("ann", ask()))[-1]
    assert last["run"]
    assert (last["state"], last["total"]) == ("error", 3)
    assert last["message"]["args"]["text"].startswith("Inference 4")


def test_a_bug_is_logged_with_its_traceback_and_told_in_general(scripted, caplog):
    runs, model = scripted(error=ZeroDivisionError("inner secret"))
    model.let(3)
    last = read(runs.frames("ann", ask()))[-1]
    assert last["message"]["key"] == "failed"
    assert "secret" not in json.dumps(last)
    assert "ZeroDivisionError: inner secret" in caplog.text
    assert "in events" in caplog.text


def give(text="a b c"):
    return lambda: ScoreRequest(text)


def test_a_scored_text_is_read_to_its_end_as_one_run(scripted):
    runs, model = scripted()
    frames = runs.score("ann", give())
    reading = next_where(frames, lambda f: f["progress"])
    assert (reading["state"], reading["progress"]) == ("prefill", [1, 2])
    model.let(1)
    measured = next_where(frames, lambda f: f["total"] == 1)
    assert (measured["state"], measured["progress"]) == ("prefill", [1, 2])
    assert measured["steps"][0]["ph"] == "score"
    model.let(2)
    last = read(frames)[-1]
    assert (last["state"], last["total"], last["progress"]) == ("finished", 3, None)
    assert runs.last_runs.find(last["run"]).tokens.tokens


def test_scoring_is_a_run_like_others_in_line_in_its_end_and_in_its_errors(scripted):
    runs, model = scripted(error=LogitsError("Token 4 has no distribution."))
    text = runs.score("ann", give("1"))
    run = next_where(text, lambda f: f["run"])["run"]
    waiting = runs.score("bob", give("2"))
    assert json.loads(next(waiting))["state"] == "queued"
    (refused,) = read(runs.score("ann", lambda: read_score_request("")))
    assert (refused["run"], refused["message"]["key"]) == ("", "score_empty")
    model.let(1)
    next_where(text, lambda f: f["total"] == 1)
    runs.stop("ann")
    last = read(text)[-1]
    assert (last["run"], last["state"], last["total"]) == (run, "stopped", 1)
    model.let(3)
    broken = read(waiting)[-1]
    assert (broken["state"], broken["total"]) == ("error", 3)
    assert broken["message"]["args"]["text"] == "Token 4 has no distribution."
    assert runs.queue.streams == {}


def test_another_text_ends_the_one_before_without_a_word_from_it_and_so_does_leaving(scripted):
    runs, model = scripted()
    first = runs.score("ann", give("1"))
    next_where(first, lambda f: f["run"])
    second = runs.score("ann", give("2"))
    next(second)
    assert read(first) == []
    next_where(second, lambda f: f["run"])
    runs.leave("ann")
    assert read(second) == []
    until(lambda: model.closed == ["1", "2"])
    assert len(model.forgotten) == 2


def test_what_follows_a_given_text_is_decoded(scripted):
    runs, model = scripted()
    model.let(3)
    run = read(runs.score("ann", give()))[-1]["run"]
    model.let(1)
    order = Order(run, 0, 2, None, None, None, {})
    frames = read(runs.resume("ann", lambda: order))
    assert frames[-1]["steps"][-1]["ph"] == "decode"
    rebuilt = RunLog.from_trace(model.trace(run), run)
    assert json.loads(rebuilt.frame_from(0, 0))["head"]["config"]["scored"] is True


def test_a_refused_request_belongs_to_no_run_and_leaves_the_running_one(scripted):
    runs, model = scripted()
    running = runs.frames("ann", ask())
    next_where(running, lambda f: f["run"])
    (refused,) = read(runs.frames("ann", lambda: read_request("")))
    assert (refused["run"], refused["message"]["key"]) == ("", "prompt_empty")
    model.let(3)
    assert read(running)[-1]["state"] == "finished"


def test_while_the_model_loads_the_page_and_the_run_say_so(scripted):
    runs, model = scripted()
    loaded = threading.Event()
    model.worker.submit(loaded.wait)
    model.status = ModelStatus(stage="download", progress=(1, 4))
    page, run = runs.model_frames(), runs.frames("ann", ask())
    assert json.loads(next(page))["message"]["key"] == "loading_download"
    assert json.loads(next(run))["progress"] == [1, 4]
    model.status = ModelStatus(state="ready", facts=FACTS)
    loaded.set()
    model.let(3)
    assert [f["state"] for f in read(page)] == ["ready"]
    assert read(run)[-1]["state"] == "finished"


def test_the_api_gets_full_records_and_may_run_several_in_one_session(scripted):
    runs, model = scripted()
    model.let(6)
    first, second = runs.steps("ann", ask("1")()), runs.steps("ann", ask("2")())
    step = next(first)
    assert step["candidates"][0]["sampling_probability"] == 0.0234567
    assert step["kv_cache"]["layer_bytes"] == (94_970_880,)
    assert [step["index"] for step in first] == [1, 2]
    assert [step["index"] for step in second] == [0, 1, 2]
    assert model.closed == ["1", "2"]


def test_an_error_reaches_the_api(scripted):
    runs, model = scripted(error=DecodingError("No."))
    model.let(3)
    with pytest.raises(DecodingError, match=r"^No"):
        list(runs.steps("ann", ask()()))


# Taking the wheel


def more(run, branch=0, at=None, steps=None, speed=None, token=None):
    return lambda: Order(run, branch, at, token, steps, speed, {})


def written(runs, model, steps=3, visitor="ann"):
    """The id of a run that paused after so many steps."""
    model.let(steps)
    frames = runs.frames(visitor, ask())
    run = next_where(frames, lambda f: f["total"] == steps)["run"]
    runs.pause(visitor)
    assert read(frames)[-1]["state"] == "paused"
    return run


def test_a_paused_run_goes_on_where_it_was(scripted):
    runs, model = scripted(steps=9)
    run = written(runs, model)
    model.let(6)
    frames = read(runs.resume("ann", more(run, steps=2)))
    assert (frames[0]["run"], frames[0]["state"]) == ("", "queued")
    (first, *_) = [f for f in frames if f["run"]]
    assert first["tree"][0][:2] == [None, 0]
    assert [s["i"] for f in frames for s in f["steps"]] == [3, 4]
    assert frames[-1]["state"] == "paused"
    frames = read(runs.resume("ann", more(run)))
    assert [s["i"] for f in frames for s in f["steps"]] == [5, 6, 7, 8]
    assert frames[-1]["state"] == "finished"
    assert runs.queue.streams == {}


@pytest.mark.parametrize("ending", ["paused", "stopped"])
def test_an_end_that_is_asked_for_before_there_is_a_stream_counts(scripted, monkeypatch, ending):
    runs, model = scripted(steps=9)
    run = written(runs, model)
    model.let(6)
    end, start = {"paused": runs.pause, "stopped": runs.stop}[ending], runs.queue.open

    def late(owner, make):
        end("ann")
        return start(owner, make)

    monkeypatch.setattr(runs.queue, "open", late)
    last = read(runs.resume("ann", more(run)))[-1]
    assert last["state"] == ending
    assert last["total"] <= 4
    assert read(runs.frames("ann", ask()))[-1]["total"] <= 1


def test_a_fork_is_a_branch_of_its_own(scripted):
    runs, model = scripted(steps=6)
    run = written(runs, model)
    model.let(5)
    last = read(runs.resume("ann", more(run, at=1, token=5)))[-1]
    assert (last["state"], last["b"], last["total"]) == ("finished", 1, 6)
    assert last["tree"] == [[None, 0, 3], [0, 1, 6]]
    assert model.orders[-1].token_id == 5


def test_stopping_says_stopped_and_can_go_on_too(scripted):
    runs, model = scripted(steps=9)
    model.let(2)
    frames = runs.frames("ann", ask())
    run = next_where(frames, lambda f: f["total"] == 2)["run"]
    runs.stop("ann")
    assert read(frames)[-1]["state"] == "stopped"
    model.let(7)
    assert read(runs.resume("ann", more(run)))[-1]["state"] == "finished"


@pytest.mark.serial
def test_one_who_waits_in_line_can_pause_at_once(scripted):
    runs, model = scripted(steps=9)
    run = written(runs, model)
    first = runs.frames("bob", ask("2"))
    next_where(first, lambda f: f["run"])
    second = runs.resume("ann", more(run))
    assert json.loads(next(second))["message"]["key"] == "queue_position"
    started = time.monotonic()
    runs.pause("ann")
    last = read(second)[-1]
    assert time.monotonic() - started < 1
    assert (last["run"], last["state"], last["total"]) == (run, "paused", 3)
    first.close()


def test_an_order_replaces_the_one_before_without_a_word_from_that(scripted):
    runs, model = scripted(steps=9)
    run = written(runs, model)
    first = runs.resume("ann", more(run))
    next_where(first, lambda f: f["run"])
    second = runs.resume("ann", more(run, at=1))
    next(second)
    assert read(first) == []
    model.let(9)
    last = read(second)[-1]
    assert (last["state"], last["b"]) == ("finished", 1)


def test_a_run_has_one_stream_however_many_know_its_id(scripted):
    runs, model = scripted(steps=9)
    run = written(runs, model)
    first = runs.resume("ann", more(run))
    next_where(first, lambda f: f["run"])
    second = runs.resume("bob", more(run))
    next(second)
    assert read(first) == []
    model.let(9)
    frames = read(second)
    assert frames[-1]["state"] == "finished"
    assert [s["i"] for f in frames for s in f["steps"]] == list(range(3, 9))


def test_a_run_is_kept_for_whoever_went_on_with_it_last(scripted):
    runs, model = scripted(steps=9)
    run = written(runs, model)
    model.let(6)
    assert read(runs.resume("bob", more(run, steps=1)))[-1]["state"] == "paused"
    runs.leave("ann")
    assert model.forgotten == []
    assert read(runs.resume("bob", more(run)))[-1]["state"] == "finished"
    runs.leave("bob")
    assert model.forgotten == [run]


def test_of_two_tabs_that_go_on_at_once_one_writes_the_run(scripted):
    runs, model = scripted(steps=9)
    run = written(runs, model)
    both, hush, waiting = threading.Barrier(2), runs.hush, []

    def slow(visitor):
        hush(visitor)
        with contextlib.suppress(threading.BrokenBarrierError):
            both.wait(0.2)

    runs.hush = slow
    runs._turns.put("cas", Turn(runs.last_runs.find(run)))

    def go_on(visitor):
        waiting.append(runs.resume(visitor, more(run)))
        next(waiting[-1])

    tabs = [threading.Thread(target=go_on, args=[name]) for name in ("ann", "bob")]
    for tab in tabs:
        tab.start()
    for tab in tabs:
        tab.join()
    assert len(runs._turns) == 1
    runs.hush = hush
    model.let(6)
    assert sorted(len(read(frames)) > 0 for frames in waiting) == [False, True]


def test_a_run_that_was_not_shown_for_long_goes_on_as_long_as_its_session_is_kept(scripted):
    runs, model = scripted(steps=9)
    run = written(runs, model)
    for _ in range(LOGS_KEPT):
        runs.last_runs.keep(RunLog())
    again = json.loads(runs.last_runs.find(run).frame_from(1))
    assert (again["run"], again["state"], len(again["steps"])) == (run, "paused", 2)
    assert runs.last_runs.find(run) is runs.last_runs.find(run)
    model.let(6)
    frames = read(runs.resume("ann", more(run)))
    assert [s["i"] for f in frames for s in f["steps"]] == list(range(3, 9))
    assert frames[-1]["state"] == "finished"
    assert next(f["head"]["live"] for f in frames if "head" in f)


def test_generating_anew_and_leaving_forget_what_was_kept(scripted):
    runs, model = scripted(steps=9)
    run = written(runs, model)
    second = runs.frames("ann", ask("2"))
    next(second)
    assert model.forgotten == [run]
    (newest,) = runs._kept["ann"]
    runs.leave("ann")
    assert model.forgotten == [run, newest]
    assert read(second) == []
    assert runs._kept == {}
    refused = read(runs.resume("bob", more(run)))[-1]
    assert (refused["run"], refused["state"]) == (run, "error")


def test_what_is_not_known_cannot_go_on(scripted):
    runs, model = scripted(steps=9)
    (refused,) = read(runs.resume("ann", more("guessed")))
    assert (refused["run"], refused["message"]["key"]) == ("", "run_unknown")
    run = written(runs, model)
    (refused,) = read(runs.resume("ann", more(run, branch=4)))
    assert refused["message"]["key"] == "order_unusable"


@pytest.mark.serial
def test_a_speed_spreads_the_inferences_out_and_lets_others_in(scripted):
    runs, model = scripted(steps=4)
    model.let(4)
    slow = runs.frames("ann", ask(), json.dumps({"speed": 4}))
    next_where(slow, lambda f: f["total"] == 1)
    started = time.monotonic()
    frames = read(slow)
    assert 0.4 < time.monotonic() - started < 5
    assert frames[-1]["state"] == "finished"
    assert [s["i"] for f in frames for s in f["steps"]] == [1, 2, 3]
    assert [order.steps for order in model.orders] == [1, 1, 1]


def test_a_speed_counts_the_inferences_it_was_given(scripted):
    runs, model = scripted(steps=9)
    run = written(runs, model, steps=2)
    model.let(7)
    last = read(runs.resume("ann", more(run, steps=3, speed=50)))[-1]
    assert (last["state"], last["total"]) == ("paused", 5)


def test_a_late_step_elsewhere_leads_no_slow_run_astray(scripted):
    runs, model = scripted(steps=9)
    run = written(runs, model)
    model.let(1)
    read(runs.resume("ann", more(run, at=1, steps=1)))
    assert runs.last_runs.find(run).branch == 1
    slow = runs.resume("ann", more(run, steps=2, speed=8))
    next(slow)
    model.trees[run].branches[1].steps.append(make_step(2, finish_reason="eos"))
    model.let(2)
    last = read(slow)[-1]
    assert (last["b"], last["total"], last["state"]) == (0, 5, "paused")
    assert [branch.length for branch in model.trees[run].branches] == [5, 3]


@pytest.mark.serial
def test_a_rest_ends_at_once_when_the_run_is_paused(scripted):
    runs, model = scripted(steps=9)
    model.let(9)
    slow = runs.frames("ann", ask(), json.dumps({"speed": 0.1}))
    next_where(slow, lambda f: f["total"] == 1)
    threading.Timer(0.1, runs.pause, ["ann"]).start()
    started = time.monotonic()
    last = read(slow)[-1]
    assert time.monotonic() - started < 2
    assert (last["state"], last["total"]) == ("paused", 1)


def test_a_run_that_rests_while_the_line_fills_waits_for_a_place(scripted):
    runs, model = scripted(steps=4, waiting=0)
    model.let(4)
    slow = runs.frames("ann", ask(), json.dumps({"speed": 8}))
    next_where(slow, lambda f: f["total"] == 1)
    other = model.worker.stream(lambda _: iter(()))
    runs.queue.streams[other] = ("run", "bob")
    assert {json.loads(next(slow))["state"] for _ in range(2)} == {"decoding"}
    runs.queue.close(other)
    last = read(slow)[-1]
    assert (last["state"], last["total"]) == ("finished", 4)


@pytest.mark.serial
def test_a_run_that_waits_for_a_place_after_its_rest_can_pause(scripted):
    runs, model = scripted(steps=9, waiting=0)
    run = written(runs, model)
    slow = runs.resume("ann", more(run, speed=20))
    model.let(2)
    next_where(slow, lambda f: f["total"] == 5)
    other = model.worker.stream(lambda _: iter(()))
    runs.queue.streams[other] = ("run", "bob")
    threading.Timer(0.1, runs.pause, ["ann"]).start()
    started = time.monotonic()
    assert read(slow)[-1]["state"] == "paused"
    assert time.monotonic() - started < 2


def test_a_speed_that_is_none_is_refused(scripted):
    runs, _ = scripted()
    (refused,) = read(runs.frames("ann", ask(), '{"speed": -1}'))
    assert refused["message"]["key"] == "order_unusable"


def test_where_no_sessions_are_kept_a_run_says_so_and_ignores_the_speed(scripted):
    runs, model = scripted(keeps_sessions=False)
    model.let(2)
    frames = runs.frames("ann", ask(), '{"speed": 1}')
    head = next_where(frames, lambda f: "head" in f)["head"]
    assert head["live"] is False
    next_where(frames, lambda f: f["total"] == 2)
    runs.pause("ann")
    assert read(frames)[-1]["state"] == "stopped"


def test_a_run_of_the_api_is_not_kept(scripted):
    runs, model = scripted()
    model.let(3)
    list(runs.steps("ann", ask()()))
    assert len(model.forgotten) == 1
