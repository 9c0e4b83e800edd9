"""Text and charts in a real Chromium: what is shown together is of one inference, and all of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from browser_page import BROWSER_MARKS, Served, ask, frames_pass, made_step, shows

pytestmark = BROWSER_MARKS

# Until the run ends, in each frame: the inference that the distribution names, its first bar and
# what that inference has; what the confidence says, and what is drawn of it last.
IN_EACH_FRAME = """async () => {
  const words = await import(new URL("live/base/words.js", document.baseURI));
  const percent = (p) => words.percent(p).split(/\\s/)[0];
  const said = (panel, part) =>
    part.exec(document.querySelector(`#${panel} .reading`).innerText)?.[1];
  const seen = [];
  const look = () => {
    const { steps } = decodingLive.store;
    const number = said("distribution-panel", /inference (\\d+)/);
    const along = document.querySelector("#confidence-chart .js-plotly-plot")?.data ?? [];
    if (!number || along.length === 0) return;
    const bar = document.querySelector("#probability-chart .textpoint text").textContent;
    const value = (100 * steps[number - 1].c[0][2]).toFixed(1);
    const confidence = said("confidence-panel", /probability (\\S+)/);
    seen.push([Number(number), parseFloat(bar), Number(value), confidence,
      percent(along[0].y.at(-1))]);
  };
  while (decodingLive.store.state !== "finished") {
    await new Promise(requestAnimationFrame);
    look();
  }
  return seen;
}"""
INSIDE = """() => {
  const { data, layout } = document.querySelector("#latency-chart .js-plotly-plot");
  const parts = [layout.yaxis.range, layout.yaxis2.range];
  return data[0].y.map((y) => parts.filter(([low, high]) => low <= y && y <= high).length);
}"""
BELOW_THE_BOX = """() => {
  const box = document.querySelector("#token-stream");
  const last = document.querySelector('[data-token-index="79"]');
  const edge = box.getBoundingClientRect().bottom;
  return [box.scrollTop, last.getBoundingClientRect().bottom - edge];
}"""


@pytest.fixture
def page(visit: Callable[..., Any], served: Callable[[str], Served]) -> Any:
    return visit(served("slow").address)


def test_words_and_bars_are_of_one_inference(page: Any) -> None:
    ask(page, "Together", tokens=100)
    seen = page.evaluate(IN_EACH_FRAME)
    assert len({number for number, *_ in seen}) > 1
    for number, bar, value, said, drawn in seen:
        assert bar == value, number
        assert said == drawn, number


def show_made_run(page: Any) -> None:
    """80 tokens: the prompt took 9.6 s, one inference 1.3 s, all others 50 ms."""
    seconds = [9.6, *[0.05] * 79]
    seconds[40] = 1.3
    steps = [{**made_step(i, "words "), "s": took} for i, took in enumerate(seconds)]
    model = {"name": "made", "vocab_size": 9, "dtype": "float32"}
    head = {"prompt": [[5, "prompt", 0]], "model": model, "config": {}, "live": True}
    frame = {"run": "made", "state": "paused", "b": 0, "tree": [[None, 0, 80]], "start": 0}
    text = json.dumps({**frame, "total": 80, "steps": steps, "head": head})
    page.evaluate("text => decodingLive.receive(text)", text)
    page.wait_for_selector('[data-token-index="79"]')
    frames_pass(page)


def test_all_of_a_run_is_in_sight(page: Any) -> None:
    show_made_run(page)
    # The axis of the times breaks, and says so; every inference stands in one of its parts.
    shows(page, "#latency-chart .plot", "broken axis")
    ticks = page.locator("#latency-chart .y2tick text").all_text_contents()
    assert [tick.replace("\u00a0", " ") for tick in ticks] == ["9.60 s"]
    assert "broken axis" in page.get_attribute("#latency-chart", "aria-label")
    assert page.evaluate(INSIDE) == [1] * 80

    # The text's last line stays in sight when the sentence below it grows.
    page.evaluate("document.querySelector('#sentence').style.minHeight = '12em'")
    frames_pass(page)
    scrolled, below = page.evaluate(BELOW_THE_BOX)
    assert scrolled > 0
    assert below <= 0
