"""The page: a prompt, a button, and every inference of a language model as it happens."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
# What proxies say is read in decoding/page/incoming/hosts.py; uvicorn would believe it of any
# program on this machine.
os.environ.setdefault("FORWARDED_ALLOW_IPS", "")

try:
    import spaces  # must come before torch, and exists on Hugging Face Spaces only
except ImportError:
    spaces = None

import gradio as gr
from gradio.events import api

from decoding.live.live_model import LiveModel
from decoding.live.model_source import GivenModel, Load, ModelSource, source_of
from decoding.page.incoming.hosts import Hosts
from decoding.page.incoming.uploads import Uploads
from decoding.page.layout.blocks import App
from decoding.page.layout.events import (
    Read,
    answers_read,
    visitor_of,
    wire_browser,
    wire_jobs,
    wire_model,
    wire_runs,
    wire_traces,
    wire_trust,
    wire_wheel,
)
from decoding.page.layout.page import build_page, head
from decoding.page.options import ALL_INTERFACES, read_options
from decoding.page.requests.model_choice import DEFAULT_OFFER, Offer
from decoding.page.requests.orders import read_place
from decoding.page.requests.readers import read_request, read_score_request
from decoding.page.requests.settings import DEFAULT_LIMITS, Limits
from decoding.page.serving import LOCAL_HOSTS, middleware, refuse_unusable, routes
from decoding.page.visitors.jobs import Jobs
from decoding.page.visitors.questions import Questions
from decoding.page.visitors.queue import Queue
from decoding.page.visitors.runs import Runs
from decoding.page.visitors.switches import Switches
from decoding.page.visitors.traces import Traces
from decoding.records.errors import DecodingError
from decoding.records.requests import RunRequest, ScoreRequest

if TYPE_CHECKING:
    from decoding.core.language_model import LanguageModel

SPACE_GPU_SECONDS = 120
SECONDS_A_FILE_IS_KEPT = 600  # that was uploaded and not opened
# Gradio keeps a copy of the page's own description of each, about 200 kB; nothing else is in it.
VISITORS_REMEMBERED = 200


def build_app(
    model: LanguageModel | Load | ModelSource | None = None,
    *,
    limits: Limits = DEFAULT_LIMITS,
    offer: Offer = DEFAULT_OFFER,
) -> App:
    """The page, whose model is loading from now on.

    Args:
        model: one in memory, or what loads it (called with a progress callback on the
            thread that will run it), or what loads others too; without it the default model.
        limits: what each visitor may ask for.
        offer: which models visitors may have loaded in its place.

    Returns:
        Blocks to be launched with `launch_options()`.
    """
    source = source_of(model)
    if isinstance(source, GivenModel):
        offer = replace(offer, own=source.name)
    live = LiveModel(source, _lent_device(), budget=offer.memory_budget)
    queue = Queue(limits.waiting)
    runs, jobs = Runs(live, limits, queue), Jobs(live.shared, queue)

    traces, questions = Traces(live), Questions(live, limits)

    def steps_from(place: list[Any]) -> str:
        try:
            log_id, branch, start = read_place(place)
        except DecodingError:
            return ""
        run = runs.last_runs.find(log_id) or traces.find(log_id)
        if run is not None:
            return run.frame_from(start, branch)
        return jobs.last_jobs.frame_from(log_id, start) or ""

    def inspect_step(question: Any) -> str:
        return questions.answer(question)

    demo = App(
        title="Decoding Live",
        analytics_enabled=False,
        delete_cache=(SECONDS_A_FILE_IS_KEPT, SECONDS_A_FILE_IS_KEPT),
    )
    with demo:
        page = build_page(limits, offer, [steps_from, inspect_step])
        read = answers_read(demo, runs, jobs)
        wire_runs(demo, page, runs, read)
        wire_wheel(page, runs, read)
        wire_traces(page, traces, runs)
        wire_model(demo, page, Switches(live.shared, queue), offer)
        wire_jobs(demo, page, jobs, runs, read)
        wire_trust(page, jobs, runs, read)
        wire_browser(demo, page)
        for name, endpoint in _endpoints(runs, read).items():
            api(endpoint, api_name=name, concurrency_limit=None)
    # Not open: what has to wait for its turn cannot be called past the queue.
    demo.queue(max_size=4 * (limits.waiting + 1), default_concurrency_limit=None, api_open=False)
    demo.model, demo.runs, demo.traces = live, runs, traces
    return demo


def _lent_device() -> Callable[[Any], Any] | None:
    """On ZeroGPU an accelerator is lent for the time of one decorated call."""
    is_lent = spaces is not None and os.environ.get("SPACES_ZERO_GPU")
    return spaces.GPU(duration=SPACE_GPU_SECONDS) if is_lent else None


def _endpoints(
    runs: Runs, answers: Read[Any]
) -> dict[str, Callable[..., Iterator[dict[str, Any]]]]:
    def streamed(
        request: gr.Request, read: Callable[[], RunRequest | ScoreRequest]
    ) -> Iterator[dict[str, Any]]:
        try:
            yield from answers(request, runs.steps(visitor_of(request), read()))
        except DecodingError as error:
            raise gr.Error(str(error), print_exception=False) from error

    def decode(
        prompt: str,
        chat: bool = True,
        system: str = "",
        settings: dict[str, Any] | None = None,
        request: gr.Request = None,  # type: ignore[assignment]
    ) -> Iterator[dict[str, Any]]:
        """Streams the steps of one run, each with the distribution it was chosen from.

        `settings` holds the page's settings by name, and top_h, epsilon_cutoff, eta_cutoff,
        min_new_tokens, max_time and chat_template_kwargs.
        """
        yield from streamed(
            request, lambda: read_request(prompt, chat, system, settings, runs.limits)
        )

    def score(
        text: str,
        top_candidates: int = 20,
        request: gr.Request = None,  # type: ignore[assignment]
    ) -> Iterator[dict[str, Any]]:
        """Streams a text's tokens, each with the distribution that the model gives for its place.

        The first token has none: the steps are those after it.
        """
        yield from streamed(
            request, lambda: read_score_request(text, top_candidates, limits=runs.limits)
        )

    return {"decode": decode, "score": score}


def launch_options(
    *,
    host: str = "127.0.0.1",
    port: int | None = 7860,
    allowed_hosts: Sequence[str] = (),
    trust_proxy: bool = False,
    frame_ancestors: Sequence[str] = (),
    limits: Limits = DEFAULT_LIMITS,
) -> dict[str, Any]:
    """Arguments for `launch()`: everything that is open by default closed.

    Args:
        host: address to listen on.
        port: to listen on.
        allowed_hosts: further names that it answers to; a pattern may begin with `*.`.
        trust_proxy: whether a proxy before it says by which name and from where it was asked.
        frame_ancestors: origins that may show it in a frame.
        limits: what each visitor may ask for.
    """
    listened = [] if host in (ALL_INTERFACES, "::") else [_in_addresses(host)]
    own = [*LOCAL_HOSTS, *allowed_hosts, *listened]
    named = [name for name in allowed_hosts if name != "*"]
    uploads = Uploads()
    return {
        "server_name": host,
        "server_port": port,
        "share": False,
        "quiet": True,
        "run_history": False,
        "enable_monitoring": False,
        "ssr_mode": False,
        "pwa": False,
        "mcp_server": False,
        "max_file_size": uploads.limits.one,
        "state_session_capacity": VISITORS_REMEMBERED,
        "max_threads": 40 + limits.waiting,
        "footer_links": ["api"],
        "theme": _theme(),
        "head": head(limits),
        "app_kwargs": {
            "middleware": middleware(
                Hosts(own, named, trust_proxy),
                frame_ancestors,
                limits.prompt_chars,
                uploads.largest_body,
            ),
            "routes": routes(uploads),
        },
    }


def _in_addresses(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def _theme() -> gr.themes.Base:
    """Gradio's plain theme with the fonts that are on the visitor's machine."""
    sans = ["Inter", "system-ui", "PingFang TC", "Microsoft JhengHei", "Noto Sans TC", "sans-serif"]
    mono = ["ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace"]
    return gr.themes.Base(font=sans, font_mono=mono)


def main(argv: Sequence[str] | None = None) -> None:
    """Serves the page until it is interrupted."""
    serve(*ordered_page(argv))


def ordered_page(argv: Sequence[str] | None = None) -> tuple[App, dict[str, Any]]:
    """The page that the command line asks for, and the arguments for its `launch()`."""
    options = read_options(argv, str(__doc__))
    refuse_unusable(options.host, options.port)
    limits = Limits(
        options.max_prompt_chars,
        options.max_new_tokens,
        options.max_queue,
        options.max_seconds,
        options.max_read_tokens,
    )
    offer = Offer(
        options.model,
        options.quantization,
        options.dtype,
        options.any_model,
        options.memory_budget,
    )

    source = ModelSource(
        options.model,
        device=options.device,
        dtype=options.dtype,
        quantization=options.quantization,
    )
    launching = launch_options(
        host=options.host,
        port=options.port,
        allowed_hosts=options.allowed_hosts,
        trust_proxy=options.trust_proxy,
        frame_ancestors=["https://huggingface.co"] if os.environ.get("SPACE_HOST") else [],
        limits=limits,
    )
    return build_app(source, limits=limits, offer=offer), launching


def serve(demo: App, launching: dict[str, Any]) -> None:
    """Launches a page, and goes on until it is interrupted."""
    if _lent_device() is not None:
        demo.model.shared.wait()  # weights are handed to ZeroGPU once, when the server starts
    _app, address, _share = demo.launch(prevent_thread_lock=True, **launching)
    print(f"Decoding Live: {address}", flush=True)
    demo.block_thread()
