"""Who reads the page otherwise, or is slow: names, contrast, focus, and nothing that jumps."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from axe import NotFetchedError, axe_script, violations
from browser_page import BROWSER_MARKS, CHARTS_DRAWN, ENDED, Served, frames_pass, pause, shows

pytestmark = BROWSER_MARKS

LANGUAGES, THEMES = ("en", "zh-TW"), ("light", "dark")
# All of axe's rules; another theme changes nothing but colours.
RULES: dict[str, tuple[str, ...]] = {"light": (), "dark": ("color-contrast",)}
# Spaces, a line break, what is seen as a sign only, and bytes that are no character.
PROMPT = "Why is\nthe  sky\u200b blue?\u0007\n\n"
ASKED = {"chat": "false", "max_new_tokens": 40, "seed": 3}
NARROW = {"width": 360, "height": 800}

# Sums up the layout shifts from the page's beginning on, those that a visitor caused apart.
COUNT_SHIFTS = """() => {
  window.shifts = { sum: 0, last: 0 };
  new PerformanceObserver((list) => list.getEntries().forEach((shift) => {
    window.shifts.last = performance.now();
    if (!shift.hadRecentInput) window.shifts.sum += shift.value;
  })).observe({ type: "layout-shift", buffered: true });
}"""
AT_REST = "performance.now() - window.shifts.last > 1000"
# What can have the focus and looks the same with it; a key was pressed before.
UNSEEN_FOCUS = """() => {
  const CAN = "a[href], button, input, select, textarea, summary, [tabindex='0']";
  const edge = (element) => {
    const { outlineStyle, outlineWidth, boxShadow, borderColor, backgroundColor } =
      getComputedStyle(element);
    return [outlineStyle === "none" ? 0 : outlineWidth, boxShadow, borderColor, backgroundColor];
  };
  // A field may show it by the frame around it.
  const look = (element) => {
    const around = [element];
    while (around.length < 4) around.push(around.at(-1).parentElement ?? document.body);
    return String(around.map(edge));
  };
  return [...document.querySelectorAll(CAN)].filter((element) => {
    document.activeElement.blur();
    const isThere = element.checkVisibility({ opacityProperty: true, visibilityProperty: true });
    const before = look(element);
    element.focus({ preventScroll: true });
    return isThere && document.activeElement === element && look(element) === before;
  }).map((element) => element.outerHTML.slice(0, 120));
}"""


# Signs that stand in the styles only, where axe does not look, and are too faint to be read.
FAINT_SIGNS = """() => {
  const { Color, getBackgroundColor, getContrast } = axe.commons.color;
  axe.setup(document.body);
  const signs = [...document.querySelectorAll(".token:is(.unseen, .break)")];
  const faint = signs.filter((token) => {
    const { color, content, opacity } = getComputedStyle(token, "::before");
    const [sign, paper] = [new Color(), getBackgroundColor(token)];
    sign.parseString(color);
    return content !== "none" && paper && (opacity !== "1" || getContrast(paper, sign) < 4.5);
  });
  axe.teardown();
  return faint.map((token) => token.outerHTML);
}"""
# The last token's whole height, in the box that it is written into.
IS_NEWEST_SEEN = """() => {
  const box = document.querySelector("#token-stream").getBoundingClientRect();
  const newest = [...document.querySelectorAll("#token-stream [data-token-index]")].at(-1);
  return newest.getBoundingClientRect().bottom <= box.bottom + 1;
}"""


@pytest.fixture(scope="module")
def axe() -> str:
    try:
        return axe_script()
    except NotFetchedError as error:
        if os.environ.get("CI"):
            pytest.fail(str(error))
        pytest.skip(str(error))


@pytest.fixture
def address(served: Callable[[str], Served]) -> str:
    return served("slow").address


@pytest.fixture
def page(visit: Callable[..., Any], address: str, axe: str) -> Any:
    page = visit(f"{address}?{urlencode(ASKED)}", reduced_motion="reduce")
    page.wait_for_selector("#generate:enabled")
    page.evaluate(axe)
    return page


def looks(page: Any) -> Iterator[tuple[str, str]]:
    """Both themes in both languages, one after the other."""
    for language in LANGUAGES:
        for theme in THEMES:
            page.evaluate(
                "([language, theme]) => {"
                " decodingLive.setLanguage(language); decodingLive.setTheme(theme); }",
                [language, theme],
            )
            word = {"en": "Generate", "zh-TW": "生成"}[language]
            shows(page, "#generate", word)
            frames_pass(page)
            yield language, theme


def states(page: Any) -> Iterator[str]:
    """A visitor's way through the states of the page; each is there when its name comes."""
    yield "empty"
    page.click("#generate")  # with no prompt
    page.wait_for_selector("#status .view[data-state=error]")
    yield "error"
    page.click("#settings .label-wrap")
    page.wait_for_selector("#setting-temperature input[type=number]")
    yield "settings open"
    page.click("#settings .label-wrap")
    page.select_option("#speed", "0.5")  # so that it goes on while it is looked at
    page.fill("#prompt textarea", PROMPT)
    page.click("#generate")
    page.wait_for_selector('[data-token-index="1"]')
    yield "running"
    pause(page)
    yield "paused"
    page.select_option("#speed", "null")
    page.click('[data-token-index="1"]')
    page.wait_for_selector("#inspector-stages[aria-busy=false] table")
    yield "inspector open"
    page.locator("#inspector-panel .go").nth(3).click()
    page.wait_for_function(f"decodingLive.store.branches.length === 2 && {ENDED}")
    page.wait_for_function(CHARTS_DRAWN)
    yield "finished"
    page.locator("#branches-panel li:first-child .quiet").last.click()
    page.wait_for_selector("#side-by-side .token")
    yield "branches side by side"
    page.set_viewport_size(NARROW)
    frames_pass(page)
    yield "360 pixels"


@pytest.mark.timeout(600)
def test_axe_finds_nothing_wrong_in_any_state(page: Any) -> None:
    found = {}
    for state in states(page):
        for look in looks(page):
            found[f"{state}, {look}"] = violations(page, *RULES[look[1]])
            if state == "branches side by side":
                found[f"signs, {look}"] = page.evaluate(FAINT_SIGNS)
    assert {where: wrong for where, wrong in found.items() if wrong} == {}


def test_what_is_pointed_at_can_be_read_and_what_has_the_focus_be_seen(page: Any) -> None:
    for folded in ("#settings", "#model"):
        page.click(f"{folded} .label-wrap")
    page.wait_for_selector("#model-dtype input")
    page.keyboard.press("Tab")
    assert page.evaluate(UNSEEN_FOCUS) == []
    for theme in THEMES:
        page.evaluate("decodingLive.setTheme", theme)
        for button in page.locator("button:visible:enabled").all():
            button.hover()
            within = button.element_handle()
            assert violations(page, "color-contrast", within=within) == [], theme


@pytest.mark.parametrize("size", [{"width": 1440, "height": 960}, NARROW], ids=["wide", "narrow"])
def test_nothing_jumps_and_the_newest_line_stays_in_sight(
    visit: Callable[..., Any], address: str, size: dict[str, int]
) -> None:
    page = visit(f"{address}?{urlencode(ASKED)}", viewport=size)
    page.evaluate(COUNT_SHIFTS)
    page.wait_for_selector("#generate:enabled")
    page.wait_for_function(AT_REST)
    at_load = page.evaluate("window.shifts.sum")
    assert at_load < 0.05
    page.fill("#prompt textarea", "Why is the sky blue?")
    page.wait_for_function(AT_REST)
    # Not by the visitor's hand, whose clicks excuse what they move.
    before = page.evaluate("window.shifts.sum")
    page.evaluate("document.querySelector('#generate').click()")
    page.wait_for_function(f"decodingLive.store.steps.length === 40 && {ENDED}")
    page.wait_for_function(AT_REST)
    assert page.evaluate("window.shifts.sum") - before < 0.02

    # As if no room were kept for what is said below the text.
    page.add_style_tag(content="#sentence { min-height: 0 !important }")
    page.fill("#prompt textarea", "A line\n" * 30)
    page.click("#generate")
    page.wait_for_function(f"decodingLive.store.prompt.length > 100 && {ENDED}")
    frames_pass(page)
    assert page.evaluate(IS_NEWEST_SEEN)
