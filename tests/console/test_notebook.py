"""A session as HTML: its text as text, its size bounded, drawn no more often than it should be."""

from __future__ import annotations

import gc
import json
import math
import re
import weakref
from collections.abc import Callable
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from traces import made_step

from decoding import DecodingSession, LanguageModel
from decoding.console.colours import safe_text
from decoding.console.notebook import Screen, show_session
from decoding.console.notebook_html import LONGEST_TOKEN, MOST_TOKENS, session_html
from decoding.records.step import DecodingStep
from decoding.records.svg import HEIGHT, WIDTH, Line, small_chart

HOSTILE: list[str] = json.loads((Path(__file__).parents[1] / "data/hostile_text.json").read_text())
ELEMENTS = {
    "div", "style", "p", "pre", "i", "figure", "figcaption", "small", "svg", "path", "polyline",
    "text",
}  # fmt: skip


class Page(HTMLParser):
    """The texts of the tokens, and every element and attribute that there is."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: set[str] = set()
        self.attributes: set[str] = set()
        self.tokens: list[str] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self._open.append(tag)
        if tag == "i":
            self.tokens.append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open[-1:] == ["i"]:
            self.tokens[-1] += data
        if self._open[-1:] != ["style"]:
            self.text += data


def made_session(steps: list[DecodingStep], prompt: Any = "Hi", name: str = "tiny") -> Any:
    return SimpleNamespace(
        path=lambda: steps,
        tree=SimpleNamespace(branches=[None]),
        branch=0,
        lm=SimpleNamespace(name=name),
        prompt=prompt,
    )


def test_the_text_and_its_colours() -> None:
    steps = [
        made_step(0, text="sure", logprob=0.0, probability=1.0),
        made_step(1, text=" odd", logprob=math.log(0.01), probability=0.01, rank=9),
        made_step(2, text="<eos>", is_special=True, finish_reason="eos"),
        made_step(3, text=" mine", is_forced=True, logprob=-math.inf, probability=0.0),
    ]
    html = session_html(made_session(steps))
    assert Page(html).tokens == ["sure", " odd", "<eos>", " mine"]
    assert '<i title="p 1, rank 2, -0.00 bits">sure</i>' in html
    assert '<i class="d9" title="p 0.01, rank 9, 6.64 bits"> odd</i>' in html
    assert '<i class="special"' in html
    assert '<i class="d9 forced" title="p 0, rank 2, inf bits"> mine</i>' in html


def test_the_facts(tiny_lm: LanguageModel) -> None:
    session = DecodingSession(tiny_lm, "Hi", do_sample=False, max_new_tokens=3)
    assert "tiny-llama · 0 tokens" in Page(session_html(session)).text
    steps = list(session.run())
    held = steps[-1].kv_cache
    assert held is not None
    told = Page(session_html(session)).text
    speed = 3 / sum(step.seconds for step in steps)
    assert f"tiny-llama · 3 tokens · {speed:.1f} tokens/s · {held.tokens} positions" in told
    assert f"finished: {steps[-1].finish_reason}" in told
    session.detach()
    assert "tiny-llama · 3 tokens" in Page(session_html(session)).text


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize("kind", [str, list])
def test_hostile_text_is_shown_as_text(text: str, kind: type) -> None:
    prompt = text if kind is str else [{"role": text, "content": text}]
    steps = [made_step(0, text=text), made_step(1, text=text, is_special=True)]
    html = session_html(made_session(steps, prompt, name=text))
    page = Page(html)
    assert page.elements == ELEMENTS
    assert not {name for name in page.attributes if name.startswith(("on", "href", "src"))}
    shown = text if len(text) <= LONGEST_TOKEN else text[:LONGEST_TOKEN] + "…"
    assert [token.replace("\r\n", "\n") for token in page.tokens] == [safe_text(shown)] * 2
    assert safe_text(text) in page.text
    html.encode()


@pytest.mark.parametrize("text", [" word", "<" * 500, "字" * 500])
def test_a_long_session_stays_small(text: str) -> None:
    steps = [made_step(i, text=text) for i in range(3 * MOST_TOKENS)]
    html = session_html(made_session(steps, text * 100_000))
    assert len(html.encode()) < 1_000_000
    hidden = len(steps) - len(Page(html).tokens)
    assert hidden >= 2 * MOST_TOKENS
    assert f"… {hidden:,} tokens before these …" in html


def test_two_thousand_steps_are_all_there() -> None:
    html = session_html(made_session([made_step(i, text=" word") for i in range(2_000)]))
    assert len(Page(html).tokens) == 2_000
    assert "before these" not in html
    assert len(html) < 300_000


def points_of(svg: str) -> list[list[tuple[float, float]]]:
    lines = re.findall(r'points="([^"]*)"', svg)
    return [[tuple(map(float, pair.split(","))) for pair in line.split()] for line in lines]  # type: ignore[misc]


def test_a_line_keeps_its_highest_and_its_lowest_point() -> None:
    values = [5.0] * 10_000
    values[7_777], values[3_333] = 100.0, 0.0
    (line,) = points_of(small_chart("x", [Line("y", values)], "100"))
    assert len(line) <= 300
    heights = [y for _, y in line]
    assert min(heights) == pytest.approx(HEIGHT - 3 - (HEIGHT - 16))
    assert max(heights) == pytest.approx(HEIGHT - 3)
    assert line == sorted(line)
    assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in line)


@pytest.mark.parametrize("values", [[], [1.0], [0.0, 0.0], [math.inf, 1.0, math.nan, 2.0]])
def test_lines_without_much_in_them(values: list[float]) -> None:
    svg = small_chart("x", [Line("y", values)], "?")
    assert "nan" not in svg
    assert "inf" not in svg
    finite = [v for v in values if math.isfinite(v)]
    assert len(points_of(svg)[0]) == (2 if len(finite) == 1 else len(finite))


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def screen_of(
    session: DecodingSession, seconds_to_draw: float = 0.0
) -> tuple[Clock, list[float], Screen]:
    """A screen on a clock that stands still but for the drawing; when it was drawn."""
    clock, drawn = Clock(), []

    def show(html: str) -> None:
        drawn.append(clock.now)
        clock.now += seconds_to_draw

    return clock, drawn, Screen(session, show, clock)


def session_of(lm: LanguageModel) -> DecodingSession:
    return DecodingSession(lm, "Hi", do_sample=False, min_new_tokens=30, max_new_tokens=30)


@pytest.mark.parametrize(("seconds_to_draw", "apart"), [(0.0, 0.25), (0.1, 1.0)])
def test_it_is_drawn_a_few_times_a_second(
    tiny_lm: LanguageModel, seconds_to_draw: float, apart: float
) -> None:
    session = session_of(tiny_lm)
    clock, drawn, _ = screen_of(session, seconds_to_draw)
    for _ in session.run():
        clock.now += 0.1
    assert len(drawn) >= 3
    gaps = [b - a for a, b in pairwise(drawn)]
    assert all(gap >= apart for gap in gaps[:-1])


def test_the_last_state_is_always_shown(tiny_lm: LanguageModel) -> None:
    session = session_of(tiny_lm)
    _, drawn, screen = screen_of(session)  # the clock stands still: nothing is due
    session.step()
    assert drawn == []
    screen.catch_up()
    assert len(drawn) == 1
    screen.catch_up()
    assert len(drawn) == 1
    session.rewind(0)
    screen.catch_up()
    assert len(drawn) == 2
    list(session.run())
    assert len(drawn) == 3  # at its end at once


def test_a_place_that_was_left_stays_as_it_is(tiny_lm: LanguageModel) -> None:
    session = session_of(tiny_lm)
    _, drawn, screen = screen_of(session)
    session.step()
    screen.leave()
    assert len(drawn) == 1
    list(session.run())
    screen.catch_up()
    assert len(drawn) == 1


def test_a_screen_keeps_no_session_alive(tiny_lm: LanguageModel) -> None:
    session = session_of(tiny_lm)
    _, _, screen = screen_of(session)
    gone = weakref.ref(session)
    del session
    gc.collect()
    assert gone() is None
    screen.catch_up()


def test_without_a_notebook_it_is_displayed_once(
    tiny_lm: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[Any] = []
    display: Callable[..., None] = lambda html, **_: shown.append(html)  # noqa: E731
    monkeypatch.setattr("IPython.display.display", display)
    session = session_of(tiny_lm)
    session._ipython_display_()
    show_session(session)
    list(session.run())
    assert len(shown) == 2
