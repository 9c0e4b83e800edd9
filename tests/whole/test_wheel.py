"""Taking the wheel through the served page, without a browser; and what its orders may say."""

import dataclasses
import json
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from served_page import Visitor, block, event, serving, until
from tiny import byte_tokenizer, tiny_model

import app
from decoding import LanguageModel, decode
from decoding.page.layout.events import SETTING_NAMES
from decoding.page.requests.orders import read_inspection, read_order, read_place, read_speed
from decoding.page.requests.refusals import RequestError
from decoding.page.requests.settings import DEFAULT_LIMITS, PAGE_SETTINGS, Limits
from decoding.page.texts import LANGUAGES, texts
from decoding.page.visitors import questions as questions_room
from decoding.page.visitors.questions import Questions
from decoding.records.errors import GenerationConfigError, SessionError
from decoding.records.trace_file import read_trace, trace_json

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning:gradio.queueing"),
]

SAMPLED = {"do_sample": True, "temperature": 1.5, "seed": 7, "max_new_tokens": 60}


@pytest.fixture(scope="module")
def lm():
    model = tiny_model("llama")
    model.generation_config.suppress_tokens = [256]  # the end, which would come by chance
    model.register_forward_pre_hook(lambda *_: time.sleep(0.01))
    return LanguageModel(model, byte_tokenizer(), name="tiny-slow")


@pytest.fixture(scope="module")
def served(lm):
    with serving(lm, Limits(new_tokens=220, waiting=2)) as (demo, url):
        yield demo, url


class Driver(Visitor):
    """A visitor who takes the wheel."""

    def __init__(self, served, name):
        super().__init__(*served, name)
        self.url = served[1]

    def values(self, settings):
        defaults = {setting.name: setting.default for setting in PAGE_SETTINGS}
        values = {**defaults, "stop_strings": "", "seed": "", **settings}
        return [values[name] for name in SETTING_NAMES]

    def write(self, prompt, settings, speed=None):
        order = "" if speed is None else json.dumps({"speed": speed})
        return self.last_frame("generate", [prompt, False, "", *self.values(settings), order])

    def order(self, run, settings, branch=0, at=None, **order):
        text = json.dumps({"run": run, "branch": branch, "at": at, **order})
        return self.last_frame("resume", [*self.values(settings), text])

    def ask(self, name, question):
        feed = block(self.demo, "feed")
        body = {
            "data": question,
            "fn_name": name,
            "component_id": feed._id,
            "session_hash": self.name,
        }
        answer = httpx.post(f"{self.api}/component_server/", json=body, timeout=30)
        return json.loads(answer.raise_for_status().json() or "null")

    def path(self, run, branch=0):
        """The steps from the prompt to the end of a branch."""
        frame = self.ask("steps_from", [run, branch, 0])
        parent, at, _ = frame["tree"][branch]
        before = [] if parent is None else self.path(run, parent)
        return [*before[:at], *frame["steps"]]

    def inspect(self, run, index, branch=0, **more):
        question = {"run": run, "branch": branch, "index": index, **more}
        return self.ask("inspect_step", [json.dumps(question)])

    def open(self, content, name="trace.json"):
        (path,) = httpx.post(f"{self.api}/upload", files={"files": (name, content)}).json()
        payload = {"path": path, "meta": {"_type": "gradio.FileData"}, "orig_name": name}
        return path, self.last_frame("open_trace", [payload])


@pytest.fixture
def ann(served, request):
    demo, _ = served
    yield Driver(served, f"ann-{abs(hash(request.node.name))}")
    for visitor in list(demo.runs._kept):
        demo.runs.leave(visitor)
    until(lambda: not demo.runs.queue.streams)


def ids(steps):
    return [step["id"] for step in steps]


def fresh(lm, **settings):
    return [step.token_id for step in decode(lm, "ab", **{**PAGE_DEFAULTS, **settings})]


PAGE_DEFAULTS = {"top_k": 40, "top_p": 0.9}


def test_a_run_pauses_goes_on_and_ends_as_if_it_never_had(served, ann, lm):
    demo, _ = served
    ann.press("generate", ["ab", False, "", *ann.values(SAMPLED), ""])
    ann.read()
    until(lambda: demo.runs._turns.get(ann.name) and demo.runs._turns.get(ann.name).run.total > 5)
    run = demo.runs._turns.get(ann.name).run
    assert ann.stop("pause").status_code == 200
    until(lambda: run.state == "paused")
    known = len(ann.path(run.log_id))
    assert 5 < known == demo.runs.model.tree(run.log_id).branches[0].length < 60
    last = ann.order(run.log_id, SAMPLED, steps=2)
    assert (last["state"], last["b"], last["total"]) == ("paused", 0, known + 2)
    last = ann.order(run.log_id, SAMPLED)
    assert (last["state"], last["total"]) == ("finished", 60)
    assert ids(ann.path(run.log_id)) == fresh(lm, **SAMPLED)


def test_a_branch_leaves_where_it_was_told_to_and_the_first_one_stays(ann, lm):
    last = ann.write("ab", {**SAMPLED, "max_new_tokens": 20})
    run, first = last["run"], ids(ann.path(last["run"]))
    other = (first[8] + 1) % 200
    last = ann.order(run, {**SAMPLED, "max_new_tokens": 20}, at=8, token=other)
    assert (last["state"], last["b"], last["total"]) == ("finished", 1, 20)
    assert last["tree"] == [[None, 0, 20], [0, 8, 20]]
    branch = ann.path(run, 1)
    assert ids(branch)[:9] == [*first[:8], other]
    assert branch[8]["f"] == 1
    assert ids(ann.path(run)) == first
    frame = ann.ask("steps_from", [run, 1, 0])
    assert [step["i"] for step in frame["steps"]] == list(range(8, 20))
    (note,) = frame["notes"]
    assert note[:2] == [1, 8]
    assert note[3] == 0
    assert [change[:2] for change in frame["changes"]] == [[0, 0]]


def test_other_settings_hold_from_the_next_token_on_and_are_recorded(ann):
    greedy = {"do_sample": False, "max_new_tokens": 12}
    run = ann.write("ab", {**SAMPLED, "max_new_tokens": 12})["run"]
    ann.order(run, greedy, at=6)
    frame = ann.ask("steps_from", [run, 1, 0])
    assert [step["r"] for step in frame["steps"]] == [1] * 6
    (_, change) = frame["changes"]
    assert change[:2] == [1, 6]
    assert not change[2].get("do_sample")


def test_a_speed_is_kept_to_and_the_text_is_the_same(served, ann, lm):
    settings = {**SAMPLED, "max_new_tokens": 8}
    started = time.monotonic()
    last = ann.write("ab", settings, speed=10)
    assert time.monotonic() - started > 0.6
    assert (last["state"], last["total"]) == ("finished", 8)
    assert ids(ann.path(last["run"])) == fresh(lm, **settings)


def test_a_slow_run_pauses_in_its_rest_and_others_go_first(served, ann):
    demo, _ = served
    ann.press("generate", ["ab", False, "", *ann.values(SAMPLED), json.dumps({"speed": 0.5})])
    ann.read()
    until(lambda: demo.runs._turns.get(ann.name) and demo.runs._turns.get(ann.name).run.total == 1)
    run = demo.runs._turns.get(ann.name).run
    bob = Driver(served, f"bob-{ann.name}")
    assert bob.write("ab", {**SAMPLED, "max_new_tokens": 4})["state"] == "finished"
    assert run.total <= 2
    ann.stop("pause")
    until(lambda: run.state == "paused", seconds=1)


def test_generating_anew_and_leaving_forget_the_session(served, ann):
    demo, _ = served
    settings = {**SAMPLED, "max_new_tokens": 4}
    first, second = (ann.write(prompt, settings)["run"] for prompt in ("ab", "cd"))
    assert demo.runs.model.tree(first) is None
    assert len(ann.path(first)) == 4
    refused = ann.order(first, settings, at=2)
    assert (refused["run"], refused["state"]) == (first, "error")
    assert "not kept" in refused["message"]["args"]["text"]
    demo.runs.leave(ann.name)
    assert demo.runs.model.tree(second) is None


@pytest.mark.parametrize(
    "order",
    ["", "[]", "{", '{"run": "x"}', '{"run": 1, "branch": 0}', '{"run": "x", "branch": 0}'],
)
def test_orders_for_no_run_are_refused_and_change_nothing(ann, order):
    last = ann.last_frame("resume", [*ann.values({}), order])
    assert (last["run"], last["state"]) == ("", "error")
    assert last["message"]["key"] in ("order_unusable", "run_unknown")


def test_orders_for_no_place_are_told(ann):
    run = ann.write("ab", {**SAMPLED, "max_new_tokens": 4})["run"]
    assert ann.order(run, SAMPLED, branch=5)["message"]["key"] == "order_unusable"
    assert "no step 99" in ann.order(run, SAMPLED, at=99)["message"]["args"]["text"]
    assert "no token" in ann.order(run, SAMPLED, at=2, token=10**6)["message"]["args"]["text"]
    other = {**SAMPLED, "stop_strings": "a" * 30}
    assert ann.order(run, other, at=2)["message"]["args"]["text"].startswith("stop_strings")


def test_a_step_is_inspected_under_its_settings_and_under_others(ann):
    last = ann.write("ab", {**SAMPLED, "max_new_tokens": 12})
    run, steps = last["run"], ann.path(last["run"])
    seen = ann.inspect(run, 5)
    assert (seen["run"], seen["branch"], seen["index"]) == (run, 0, 5)
    assert seen["entropy_bits"] == steps[5]["H"]
    assert seen["chosen"][0] == steps[5]["id"]
    assert seen["kept"] == steps[5]["kept"]
    stages = [stage["setting"] for stage in seen["stages"]]
    assert stages == ["suppress_tokens", "temperature", "top_k", "top_p"]
    tried = dict(zip(SETTING_NAMES, ann.values({"do_sample": False}), strict=True))
    assert ann.inspect(run, 5, settings=tried)["chosen"][0] == seen["candidates"][0][0]
    found = ann.inspect(run, 5, find="a", token=65)
    assert found["found"]
    assert "error" in ann.inspect(run, 99)
    assert ann.inspect(run, 5, settings={"top_p": 7})["error"]["key"] == "setting_no_number"
    assert ann.ask("inspect_step", ["{}"])["error"]["key"] == "order_unusable"
    assert "not kept" in ann.inspect("guessed", 0)["error"]["args"]["text"]


def test_a_run_is_kept_as_files_and_opened_again_without_a_model(served, ann):
    _, url = served
    last = ann.write("ab", {**SAMPLED, "max_new_tokens": 6})
    run = ann.order(last["run"], {**SAMPLED, "max_new_tokens": 6}, at=3, token=70)["run"]
    kept = httpx.get(f"{url}trace/{run}.json")
    assert kept.status_code == 200
    name = kept.headers["content-disposition"]
    assert name.startswith('attachment; filename="decoding-2')
    assert run not in name
    assert kept.headers["cache-control"] == "no-store"
    assert kept.headers["x-content-type-options"] == "nosniff"
    table = httpx.get(f"{url}trace/{run}.csv")
    assert table.headers["content-type"].startswith("text/csv")
    assert len(table.text.splitlines()) >= 9

    replay = httpx.get(f"{url}trace/{run}.html", timeout=30)
    assert replay.headers["content-type"] == "application/octet-stream"
    assert replay.headers["content-disposition"].endswith('.html"')
    assert replay.content.startswith(b"<!doctype html>")

    path, shown = ann.open(kept.content, name="../../../etc/x.json")
    assert (shown["state"], shown["b"], shown["total"]) == ("finished", 1, 6)
    assert shown["run"] != run
    assert ids(ann.path(shown["run"], 1)) == ids(ann.path(run, 1))
    assert not ann.ask("steps_from", [shown["run"], 0, 0])["head"]["live"]
    again = httpx.get(f"{url}trace/{shown['run']}.json")
    assert read_trace(again.content) == read_trace(kept.content)
    assert not Path(path).exists()
    assert ann.order(shown["run"], SAMPLED)["message"]["key"] == "run_unknown"


@pytest.mark.parametrize("address", ["guessed.json", "guessed.exe", "x.html", "..%2fapp.py"])
def test_there_is_no_file_of_what_is_not_known(served, address):
    assert httpx.get(f"{served[1]}trace/{address}").status_code == 404


def test_a_known_run_has_no_other_kinds_of_files(served, ann):
    run = ann.write("ab", {**SAMPLED, "max_new_tokens": 2})["run"]
    assert httpx.get(f"{served[1]}trace/{run}.exe").status_code == 404


@pytest.mark.parametrize("content", [b"", b"{", b'{"version": 99, "branches": []}', b"\xff\xfe"])
def test_a_file_that_is_no_trace_is_refused_in_a_sentence(ann, content):
    before = ann.write("ab", {**SAMPLED, "max_new_tokens": 2})["run"]
    _, last = ann.open(content)
    assert (last["run"], last["state"]) == ("", "error")
    assert last["message"]["key"] == "trace_refused"
    assert last["message"]["args"]["text"]
    assert len(ann.path(before)) == 2


def test_a_hostile_trace_is_shown_verbatim(served, ann):
    run = ann.write("ab", {**SAMPLED, "max_new_tokens": 3})["run"]
    trace = read_trace(httpx.get(f"{served[1]}trace/{run}.json").content)
    hostile = "</script><img src=x onerror=alert(1)>${alert(1)}"
    trace.branches[0].steps[1] = dataclasses.replace(trace.branches[0].steps[1], text=hostile)
    _, shown = ann.open(trace_json(trace))
    assert ann.path(shown["run"])[1]["t"] == hostile


def test_the_browser_fills_the_order_and_takes_values(served):
    demo, _ = served
    for name in ("generate", "resume"):
        assert "decodingLive?.order?.()" in event(demo, name).js
        assert event(demo, name).inputs[-1] is block(demo, "wheel-order")
    assert event(demo, "pause").queue is False
    wanted = next(fn for fn in demo.fns.values() if "wanted(" in str(fn.js))
    assert wanted.outputs == [*event(demo, "generate").inputs[:-1], block(demo, "generate")]
    assert len(wanted.outputs) == 4 + len(PAGE_SETTINGS)
    assert app.launch_options()["max_file_size"] == 32_000_000


# Answers without a model


class SlowModel:
    """Promises questions, and keeps none."""

    def __init__(self):
        self.asked = []

    def inspect(self, key, request):
        self.asked.append(Future())
        return self.asked[-1]


def question(run="x"):
    return json.dumps({"run": run, "branch": 0, "index": 0})


def test_only_the_newest_question_about_a_run_is_answered():
    model = SlowModel()
    questions = Questions(model, DEFAULT_LIMITS)
    with ThreadPoolExecutor() as threads:
        first = threads.submit(questions.answer, question())
        until(lambda: len(model.asked) == 1)
        other = threads.submit(questions.answer, question("y"))
        until(lambda: len(model.asked) == 2)
        second = threads.submit(questions.answer, question())
        assert json.loads(first.result(5))["error"]["key"] == "inspection_late"
        assert not other.done()
        model.asked[1].set_exception(SessionError("No such step."))
        model.asked[2].set_exception(ZeroDivisionError("inner secret"))
        assert json.loads(other.result(5))["error"]["args"] == {"text": "No such step."}
        assert json.loads(second.result(5)) == {"error": {"key": "failed", "args": {}}}
    assert len(questions._newest) == 0


def test_a_question_is_given_up_after_a_while(monkeypatch):
    monkeypatch.setattr(questions_room, "SECONDS_WAITED", 0.05)
    model = SlowModel()
    answer = Questions(model, DEFAULT_LIMITS).answer(question())
    assert json.loads(answer)["error"]["key"] == "inspection_late"
    assert model.asked[0].cancelled()


def test_a_question_that_the_model_reads_for_is_given_more_time(monkeypatch):
    monkeypatch.setattr(questions_room, "SECONDS_WAITED", 0.05)
    model = SlowModel()
    with ThreadPoolExecutor() as threads:
        answer = threads.submit(Questions(model, DEFAULT_LIMITS).answer, question())
        until(lambda: model.asked)
        model.asked[0].set_running_or_notify_cancel()
        time.sleep(0.2)
        assert not answer.done()
        model.asked[0].set_exception(SessionError("No such step."))
        assert json.loads(answer.result(5))["error"]["args"] == {"text": "No such step."}


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_is_refused_is_said_in_every_language(language):
    messages = texts()[language]["messages"]
    assert messages["trace_refused"].count("{text}") == 1
    for key in ("trace_gone", "run_unknown", "order_unusable", "inspection_late"):
        assert messages[key]
        assert "{" not in messages[key]


# What an order may say


def order(**fields):
    return json.dumps({"run": "x", "branch": 0, **fields})


def test_an_order_is_read_with_the_settings_that_may_change():
    settings = {"top_p": 0.5, "seed": "3", "use_cache": False, "stop_strings": "", "min_p": None}
    read = read_order(order(at=3, token=7, steps=2, speed=4), settings, DEFAULT_LIMITS)
    assert (read.run, read.branch, read.at, read.token_id) == ("x", 0, 3, 7)
    assert (read.steps, read.speed) == (2, 4.0)
    assert read.generation == {"top_p": 0.5, "stop_strings": None}
    plain = read_order(order(), {"do_sample": False, "top_p": 0.5}, DEFAULT_LIMITS)
    assert (plain.at, plain.token_id, plain.steps, plain.speed) == (None, None, None, None)
    assert plain.generation == {"do_sample": False}


@pytest.mark.parametrize(
    "fields",
    [
        {"run": ""},
        {"run": "x" * 65},
        {"branch": -1},
        {"branch": True},
        {"branch": 1.5},
        {"at": "3"},
        {"at": 2**40},
        {"token": -1},
        {"steps": 0},
        {"speed": 0},
        {"speed": float("nan")},
        {"speed": "fast"},
        {"speed": True},
    ],
)
def test_an_order_out_of_range_is_refused(fields):
    with pytest.raises(RequestError) as caught:
        read_order(order(**fields), {}, DEFAULT_LIMITS)
    assert caught.value.message_key == "order_unusable"


@pytest.mark.parametrize("text", [None, 3, "", "[" * 15_000, "x" * 30_000, "3", '"x"'])
def test_what_is_no_object_is_refused(text):
    with pytest.raises(RequestError):
        read_order(text, {}, DEFAULT_LIMITS)


def test_generate_reads_the_speed_alone():
    assert read_speed("") is None
    assert read_speed("{}") is None
    assert read_speed('{"speed": 2, "run": 5}') == 2.0
    with pytest.raises(RequestError):
        read_speed('{"speed": -2}')


def test_a_question_is_read_strictly():
    run, asked = read_inspection(
        json.dumps({"run": "x", "branch": 1, "index": 4, "settings": {"top_k": 3}, "find": " a"}),
        DEFAULT_LIMITS,
    )
    assert (run, asked.branch, asked.index, asked.find) == ("x", 1, 4, " a")
    assert asked.generation == {"top_k": 3}
    assert asked.token_ids == ()


@pytest.mark.parametrize(
    "wrong",
    [{"find": 3}, {"find": "x" * 300}, {"settings": []}, {"index": None}, {"settings": {"q": 1}}],
)
def test_what_is_no_question_is_refused(wrong):
    question = json.dumps({"run": "x", "branch": 1, "index": 4, **wrong})
    with pytest.raises((RequestError, GenerationConfigError)):
        read_inspection(question, DEFAULT_LIMITS)


@pytest.mark.parametrize("place", [None, [], ["x"], ["x", -1], ["x", 0, "1"], [1, 0], "xy"])
def test_a_place_that_is_none_is_refused(place):
    with pytest.raises(RequestError):
        read_place(place)
    assert read_place(["x", 2]) == ("x", None, 2)
    assert read_place(["x", 1, 2]) == ("x", 1, 2)
