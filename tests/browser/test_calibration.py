"""Calibration in a real browser: a text that was scored, and one that the model wrote."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from browser_page import (
    BROWSER_MARKS,
    Served,
    frames_pass,
    look_at,
    run_to_end,
    shows,
    work_to_end,
)

pytestmark = BROWSER_MARKS
BARS = "#calibration-chart .js-plotly-plot"


def trace(page: Any, name: str) -> dict[str, Any]:
    found = page.evaluate(
        "([box, name]) => { const { x, y, text } = document.querySelector(box).data"
        ".find((trace) => trace.name === name); return { x, y, text }; }",
        [BARS, name],
    )
    return dict(found)


def score(page: Any, text: str) -> None:
    page.fill("#score-text textarea", text)
    before = page.evaluate("decodingLive.store.id")
    frames_pass(page)
    page.click("#score-go")
    page.wait_for_function(
        "before => decodingLive.store.id !== before && decodingLive.store.config.scored"
        " && decodingLive.store.state === 'finished'",
        arg=before,
    )


def test_a_scored_text_is_drawn_with_its_counts_and_one_that_the_model_wrote_is_not(
    served: Callable[[str], Served], visit: Callable[..., Any]
) -> None:
    page = visit(served("tiny").address)
    run_to_end(page, "Who?", tokens=4, charts=False)
    shows(page, "#calibration-panel", "chosen by the model itself")
    assert page.is_disabled("#calibration-start")
    assert page.locator(BARS).count() == 0

    score(page, "<b>a</b> few")
    assert work_to_end(page, "calibration")["state"] == "finished"
    shows(page, "#calibration-panel", "11 tokens were measured: too few")
    assert page.locator("#calibration-chart").is_hidden()

    score(page, "What was written by somebody else. " * 8)
    summary = work_to_end(page, "calibration")["summary"]
    assert summary["tokens"] == 279
    look_at(page, "calibration")
    page.wait_for_selector(f"{BARS} .barlayer path")
    known = [one for one in summary["bins"] if one["accuracy"] is not None]
    assert trace(page, "right")["y"] == [one["accuracy"] for one in known]
    counts = [one["count"] for one in summary["bins"] if one["count"]]
    assert trace(page, "counts")["text"] == [str(count) for count in counts]
    shows(page, "#calibration-panel", "over 279 tokens")
    said = "Temperature " if summary["fit"] else "No temperature between 0.25 and 8"
    shows(page, "#calibration-panel", said)
