"""The page: a prompt, a button, and every inference of a language model as it happens."""

from __future__ import annotations

import argparse
import json
import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

try:
    import spaces  # must come before torch, and exists on Hugging Face Spaces only
except ImportError:
    spaces = None

import gradio as gr

from decoding.errors import DecodingError
from decoding.live_model import LiveModel, Load
from decoding.views.page import Page, build_page, head
from decoding.views.runs import Runs
from decoding.views.serving import LOCAL_HOSTS, middleware, routes
from decoding.views.settings import DEFAULT_LIMITS, PAGE_SETTINGS, Limits, read_request

if TYPE_CHECKING:
    from decoding.models import LanguageModel

SPACE_GPU_SECONDS = 120
ALL_INTERFACES = "0.0.0.0"  # noqa: S104  a Space's container, or whoever asks for it
SETTING_NAMES = [setting.name for setting in PAGE_SETTINGS]


def build_app(
    model: LanguageModel | Load | None = None, *, limits: Limits = DEFAULT_LIMITS
) -> gr.Blocks:
    """The page, whose model is loading from now on.

    Args:
        model: one in memory, or what loads it (called with a progress callback on the
            thread that will run it); without it the default model.
        limits: what each visitor may ask for.

    Returns:
        Blocks to be launched with `launch_options()`; its attribute `runs` holds the model.
    """
    load = _loader(model)
    runs = Runs(LiveModel(load, on_device=_lent_device()), limits)

    def steps_from(run_and_start: list[Any]) -> str:
        run_id, start = run_and_start
        return runs.last_runs.steps_from(str(run_id), int(start)) or ""

    with gr.Blocks(title="Decoding Live", analytics_enabled=False) as demo:
        page = build_page(limits, steps_from)
        _wire_runs(demo, page, runs)
        _wire_controls(demo, page)
        gr.api(_endpoint(runs), api_name="decode", concurrency_limit=None)
    demo.queue(max_size=4 * (limits.waiting + 1), default_concurrency_limit=None)
    demo.runs = runs
    return demo


def _loader(model: LanguageModel | Load | None) -> Load:
    if model is None:
        return lambda progress: _load_model(progress=progress)
    return model if callable(model) else lambda _progress: model


def _load_model(name: str | None = None, **options: Any) -> LanguageModel:
    from decoding.models import load_model  # torch: to be imported by the thread that runs it

    return load_model(name, **options)


def _lent_device() -> Callable[[Any], Any] | None:
    """On ZeroGPU an accelerator is lent for the time of one decorated call."""
    is_lent = spaces is not None and os.environ.get("SPACES_ZERO_GPU")
    return spaces.GPU(duration=SPACE_GPU_SECONDS) if is_lent else None


def _wire_runs(demo: gr.Blocks, page: Page, runs: Runs) -> None:
    """Generate, Stop, the tab's end, and what the page shows while the model loads."""
    private = {"api_visibility": "private", "show_progress": "hidden"}

    def generate(request: gr.Request, *values: Any) -> Iterator[str]:
        prompt, chat, system, *settings = values
        named = dict(zip(SETTING_NAMES, settings, strict=True))
        yield from runs.frames(
            _visitor(request), lambda: read_request(prompt, chat, system, named, runs.limits)
        )

    def stop(request: gr.Request) -> None:
        runs.stop(_visitor(request))

    def model_frames() -> Iterator[str]:
        yield from runs.model_frames()

    gr.on(
        [page.generate.click, page.prompt.submit],
        generate,
        page.controls,
        page.feed,
        trigger_mode="multiple",
        concurrency_limit=None,
        **private,
    )
    page.stop.click(stop, queue=False, **private)
    demo.load(model_frames, outputs=page.model_feed, concurrency_limit=None, **private)
    demo.unload(stop)


def _visitor(request: gr.Request) -> str:
    # Who comes without a session is a visitor of their own, whom nobody else can stop.
    return request.session_hash or secrets.token_urlsafe()


def _wire_controls(demo: gr.Blocks, page: Page) -> None:
    """What happens in the browser alone: examples, the language, the line of settings."""
    names = json.dumps(["chat", *SETTING_NAMES])
    own = json.dumps(SETTING_NAMES)
    controls = [page.chat, *page.settings.values()]
    in_browser = {"queue": False, "api_visibility": "private", "show_progress": "hidden"}
    report = (
        f"(...values) => {{ const settings = {names}.map((name, i) => [name, values[i]]);"
        " (window.decodingLiveQueue ??= []).push(['settings', Object.fromEntries(settings)]);"
        " window.decodingLive?.flush(); }"
    )
    gr.on(
        [demo.load, *(control.change for control in controls)],
        None,
        controls,
        js=report,
        **in_browser,
    )
    # Whichever comes second, Gradio's controls or the scripts, puts the language's labels in place.
    demo.load(None, js="() => { window.decodingLiveControls?.relabel(); }", **in_browser)
    for number, chip in enumerate(page.chips):
        chip.click(
            None,
            list(page.settings.values()),
            [page.prompt, *page.settings.values()],
            js=f"(...values) => window.decodingLiveControls.example({number}, {own}, values)",
            **in_browser,
        )
    page.relabel.click(
        None,
        outputs=[*page.controls, page.generate, page.stop, page.accordion, *page.chips],
        js=f"() => window.decodingLiveControls.labels({own})",
        **in_browser,
    )


def _endpoint(runs: Runs) -> Callable[..., Iterator[dict[str, Any]]]:
    def decode(
        prompt: str,
        chat: bool = True,
        system: str = "",
        settings: dict[str, Any] | None = None,
        request: gr.Request = None,  # type: ignore[assignment]
    ) -> Iterator[dict[str, Any]]:
        """Streams the steps of one run, each with the distribution it was chosen from.

        `settings` holds the page's settings by name, and top_h, epsilon_cutoff, eta_cutoff,
        min_new_tokens and max_time.
        """
        try:
            wanted = read_request(prompt, chat, system, settings, runs.limits)
            yield from runs.steps(_visitor(request), wanted)
        except DecodingError as error:
            raise gr.Error(str(error), print_exception=False) from error

    return decode


def launch_options(
    *,
    host: str = "127.0.0.1",
    port: int | None = 7860,
    allowed_hosts: Sequence[str] = (),
    frame_ancestors: Sequence[str] = (),
    limits: Limits = DEFAULT_LIMITS,
) -> dict[str, Any]:
    """Arguments for `launch()`: everything that is open by default closed."""
    hosts = [*LOCAL_HOSTS, *allowed_hosts, *([] if host in (ALL_INTERFACES, "::") else [host])]
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
        "max_file_size": "1kb",
        "max_threads": 40 + limits.waiting,
        "footer_links": ["api"],
        "theme": _theme(),
        "head": head(limits),
        "app_kwargs": {
            "middleware": middleware(hosts, frame_ancestors),
            "routes": routes(),
        },
    }


def _theme() -> gr.themes.Base:
    """Gradio's plain theme with the fonts that are on the visitor's machine."""
    sans = ["Inter", "system-ui", "PingFang TC", "Microsoft JhengHei", "Noto Sans TC", "sans-serif"]
    mono = ["ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace"]
    return gr.themes.Base(font=sans, font_mono=mono)


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line; each option has an environment variable that it overrides."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="Each option can also be set by an environment variable: DECODING_LIVE_ and its "
        "name, such as DECODING_LIVE_MAX_NEW_TOKENS=512.",
    )
    space_host = os.environ.get("SPACE_HOST", "")

    def add(name: str, kind: Callable[[str], Any], default: Any, text: str, **more: Any) -> None:
        variable = f"DECODING_LIVE_{name.upper().replace('-', '_')}"
        value = os.environ.get(variable) or default
        parser.add_argument(f"--{name}", type=kind, default=value, help=text, **more)

    add("model", str, None, "Hub id, folder or .gguf file (default: SmolLM2-135M-Instruct)")
    add("quantization", str, None, "weights in 8 or 4 bits", choices=("8bit", "4bit"))
    add("device", str, "auto", "cuda, mps or cpu (default: %(default)s)")
    add("dtype", str, "auto", "float32, bfloat16 or float16 (default: %(default)s)")
    add("host", str, ALL_INTERFACES if space_host else "127.0.0.1", "address to listen on")
    add("port", int, 7860, "port to listen on (default: %(default)s)")
    add("allowed-hosts", str, space_host, "further names the page answers to, comma-separated")
    add(
        "max-new-tokens",
        _positive,
        DEFAULT_LIMITS.new_tokens,
        "the most a visitor may ask for (%(default)s)",
    )
    add(
        "max-prompt-chars",
        _positive,
        DEFAULT_LIMITS.prompt_chars,
        "longest prompt taken (%(default)s)",
    )
    add(
        "max-queue",
        _not_negative,
        DEFAULT_LIMITS.waiting,
        "runs that may wait in line (default: %(default)s)",
    )
    return parser.parse_args(argv)


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be 1 or more, got {value}")
    return value


def _not_negative(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"must be 0 or more, got {value}")
    return value


def main(argv: Sequence[str] | None = None) -> None:
    """Serves the page until it is interrupted."""
    options = _options(argv)
    limits = Limits(options.max_prompt_chars, options.max_new_tokens, options.max_queue)

    def load(progress: Any) -> LanguageModel:
        return _load_model(
            options.model,
            device=options.device,
            dtype=options.dtype,
            quantization=options.quantization,
            progress=progress,
        )

    demo = build_app(load, limits=limits)
    if _lent_device() is not None:
        demo.runs.model.wait()  # weights are handed to ZeroGPU once, when the server starts
    _app, address, _share = demo.launch(
        prevent_thread_lock=True,
        **launch_options(
            host=options.host,
            port=options.port,
            allowed_hosts=[name for name in options.allowed_hosts.split(",") if name],
            frame_ancestors=["https://huggingface.co"] if os.environ.get("SPACE_HOST") else [],
            limits=limits,
        ),
    )
    print(f"Decoding Live: {address}", flush=True)
    demo.block_thread()


if __name__ == "__main__":
    main()
