"""Numbers, keys and buttons in a real Chromium: what they become, and when they act."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from browser_page import (
    BROWSER_MARKS,
    ENDED,
    STATE,
    Served,
    ask,
    frames_pass,
    holds_setting,
    pause,
    shows,
)

pytestmark = BROWSER_MARKS

Visit = Callable[..., Any]
FOCUSED = "document.activeElement"
JOBS = ("caching", "precision", "sampled", "calibration", "roofline")
COUNT = "decodingLive.store.steps.length"


@pytest.fixture
def address(served: Callable[[str], Served]) -> str:
    return served("slow").address


def set_number(page: Any, name: str, text: str) -> None:
    field = f"#setting-{name} input[type=number]"
    page.fill(field, text)
    page.press(field, "Tab")


def test_an_emptied_number_is_its_default_and_a_temperature_of_0_is_greedy(
    visit: Visit, address: str
) -> None:
    page = visit(f"{address}?max_new_tokens=3")
    page.click("#settings .label-wrap")
    holds_setting(page, "max_new_tokens", 3)
    set_number(page, "top_k", "")
    holds_setting(page, "top_k", 40)
    set_number(page, "temperature", "0")
    holds_setting(page, "temperature", 0)
    shows(page, "#summary", "greedy: no draw at temperature 0")
    page.fill("#prompt textarea", "Coldest")
    # From the field that is empty to Generate: the page's 128 tokens are asked for.
    page.fill("#setting-max_new_tokens input[type=number]", "")
    page.click("#generate")
    page.wait_for_function(f"{COUNT} > 2")
    config = page.evaluate("decodingLive.store.config")
    assert (config["do_sample"], config["max_new_tokens"]) == (False, 128)
    shows(page, "#sentence", "Nothing was drawn: the best token left was taken")
    pause(page)
    set_number(page, "temperature", "")
    holds_setting(page, "temperature", 0.7)
    assert page.input_value("#setting-temperature input[type=number]") == "0.7"


def steps_by_key(page: Any) -> None:
    """Presses N, and waits for the one inference that it makes."""
    before = page.evaluate(COUNT)
    page.keyboard.press("n")
    page.wait_for_function(f"{COUNT} === {before + 1} && {STATE} === 'paused'")


def test_keys_act_wherever_no_text_is_typed(visit: Visit, address: str) -> None:
    page = visit(address)
    page.click("#settings .label-wrap")
    page.select_option("#speed", "8")
    page.fill("#prompt textarea", "Keys")
    page.press("#prompt textarea", "Enter")
    page.wait_for_function(f"{COUNT} > 1")
    page.keyboard.press("p")
    page.wait_for_function(f"{STATE} === 'paused'")
    assert page.input_value("#prompt textarea") == "Keys"
    for focused in (
        "#setting-top_p input[type=range]",
        "#setting-use_cache input[type=checkbox]",
        "#speed",
        "#theme",
        "#confidence-chart",
    ):
        page.focus(focused)
        steps_by_key(page)
    # In a list that seeks by letters, and in fields, they are letters.
    count = page.evaluate(COUNT)
    page.focus("#coloured-by")
    page.keyboard.press("p")
    page.focus("#setting-cache_implementation input")
    page.keyboard.press("n")
    page.fill("#prompt textarea", "")
    page.keyboard.type("pn?")
    assert page.input_value("#prompt textarea") == "pn?"
    assert (page.evaluate(COUNT), page.evaluate(STATE)) == (count, "paused")
    # From the second run on the text takes the focus, and keys that move in it.
    page.press("#prompt textarea", "Enter")
    page.wait_for_function(f"{COUNT} > 1 && {COUNT} < {count}")
    assert page.evaluate(f"{FOCUSED}.id") == "token-stream"
    page.click("#stop")


@pytest.mark.parametrize(("language", "named"), [("en-US", "Pause"), ("zh-TW", "暫停")])
def test_all_keys_are_listed(visit: Visit, address: str, language: str, named: str) -> None:
    page = visit(address, locale=language, viewport={"width": 360, "height": 740})
    page.focus("#theme")
    page.keyboard.press("?")
    assert page.is_visible("#keys")
    text = page.inner_text("#keys")
    assert named in text
    assert "views." not in text
    assert {"P", "N", "?", "Esc", "Home", "Enter"} <= set(
        page.locator("#keys kbd").all_text_contents()
    )
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    # Nothing but the list is within reach of the keyboard, and the focus comes back.
    for _ in range(4):
        page.keyboard.press("Tab")
        assert page.evaluate(f"{FOCUSED}.closest('#keys') !== null || {FOCUSED} === document.body")
    page.keyboard.press("Escape")
    assert page.is_hidden("#keys")
    assert page.evaluate(f"{FOCUSED}.id") == "theme"
    page.click("#show-keys")
    page.click("#keys button")
    assert page.is_hidden("#keys")


def test_escape_closes_the_list_before_the_inspector(visit: Visit, address: str) -> None:
    page = visit(address)
    ask(page, "Escape", tokens=3)
    page.wait_for_function(ENDED)
    page.click('[data-token-index="1"]')
    page.keyboard.press("?")
    page.keyboard.press("Escape")
    frames_pass(page)
    assert page.is_hidden("#keys")
    assert page.evaluate("decodingLive.store.pinned") == 1


def disabled(page: Any) -> set[str]:
    """Which of the buttons that act on a run cannot be pressed."""
    frames_pass(page)
    ids = ["stop", "pause", "step", *(f"{kind}-start" for kind in JOBS)]
    return {elem_id for elem_id in ids if page.is_disabled(f"#{elem_id}")}


def test_buttons_can_be_pressed_when_they_can_work(visit: Visit, address: str) -> None:
    page = visit(address)
    page.wait_for_selector("#roofline-start:enabled")
    jobs = {"caching-start", "precision-start", "sampled-start", "calibration-start"}
    assert disabled(page) == {"stop", "pause", "step", *jobs}
    assert page.inner_text("#pause") == "Pause"
    for kind in JOBS:
        title = page.locator(f"#{kind} h2").bounding_box()
        assert title["y"] < page.locator(f"#{kind}-start").bounding_box()["y"]

    ask(page, "Buttons", tokens=400)
    page.wait_for_selector('[data-token-index="2"]')
    assert disabled(page) == {"step", "calibration-start"}
    pause(page)
    assert disabled(page) == {"stop", "calibration-start"}
    assert page.inner_text("#pause") == "Resume"
    # Gradio draws them anew in another language, and leaves them as they are.
    page.select_option("#language", "zh-TW")
    shows(page, "#stop", "停止")
    assert disabled(page) == {"stop", "calibration-start"}
    page.select_option("#language", "en")
    shows(page, "#stop", "Stop")

    # Another model cannot go on with the text of this one.
    other = page.evaluate("({ ...decodingLive.store.loaded, name: 'other' })")
    told = {"key": "model_loaded", "args": {"name": "other", "form": "float32"}}
    frame = {"run": "", "state": "ready", "switch": True, "message": told, "progress": None}
    page.evaluate("text => decodingLive.receive(text)", json.dumps({**frame, "model": other}))
    assert disabled(page) == {"stop", "pause", "step", "calibration-start"}
    assert page.inner_text("#pause") == "Pause"
    shows(page, "#wheel-note", "written by tiny (float32), and now other (float32) is loaded")
