"""Scored texts in a real Chromium: kept through the visit, numbered, and set side by side.

The runs are frames that no model made, so that every number is known.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from browser_page import BROWSER_MARKS, FRAMES_PASS, HOSTILE, Served, look_at, plotted, shows

pytestmark = BROWSER_MARKS

ROWS = "[...document.querySelectorAll('#score-panel tbody tr')].map(row => row.innerText)"
COLUMNS = (
    "[...document.querySelectorAll('#score-panel tbody tr')]"
    ".map(row => [...row.cells].map(cell => cell.innerText.trim()))"
)
AT = (
    "[...document.querySelectorAll('.scored-text')].map(box => "
    "[...box.querySelectorAll('.at')].map(token => Number(token.dataset.scoredIndex)))"
)
SHADES = (
    "[...document.querySelectorAll('.scored-text')].map(box => "
    "[...box.querySelectorAll('.token')].map(token => /\\bd(\\d)\\b/.exec(token.className)?.[1]))"
)

# A text's first token, and the others with their bits: as two tokenizers cut it.
LONG = [(" capital", 2.0), (" of", 1.0), (" Armenia", 6.0), (" is", 1.0), (" Yerevan", 4.0)]
SHORT = [
    (" capital of", 5.0),
    (" Arm", 5.0),
    ("enia", 1.0),
    (" is", 1.0),
    (" Yere", 9.0),
    ("van", 1),
]


@pytest.fixture
def address(served: Callable[[str], Served]) -> str:
    return served("tiny").address


@pytest.fixture
def page(visit: Callable[..., Any], address: str) -> Any:
    opened = visit(address)
    look_at(opened, "score")
    return opened


def step(index: int, text: str, bits: float, piece: str) -> dict[str, Any]:
    p = 2**-bits
    return {
        "i": index, "ph": "score", "in": 9, "id": index, "k": piece, "t": text, "sp": 0,
        "lp": -bits * math.log(2), "p": p, "r": 1 if bits <= 1 else 2 ** round(bits), "q": p,
        "H": 2.5, "V": 1.0, "tail": 0.0, "kept": 260, "kv": None, "L": None, "m": None, "s": 0.01,
        "fin": None, "w": [index, None, None], "c": [[index, text, p, p]],
        "tb": len(text.encode()),
    }  # fmt: skip


def score(
    page: Any,
    run: str,
    tokens: list[Any],
    *,
    first: str = "The",
    model: str = "tiny",
    **fields: Any,
) -> None:
    """A scored text as the server sends one, and the time to draw it."""
    steps = [
        step(i, text, bits, *(piece or [text])) for i, (text, bits, *piece) in enumerate(tokens)
    ]
    frame = {"run": run, "state": "finished", "total": len(steps), "steps": steps, "start": 0}
    page.evaluate(
        """([frame, first, model]) => decodingLive.receive(JSON.stringify({...frame, head: {
            prompt: [[1, first, 0]], config: {scored: true},
            model: {...decodingLive.store.loaded, name: model}}}))""",
        [frame | fields, first, model],
    )
    page.evaluate(FRAMES_PASS)


def differences(page: Any, count: int) -> list[float]:
    """What the chart of the two chosen texts holds, once it has that many words."""
    page.wait_for_function(
        "count => document.querySelector('#difference-chart .js-plotly-plot')?.data"
        ".find(trace => trace.name === 'difference_bits').y.length === count",
        arg=count,
    )
    return plotted(page, "difference-chart")["difference_bits"]


def choose(page: Any, *rows: int) -> None:
    for row in rows:
        page.locator("#score-panel tbody input").nth(row).check()
    page.evaluate(FRAMES_PASS)


def test_numbers_stay_when_another_text_is_scored(page: Any) -> None:
    assert "Paste a text" in page.inner_text("#score-panel")
    score(page, "under way", LONG[:2], state="prefill", total=2)
    assert page.evaluate(ROWS) == []
    score(page, "one", LONG)
    score(page, "two", SHORT, model="other")
    bits, size = sum(bits for _, bits in LONG), len(" capital of Armenia is Yerevan")
    one, two = page.evaluate(COLUMNS)
    assert one[1:-1] == [
        "The capital of Armenia is Yerevan",
        "tiny · float32", "5", f"{2 ** (bits / 5):.2f}", f"{bits / size:.3f}", "2.50", "40\u00a0%",
    ]  # fmt: skip
    assert two[2:5] == ["other · float32", "6", f"{2 ** (22 / 6):.2f}"]
    # A run that was generated is none of them, and a text that was taken away stays away.
    page.click("#score-panel tbody tr:first-child button")
    score(page, "two", SHORT, model="other", state="paused")
    assert [row[2] for row in page.evaluate(COLUMNS)] == ["other · float32"]
    for number in range(8):
        score(page, f"more {number}", [("é", 3.0), ("", 1.0, "<0xF0>"), ("😀", 2.0)])
    kept = page.evaluate(COLUMNS)
    assert len(kept) == 8
    assert {row[4] for row in kept} == {"4.00"}
    assert {row[5] for row in kept} == {"1.000"}


def test_two_models_on_one_text(page: Any) -> None:
    score(page, "one", LONG)
    score(page, "two", SHORT, model="other")
    assert not page.is_visible("#scored-pair")
    choose(page, 0, 1)
    assert page.inner_text("#scored-pair h3 >> nth=1") == "A: tiny · float32"
    # The tokens of the one text that stand on a token of the other, and the numbers of both.
    page.hover(".scored-text >> nth=0 >> text=Yerevan")
    shows(page, "#scored-reading", "A: “Yerevan” 6.3\u00a0%, rank 16, 4.00 bits.")
    shows(page, "#scored-reading", "B: 2 tokens, “Yere|van”, together 0.098\u00a0%, 10.00 bits.")
    assert page.evaluate(AT) == [[4], [4, 5]]
    page.hover(".scored-text >> nth=1 >> text=capital of")
    shows(page, "#scored-reading", "A: 2 tokens, “capital|of”")
    # Word by word; a token over two words is shared by its characters.
    assert differences(page, 5) == pytest.approx([2 - 5 * 8 / 11, 1 - 5 * 3 / 11, 0, 0, -6])
    assert "14.00 bits under A, 22.00 bits under B" in page.inner_text("#scored-pair")
    assert "“Yerevan” (A 4.00, B 10.00 bits)" in page.inner_text("#scored-pair")
    shades = page.evaluate(SHADES)
    page.click("#score-colouring")
    page.evaluate(FRAMES_PASS)
    assert page.input_value("#coloured-by") == "rank"
    assert page.evaluate(SHADES) != shades
    page.focus(".scored-text >> nth=1")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.evaluate(FRAMES_PASS)
    assert page.evaluate(AT) == [[2], [1]]


def test_two_texts_that_differ_in_one_word(page: Any) -> None:
    score(page, "one", LONG)
    score(page, "two", [*LONG[:2], (" France", 2.0), (" is", 3.0), (" Yerevan", 12.0)])
    choose(page, 0, 1)
    assert differences(page, 4) == pytest.approx([0, 0, -2, -8])
    page.hover(".scored-text >> nth=0 >> text=Armenia")
    shows(page, "#scored-reading", "B: nothing scored there.")
    score(page, "three", [("x", 1.0)], first="~")
    choose(page, 2)
    assert not page.is_visible("#difference-chart")
    assert page.evaluate("decodingLive.setLanguage('zh-TW')") is None
    shows(page, "#score-panel", "詞元")


def test_white_space_at_the_end_and_equal_words_are_no_difference(page: Any) -> None:
    score(page, "one", LONG)
    score(page, "two", [(" ancient capital", 9.0), *LONG[1:-1], (" Yerevan", 6.0), ("\n", 3.0)])
    score(page, "three", [*LONG, ("\n", 3.0)])
    choose(page, 0, 1)
    assert differences(page, 4) == pytest.approx([0, 0, 0, -2])
    told = page.inner_text("#scored-pair")
    assert "They differ most at “Yerevan” (A 4.00, B 6.00 bits)." in told
    page.locator("#score-panel tbody input").nth(1).uncheck()
    choose(page, 2)
    shows(page, "#scored-pair", "Each of these words has the same bits in both.")


def test_hostile_and_long_texts_stay_text(page: Any) -> None:
    tokens = [(text, 3.0) for text in HOSTILE]
    score(page, "hostile", tokens, first="<b>")
    score(page, "long", [(f" word{i % 90}", 1 + i % 7) for i in range(8000)], model="<i>other")
    choose(page, 0, 1)
    shown = page.evaluate("document.querySelector('.scored-text').textContent")
    assert shown == "<b>" + "".join(HOSTILE)
    assert page.evaluate("window.pw") is None
    assert page.locator("#score-panel :is(script, img, svg:not(.main-svg), b b, i)").count() == 0
    page.hover(".scored-text >> nth=1 >> text=word7 >> nth=0")
    shows(page, "#scored-reading", "B: “word7”")
