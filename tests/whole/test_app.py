"""The served page without a browser: wiring, endpoint, visitors, bad input, headers."""

import gc
import json
import os
import subprocess
import sys
import time
import types
from pathlib import Path

import httpx
import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError
from served_page import Visitor, block, event, serving, until
from tiny import byte_tokenizer, tiny_model
from transformers import DynamicCache

import app
from decoding import LanguageModel, decode
from decoding.live.model_source import ModelSource
from decoding.page import app as page_app
from decoding.page.files import ASSETS, STYLES
from decoding.page.layout.events import SETTING_NAMES
from decoding.page.requests.model_choice import Offer
from decoding.page.requests.readers import read_request, read_score_request
from decoding.page.requests.settings import PAGE_SETTINGS, Limits
from decoding.page.serving import with_styles
from decoding.page.visitors import unread
from decoding.records.errors import ModelLoadError
from decoding.records.requests import ModelChoice
from decoding.records.trace_file import LARGEST_BYTES
from decoding.strategies.scoring import score

# Gradio's queue sums up its own work with what pandas has given up.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning:gradio.queueing"),
]

ROOT = Path(app.__file__).parent
GREEDY = {"do_sample": False, "max_new_tokens": 8}
LONG = {"do_sample": False, "max_new_tokens": 200, "min_new_tokens": 200}
HOSTILE = json.loads((ROOT / "tests/data/hostile_text.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def slow_lm():
    """Each inference takes at least 20 ms, so that there is something to stop."""
    model = tiny_model("llama")
    model.generation_config.suppress_tokens = [256]  # the end, which would come by chance
    model.register_forward_pre_hook(lambda *_: time.sleep(0.02))
    return LanguageModel(model, byte_tokenizer(), name="tiny-slow")


@pytest.fixture(scope="module")
def served(slow_lm):
    with serving(slow_lm, Limits(prompt_chars=1_000, new_tokens=220, waiting=2)) as (demo, url):
        yield demo, url


@pytest.fixture
def url(served):
    demo, url = served
    yield url
    until(lambda: not demo.runs.queue.streams)
    for visitor in list(demo.runs._kept):
        demo.runs.leave(visitor)


@pytest.fixture
def client(url):
    return Client(url, verbose=False)


def on_worker(demo, function):
    return demo.runs.model.worker.submit(function).result(20)


def caches_alive():
    gc.collect()
    return sum(type(thing) is DynamicCache for thing in gc.get_objects())


# The endpoint


def test_the_endpoint_streams_the_steps_of_decode(client, slow_lm):
    job = client.submit("Hi", True, "", {**GREEDY, "top_candidates": 3}, api_name="/decode")
    job.result(30)
    steps = job.outputs()
    messages = [{"role": "user", "content": "Hi"}]
    expected = list(decode(slow_lm, messages, top_candidates=3, **GREEDY))
    assert [s["token_id"] for s in steps] == [s.token_id for s in expected]
    for step, same in zip(steps, expected, strict=True):
        assert step["probability"] == same.probability
        assert step["entropy_bits"] == same.entropy_bits
        assert step["kv_cache"]["layer_bytes"] == list(same.kv_cache.layer_bytes)
        assert [c["token_id"] for c in step["candidates"]] == [c.token_id for c in same.candidates]


def test_the_same_seed_draws_the_same_text_raw_or_in_chat(client):
    settings = {"temperature": 1.5, "seed": 11, "max_new_tokens": 8}
    texts = []
    for chat in (False, False, True):
        job = client.submit("Once", chat, "", settings, api_name="/decode")
        job.result(30)
        texts.append([s["token_id"] for s in job.outputs()])
    assert texts[0] == texts[1] != texts[2]


def test_the_chosen_kind_of_cache_is_the_one_that_is_measured(client):
    held = {}
    for kind in ("dynamic", "static", "quantized"):
        settings = {**GREEDY, "cache_implementation": kind}
        job = client.submit("Hi", True, "", settings, api_name="/decode")
        job.result(30)
        held[kind] = [s["kv_cache"]["bytes"] for s in job.outputs()]
    assert held["dynamic"][0] < held["dynamic"][-1]
    assert len(set(held["static"])) == 1
    assert held["quantized"][-1] < held["dynamic"][-1]
    offloaded = {**GREEDY, "cache_implementation": "offloaded"}
    with pytest.raises(AppError, match="offloaded"):
        client.predict("Hi", True, "", offloaded, api_name="/decode")


def test_only_the_endpoints_are_public(client):
    endpoints = client.view_api(return_format="dict")["named_endpoints"]
    assert list(endpoints) == ["/decode", "/score"]


def test_the_endpoint_streams_the_tokens_of_a_scored_text(client, slow_lm):
    job = client.submit("To be, or not", 3, api_name="/score")
    job.result(30)
    steps, expected = job.outputs(), list(score(slow_lm, "To be, or not", top_candidates=3))
    assert [s["token_id"] for s in steps] == list(b"o be, or not")
    assert [s["logprob"] for s in steps] == pytest.approx([s.logprob for s in expected])
    assert {s["phase"] for s in steps} == {"score"}
    assert len(steps[0]["candidates"]) in (3, 4)
    assert steps[-1]["finish_reason"] == "length"


@pytest.mark.parametrize(
    ("text", "top_candidates", "message"),
    [
        ("", 20, "There is no text"),
        ("x" * 1_001, 20, "1,001 characters, and this page takes at most 1,000"),
        ("ab", 0, "top_candidates must be a whole number from 1 to 50, got 0"),
        (5, 20, "text must be a text, got 5"),
    ],
)
def test_a_text_that_cannot_be_scored_is_refused_with_a_sentence(
    client, text, top_candidates, message
):
    with pytest.raises(AppError, match=message):
        client.predict(text, top_candidates, api_name="/score")


@pytest.mark.parametrize(
    ("prompt", "settings", "message"),
    [
        ("", {}, "The prompt is empty"),
        ("x" * 1_001, {}, "1,001 characters, and this page takes at most 1,000"),
        ("a" * 300, {}, "shorten"),
        ("a", {"max_new_tokens": 5_000}, "max_new_tokens must be a whole number from 1 to 220"),
        ("a" * 100, {"max_new_tokens": 220}, "max_new_tokens"),
        ("a", {"temperature": -1}, "temperature must be a number from 0 to 5, got -1"),
        ("a", {"top_p": "x"}, "top_p must be a number from 0 to 1, got 'x'"),
        ("a", {"num_beams": 2}, "Unknown setting 'num_beams'"),
        (5, {}, "prompt must be a text, got 5"),
    ],
)
def test_bad_input_raises_one_clear_sentence(client, prompt, settings, message):
    with pytest.raises(AppError, match=message.replace("(", r"\(")):
        client.predict(prompt, False, "", settings, api_name="/decode")


@pytest.mark.parametrize("text", ["\ud800", "a\x00b", *map(str, HOSTILE[:3])])
def test_any_text_is_decoded_or_refused_with_a_sentence(url, text):
    answer = call(url, [text, True, "", {**GREEDY, "max_new_tokens": 2}])
    assert '"finish_reason": "length"' in answer or "not valid Unicode" in answer


def call(url, arguments):
    """The endpoint by plain HTTP, where half a character can be sent as an escape."""
    address = f"{url.rstrip('/')}/gradio_api/call/decode"
    body = json.dumps({"data": arguments})
    kind = {"Content-Type": "application/json"}
    event_id = httpx.post(address, content=body, headers=kind).json()["event_id"]
    return httpx.get(f"{address}/{event_id}", timeout=30).text


def test_two_clients_at_once_each_get_their_own_text(url, slow_lm):
    jobs = {
        prompt: Client(url, verbose=False).submit(prompt, False, "", GREEDY, api_name="/decode")
        for prompt in ("one", "two")
    }
    for prompt, job in jobs.items():
        job.result(30)
        expected = [s.token_id for s in decode(slow_lm, prompt, **GREEDY)]
        assert [s["token_id"] for s in job.outputs()] == expected


def test_cancelling_ends_the_run_and_frees_its_cache(served, client):
    demo, _ = served
    job = client.submit("Hi", False, "", LONG, api_name="/decode")
    until(lambda: len(job.outputs()) > 3)
    job.cancel()
    until(lambda: not demo.runs.queue.streams)
    assert on_worker(demo, caches_alive) == 0
    assert len(job.outputs()) < 100


# The page's events


@pytest.mark.serial
def test_stop_ends_ones_own_run_within_an_inference(served, url):
    demo, _ = served
    ann, bob = Visitor(demo, url, "ann"), Visitor(demo, url, "bob")
    settings = {**LONG, "max_new_tokens": 100}
    ann.generate("a", settings)
    bob.generate("b", settings)
    until(lambda: ann.is_running() and bob.is_running())
    started = time.monotonic()
    assert ann.stop().status_code == 200
    until(lambda: not ann.is_running())
    assert time.monotonic() - started < 1
    assert bob.is_running()
    bob.stop()


def test_a_text_is_scored_looked_at_and_goes_on(served, url):
    demo, _ = served
    ann = Visitor(demo, url, "ann-scoring")
    last = ann.last_frame("score_text", ["Once upon a time", 4, "7"])
    feed = block(demo, "feed")
    text = json.loads(feed.steps_from([last["run"], 0]))
    assert (last["state"], text["head"]["config"]["scored"]) == ("finished", True)
    assert text["head"]["config"]["seed"] == 7
    assert [step["id"] for step in text["steps"]] == list(b"nce upon a time")
    question = json.dumps({"run": last["run"], "branch": 0, "index": 5})
    answer = json.loads(feed.inspect_step([question]))
    assert answer["chosen"][0] == answer["candidates"][0][0]
    assert answer["reread"][3] == "scored"
    defaults = {s.name: s.default for s in PAGE_SETTINGS} | {"stop_strings": "", "seed": ""}
    settings = {**defaults, "max_new_tokens": 3}
    order = json.dumps({"run": last["run"], "branch": 0, "at": 8, "token": None, "steps": None})
    ann.last_frame("resume", [*[settings[name] for name in SETTING_NAMES], order])
    steps = json.loads(feed.steps_from([last["run"], 1, 8]))["steps"]
    assert [step["ph"] for step in steps] == ["decode"] * len(steps)
    assert 1 <= len(steps) <= 3
    refused = ann.last_frame("score_text", ["", 4, ""])
    assert (refused["run"], refused["message"]["key"]) == ("", "score_empty")


@pytest.mark.serial
def test_closing_the_tab_ends_the_run_and_frees_its_cache(served, url):
    demo, _ = served
    ann = Visitor(demo, url, "ann-closing")
    with httpx.stream("GET", f"{ann.api}/heartbeat/{ann.name}", timeout=20) as heartbeat:
        beats = heartbeat.iter_raw()  # closes the connection when it is collected
        next(beats)
        ann.generate("a", LONG)
        until(ann.is_running)
        started = time.monotonic()
    until(lambda: not ann.is_running())
    assert time.monotonic() - started < 2
    until(lambda: on_worker(demo, caches_alive) == 0)


def test_what_nobody_reads_ends_and_leaves_nothing(served, url, monkeypatch):
    monkeypatch.setattr(unread, "SECONDS_UNREAD", 0.5)
    demo, _ = served
    ann = Visitor(demo, url, "unread")
    kept = demo.runs.last_runs
    ann.generate("Growth", LONG)
    until(lambda: ann.is_running())
    (run,) = demo.runs._kept["unread"]
    until(lambda: not ann.is_running(), seconds=15)
    assert demo.runs.model.tree(run) is None
    assert run not in kept._logs
    until(lambda: "unread" not in demo._queue.pending_messages_per_session)
    assert "unread" not in demo._queue.pending_event_ids_session


def test_events_neither_wait_for_each_other_nor_show_gradios_progress(served):
    demo, _ = served
    generate = event(demo, "generate")
    assert generate.concurrency_limit is None
    assert generate.trigger_mode == "multiple"
    assert generate.show_progress == "hidden"
    assert event(demo, "stop").queue is False
    assert len(generate.outputs) == 1
    visible = {fn.name for fn in demo.fns.values() if fn.api_visibility == "public"}
    assert visible == {"decode", "score"}


def test_the_page_says_why_there_is_no_model_and_tries_again():
    def load(progress):
        raise ModelLoadError("Cannot load no/such: no such model.")

    with serving(load) as (demo, url):
        frames = [json.loads(frame) for frame in demo.runs.model_frames()]
        assert frames[-1]["message"]["args"]["text"] == "Cannot load no/such: no such model."
        with pytest.raises(AppError, match="no such model"):
            Client(url, verbose=False).predict("a", False, "", {}, api_name="/decode")


def test_a_browser_can_ask_for_steps_it_missed(served, url, client):
    demo, _ = served
    feed = block(demo, "feed")
    frames = list(demo.runs.frames("test", lambda: read_request("a", settings=GREEDY)))
    run = json.loads(frames[-1])["run"]
    assert (
        len(json.loads(feed.steps_from([run, 2]))["steps"]) == json.loads(frames[-1])["total"] - 2
    )
    assert feed.steps_from(["guessed", 0]) == ""


def written(demo, max_new_tokens=6):
    """The id of a run on the page."""
    settings = {**GREEDY, "max_new_tokens": max_new_tokens}
    frames = list(demo.runs.frames("writer", lambda: read_request("abc", settings=settings)))
    return json.loads(frames[-1])["run"]


def test_a_runs_tokens_are_compared_with_and_without_the_cache(served, url):
    demo, _ = served
    ann = Visitor(demo, url, "ann-comparing")
    last = ann.last_frame("compare_caches", [written(demo), "none"])
    assert (last["kind"], last["state"], last["total"]) == ("caching", "finished", 6)
    assert last["summary"]["largest_logit_difference"] < 1e-4
    assert last["summary"]["changed"] == 0
    feed = block(demo, "work-feed")
    missed = json.loads(feed.steps_from([last["work"], 0]))
    assert [row[4] for row in missed["rows"][1:]] == [1] * 5
    fed = [row[5] for row in missed["rows"]]
    assert fed == [missed["head"]["prompt_tokens"] + i for i in range(6)]


def test_a_comparison_of_a_run_that_nobody_knows_says_what_to_do(served, url):
    demo, _ = served
    ann = Visitor(demo, url, "ann-unknown")
    for name, data in (("compare_caches", ["guessed", "none"]), ("compare_precisions", [""])):
        last = ann.last_frame(name, data)
        assert (last["work"], last["message"]["key"]) == ("", "work_without_run")


def test_stop_and_the_tabs_end_end_a_comparison(served, url):
    demo, _ = served
    run = written(demo, 100)
    demo.runs.leave("writer")
    ann, bob = Visitor(demo, url, "ann-stopping"), Visitor(demo, url, "bob-closing")
    ann.press("compare_caches", [run, "none"])
    until(lambda: ann.is_running("job"))
    ann.stop()
    assert ann.is_running("job")
    ann.stop("stop_job")
    assert not ann.is_running("job")
    with httpx.stream("GET", f"{bob.api}/heartbeat/{bob.name}", timeout=20) as heartbeat:
        beats = heartbeat.iter_raw()
        next(beats)
        bob.press("compare_caches", [run, "none"])
        until(lambda: bob.is_running("job"))
    until(lambda: not bob.is_running("job"))
    assert on_worker(demo, caches_alive) == 0


def test_a_model_in_memory_has_one_precision_and_is_there_again_after_the_attempt(served, url):
    demo, _ = served
    last = Visitor(demo, url, "ann-precise").last_frame("compare_precisions", [written(demo)])
    assert (last["state"], last["total"]) == ("error", 6)
    assert "another number format" in last["message"]["args"]["text"]
    assert json.loads(list(demo.runs.model_frames())[-1])["state"] == "ready"
    assert written(demo)


def test_the_roofline_of_this_machine_is_measured_on_request(served, url):
    demo, _ = served
    last = Visitor(demo, url, "ann-measuring").last_frame("measure_roofline", [])
    assert last["state"] == "finished"
    prefill, decode_point = last["summary"]["points"]
    assert (prefill["tokens"], decode_point["tokens"]) == (128, 1)
    assert prefill["flops"] / prefill["bytes"] > decode_point["flops"] / decode_point["bytes"]


def test_visitors_choose_among_what_the_operator_offers(slow_lm):
    other = LanguageModel(tiny_model("gpt2"), byte_tokenizer(), name="tiny-gpt2")
    wanted = []

    class Offered(ModelSource):
        def load(self, choice, progress, room):
            wanted.append(choice.name)
            return slow_lm if choice == ModelChoice() else other

    with serving(Offered(), offer=Offer(own="mine", any_model=False)) as (demo, url):
        demo.runs.model.shared.wait()
        ann = Visitor(demo, url, "ann-choosing")
        run = written(demo)
        form = ["none", "auto"]
        refused = ann.last_frame("load_model", ["own", "some/model", *form])
        assert refused["message"]["key"] == "model_not_offered"
        assert refused["model"]["name"] == "tiny-slow"
        loaded = ann.last_frame("load_model", ["openai-community/gpt2", "", *form])
        assert (loaded["state"], loaded["model"]["name"]) == ("ready", "tiny-gpt2")
        stale = ann.last_frame("compare_caches", [run, "none"])
        assert stale["message"]["args"] == {"before": "tiny-slow", "now": "tiny-gpt2"}
        back = ann.last_frame("load_model", ["own", "", *form])
        assert back["model"]["name"] == "tiny-slow"
        assert wanted == [None, "openai-community/gpt2", None], "the operator's own has no name"


def test_a_name_can_be_typed_where_the_operator_allows_it(slow_lm):
    def name_field(**offer):
        demo = app.build_app(slow_lm, offer=Offer(**offer))
        demo.runs.model.worker.shutdown()
        return next(b for b in demo.blocks.values() if getattr(b, "elem_id", None) == "model-name")

    assert name_field(any_model=True).visible is True
    assert name_field(any_model=False).visible is False


# Safe by default


def test_the_page_answers_to_its_own_names_only(url):
    assert httpx.get(url).status_code == 200
    assert httpx.get(url, headers={"Host": "evil.example"}).status_code == 400
    assert httpx.get(url, headers={"Host": "localhost"}).status_code == 200


def test_headers_let_no_other_host_in(url):
    headers = httpx.get(url).headers
    policy = headers["content-security-policy"]
    scripts = next(part for part in policy.split("; ") if part.startswith("script-src"))
    assert "unsafe-inline" not in scripts
    assert "http:" not in policy
    assert "https:" not in policy
    assert "frame-ancestors 'self'" in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert "content-security-policy" in httpx.get(f"{url}live/page.js").headers


def test_all_styles_come_with_the_page_and_with_no_other(url):
    head, _, _ = httpx.get(url).text.rpartition("</head>")
    for name in STYLES:
        assert f'<link rel="stylesheet" href="live/{name}">' in head
        assert httpx.get(f"{url}live/{name}").status_code == 200
    assert {path.name for path in (ASSETS / "styles").iterdir()} == {Path(n).name for n in STYLES}
    replay = b"<html><head></head><body></body></html>"
    assert with_styles(replay) == replay


def test_frames_are_allowed_where_the_operator_says():
    options = app.launch_options(frame_ancestors=["https://huggingface.co"])
    fence = options["app_kwargs"]["middleware"][1]
    assert fence.kwargs["frame_ancestors"] == ("https://huggingface.co",)


def test_a_sign_of_life_and_the_pages_files(url):
    assert httpx.get(f"{url}health").json() == {"status": "ok"}
    assert "Plotly" in httpx.get(f"{url}live/plotly.min.js").text[:500]
    assert httpx.get(f"{url}live/../app.py").status_code == 404
    assert httpx.get(f"{url}live/%2e%2e/app.py").status_code == 404


def test_uploads_are_bounded_and_files_and_monitoring_closed(url):
    big = {"files": ("big.txt", b"x" * (LARGEST_BYTES + 1))}
    assert httpx.post(f"{url}gradio_api/upload", files=big).status_code >= 400
    assert httpx.get(f"{url}gradio_api/file={ROOT / 'app.py'}").status_code == 403
    assert httpx.get(f"{url}gradio_api/monitoring").status_code in (403, 404)


def test_launch_options_open_nothing():
    options = app.launch_options()
    assert (options["server_name"], options["server_port"]) == ("127.0.0.1", 7860)
    for name in ("share", "run_history", "enable_monitoring", "ssr_mode", "mcp_server", "pwa"):
        assert options[name] is False, name
    assert os.environ["GRADIO_ANALYTICS_ENABLED"] == "False"


def test_the_page_asks_no_other_host_for_fonts():
    theme = app.launch_options()["theme"]
    assert "http" not in str([theme._font_css, theme._stylesheets])


# The process


def test_importing_the_page_loads_no_torch():
    code = "import app, sys; print('torch' in sys.modules, 'transformers' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=100
    )
    assert done.stdout.split() == ["False", "False"], done.stderr


def test_where_spaces_lends_an_accelerator_decoding_runs_inside_its_call(monkeypatch, slow_lm):
    decorated = []

    def gpu(**options):
        def decorate(function):
            decorated.append(options)
            return function

        return decorate

    monkeypatch.setattr(page_app, "spaces", types.SimpleNamespace(GPU=gpu))
    assert page_app._lent_device() is None
    monkeypatch.setenv("SPACES_ZERO_GPU", "1")
    demo = app.build_app(slow_lm)
    assert decorated == [{"duration": page_app.SPACE_GPU_SECONDS}]
    frames = list(demo.runs.frames("ann", lambda: read_request("a", settings=GREEDY)))
    assert json.loads(frames[-1])["state"] == "finished"
    frames = list(demo.runs.score("ann", lambda: read_score_request("abc")))
    scored = json.loads(frames[-1])
    assert (scored["state"], scored["total"]) == ("finished", 2)
    ann = types.SimpleNamespace(session_hash="ann", client=None)
    for job in ("sample", "calibrate"):
        refused = json.loads(list(event(demo, job).fn(ann, scored["run"]))[-1])
        assert "lent for one run at a time" in refused["message"]["args"]["text"]
    demo.runs.model.worker.shutdown()
