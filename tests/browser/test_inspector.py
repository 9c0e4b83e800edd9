"""The inspector in a real Chromium: a step's numbers, its stages, other settings, other tokens."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from browser_page import (
    BROWSER_MARKS,
    HOSTILE,
    Served,
    holds_setting,
    run_to_end,
    shows,
    slow_llama,
)
from tiny import byte_tokenizer

from decoding import DecodingSession, LanguageModel
from decoding.records.requests import InspectRequest
from decoding.session.inspection import Inspection, inspect_step

pytestmark = BROWSER_MARKS

Visit = Callable[..., Any]
Serve = Callable[..., str]

PROMPT = "abc"
INDEX = 4
# Of a number shown with two decimals: a tie may be rounded up in the page and down in Python.
HUNDREDTH = 0.006
PANEL = "#inspector-panel .inspector"
STAGE_ROWS = """() => [...document.querySelectorAll('.stages tbody tr:not(.cut-line)')]
  .map(row => [...row.children].slice(0, 6).map(cell => cell.innerText))"""
BUTTONS = """() => [...document.querySelectorAll('.choices .tokens:not(.found) .go')]
  .map(button => [Number(button.dataset.tokenId), button.querySelector('.numbers').innerText])"""
MEASURED = """() => document.querySelector('#inspector-stages table')
  && document.querySelector('#inspector-stages').ariaBusy === 'false'
  && !document.querySelector('.is-stale')"""


@pytest.fixture
def lm(served: Callable[[str], Served]) -> LanguageModel:
    return served("tiny").lm


@pytest.fixture
def address(served: Callable[[str], Served]) -> str:
    return served("tiny").address


def choose(page: Any, index: int) -> None:
    """Chooses a token in the text and waits for all that is said of it."""
    page.click(f"[data-token-index='{index}']")
    page.wait_for_selector(f"{PANEL}.is-open")
    page.wait_for_function(MEASURED)


def inspected(page: Any, lm: LanguageModel, **settings: Any) -> Inspection:
    """The same step of the same run, in Python."""
    config = page.evaluate("decodingLive.store.config")
    names = ("do_sample", "temperature", "top_k", "top_p")
    session = DecodingSession(
        lm, PROMPT, seed=config["seed"], max_new_tokens=12, **{n: config[n] for n in names}
    )
    list(session.run())
    generation = {**{name: config[name] for name in names}, **settings} if settings else None
    return inspect_step(session, InspectRequest(0, INDEX, generation))


def move(page: Any, name: str, value: float) -> None:
    page.evaluate(
        """([name, value]) => {
          const slider = document.querySelector(`#try-${name}`);
          slider.value = value;
          slider.dispatchEvent(new Event('input', {bubbles: true}));
        }""",
        [name, value],
    )


def share(text: str) -> float:
    return float(text.replace("%", "").replace("<", "").replace(">", "").strip()) / 100


def assert_stages(page: Any, inspection: Inspection) -> None:
    model, *rows = page.evaluate(STAGE_ROWS)
    assert float(model[5]) == pytest.approx(inspection.entropy_bits, abs=HUNDREDTH)
    assert len(rows) == len(inspection.stages) > 0
    for row, stage in zip(rows, inspection.stages, strict=True):
        assert row[0].split()[0] == stage.setting
        assert math.isclose(float(row[0].split()[1]), stage.value)
        assert row[1] == str(stage.kept_tokens)
        assert row[2] == (str(stage.cut_tokens) if stage.cut_tokens else "–")
        assert share(row[4]) == pytest.approx(stage.moved, abs=HUNDREDTH)
        assert float(row[5]) == pytest.approx(stage.entropy_bits, abs=HUNDREDTH)


def test_stages_and_candidates_are_those_of_the_session_in_python(
    visit: Visit, address: str, lm: LanguageModel
) -> None:
    page = visit(address)
    steps = run_to_end(page, PROMPT, charts=False)
    assert not page.is_visible("#inspector-panel")
    choose(page, INDEX)
    assert_stages(page, inspected(page, lm))
    step = steps[INDEX]
    assert [token for token, _ in page.evaluate(BUTTONS)] == [c[0] for c in step["c"]]
    facts = page.inner_text(".facts")
    assert f"{step['kv'][0]} positions, {step['kv'][0] - 1} from before" in facts
    told = re.search(r"([\d.]+) bits", facts)
    assert told
    assert float(told[1]) == pytest.approx(step["H"], abs=HUNDREDTH)


def test_settings_tried_show_in_the_stages_and_the_chart_until_undone(
    visit: Visit, address: str, lm: LanguageModel
) -> None:
    page = visit(address)
    run_to_end(page, PROMPT)
    choose(page, INDEX)
    before = page.evaluate(STAGE_ROWS)
    move(page, "top_k", 2)
    shows(page, "#distribution-panel .reading", "preview")
    shows(page, ".would", "same draw")
    wanted = inspected(page, lm, top_k=2)
    assert_stages(page, wanted)
    assert wanted.kept_tokens <= 2
    cut = [numbers for _, numbers in page.evaluate(BUTTONS)[2:]]
    assert cut
    assert all("cut" in numbers for numbers in cut)
    marked = page.locator(".tokens .go:has(.next-mark)").get_attribute("data-token-id")
    assert int(marked) == wanted.chosen
    page.click("#use-settings")
    holds_setting(page, "top_k", 2)
    page.click("#undo-settings")
    page.wait_for_function(MEASURED)
    page.wait_for_function(
        f"before => JSON.stringify(({STAGE_ROWS})()) === JSON.stringify(before)", arg=before
    )
    assert "preview" not in page.inner_text("#distribution-panel .reading")
    page.uncheck("#try-do_sample")
    shows(page, ".would", "best one left")
    assert page.inner_text("#inspector-stages .reading").startswith("Nothing stands")


def test_the_search_finds_a_token_that_no_step_lists_and_continues_with_it(
    visit: Visit, address: str
) -> None:
    page = visit(address)
    run_to_end(page, PROMPT, charts=False)
    choose(page, INDEX)
    page.fill("#token-search", "#7")
    shows(page, ".choices", "1 token found")
    row = page.locator(".found .go")
    assert row.get_attribute("data-token-id") == "7"
    assert int(row.locator(".rank").inner_text()) >= 1
    assert row.locator("code").inner_text() == "‹BEL›"
    assert page.is_visible("#inspector-panel")
    page.wait_for_selector(".found .once[aria-disabled='false']")
    page.click(".found .once")
    page.wait_for_function(
        "decodingLive.store.branch === 1 && decodingLive.store.steps.length === 5"
    )
    page.wait_for_function("decodingLive.store.steps.at(-1).id === 7")
    shows(page, ".facts", "forced by you")
    page.fill("#token-search", "no token has this")
    shows(page, ".choices", "0 tokens found")


def test_a_candidate_is_continued_with_by_keys(visit: Visit, address: str) -> None:
    page = visit(address)
    first = run_to_end(page, PROMPT, charts=False)
    choose(page, INDEX)
    page.focus(".tokens .go")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    wanted = first[INDEX]["c"][1][0]
    assert page.evaluate("document.activeElement.dataset.tokenId") == str(wanted)
    page.keyboard.press("Enter")
    page.wait_for_function("decodingLive.store.branch === 1")
    page.wait_for_function("decodingLive.store.state === 'finished'")
    steps = page.evaluate("decodingLive.store.steps")
    assert [step["id"] for step in steps[:INDEX]] == [step["id"] for step in first[:INDEX]]
    assert (steps[INDEX]["id"], len(steps)) == (wanted, 12)
    assert not page.is_visible("#inspector-panel")
    choose(page, INDEX)
    shows(page, ".facts", "forced by you")
    page.focus("#token-search")
    page.keyboard.press("Escape")
    page.wait_for_selector("#inspector-panel", state="hidden")
    assert page.evaluate("decodingLive.store.pinned") is None
    assert page.evaluate("document.activeElement.id") == "token-stream"


def test_a_setting_between_a_sliders_steps_is_tried_as_it_is(
    visit: Visit, address: str, lm: LanguageModel
) -> None:
    page = visit(address)
    run_to_end(page, PROMPT, charts=False)
    page.evaluate("decodingLive.store.changes = []; decodingLive.store.config.temperature = 0.72")
    choose(page, INDEX)
    move(page, "top_k", 7)
    shows(page, ".would", "same draw")
    rows = page.evaluate(STAGE_ROWS)
    assert [row[0] for row in rows[1:3]] == ["temperature 0.72", "top_k 7"]
    move(page, "temperature", 0)
    shows(page, ".would", "as the best one left")
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("Escape")
    page.wait_for_selector("#inspector-panel", state="hidden")


def test_what_the_server_refuses_and_what_is_only_recorded_is_said(
    visit: Visit, address: str
) -> None:
    page = visit(address)
    run_to_end(page, PROMPT, charts=False)
    page.evaluate("decodingLive.store.id = 'forgotten'")
    page.click(f"[data-token-index='{INDEX}']")
    shows(page, "#inspector-panel .progress", "not kept any more")
    assert page.locator(".tokens .go").count() > 5
    page.keyboard.press("Escape")
    page.evaluate("decodingLive.store.live = false")
    page.click(f"[data-token-index='{INDEX}']")
    shows(page, "#inspector-panel .progress", "recorded run")
    assert not page.is_visible("#inspector-what-if")
    assert not page.is_visible("#token-search")
    assert page.locator(".tokens .go[aria-disabled='false']").count() == 0


def test_tokens_that_look_like_markup_stay_text(visit: Visit, serve: Serve) -> None:
    tokenizer = byte_tokenizer(tuple(HOSTILE))
    model = slow_llama(len(tokenizer))
    forward = model.forward

    def prefer_hostile(*args: Any, **kwargs: Any) -> Any:
        output = forward(*args, **kwargs)
        output.logits[..., -len(HOSTILE) :] += 20 + torch.arange(len(HOSTILE)) % 3
        return output

    model.forward = prefer_hostile
    page = visit(serve(LanguageModel(model, tokenizer, name="hostile")))
    run_to_end(page, PROMPT, charts=False)
    choose(page, 2)
    page.fill("#token-search", "<")
    shows(page, ".choices", "tokens found")
    shown = page.evaluate(
        "[...document.querySelectorAll('#inspector-panel code')].map(e => e.textContent)"
    )
    assert any("<b>bold</b>" in text for text in shown)
    assert page.locator("#inspector-panel code *").count() == 0
    assert page.locator("#inspector-panel :is(script, img, svg, a)").count() == 0
    assert page.evaluate("window.pw") is None
