"""What the tests of the page in a browser share: how one asks, waits and reads."""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import byte_tokenizer, tiny_model

from decoding import LanguageModel
from decoding.page.serving import FILES_ADDRESS

BROWSER_MARKS = [
    pytest.mark.browser,
    pytest.mark.no_cover,
    pytest.mark.timeout(240),
    # Gradio leaves the sockets with which it looks for a free port to the collector.
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
    # Gradio's queue sums up its own work with what pandas has given up.
    pytest.mark.filterwarnings("ignore::DeprecationWarning:gradio.queueing"),
]

HOSTILE: list[str] = json.loads((Path(__file__).parent / "data" / "hostile_text.json").read_text())
STATE = "window.decodingLive.store.state"
ENDED = f"['finished', 'stopped', 'paused', 'error'].includes({STATE})"
FRAMES_PASS = "new Promise(seen => requestAnimationFrame(() => requestAnimationFrame(seen)))"
# The charts along the text hold all steps, the other one the distribution of the last of them.
CHARTS_DRAWN = """() => {
  const { steps } = decodingLive.store;
  const values = (chart, name, axis) => {
    const box = document.getElementById(chart);
    if (!box.checkVisibility()) return null;
    const data = box.querySelector(".js-plotly-plot")?.data ?? [];
    return data.find((trace) => trace.name === name)?.[axis] ?? [];
  };
  const along = [
    ["confidence-chart", "probability"], ["kv-cache-chart", "new_bytes"],
    ["latency-chart", "milliseconds"],
  ].map((place) => values(...place, "y"));
  const best = values("probability-chart", "probability", "x");
  return along.every((drawn) => drawn === null || drawn.length === steps.length)
    && (best === null || best[0] === steps.at(-1).c[0][2]);
}"""


@dataclass(frozen=True)
class Served:
    """A page and its model."""

    lm: LanguageModel
    address: str


def slow_llama(vocab_size: int, seconds: float = 0.0) -> Any:
    """A tiny model that never ends by itself; each inference takes at least `seconds`."""
    model = tiny_model("llama", vocab_size=vocab_size, max_position_embeddings=8192)
    forward = model.forward

    # The signature tells whether a cache can be cut back and read on from.
    @functools.wraps(forward)
    def pause_and_forward(*args: Any, **kwargs: Any) -> Any:
        time.sleep(seconds)
        return forward(*args, **kwargs)

    model.forward = pause_and_forward
    model.generation_config.eos_token_id = None
    return model


def tiny_page_model(seconds: float = 0.0, name: str = "tiny") -> LanguageModel:
    tokenizer = byte_tokenizer()
    return LanguageModel(slow_llama(len(tokenizer), seconds), tokenizer, name=name)


def hostile_model() -> LanguageModel:
    """Only hostile tokens can be drawn, another one after each inference."""
    texts = tuple(dict.fromkeys(text for text in HOSTILE if len(text) < 200))
    tokenizer = byte_tokenizer(texts)
    model = slow_llama(len(tokenizer))
    ids = [tokenizer.convert_tokens_to_ids(text) for text in texts]
    calls, forward = iter(range(10**6)), model.forward

    def prefer_the_next(*args: Any, **kwargs: Any) -> Any:
        output = forward(*args, **kwargs)
        output.logits = torch.zeros_like(output.logits)
        output.logits[..., ids] = 5.0
        output.logits[..., ids[next(calls) % len(ids)]] = 40.0
        return output

    model.forward = prefer_the_next
    return LanguageModel(model, tokenizer, name="<b>${window.pw=1}</b>")


# The models of the pages that tests share; a test that changes its page asks for one of its own.
MODELS: dict[str, Callable[[], LanguageModel]] = {
    "tiny": tiny_page_model,
    "slow": lambda: tiny_page_model(0.03),
    "hostile": hostile_model,
}


def made_step(index: int, text: str = "x", token: int = 1) -> dict[str, Any]:
    """A step as it comes over the wire."""
    return {
        "i": index, "ph": "decode" if index else "prefill", "in": 1, "id": token, "k": text,
        "t": text, "sp": 0, "lp": -1.0, "p": 0.3679, "r": 1, "q": 0.5, "H": 1.0, "V": 0.1,
        "tail": 0.6, "kept": 5, "kv": [index + 3, 100], "L": [[1, index + 3, 100]], "m": None,
        "s": 0.01, "fin": None, "c": [[token, text, 0.3679, 0.5]],
    }  # fmt: skip


def frames_pass(page: Any) -> None:
    """Waits until what has changed is drawn: views are drawn in the frame after a change."""
    page.evaluate(FRAMES_PASS)


def shows(page: Any, selector: str, text: str) -> None:
    """Waits until the text stands there."""
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
    holds_setting(page, "max_new_tokens", tokens)
    holds_setting(page, "chat", chat)
    frames_pass(page)
    page.click("#generate")


def run_to_end(
    page: Any, prompt: str, *, charts: bool = True, **settings: Any
) -> list[dict[str, Any]]:
    """The steps of a run that was waited for, and its charts."""
    before = page.evaluate("decodingLive.store.id")
    ask(page, prompt, **settings)
    page.wait_for_function(f"decodingLive.store.id !== {json.dumps(before)} && {ENDED}")
    assert page.evaluate(STATE) == "finished"
    frames_pass(page)
    if charts:
        page.wait_for_function(CHARTS_DRAWN)
    return list(page.evaluate("decodingLive.store.steps"))


def resting(page: Any) -> None:
    """Waits until no inference is under way; an error is none of its ends."""
    page.wait_for_function(ENDED)
    assert page.evaluate(STATE) != "error", page.inner_text("#status .note")


def pause(page: Any) -> None:
    page.click("#pause")
    page.wait_for_function(f"{STATE} === 'paused'")


def set_setting(page: Any, name: str, value: bool) -> None:
    """Switches a setting that is a check box; the settings are open."""
    page.set_checked(f"#setting-{name} input", value)
    holds_setting(page, name, value)


def holds_setting(page: Any, name: str, value: Any) -> None:
    """Waits until Gradio has told the page of a setting."""
    same = "([name, value]) => decodingLive.store.settings?.[name] === value"
    page.wait_for_function(same, arg=[name, value])


def plotted(page: Any, chart: str) -> dict[str, list[float]]:
    """The numbers that Plotly holds, by the traces' names."""
    traces = page.evaluate(
        "id => document.querySelector(`#${id} .js-plotly-plot`).data"
        ".map(trace => [trace.name, trace.type === 'bar' ? trace.x : trace.y])",
        chart,
    )
    return dict(traces)


def look_at(page: Any, panel: str) -> None:
    """Scrolls to a panel; what is told of its coming into sight is told between two frames."""
    page.locator(f"#{panel}-panel").scroll_into_view_if_needed()
    frames_pass(page)
    frames_pass(page)


def work_of(page: Any, kind: str) -> dict[str, Any]:
    """What the page holds of the latest job of a kind."""
    module = page.evaluate(f"new URL('{FILES_ADDRESS}/jobs/job.js', document.baseURI).href")
    found = page.evaluate(
        "async ([module, kind]) => (await import(module)).jobOf(kind)", [module, kind]
    )
    return dict(found)


def work_to_end(page: Any, kind: str, *, seconds: float = 120) -> dict[str, Any]:
    """A job from the click until it has ended, in sight."""
    before = work_of(page, kind)["id"]
    page.click(f"#{kind}-start")
    return wait_for_work(page, kind, before, seconds)


def wait_for_work(page: Any, kind: str, before: str, seconds: float = 120) -> dict[str, Any]:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        job = work_of(page, kind)
        if job["id"] != before and job["state"] in ("finished", "stopped", "error"):
            look_at(page, kind)
            return job
        page.wait_for_timeout(100)
    raise AssertionError(f"it has not ended: {work_of(page, kind)}")


def size_text(size: float) -> str:
    """Bytes as the page says them: decimal units, three digits."""
    units = iter(["B", "kB", "MB", "GB", "TB"])
    unit = next(units)
    while size >= 1000:
        size, unit = size / 1000, next(units)
    digits = 0 if unit == "B" or size >= 100 else 1 if size >= 10 else 2
    return f"{size:.{digits}f}\u00a0{unit}"
