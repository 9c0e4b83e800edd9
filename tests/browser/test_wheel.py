"""The wheel and the branches in a real Chromium: each control, and the run that comes of it."""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Callable
from typing import Any

import pytest
from browser_page import (
    BROWSER_MARKS,
    CHARTS_DRAWN,
    ENDED,
    HOSTILE,
    STATE,
    Served,
    ask,
    frames_pass,
    made_step,
    pause,
    plotted,
    resting,
    set_setting,
    shows,
    tiny_page_model,
)

from decoding import LanguageModel, decode

pytestmark = BROWSER_MARKS

LIST = "#branches-panel .tree li"
NEW_TOKENS = "[...document.querySelectorAll('#token-stream [data-token-index]')]"


@pytest.fixture(scope="module")
def lm() -> LanguageModel:
    """The same weights as the page's model, at full speed."""
    return tiny_page_model()


@pytest.fixture
def address(served: Callable[[str], Served]) -> str:
    return served("slow").address


def store(page: Any, expression: str) -> Any:
    return page.evaluate(f"decodingLive.store.{expression}")


def shown_ids(page: Any) -> list[int]:
    return list(store(page, "steps.map(step => step.id)"))


def paused_run(page: Any, prompt: str, *, at: int, tokens: int = 40) -> list[int]:
    """The ids so far of a run that was paused after about `at` tokens; it goes on at full speed."""
    # Slowly, so that it cannot end before the click.
    page.select_option("#speed", "8")
    ask(page, prompt, tokens=tokens)
    page.wait_for_selector(f'[data-token-index="{at}"]')
    pause(page)
    page.select_option("#speed", "null")
    return shown_ids(page)


def finish(page: Any) -> list[int]:
    page.wait_for_function(f"{STATE} === 'finished'")
    frames_pass(page)
    return shown_ids(page)


def prompt_ids(page: Any) -> list[int]:
    return list(store(page, "prompt.map(token => token[0])"))


def fresh(page: Any, lm: LanguageModel, ids: list[int], tokens: int, **settings: Any) -> list[Any]:
    """The steps of a new run over `ids` with the settings and the seed that the page's run has."""
    config = store(page, "config")
    names = ("do_sample", "temperature", "top_k", "top_p", "seed")
    own = {name: config[name] for name in names if name in config}
    return list(decode(lm, ids, **{**own, "max_new_tokens": tokens, **settings}))


def same_distribution(step: dict[str, Any], other: Any) -> bool:
    own = {candidate.token_id: candidate.probability for candidate in other.candidates}
    pairs = [(p, own[token]) for token, _, p, _ in step["c"] if token in own]
    assert len(pairs) > 10
    assert step["H"] == pytest.approx(other.entropy_bits, abs=1e-3)
    return all(math.isclose(p, q, abs_tol=1e-4) for p, q in pairs)


def fork_at(page: Any, index: int) -> int:
    """Chooses a token in the text and continues with another candidate; the candidate's id."""
    page.click(f'[data-token-index="{index}"]')
    own = store(page, f"steps[{index}].id")
    button = page.locator(f"#inspector-panel .tokens .go:not([data-token-id='{own}'])").nth(3)
    button.wait_for()
    token = int(button.get_attribute("data-token-id"))
    button.click()
    return token


@pytest.mark.parametrize("way", ["button", "key"])
def test_a_paused_run_goes_on_as_if_nothing_had_been(
    visit: Callable[..., Any], address: str, lm: LanguageModel, way: str
) -> None:
    page = visit(address)
    ask(page, "Pause me", tokens=100)
    page.wait_for_selector('[data-token-index="6"]')
    page.focus("#token-stream")
    toggle = {"button": lambda: page.click("#pause"), "key": lambda: page.keyboard.press("p")}[way]
    toggle()
    page.wait_for_function(f"{STATE} === 'paused'")
    before = shown_ids(page)
    page.wait_for_timeout(500)
    assert shown_ids(page) == before
    assert 6 < len(before) < 100
    shows(page, "#status .note", f"Paused after {len(before)} tokens")
    assert page.inner_text("#pause") == "Resume"
    toggle()
    page.wait_for_function(f"{STATE} === 'decoding'")
    assert page.inner_text("#pause") == "Pause"
    ids = finish(page)
    assert ids == [step.token_id for step in fresh(page, lm, prompt_ids(page), 100)]
    assert len(store(page, "branches")) == 1
    assert page.is_disabled("#pause")
    assert page.is_disabled("#step")


def test_a_length_that_was_reached_is_no_end_where_more_is_allowed(
    visit: Callable[..., Any], address: str, lm: LanguageModel
) -> None:
    page = visit(address)
    ask(page, "More", tokens=6)
    first = finish(page)
    assert page.is_disabled("#pause")
    page.fill("#setting-max_new_tokens input[type=number]", "11")
    page.press("#setting-max_new_tokens input[type=number]", "Tab")
    page.wait_for_selector("#pause:enabled")
    page.click("#pause")
    page.wait_for_function("decodingLive.store.steps.length === 11")
    ids = finish(page)
    assert ids[:6] == first
    assert ids == [step.token_id for step in fresh(page, lm, prompt_ids(page), 11)]


def test_one_inference_at_a_time(
    visit: Callable[..., Any], address: str, lm: LanguageModel
) -> None:
    page = visit(address)
    count = len(paused_run(page, "Step by step", at=3))
    page.click('[data-token-index="1"]')
    for press in (lambda: page.click("#step"), lambda: page.keyboard.press("n")):
        press()
        count += 1
        page.wait_for_function(f"decodingLive.store.steps.length === {count}")
        resting(page)
        frames_pass(page)
        assert len(shown_ids(page)) == count
        # The cursor follows what came.
        shows(page, "#status .inference dd", f"{count} of {count}")
    expected = [step.token_id for step in fresh(page, lm, prompt_ids(page), count)]
    assert shown_ids(page) == expected


def test_stopped_runs_go_on_too(visit: Callable[..., Any], address: str, lm: LanguageModel) -> None:
    page = visit(address)
    ask(page, "Stop me", tokens=80)
    page.wait_for_selector('[data-token-index="4"]')
    page.click("#stop")
    page.wait_for_function(f"{STATE} === 'stopped'")
    page.keyboard.press("p")
    assert finish(page) == [s.token_id for s in fresh(page, lm, prompt_ids(page), 80)]


def test_letters_typed_into_a_field_are_letters(visit: Callable[..., Any], address: str) -> None:
    page = visit(address)
    count = len(paused_run(page, "Type", at=3))
    page.click("#prompt textarea")
    page.keyboard.type(" pn")
    page.wait_for_timeout(300)
    assert page.input_value("#prompt textarea") == "Type pn"
    page.focus("#token-stream")
    page.keyboard.press("Control+n")
    page.wait_for_timeout(300)
    assert store(page, "state") == "paused"
    assert len(shown_ids(page)) == count


@pytest.mark.serial
def test_the_speed_holds_the_run_back_and_is_remembered(
    visit: Callable[..., Any], address: str, lm: LanguageModel
) -> None:
    page = visit(address)
    page.select_option("#speed", "4")
    ask(page, "Slowly", tokens=30)
    began = time.monotonic()  # the first token comes after this, and six more at 4 a second
    page.wait_for_selector('[data-token-index="6"]')
    assert time.monotonic() - began > 1.2
    # Chosen while it runs, it counts from then on.
    page.select_option("#speed", "null")
    assert finish(page) == [step.token_id for step in fresh(page, lm, prompt_ids(page), 30)]
    page.select_option("#speed", "0.5")
    page.reload()
    page.wait_for_selector("#speed")
    assert page.input_value("#speed") == "0.5"


def test_another_token_makes_a_branch_and_loses_nothing(
    visit: Callable[..., Any], address: str, lm: LanguageModel
) -> None:
    page = visit(address)
    first = paused_run(page, "Which way", at=9, tokens=40)
    steps = store(page, "steps")
    token = fork_at(page, 4)
    page.wait_for_function("decodingLive.store.branches.length === 2")
    ids = finish(page)
    assert ids[:5] == [*first[:4], token]
    assert len(ids) == 40

    after = fresh(page, lm, [*prompt_ids(page), *ids[:5]], 2)
    shown = store(page, "steps")
    assert same_distribution(shown[4], fresh(page, lm, [*prompt_ids(page), *ids[:4]], 1)[0])
    assert same_distribution(shown[5], after[0])
    last = fresh(page, lm, [*prompt_ids(page), *ids[:39]], 1)[0]
    assert same_distribution(shown[39], last)

    forced = page.evaluate(f"{NEW_TOKENS}.flatMap((t, i) => t.matches('.forced') ? [i] : [])")
    own = page.evaluate(f"{NEW_TOKENS}.flatMap((t, i) => t.matches('.own') ? [i] : [])")
    assert forced == [4]
    assert own == list(range(4, 40))
    page.hover('[data-token-index="4"]')
    shows(page, "#sentence", "You chose it")
    page.mouse.move(2, 2)
    shows(page, "#wheel-note", "Reused")
    shows(page, "#wheel-note", "an estimate")

    page.click(f"{LIST}:nth-child(1) .branch")
    page.wait_for_function("decodingLive.store.branch === 0")
    page.wait_for_function(CHARTS_DRAWN)
    frames_pass(page)
    assert store(page, "steps") == steps
    assert page.evaluate(f"{NEW_TOKENS}.map(t => t.textContent)") == [s["t"] for s in steps]
    assert page.locator("#token-stream .own").count() == 0
    shows(page, "#status .note", "Paused")
    for chart, name, value in [
        ("confidence-chart", "probability", "p"),
        ("confidence-chart", "entropy_bits", "H"),
    ]:
        assert plotted(page, chart)[name] == [step[value] for step in steps]


def test_any_branch_goes_on_and_draws_what_its_seed_draws(
    visit: Callable[..., Any], address: str, lm: LanguageModel
) -> None:
    page = visit(address)
    paused_run(page, "Back to the first", at=9, tokens=30)
    fork_at(page, 3)
    page.wait_for_function("decodingLive.store.branches.length === 2")
    finish(page)
    page.locator(f"{LIST}:nth-child(1) .quiet").first.click()
    page.wait_for_function("decodingLive.store.steps.length === 30")
    assert finish(page) == [step.token_id for step in fresh(page, lm, prompt_ids(page), 30)]
    assert store(page, "branch") == 0
    assert len(store(page, "branches")) == 2
    assert page.locator(f"{LIST} .quiet:enabled").count() == 1


def test_choosing_again_uses_the_settings_as_they_are_now(
    visit: Callable[..., Any], address: str, lm: LanguageModel
) -> None:
    page = visit(address)
    paused_run(page, "Otherwise", at=8, tokens=30)
    # The settings are open since the run was asked for.
    set_setting(page, "do_sample", False)
    page.click('[data-token-index="2"]')
    page.click("#choose-again")
    page.wait_for_function("decodingLive.store.branches.length === 2")
    ids = finish(page)
    greedy = fresh(page, lm, [*prompt_ids(page), *ids[:2]], 28, do_sample=False)
    assert ids[2:] == [step.token_id for step in greedy]
    changes = store(page, "changes")
    assert [change[:2] for change in changes] == [[0, 0], [1, 2]]


def test_two_branches_side_by_side(visit: Callable[..., Any], address: str) -> None:
    page = visit(address)
    paused_run(page, "Compare", at=9, tokens=30)
    fork_at(page, 4)
    page.wait_for_function("decodingLive.store.branches.length === 2")
    finish(page)
    page.focus(f"{LIST}:nth-child(1) .quiet:last-child")
    page.keyboard.press("Enter")
    page.wait_for_selector("#side-by-side")
    ours, theirs = page.locator("#side-by-side .pair > div").all()
    branches = page.evaluate(
        "[1, 0].map(n => Array.from({length: decodingLive.store.branches[n].length},"
        " (_, i) => decodingLive.store.stepOf(n, i)))"
    )
    for column, steps in zip((ours, theirs), branches, strict=True):
        total = sum(step["lp"] for step in steps)
        text = column.inner_text()
        nats, perplexity = (
            float(re.search(pattern, text)[1].replace(",", ""))
            for pattern in (r"log-probability (\S+) nats", r"perplexity ([\d,.]+\d)")
        )
        assert nats == pytest.approx(total, abs=0.051)
        assert perplexity == pytest.approx(math.exp(-total / len(steps)), abs=0.0051)
        assert "They part at token 5" in text
        tokens = column.locator(".token").all_text_contents()
        assert len(tokens) == len(steps)
    page.click("#side-by-side header button")
    assert page.is_hidden("#side-by-side")

    page.focus(f"{LIST}:nth-child(1) .branch")
    page.keyboard.press("Enter")
    page.wait_for_function("decodingLive.store.branch === 0")
    page.wait_for_selector(f"{LIST}:nth-child(1) .branch[aria-pressed=true]")
    page.wait_for_selector(f"{LIST}:nth-child(2) .branch[aria-pressed=false]")


def test_lost_frames_of_branches_are_fetched_again(visit: Callable[..., Any], address: str) -> None:
    page = visit(address)
    page.evaluate(
        """() => {
            const { receive } = decodingLive;
            let count = 0;
            decodingLive.receive = (text) => {
                const { state } = JSON.parse(text);
                count += 1;
                if (count % 3 === 0 || ["paused", "finished"].includes(state)) receive(text);
            };
        }"""
    )
    paused_run(page, "Gaps", at=9, tokens=30)
    fork_at(page, 5)
    page.wait_for_function(f"decodingLive.store.branches.length === 2 && {ENDED}")
    page.wait_for_function("decodingLive.store.steps.length === 30")
    assert store(page, "steps.map(step => step.i)") == list(range(30))
    assert page.locator("#token-stream [data-token-index]").count() == 30


def made_frame(branch: int, steps: list[dict[str, Any]], tree: list[Any], **more: Any) -> str:
    total = steps[-1]["i"] + 1
    frame = {"run": "made", "state": "paused", "b": branch, "tree": tree, "start": steps[0]["i"]}
    return json.dumps({**frame, "total": total, "steps": steps, "notes": [], "changes": [], **more})


HEAD = {"prompt": [[5, "prompt", 0]], "model": {"name": "made", "vocab_size": 9}, "config": {}}


def send(page: Any, frame: str) -> None:
    page.evaluate("decodingLive.receive", frame)


def test_hostile_tokens_in_branches_are_shown_as_text(
    visit: Callable[..., Any], address: str
) -> None:
    page = visit(address)
    texts = [text for text in HOSTILE if text and len(text) < 200]
    one = [made_step(i, text, i) for i, text in enumerate(texts)]
    other = [made_step(i, text, i + 1000) for i, text in enumerate(texts)]
    tree = [[None, 0, len(one)], [0, 0, len(other)]]
    send(page, made_frame(0, one, tree, head={**HEAD, "live": True}))
    send(page, made_frame(1, other, tree))
    page.wait_for_selector(LIST)
    page.click(f"{LIST}:nth-child(1) .quiet:last-child")
    page.wait_for_selector("#side-by-side .token")
    assert page.locator("#side-by-side .token").count() == 2 * len(texts)
    assert page.evaluate("window.pw") is None
    assert page.locator("#branches-panel :is(img, script, a, iframe)").count() == 0


def test_one_more_token_touches_one_row_only(visit: Callable[..., Any], address: str) -> None:
    page = visit(address)
    long = [made_step(i) for i in range(2000)]
    tree: list[Any] = [[None, 0, 2000]]
    send(page, made_frame(0, long, tree, head={**HEAD, "live": True}))
    for number in range(1, 20):
        at = 2000 - 10 * number
        tree = [*tree, [number - 1, at, at + 5]]
        steps = [made_step(at + i, token=number + 1) for i in range(5)]
        send(page, made_frame(number, steps, tree))
    page.wait_for_function(f"document.querySelectorAll('{LIST}').length === 20")
    page.wait_for_function(CHARTS_DRAWN)
    frames_pass(page)
    changed = page.evaluate(
        """async ([frame, list]) => {
            const rows = new Set();
            const seen = new MutationObserver((records) => records.forEach(({ target }) =>
                rows.add((target.closest ?? target.parentElement.closest).call(
                    target.closest ? target : target.parentElement, list) ?? target)));
            seen.observe(document.querySelector("#branches-panel"),
                { subtree: true, childList: true, characterData: true, attributes: true });
            const text = new Set();
            const tokens = new MutationObserver((records) => records.forEach((record) =>
                [...record.addedNodes, ...record.removedNodes].forEach((node) => text.add(node))));
            tokens.observe(document.querySelector("#token-stream .new"),
                { subtree: true, childList: true });
            decodingLive.receive(frame);
            await new Promise((done) => setTimeout(done, 300));
            seen.disconnect();
            tokens.disconnect();
            return [rows.size, text.size];
        }""",
        [
            made_frame(
                19,
                [made_step(tree[19][2], token=20)],
                [*tree[:19], [*tree[19][:2], tree[19][2] + 1]],
            ),
            LIST,
        ],
    )
    assert changed == [1, 1]


def test_a_recorded_run_has_no_wheel(visit: Callable[..., Any], address: str) -> None:
    page = visit(address)
    frame = made_frame(0, [made_step(i) for i in range(5)], [], head={**HEAD, "live": False})
    send(page, frame)
    page.wait_for_function("decodingLive.store.steps.length === 5")
    frames_pass(page)
    assert page.is_hidden("#pause")
    assert page.is_hidden("#step")
    asked = "document.querySelector('#wheel-go').addEventListener('click', () => window.asked = 1)"
    page.evaluate(asked)
    page.focus("#token-stream")
    page.keyboard.press("n")
    page.keyboard.press("p")
    page.wait_for_timeout(200)
    assert page.evaluate("window.asked") is None


@pytest.mark.parametrize("language", ["en-US", "zh-TW"])
def test_narrow_pages_with_branches_do_not_scroll_sideways(
    visit: Callable[..., Any], address: str, language: str
) -> None:
    page = visit(address, viewport={"width": 420, "height": 900}, locale=language)
    steps = [made_step(i, "word " * 3) for i in range(30)]
    send(page, made_frame(0, steps, [[None, 0, 30]], head={**HEAD, "live": True}))
    tree = [[None, 0, 30], [0, 10, 20]]
    notes = [[1, 10, 1012, 0, 0.003, None]]
    other = [made_step(10 + i, "x" * 60, 2) for i in range(10)]
    send(page, made_frame(1, other, tree, notes=notes))
    page.wait_for_selector(LIST)
    page.locator(f"{LIST}:nth-child(1) .quiet").last.click()
    page.wait_for_selector("#side-by-side .token")
    assert page.evaluate("document.documentElement.scrollWidth") <= 420
    assert "views." not in page.inner_text("body")
    for selector in ("#wheel", "#branches-panel"):
        assert page.evaluate(
            "s => document.querySelector(s).scrollWidth <= document.querySelector(s).clientWidth",
            selector,
        )
