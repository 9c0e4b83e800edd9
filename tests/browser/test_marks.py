"""Words that may be made up, marked in a real Chromium: live, revised, explained, in a file."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from browser_page import BROWSER_MARKS, FRAMES_PASS, run_to_end, shows, tiny_page_model

from decoding import LanguageModel
from decoding.page import texts
from decoding.page.wire.replay import replay_html
from decoding.session.recording import trace_of
from decoding.session.session import DecodingSession

pytestmark = BROWSER_MARKS

EVALUATION = {
    "model": "tiny",
    "dtype": "float32",
    "threshold": 0.6,
    "marks": [
        {"threshold": 0.1 * i, "marked": 100 - 9 * i, "wrong": 50, "precision": 0.5 + 0.05 * i}
        | {"recall": 1 - 0.1 * i, "false_marks": 0.3 - 0.03 * i}
        for i in range(10)
    ],
}
# Of each token: its text, its probability, the word it is in, that word's doubt so far.
WRITTEN = [
    ("It", 0.9, 0, None),
    (" is", 0.9, 1, None),
    (" Y", 0.35, 2, 0.65),
    ("erek", 0.5, 2, 0.65),
    ("<b>", 0.11, 2, 0.89),
    (".", 0.8, 5, None),
    (" Van", 0.75, 6, 0.7),
    ("ity", 0.9, 6, None),
]
MARKED = (
    "[...document.querySelectorAll('#token-stream .doubted')]"
    ".map(token => Number(token.dataset.tokenIndex))"
)
ENDS = MARKED.replace(".doubted", ".doubted-end")


@pytest.fixture(scope="module", autouse=True)
def measured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """An evaluation of the model called tiny."""
    path = tmp_path_factory.mktemp("measured") / "evaluation.json"
    path.write_text(json.dumps(EVALUATION))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(texts, "EVALUATION", str(path))
        texts.evaluation.cache_clear()
        yield
    texts.evaluation.cache_clear()


@pytest.fixture(scope="module")
def lm() -> LanguageModel:
    return tiny_page_model()


@pytest.fixture(scope="module")
def address(serve: Callable[..., str], lm: LanguageModel) -> str:
    return serve(lm)


def step(index: int, text: str, p: float, start: int, doubt: float | None) -> dict[str, Any]:
    return {
        "i": index, "ph": "decode", "in": 1, "id": index, "k": text, "t": text, "sp": 0,
        "lp": math.log(p), "p": p, "r": 1 if p > 0.5 else 2, "q": p, "H": 3.4, "V": 1.0,
        "tail": 0.0, "kept": 260, "kv": None, "L": None, "m": None, "s": 0.01, "fin": None,
        "c": [[index, text, p, p], [999, "<i>other", 1 - p, 1 - p]],
        "w": [start, doubt, doubt and min(doubt, 1 - p)],
    }  # fmt: skip


STEPS = [step(i, *token) for i, token in enumerate(WRITTEN)]


def send(page: Any, steps: list[dict[str, Any]], *, run: str = "made", **fields: Any) -> None:
    """A frame of a run that no model made, and the time to draw it."""
    total = steps[-1]["i"] + 1
    head = (
        "{prompt: [[1, 'Where?', 0]], config: {do_sample: false}, model: decodingLive.store.loaded}"
    )
    frame = {"run": run, "state": "paused", "total": total, "steps": steps, "start": 0, **fields}
    page.evaluate(
        f"frame => decodingLive.receive(JSON.stringify({{...frame, head: {head}}}))", frame
    )
    page.evaluate(FRAMES_PASS)


def expected(steps: list[dict[str, Any]], threshold: float) -> list[int]:
    """The steps of those words whose last step's doubt reaches the threshold."""
    last = {step["w"][0]: step["w"][1] for step in steps}
    doubts = [last[step["w"][0]] for step in steps]
    return [i for i, doubt in enumerate(doubts) if doubt is not None and doubt >= threshold]


def slide(page: Any, value: float) -> None:
    page.fill("#mark-threshold", str(value))
    page.evaluate(FRAMES_PASS)


def test_marks_are_revised_while_their_words_grow(visit: Callable[..., Any], address: str) -> None:
    page = visit(address)
    for count, marked, ends in [
        (2, [], []),
        (3, [2], [2]),
        (5, [2, 3, 4], [4]),
        (7, [2, 3, 4, 6], [4, 6]),
        (8, [2, 3, 4], [4]),
    ]:
        send(page, STEPS[:count])
        assert page.evaluate(MARKED) == marked == expected(STEPS[:count], 0.6)
        assert page.evaluate(ENDS) == ends
    # Another branch leaves in the middle of the word, and what was doubtful behind it is gone.
    other = [step(4, "van", 0.9, 2, 0.1), step(5, " Goris", 0.2, 5, 0.8)]
    send(page, other, b=1, tree=[[None, 0, 8], [0, 4, 6]])
    page.wait_for_function("decodingLive.store.branch === 1")
    page.evaluate(FRAMES_PASS)
    assert page.evaluate(MARKED) == [5]
    assert page.locator("#token-stream .prompt .doubted").count() == 0


def test_the_slider_and_the_switch(visit: Callable[..., Any], address: str) -> None:
    page = visit(address)
    send(page, STEPS)
    assert page.inner_text("#mark-rate") == (
        "Of 46 words marked at 0.6 on the labelled English questions, 80\u00a0% were wrong; "
        "40\u00a0% of all wrong words were found. 12\u00a0% of the right ones were marked too."
    )
    slide(page, 0.9)
    assert page.evaluate(MARKED) == []
    assert "19 words marked at 0.9" in page.inner_text("#mark-rate")
    slide(page, 0)
    assert page.evaluate(MARKED) == expected(STEPS, 0) == [2, 3, 4]
    page.uncheck("#mark-switch")
    page.evaluate(FRAMES_PASS)
    assert page.evaluate(MARKED) == []
    assert page.inner_text("#mark-rate") == ""
    page.reload()
    page.wait_for_function("window.decodingLive?.store.loaded")
    send(page, STEPS)
    assert not page.is_checked("#mark-switch")
    assert page.evaluate(MARKED) == []


def test_a_mark_gives_its_reason(visit: Callable[..., Any], address: str) -> None:
    page = visit(address)
    send(page, STEPS[:7])
    page.hover('[data-token-index="3"]')
    shows(page, "#mark-reason", "“Yerek<b>” may be made up (doubt 0.89)")
    told = page.inner_text("#mark-reason")
    assert "of its 3 tokens the least likely, “<b>”, came at 11\u00a0%" in told
    assert "(rank 2, entropy 3.4 bits; best other “<i>other” at 89\u00a0%)" in told
    assert "Of 46 words marked at 0.6 on the labelled English questions, 80\u00a0% were" in told
    assert "can also be mere phrasing" in told
    page.hover('[data-token-index="1"]')
    page.wait_for_function("document.querySelector('#mark-reason').textContent === ''")
    page.click('[data-token-index="4"]')
    page.evaluate(FRAMES_PASS)
    label = "[data-token-index='{}']"
    assert page.get_attribute(label.format(4), "aria-label") == (
        "<b>, 11\u00a0%, rank 2, may be made up"
    )
    assert page.get_attribute(label.format(2), "aria-label") == "Y, may be made up"
    assert page.get_attribute(label.format(1), "aria-label") is None
    page.click('[data-token-index="6"]')
    shows(page, "#mark-reason", "“Van” may be made up (doubt 0.70, 0.25 by itself)")
    assert "words before it were written with doubt" in page.inner_text("#mark-reason")
    # The rate belongs to the model that was measured and to no other.
    page.evaluate("decodingLive.store.model = {...decodingLive.store.model, quantization: 'int8'}")
    page.hover('[data-token-index="2"]')
    shows(page, "#mark-reason", "measured for tiny in float32 only; no rate is known here")
    page.evaluate("decodingLive.store.config = {scored: true}")
    page.hover('[data-token-index="3"]')
    shows(page, "#mark-reason", "for what it writes after them no rate is known")


def test_a_run_is_marked_by_its_own_steps(visit: Callable[..., Any], address: str) -> None:
    page = visit(address)
    steps = run_to_end(page, "Which words?", tokens=24)
    assert all(step["w"][0] <= step["i"] for step in steps)
    for threshold in (0.6, 0.3):
        slide(page, threshold)
        assert page.evaluate(MARKED) == expected(steps, threshold)


def test_colours_tell_the_rank_where_that_is_chosen(
    visit: Callable[..., Any], address: str
) -> None:
    page = visit(address)
    ranked = [{**one, "r": rank} for one, rank in zip(STEPS, [1, 2, 10, 100, 1000], strict=False)]
    levels = (
        "[...document.querySelectorAll('#token-stream [data-token-index]')]"
        ".map(t => /\\bd(\\d)\\b/.exec(t.className)[1]).join('')"
    )
    send(page, ranked)
    by_probability = page.evaluate(levels)
    page.select_option("#coloured-by", "rank")
    page.evaluate(FRAMES_PASS)
    assert page.evaluate(levels) == "01369" != by_probability
    assert page.inner_text("#text-panel .legend .d9") == "1,000"
    page.reload()
    page.wait_for_function("window.decodingLive?.store.loaded")
    send(page, ranked)
    assert page.evaluate(levels) == "01369"


def test_the_file_of_a_run_shows_its_marks(browser: Any, lm: LanguageModel, tmp_path: Path) -> None:
    session = DecodingSession(lm, "Keep it", seed=1, max_new_tokens=40)
    list(session.run())
    path = tmp_path / "run.html"
    path.write_text(replay_html(trace_of(session)), encoding="utf-8")
    context = browser.new_context(offline=True)
    page = context.new_page()
    page.goto(path.as_uri())
    page.wait_for_selector('[data-token-index="39"]')
    steps = page.evaluate("decodingLive.store.steps")
    assert page.evaluate(MARKED) == expected(steps, 0.6)
    page.fill("#replay-scrub", "20")
    page.evaluate(FRAMES_PASS)
    assert page.evaluate(MARKED) == expected(steps[:20], 0.6)
    assert "46 words marked at 0.6" in page.inner_text("#mark-rate")
    context.close()
