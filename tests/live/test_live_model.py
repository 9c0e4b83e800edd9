"""The shared model: loading, failing and trying again, the head of a run, a lent accelerator."""

import gc
import math
import pickle
import random
import threading
import time
import weakref
from concurrent.futures import CancelledError
from dataclasses import replace

import pytest
from tiny import byte_tokenizer, tiny_model

from decoding import LanguageModel, decode
from decoding.core.description import model_facts
from decoding.live import interruptions, live_model
from decoding.live.kept_sessions import SessionRegistry
from decoding.live.live_model import LiveModel
from decoding.live.model_source import GivenModel
from decoding.records.errors import ContextLengthError, DownloadError, PromptError, SessionError
from decoding.records.requests import (
    ContinueOrder,
    InspectRequest,
    RunHead,
    RunRequest,
    ScoreRequest,
)
from decoding.records.trace_file import read_trace, trace_json
from decoding.records.tree import RunStep
from decoding.strategies.scoring import score, scored_ids

GREEDY = {"do_sample": False, "max_new_tokens": 6}


@pytest.fixture
def live():
    made = []

    def make(load, **options):
        made.append(LiveModel(GivenModel(load), **options))
        return made[-1]

    yield make
    for model in made:
        model.worker.shutdown()


def drain(stream):
    """The head, where it comes, and the steps as they were decoded."""
    return take_until(stream, math.inf)


def take_until(stream, count):
    events = []
    while len(events) < count and not stream.done:
        events += stream.take(5)
    return [event.step if isinstance(event, RunStep) else event for event in events]


def no_progress(done, total):
    pass


def test_a_run_is_its_head_and_the_steps_of_decode(live, tiny_lm):
    model = live(lambda progress: tiny_lm)
    request = RunRequest([{"role": "user", "content": "Hi"}], GREEDY, seed=3, top_candidates=4)
    fed = []
    head, *steps = drain(
        model.stream("run", request, lambda done, total: fed.append((done, total)))
    )
    assert isinstance(head, RunHead)
    assert "".join(token.text for token in head.prompt).startswith("<|im_start|>user\nHi")
    assert head.prompt[0].is_special
    assert head.config["max_new_tokens"] == 6
    assert head.config["seed"] == 3
    assert fed[-1] == (len(head.prompt), len(head.prompt))
    expected = decode(tiny_lm, request.prompt, seed=3, top_candidates=4, **GREEDY)
    assert [s.token_id for s in steps] == [s.token_id for s in expected]


def test_all_of_it_happens_on_one_thread(live, tiny_lm):
    threads = []

    def load(progress):
        threads.append(threading.get_ident())
        return tiny_lm

    def on_prefill(done, total):
        threads.append(threading.get_ident())

    drain(live(load).stream("run", RunRequest("a", GREEDY, 0), on_prefill))
    assert len(threads) >= 2
    assert len(set(threads)) == 1
    assert threads[0] != threading.get_ident()


def test_progress_of_loading_is_told(live, tiny_lm):
    seen = []

    def load(progress):
        progress("download", 5, 10)
        seen.append(model.status)
        progress("load", 0, 0)
        seen.append(model.status)
        return tiny_lm

    gate = threading.Event()
    model = live(lambda progress: (gate.wait(), load(progress))[1])
    gate.set()
    model.shared.wait()
    assert [(s.state, s.stage, s.progress) for s in seen] == [
        ("loading", "download", (5, 10)),
        ("loading", "load", None),
    ]
    assert model.status.state == "ready"
    assert model.status.facts.name == "tiny-llama"


def test_a_failed_load_is_told_and_tried_again(live, tiny_lm):
    attempts = []

    def load(progress):
        attempts.append(1)
        if len(attempts) < 3:
            raise DownloadError("No network: connect and try again.")
        return tiny_lm

    model = live(load)
    model.shared.wait()
    assert str(model.status.error).startswith("No network")
    with pytest.raises(DownloadError, match="No network"):
        drain(model.stream("run", RunRequest("a", GREEDY, 0), no_progress))
    assert len(drain(model.stream("run", RunRequest("a", GREEDY, 0), no_progress))) > 1
    assert model.status.state == "ready"


def test_what_decode_refuses_comes_before_the_head(live, tiny_lm):
    model = live(lambda progress: tiny_lm)
    with pytest.raises(ContextLengthError):
        drain(model.stream("run", RunRequest("a" * 300, GREEDY, 0), no_progress))


def test_a_stopped_run_ends_while_it_reads_the_prompt(live, tiny_lm):
    model = live(lambda progress: tiny_lm)
    reading, stopped = threading.Event(), threading.Event()

    def on_prefill(done, total):
        reading.set()
        stopped.wait(5)

    stream = model.stream("run", RunRequest("a" * 200, GREEDY, 0), on_prefill)
    assert reading.wait(30)
    stream.close()
    stopped.set()
    assert all(isinstance(event, RunHead) for event in drain(stream))


def test_facts_hold_the_formula_only_where_it_holds(tiny_lms):
    facts = model_facts(tiny_lms("llama"))
    kv = facts.kv
    assert kv.bytes_per_token == 2 * kv.layers * kv.kv_heads * kv.head_dim * kv.value_bytes
    assert (facts.vocab_size, facts.dtype, facts.device) == (260, "float32", "cpu")
    assert model_facts(tiny_lms("mamba")).kv is None


class OtherProcess:
    """What `spaces.GPU` does to a generator function: arguments and yields are pickled."""

    def __init__(self):
        self.calls = 0

    def __call__(self, function):
        def lent(*args):
            self.calls += 1
            for item in function(*pickle.loads(pickle.dumps(args))):
                yield pickle.loads(pickle.dumps(item))

        return lent


def test_where_the_accelerator_is_lent_decoding_happens_inside_the_call(live, tiny_lm):
    gpu = OtherProcess()
    model = live(lambda progress: tiny_lm, on_device=gpu)
    _head, *steps = drain(model.stream("run", RunRequest("a", GREEDY, 0), no_progress))
    assert gpu.calls == 1
    assert [s.token_id for s in steps] == [s.token_id for s in decode(tiny_lm, "a", **GREEDY)]


def test_an_error_from_a_lent_accelerator_keeps_its_sentence(live):
    lm = LanguageModel(tiny_model("llama"), byte_tokenizer())
    model = live(lambda progress: lm, on_device=OtherProcess())
    too_long = RunRequest("a", {"do_sample": False, "max_new_tokens": 10_000}, 0)
    with pytest.raises(ContextLengthError, match="10,000"):
        drain(model.stream("run", too_long, no_progress))


def test_each_run_tells_the_facts_of_when_the_model_was_loaded(live, tiny_lm):
    model = live(lambda progress: tiny_lm)
    model.shared.wait()
    request = RunRequest("Hi", GREEDY, seed=0)
    for _ in range(2):
        head = drain(model.stream("run", request, no_progress))[0]
        assert head.model is model.status.facts


# --- sessions -----------------------------------------------------------------------------


LONG = {"do_sample": True, "max_new_tokens": 60, "min_new_tokens": 60}


def ids(events):
    return [event.token_id for event in events if not isinstance(event, RunHead)]


def all_of(stream):
    events = []
    while not stream.done:
        events += stream.take(5)
    return events


def held_back(model):
    """What stands before all that is asked for now; set it to let them run."""
    gate = threading.Event()
    model.worker.submit(gate.wait, 30)
    return gate


def expected(lm, **changes):
    return ids(decode(lm, "Hi", seed=3, **{**LONG, **changes}))


def run(model, key="run", **changes):
    return model.stream(key, RunRequest("Hi", {**LONG, **changes}, 3), no_progress)


def go_on(model, order=None, key="run"):
    order = order or ContinueOrder(0, model.tree(key).branches[0].length)
    return model.resume(key, order, no_progress)


def test_a_paused_run_hands_over_all_it_decoded_and_goes_on(live, tiny_lm):
    model = live(lambda progress: tiny_lm)
    stream = run(model)
    events = take_until(stream, 3)
    model.pause("run")
    events += drain(stream)
    so_far = model.tree("run").branches[0].length
    assert ids(events) == ids(model.tree("run").path(0))
    assert so_far < 60, "it was paused in its midst"
    more = drain(go_on(model, ContinueOrder(0, so_far, steps=2)))
    assert len(more) == 2
    more += drain(go_on(model))
    assert ids(events + more) == expected(tiny_lm)


def test_a_step_brings_all_that_it_adds_to_the_tree(live, tiny_lm):
    model = live(lambda progress: tiny_lm)
    head, *first = all_of(run(model, max_new_tokens=6, min_new_tokens=6))
    assert isinstance(head, RunHead)
    assert [(step.branch, step.parent, step.at) for step in first] == [(0, None, 0)] * 6
    changes = [change for step in first for change in step.changes]
    assert [change.index for change in changes] == [0]
    assert changes[0].settings["seed"] == 3
    greedy = {**LONG, "do_sample": False}
    other = all_of(go_on(model, ContinueOrder(0, 2, 65, steps=2, generation=greedy)))
    assert [(step.branch, step.parent, step.at) for step in other] == [(1, 0, 2)] * 2
    assert [len(step.changes) for step in other] == [1, 0]
    assert [restored.index for restored in other[0].restorations] == [2]
    tree = model.tree("run")
    assert [step.step for step in first + other] == tree.branches[0].steps + tree.branches[1].steps


def test_what_no_stream_handed_over_comes_before_what_is_new(live, tiny_lm):
    model = live(lambda progress: tiny_lm)
    stream = run(model)
    taken = len(take_until(stream, 3)) - 1
    stream.close()
    while not stream.done:
        stream.take(5)  # and nobody keeps it
    lost = model.tree("run").branches[0].length - taken
    assert lost > 0
    order = ContinueOrder(0, 1, steps=2, known=(taken,))
    events = all_of(model.resume("run", order, no_progress))
    assert [event.is_late for event in events] == [True] * lost + [False] * 2
    assert [event.step.index for event in events] == [*range(taken, taken + lost), 1, 2]
    assert [event.branch for event in events] == [0] * lost + [1] * 2


def test_a_run_of_so_many_steps_goes_on_at_its_end_wherever_that_is(live, tiny_lm):
    model = live(lambda progress: tiny_lm)
    request = RunRequest("Hi", LONG, 3)
    streams = [model.stream("run", request, no_progress, 2)]
    streams += [model.resume("run", ContinueOrder(0, None, steps=3), no_progress) for _ in "ab"]
    events = [event for stream in streams for event in drain(stream)]
    assert ids(events) == expected(tiny_lm)[:8]
    assert len(model.tree("run").branches) == 1


def test_a_pause_ends_what_waits_in_line_too(live, tiny_lm):
    model = live(lambda progress: tiny_lm)
    model.shared.wait()
    gate = held_back(model)
    stream = run(model)
    model.pause("run")
    gate.set()
    assert drain(stream) == []
    first = drain(run(model, max_new_tokens=3, min_new_tokens=3))
    gate = held_back(model)
    waiting = go_on(model, ContinueOrder(0, 1))
    model.pause("run")
    later = go_on(model, ContinueOrder(0, 2, steps=1))
    gate.set()
    assert drain(waiting) == []
    assert len(drain(later)) == 1, "what was asked for after the pause goes on"
    assert len(first) == 4


def test_a_run_paused_while_it_reads_can_go_on(live, tiny_lm):
    model = live(lambda progress: tiny_lm)
    reading, paused = threading.Event(), threading.Event()

    def on_prefill(done, total):
        reading.set()
        paused.wait(5)

    prompt = "a" * 180
    stream = model.stream("run", RunRequest(prompt, GREEDY, 0), on_prefill)
    assert reading.wait(30)
    model.pause("run")
    paused.set()
    assert [type(event) for event in drain(stream)] == [RunHead]
    fed = []
    stream = model.resume("run", ContinueOrder(0, 0), lambda *progress: fed.append(progress))
    assert ids(drain(stream)) == ids(decode(tiny_lm, prompt, **GREEDY))
    assert fed[-1] == (180, 180)


def test_a_run_whose_visitor_left_and_came_back_goes_on(live, tiny_lm):
    model = live(lambda progress: tiny_lm)
    stream = run(model)
    take_until(stream, 3)
    stream.close()
    drain(stream)
    before = ids(model.tree("run").path(0))
    more = ids(drain(go_on(model)))
    assert before + more == expected(tiny_lm)


def test_a_run_that_is_not_kept_cannot_go_on(live, tiny_lm):
    model = live(lambda progress: tiny_lm, sessions=SessionRegistry(records=1))
    drain(run(model, "first"))
    drain(run(model, "second"))
    assert model.tree("first") is None
    assert model.trace("first") is None
    assert model.tree("second") is not None
    with pytest.raises(SessionError, match="not kept any more"):
        drain(go_on(model, ContinueOrder(0, 3), "first"))
    with pytest.raises(SessionError, match="not kept any more"):
        model.inspect("first", InspectRequest(0, 3)).result(5)
    assert len(drain(go_on(model, ContinueOrder(0, 3, steps=1), "second"))) == 1


def test_a_run_that_made_way_for_others_is_read_again_when_it_goes_on(live, tiny_lm):
    model = live(lambda progress: tiny_lm)
    events = drain(model.stream("mine", RunRequest("Hi", LONG, 3), no_progress, 2))
    for other in range(8):
        drain(run(model, f"other-{other}", max_new_tokens=2, min_new_tokens=2))
    assert model._sessions.find("mine").session.cache is None
    events += drain(go_on(model, ContinueOrder(0, 2), "mine"))
    assert ids(events) == expected(tiny_lm)
    assert model.tree("mine").branches[0].restorations[-1].reason == "evicted"


def test_a_refused_order_leaves_the_run_as_it_was(live, tiny_lm):
    model = live(lambda progress: tiny_lm)
    drain(run(model))
    with pytest.raises(SessionError, match="no branch 7"):
        drain(go_on(model, ContinueOrder(7, 3)))
    assert len(drain(go_on(model, ContinueOrder(0, 3, steps=2)))) == 2


def test_a_refused_request_keeps_no_session(live, tiny_lm):
    model = live(lambda progress: tiny_lm)
    with pytest.raises(ContextLengthError):
        drain(run(model, max_new_tokens=10_000))
    assert model.tree("run") is None
    with pytest.raises(SessionError, match="not kept"):
        drain(go_on(model, ContinueOrder(0, 0)))


def test_a_run_that_failed_in_its_midst_can_go_on(live, tiny_lm):
    sessions = SessionRegistry(idle_seconds=0)
    model = live(lambda progress: tiny_lm, sessions=sessions)
    events = drain(model.stream("run", RunRequest("Hi", LONG, 3), no_progress, 5))
    model.worker.submit(sessions.look_after).result(5)

    def fail(done, total):
        raise MemoryError("no room")

    with pytest.raises(MemoryError, match="no room"):
        drain(model.resume("run", ContinueOrder(0, None), fail))
    events += drain(go_on(model))
    assert ids(events) == expected(tiny_lm)


def test_whatever_visitors_do_at_once_their_runs_are_whole(live, tiny_lm):
    model = live(lambda progress: tiny_lm, sessions=SessionRegistry(count=1, records=3))
    failed = []

    def visit(name):
        dice = random.Random(name)
        key = None
        for turn in range(12):
            try:
                if key is None or dice.random() < 0.3:
                    key = f"{name}-{turn}"
                    stream = model.stream(key, RunRequest("Hi", LONG, 3), no_progress)
                else:
                    at = dice.choice([None, 1, 2])
                    stream = model.resume(key, ContinueOrder(0, at, steps=9), no_progress)
                take_until(stream, dice.randrange(6))
                looks = [model.inspect(key, InspectRequest(0, 0)) for _ in range(3)]
                end = dice.choice([model.pause, model.forget, None])
                stream.close() if end is None else end(key)
                drain(stream)
                assert all(look.result(20).index == 0 for look in looks)
            except SessionError:
                key = None
            except BaseException as error:
                failed.append(error)

    visitors = [threading.Thread(target=visit, args=(name,)) for name in range(4)]
    for visitor in visitors:
        visitor.start()
    for visitor in visitors:
        visitor.join(60)
        assert not visitor.is_alive()
    assert failed == []
    whole = expected(tiny_lm)
    for kept in model._sessions._sessions():
        steps = ids(kept.session.tree.path(0))
        assert steps == whole[: len(steps)]
    assert len(model._sessions._sessions()) <= 3
    drain(run(model, "last"))
    assert ids(model.tree("last").path(0)) == whole


def test_a_step_is_looked_at_while_the_run_goes_on(live, tiny_lm):
    model = live(lambda progress: tiny_lm)
    stream = run(model)
    events = take_until(stream, 4)
    seen = model.inspect("run", InspectRequest(0, 2))
    chosen = seen.result(10).chosen
    events += drain(stream)
    assert chosen == events[3].token_id
    assert ids(events) == expected(tiny_lm)
    assert model.inspect("run", InspectRequest(0, 5)).result(10).chosen == ids(events)[5]


def test_a_look_ends_once_it_has_held_up_others_for_long(live, tiny_lm, monkeypatch):
    monkeypatch.setattr(interruptions, "SECONDS_OF_OTHERS", 0)
    sessions = SessionRegistry(idle_seconds=0)
    model = live(lambda progress: tiny_lm, sessions=sessions)
    events = drain(model.stream("run", RunRequest("a" * 200, GREEDY, 3), no_progress))
    model.worker.submit(sessions.look_after).result(5)

    def ticking(is_stopped):
        while not is_stopped():
            time.sleep(0.01)
            yield "tick"

    other = model.worker.stream(ticking)
    take_until(other, 1)
    with pytest.raises(SessionError, match="no run is under way"):
        model.inspect("run", InspectRequest(0, 4)).result(10)
    other.close()
    drain(other)
    assert model.inspect("run", InspectRequest(0, 4)).result(10).chosen == ids(events)[4]


def test_a_look_that_nobody_waits_for_any_more_ends(live, tiny_lm, monkeypatch):
    reading = threading.Event()

    def endless(session, request, on_prefill):
        while True:
            on_prefill(1, 9)
            reading.set()
            time.sleep(0.01)

    model = live(lambda progress: tiny_lm)
    drain(run(model, max_new_tokens=2, min_new_tokens=2))
    monkeypatch.setattr(live_model, "inspect", endless)
    look = model.inspect("run", InspectRequest(0, 1))
    assert reading.wait(10)
    look.cancel()
    with pytest.raises(CancelledError):
        look.result(10)
    assert len(drain(go_on(model, ContinueOrder(0, 1, steps=1)))) == 1


def test_what_was_read_again_to_look_at_it_makes_others_give_back_theirs(live, tiny_lm):
    model = live(lambda progress: tiny_lm, sessions=SessionRegistry(count=1))
    drain(run(model, "first"))
    drain(run(model, "second"))
    assert model._sessions.find("second").session.held_bytes
    assert model.inspect("first", InspectRequest(0, 9)).result(10).restoration is not None
    model.worker.submit(int).result(5)
    assert model._sessions.find("second").is_freed


def test_a_forgotten_run_ends_and_is_gone(live, tiny_lm):
    model = live(lambda progress: tiny_lm)
    stream = run(model)
    take_until(stream, 3)
    session = weakref.ref(model._sessions.find("run").session)
    model.forget("run")
    assert len(drain(stream)) < 60
    assert model.tree("run") is None
    model.worker.submit(gc.collect).result(5)
    assert session() is None


def test_what_was_idle_is_rebuilt_when_it_goes_on(live, tiny_lm):
    sessions = SessionRegistry(idle_seconds=0)
    model = live(lambda progress: tiny_lm, sessions=sessions)
    stream = run(model)
    events = take_until(stream, 3)
    model.pause("run")
    events += drain(stream)
    model.worker.submit(sessions.look_after).result(5)
    assert model._sessions.find("run").session.cache is None
    events += drain(go_on(model))
    assert ids(events) == expected(tiny_lm)
    restoration = model.tree("run").branches[0].restorations[-1]
    assert (restoration.reason, restoration.reused_positions) == ("evicted", 0)
    assert restoration.fed_tokens > 0


def test_where_the_accelerator_is_lent_runs_end_and_do_not_go_on(live, tiny_lm):
    model = live(lambda progress: tiny_lm, on_device=OtherProcess())
    assert not model.keeps_sessions
    stream = run(model)
    events = take_until(stream, 3)
    model.pause("run")
    events += drain(stream)
    assert len(events) < 60
    assert model.tree("run") is None
    with pytest.raises(SessionError, match="lent for one run"):
        drain(go_on(model, ContinueOrder(0, 1)))
    with pytest.raises(SessionError, match="lent for one run"):
        model.inspect("run", InspectRequest(0, 1)).result(5)


# --- texts that are scored ----------------------------------------------------------------


TEXT = "To be, or not to be, that is the question: whether 'tis nobler in the mind to suffer"


def scoring(model, key="run", text=TEXT, on_prefill=no_progress):
    return model.score(key, ScoreRequest(text, 4, seed=3), on_prefill)


def test_a_scored_text_is_its_head_and_the_steps_of_score(live, tiny_lm):
    model = live(lambda progress: tiny_lm)
    fed = []
    head, *steps = drain(scoring(model, on_prefill=lambda *progress: fed.append(progress)))
    assert (head.config["scored"], head.config["seed"]) == (True, 3)
    assert head.config["do_sample"] is False
    expected = list(score(tiny_lm, TEXT, top_candidates=4))
    assert [replace(s, seconds=0.0) for s in steps] == [replace(s, seconds=0.0) for s in expected]
    ids = scored_ids(tiny_lm, TEXT)
    assert [token.token_id for token in head.prompt] == ids[:1]
    assert [step.token_id for step in model.tree("run").path(0)] == ids[1:]
    assert fed[-1][0] == fed[-1][1] >= len(steps)
    assert model._sessions.find("run").session.cache is None


def test_a_scored_text_is_inspected_and_goes_on_from_any_token(live, tiny_lm):
    model = live(lambda progress: tiny_lm)
    steps = ids(drain(scoring(model)))
    text = scored_ids(tiny_lm, TEXT)
    seen = model.inspect("run", InspectRequest(0, 30)).result(20)
    own = next(c for c in seen.candidates if c.token_id == steps[30])
    step = model.tree("run").path(0)[30]
    assert own.probability == pytest.approx(step.probability, abs=1e-5)
    assert seen.restoration.fed_tokens == 30
    assert not seen.stages, "nothing changes the model's own distribution"
    near = model.inspect("run", InspectRequest(0, 29)).result(20)
    assert near.restoration.reused_positions == 29, "what was read for a look is kept"
    for at in (40, len(steps)):
        more = ids(drain(go_on(model, ContinueOrder(0, at, generation=LONG))))
        assert more == ids(decode(tiny_lm, text[: 1 + at], seed=3, **LONG))
    forced = drain(go_on(model, ContinueOrder(0, 7, token_id=65, steps=2, generation=LONG)))
    assert (forced[0].token_id, forced[0].is_forced, forced[1].index) == (65, True, 8)
    assert ids(model.tree("run").path(0)) == steps


def test_what_may_follow_a_scored_text_is_what_fits_the_context(live, tiny_lm):
    model = live(lambda progress: tiny_lm)
    steps = ids(drain(scoring(model, text="a" * 250)))
    order = ContinueOrder(0, len(steps), generation={**GREEDY, "max_new_tokens": 8})
    with pytest.raises(ContextLengthError, match=r"250 tokens .* max_new_tokens = 8 .* at most 7 "):
        drain(go_on(model, order))
    order = replace(order, generation={**GREEDY, "max_new_tokens": 7})
    assert len(drain(go_on(model, order))) <= 7


def test_scoring_ends_when_it_is_paused_and_what_was_measured_is_kept(live, tiny_lm, monkeypatch):
    monkeypatch.setattr("decoding.strategies.windows.MOST_LOGITS", 16 * 260)
    model = live(lambda progress: tiny_lm)
    reading, paused = threading.Event(), threading.Event()

    def on_prefill(done, total):
        reading.set()
        paused.wait(5)

    stream = scoring(model, on_prefill=on_prefill)
    assert reading.wait(30)
    model.pause("run")
    paused.set()
    kept = ids(drain(stream))
    assert len(kept) < 20, "it ended with the pass under way"
    assert kept == ids(model.tree("run").path(0)) == list(TEXT.encode())[1 : 1 + len(kept)]
    order = ContinueOrder(0, None, steps=2, generation=LONG)
    assert [step.phase for step in drain(go_on(model, order))] == ["decode"] * 2
    assert ids(drain(scoring(model, "other"))) == list(TEXT.encode())[1:]


def test_a_text_that_cannot_be_scored_is_refused_before_the_head(live, tiny_lm, monkeypatch):
    model = live(lambda progress: tiny_lm)
    with pytest.raises(PromptError):
        drain(scoring(model, text="a"))
    monkeypatch.setattr("decoding.live.orders.MAX_STEPS", 50)
    with pytest.raises(SessionError, match="83 tokens, and at most 50 are scored"):
        drain(scoring(model))
    assert model.tree("run") is None


def test_a_trace_of_a_scored_text_is_read_and_shown_again(live, tiny_lm):
    model = live(lambda progress: tiny_lm)
    drain(scoring(model))
    drain(go_on(model, ContinueOrder(0, 5, generation=GREEDY)))
    trace = model.trace("run")
    again = read_trace(trace_json(trace).encode())
    assert again == trace
    assert {step.phase for step in again.branches[0].steps} == {"score"}
    assert again.branches[1].restorations[0].reason == "scored"


def test_where_the_accelerator_is_lent_scoring_happens_inside_the_call(live, tiny_lm):
    gpu = OtherProcess()
    model = live(lambda progress: tiny_lm, on_device=gpu)
    head, *steps = drain(scoring(model))
    assert gpu.calls == 1
    assert head.config["scored"] is True
    assert ids(steps) == list(TEXT.encode())[1:]
    assert model.tree("run") is None
    with pytest.raises(PromptError):
        drain(scoring(model, text="a"))
