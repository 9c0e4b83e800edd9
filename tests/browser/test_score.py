"""A pasted text in a real Chromium: scored, looked at, and written on from one of its tokens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from browser_page import BROWSER_MARKS, STATE, Served, frames_pass, resting, shows

from decoding.strategies.scoring import score

pytestmark = BROWSER_MARKS

TEXT = "To be, or not to be: 那是問題 <b>&amp;"
SHADES = """() => [...document.querySelectorAll('[data-token-index]')]
  .map(token => [...token.classList].find(name => /^d[0-9]$/.test(name)) ?? null)"""


def test_a_pasted_text_is_scored_inspected_and_written_on(
    visit: Callable[..., Any], served: Callable[[str], Served]
) -> None:
    tiny = served("tiny")
    expected = list(score(tiny.lm, TEXT))
    page = visit(tiny.address)
    page.click("#score-go")
    shows(page, "#status .note", "There is no text")
    page.fill("#score-text textarea", TEXT)
    page.click("#score-go")
    page.wait_for_function(f"decodingLive.store.config.scored && {STATE} === 'finished'")
    frames_pass(page)

    steps = page.evaluate("decodingLive.store.steps")
    assert [step["id"] for step in steps] == [step.token_id for step in expected]
    assert {step["ph"] for step in steps} == {"score"}
    for name, value in (("lp", "logprob"), ("H", "entropy_bits"), ("r", "rank")):
        own = [getattr(step, value) for step in expected]
        assert [step[name] for step in steps] == pytest.approx(own, rel=1e-3)
    page.select_option("#coloured-by", "rank")  # a random model gives each token about the same
    frames_pass(page)
    shades = page.evaluate(SHADES)
    assert len(shades) == len(steps)
    assert None not in shades
    assert len(set(shades)) > 1
    shown = page.inner_text("#token-stream")
    assert "那是問題" in shown
    assert "<b>&amp;" in shown
    assert page.is_hidden("#kv-cache-chart")  # scoring keeps no cache

    page.locator("[data-token-index='9']").click()
    page.wait_for_selector("#inspector-panel .choices .tokens:not(.found) .go")
    assert page.evaluate("decodingLive.store.pinned") == 9
    other = page.locator(
        f".choices .go[data-token-id]:not([data-token-id='{expected[9].token_id}'])"
    ).first
    chosen = int(other.get_attribute("data-token-id"))
    other.click()
    page.wait_for_function("decodingLive.store.branches.length === 2")
    resting(page)
    assert page.is_visible("#kv-cache-chart")
    branch = page.evaluate("decodingLive.store.branches[1]")
    assert branch["at"] == 9
    assert [step["ph"] for step in branch["steps"]] == ["decode"] * 128  # the page's own length
    assert branch["steps"][0]["id"] == chosen
    # The length that the branch has reached is an end; that of the text is none.
    goes = page.locator("#branches-panel .tree li button.quiet:nth-of-type(2)")
    assert [goes.nth(i).is_disabled() for i in range(2)] == [False, True]
