"""Sampled answers in a real browser: their cost before, all of them by group after."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from browser_page import BROWSER_MARKS, run_to_end, shows, slow_llama
from tiny import byte_tokenizer

from decoding import LanguageModel
from decoding.page.jobs.samples import SAMPLES

pytestmark = BROWSER_MARKS
DRAWN = "[...document.querySelectorAll('#sampled-panel tbody td:nth-child(3)')]"


def test_answers_are_sampled_grouped_and_what_it_cost_is_told(
    serve: Callable[..., str], visit: Callable[..., Any]
) -> None:
    # A token that would be a script, were it not text.
    hostile = "<img src=x onerror=alert(1)>"
    model = slow_llama(261)
    page = visit(serve(LanguageModel(model, byte_tokenizer((hostile,)), name="tiny")))
    run_to_end(page, "Who?", tokens=4, charts=False)
    assert "33" in page.inner_text("#sampled-start")
    page.click("#sampled-start")
    page.wait_for_selector("#sampled-panel [data-state=finished]")
    shows(page, "#sampled-panel", f"of {SAMPLES} sampled answers")
    shows(page, "#sampled-panel", "33 inferences")
    drawn = page.evaluate(f"{DRAWN}.map((cell) => parseInt(cell.innerText))")
    assert sum(drawn) == SAMPLES
    assert page.locator("#sampled-panel .said").count() == page.evaluate(
        "new Set([...document.querySelectorAll('#sampled-panel tbody th')]"
        ".map((cell) => cell.innerText)).size"
    )
    assert hostile in page.inner_text("#sampled-panel table")
    assert page.locator("#sampled-panel img").count() == 0
