"""What happens on a click: Gradio's events, bound to what answers them."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator
from typing import Any

import gradio as gr

from decoding.page.jobs.calibration import CalibrationJob
from decoding.page.jobs.job import Job, tokens_of
from decoding.page.jobs.measurements import CachingJob, PrecisionJob, RooflineJob
from decoding.page.jobs.samples import SampledJob
from decoding.page.layout.page import Page
from decoding.page.requests.model_choice import Offer, read_model_choice
from decoding.page.requests.orders import read_order
from decoding.page.requests.readers import read_request, read_score_request
from decoding.page.requests.settings import PAGE_SETTINGS
from decoding.page.visitors.jobs import Jobs
from decoding.page.visitors.runs import Runs
from decoding.page.visitors.switches import Switches
from decoding.page.visitors.traces import Traces

SETTING_NAMES = [setting.name for setting in PAGE_SETTINGS]
# The id of the run that is shown is the first input of whatever works on it.
EXPECTS = "window.decodingLive?.expectAnswer();"
ASKED = f"(...values) => {{ {EXPECTS} return values; }}"
SHOWN_RUN = (
    f"(_, ...values) => {{ {EXPECTS} return [window.decodingLive?.store.id ?? '', ...values]; }}"
)
REQUEST_NAMES = json.dumps(["prompt", "chat", "system", *SETTING_NAMES])
# The order is the last input: what the page's scripts ask for just now.
ORDERED = (
    f"(...values) => {{ {EXPECTS}"
    " return [...values.slice(0, -1), window.decodingLive?.order?.() ?? '']; }"
)
# Without the page's scripts nothing is asked: they know what the page's address asks for.
REQUESTED = (
    f"async (...values) => {{ const asked = await window.decodingLive.request({REQUEST_NAMES},"
    f" values); {EXPECTS} return [...asked, window.decodingLive?.order?.() ?? '']; }}"
)

PRIVATE: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
STREAMED: dict[str, Any] = {**PRIVATE, "trigger_mode": "multiple", "concurrency_limit": None}
AT_ONCE: dict[str, Any] = {**PRIVATE, "queue": False}


def visitor_of(request: gr.Request) -> str:
    """The session's hash; who comes without one is a visitor whom nobody else can stop."""
    return request.session_hash or secrets.token_urlsafe()


def wire_runs(demo: gr.Blocks, page: Page, runs: Runs) -> None:
    """Generate, Stop, the tab's end, and what the page shows while the model loads."""

    def generate(request: gr.Request, *values: Any) -> Iterator[str]:
        prompt, chat, system, *settings, order = values
        named = dict(zip(SETTING_NAMES, settings, strict=True))
        yield from runs.frames(
            visitor_of(request),
            lambda: read_request(prompt, chat, system, named, runs.limits),
            order,
        )

    def stop(request: gr.Request) -> None:
        runs.stop(visitor_of(request))

    def leave(request: gr.Request) -> None:
        runs.leave(visitor_of(request))

    def model_frames() -> Iterator[str]:
        yield from runs.model_frames()

    triggers = [page.generate.click, page.prompt.submit]
    asked = [*page.controls, page.wheel.order]
    gr.on(triggers, generate, asked, page.feed, js=REQUESTED, **STREAMED)
    page.stop.click(stop, **AT_ONCE)
    # Through the queue, so that it opens the stream of answers where that was closed.
    page.ask_again.click(lambda: None, concurrency_limit=None, **PRIVATE)
    demo.load(model_frames, outputs=page.model_feed, concurrency_limit=None, **PRIVATE)
    demo.unload(leave)


def wire_wheel(page: Page, runs: Runs) -> None:
    """Pause, and how a run is to go on."""

    def resume(request: gr.Request, *values: Any) -> Iterator[str]:
        *settings, order = values
        named = dict(zip(SETTING_NAMES, settings, strict=True))
        yield from runs.resume(visitor_of(request), lambda: read_order(order, named, runs.limits))

    def pause(request: gr.Request) -> None:
        runs.pause(visitor_of(request))

    wheel = page.wheel
    ordered = [*page.settings.values(), wheel.order]
    wheel.go.click(resume, ordered, page.feed, js=ORDERED, **STREAMED)
    wheel.pause.click(pause, **AT_ONCE)
    wheel.apply.click(
        None,
        outputs=[*page.controls, page.generate],
        js=f"() => window.decodingLive.wanted({REQUEST_NAMES})",
        **AT_ONCE,
    )


def wire_traces(page: Page, traces: Traces, runs: Runs) -> None:
    """Opening a run that was kept as a file."""

    def open_trace(request: gr.Request, content: bytes | None) -> Iterator[str]:
        yield from traces.frames(content, lambda: runs.hush(visitor_of(request)))

    page.open_trace.upload(open_trace, page.open_trace, page.feed, **STREAMED)


def wire_model(demo: gr.Blocks, page: Page, switches: Switches, offer: Offer) -> None:
    """Load, and giving a load up."""

    def load_model(
        request: gr.Request, entry: str, typed: str, quantization: str, dtype: str
    ) -> Iterator[str]:
        yield from switches.frames(
            visitor_of(request),
            lambda: read_model_choice(entry, typed, quantization, dtype, offer),
        )

    def keep_model(request: gr.Request) -> None:
        switches.stop(visitor_of(request))

    controls = page.model
    controls.load.click(load_model, controls.inputs, page.model_feed, js=ASKED, **STREAMED)
    controls.cancel.click(keep_model, **AT_ONCE)
    demo.unload(keep_model)


def wire_jobs(demo: gr.Blocks, page: Page, jobs: Jobs, runs: Runs) -> None:
    """The buttons of the comparisons and of the measurement."""
    controls = page.jobs

    def frames(request: gr.Request, kind: str, read: Callable[[], Job]) -> Iterator[str]:
        yield from jobs.frames(visitor_of(request), kind, read)

    def compare_caches(request: gr.Request, run_id: str, other: str) -> Iterator[str]:
        yield from frames(
            request, "caching", lambda: CachingJob(tokens_of(runs.last_runs, run_id), other)
        )

    def compare_precisions(request: gr.Request, run_id: str) -> Iterator[str]:
        yield from frames(
            request, "precision", lambda: PrecisionJob(tokens_of(runs.last_runs, run_id))
        )

    def measure_roofline(request: gr.Request) -> Iterator[str]:
        yield from frames(request, "roofline", RooflineJob)

    def stop_job(request: gr.Request) -> None:
        jobs.stop(visitor_of(request))

    inputs = [controls.run_id, controls.other]
    controls.caching.click(compare_caches, inputs, page.job_feed, js=SHOWN_RUN, **STREAMED)
    controls.precision.click(
        compare_precisions, controls.run_id, page.job_feed, js=SHOWN_RUN, **STREAMED
    )
    controls.roofline.click(measure_roofline, outputs=page.job_feed, js=ASKED, **STREAMED)
    controls.stop.click(stop_job, **AT_ONCE)
    demo.unload(stop_job)


def wire_trust(page: Page, jobs: Jobs, runs: Runs) -> None:
    """Scoring a text, and what is asked about the probabilities of the one that is shown."""
    controls, run_id = page.trust, page.jobs.run_id

    def score_text(request: gr.Request, text: str, top: float, seed: str) -> Iterator[str]:
        yield from runs.score(
            visitor_of(request), lambda: read_score_request(text, top, seed, runs.limits)
        )

    def sample(request: gr.Request, run_id: str) -> Iterator[str]:
        def read() -> Job:
            return SampledJob(tokens_of(runs.last_runs, run_id), runs.model.tree(run_id))

        yield from jobs.frames(visitor_of(request), "sampled", read)

    def calibrate(request: gr.Request, run_id: str) -> Iterator[str]:
        def read() -> Job:
            jobs.model.refuse_where_lent()  # where no tree is kept, so that no text seems scored
            log = runs.last_runs.find(run_id)
            tokens = None if log is None else log.tokens
            return CalibrationJob(tokens, runs.model.tree(run_id))

        yield from jobs.frames(visitor_of(request), "calibration", read)

    def stop_job(request: gr.Request) -> None:
        jobs.stop(visitor_of(request))

    asked = [controls.text, page.settings["top_candidates"], page.settings["seed"]]
    controls.score.click(score_text, asked, page.feed, js=ASKED, **STREAMED)
    controls.sampled.click(sample, run_id, page.job_feed, js=SHOWN_RUN, **STREAMED)
    controls.calibration.click(calibrate, run_id, page.job_feed, js=SHOWN_RUN, **STREAMED)
    controls.stop.click(stop_job, **AT_ONCE)


def wire_browser(demo: gr.Blocks, page: Page) -> None:
    """What happens in the browser alone: examples, the language, the line of settings."""
    names = json.dumps(["chat", *SETTING_NAMES])
    own = json.dumps(SETTING_NAMES)
    controls = [page.chat, *page.settings.values()]
    report = (
        f"(...values) => {{ const settings = {names}.map((name, i) => [name, values[i]]);"
        " (window.decodingLiveQueue ??= []).push(['settings', Object.fromEntries(settings)]);"
        " window.decodingLive?.flush(); }"
    )
    changes = [demo.load, *(control.change for control in controls)]  # type: ignore[attr-defined]
    gr.on(changes, None, controls, js=report, **AT_ONCE)
    # Whichever comes second, Gradio's controls or the scripts, puts the language's labels in place.
    demo.load(None, js="() => { window.decodingLiveControls?.relabel(); }", **AT_ONCE)
    for number, chip in enumerate(page.chips):
        chip.click(
            None,
            list(page.settings.values()),
            [page.prompt, *page.settings.values()],
            js=f"(...values) => window.decodingLiveControls.example({number}, {own}, values)",
            **AT_ONCE,
        )
    more = json.dumps(page.worded.keys)
    named = [*page.controls, page.generate, page.stop, page.accordion, *page.chips]
    page.relabel.click(
        None,
        outputs=[*named, *page.worded.controls],
        js=f"() => window.decodingLiveControls.labels({own}, {more})",
        **AT_ONCE,
    )
