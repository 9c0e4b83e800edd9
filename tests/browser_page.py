"""What the tests of the page in a browser share: how one asks, waits and reads."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from conftest import tiny_model

BROWSER_MARKS = [
    pytest.mark.browser,
    pytest.mark.timeout(240),
    # Gradio leaves the sockets with which it looks for a free port to the collector.
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
    # Gradio's queue sums up its own work with what pandas has given up.
    pytest.mark.filterwarnings("ignore::DeprecationWarning:gradio.queueing"),
]

HOSTILE: list[str] = json.loads((Path(__file__).parent / "data" / "hostile_text.json").read_text())
STATE = "window.decodingLive.store.state"
ENDED = f"['finished', 'stopped', 'error'].includes({STATE})"


def slow_llama(vocab_size: int, seconds: float = 0.0) -> Any:
    """A tiny model that never ends by itself; each inference takes at least `seconds`."""
    model = tiny_model("llama", vocab_size=vocab_size, max_position_embeddings=8192)
    forward = model.forward

    def pause_and_forward(*args: Any, **kwargs: Any) -> Any:
        time.sleep(seconds)
        return forward(*args, **kwargs)

    model.forward = pause_and_forward
    model.generation_config.eos_token_id = None
    return model


def shows(page: Any, selector: str, text: str) -> None:
    """Waits until the text stands there: views are drawn in the frame after a change."""
    found = "([selector, text]) => document.querySelector(selector).innerText.includes(text)"
    page.wait_for_function(found, arg=[selector, text])


def ask(page: Any, prompt: str, *, tokens: int = 12, chat: bool = False) -> None:
    """Types a prompt, sets what the run needs, and presses Generate."""
    page.evaluate("document.querySelector('#settings .label-wrap').classList.contains('open')") or (
        page.click("#settings .label-wrap")
    )
    page.set_checked("#setting-chat input", chat)
    page.fill("#setting-max_new_tokens input[type=number]", str(tokens))
    page.press("#setting-max_new_tokens input[type=number]", "Tab")
    page.fill("#prompt textarea", prompt)
    page.wait_for_timeout(100)
    page.click("#generate")


def run_to_end(
    page: Any, prompt: str, *, charts: bool = True, **settings: Any
) -> list[dict[str, Any]]:
    """The steps of a run that was waited for, and its charts."""
    before = page.evaluate("decodingLive.store.run")
    ask(page, prompt, **settings)
    page.wait_for_function(f"decodingLive.store.run !== {json.dumps(before)} && {ENDED}")
    assert page.evaluate(STATE) == "finished"
    page.wait_for_timeout(1000 if charts else 100)
    return list(page.evaluate("decodingLive.store.steps"))


def plotted(page: Any, chart: str) -> dict[str, list[float]]:
    """The numbers that Plotly holds, by the traces' names."""
    traces = page.evaluate(
        "id => document.querySelector(`#${id} .js-plotly-plot`).data"
        ".map(trace => [trace.name, trace.type === 'bar' ? trace.x : trace.y])",
        chart,
    )
    return dict(traces)
