"""The page in a real Chromium: a run from prompt to end, and what must hold whatever is typed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from browser_page import (
    BROWSER_MARKS,
    ENDED,
    HOSTILE,
    STATE,
    Served,
    ask,
    frames_pass,
    plotted,
    run_to_end,
    shows,
)

pytestmark = BROWSER_MARKS

CHARTS = ("probability-chart", "confidence-chart", "kv-cache-chart", "latency-chart")


@pytest.fixture
def address(served: Callable[[str], Served]) -> str:
    return served("slow").address


def prompt_text(page: Any) -> str:
    return str(
        page.evaluate(
            "[...document.querySelectorAll('#token-stream [data-prompt-index]')]"
            ".map(token => token.textContent).join('')"
        )
    )


def new_texts(page: Any) -> list[str]:
    return list(
        page.evaluate(
            "[...document.querySelectorAll('#token-stream [data-token-index]')]"
            ".map(token => token.textContent)"
        )
    )


def shows_inference(page: Any, *numbers: int) -> None:
    """Waits until the strip is about one of these inferences, of 12."""
    page.wait_for_function(
        "said => said.includes(document.querySelector('#status .inference dd').innerText)",
        arg=[f"{number} of 12" for number in numbers],
    )


def test_a_run_from_prompt_to_end(visit: Callable[..., Any], address: str) -> None:
    page = visit(address)
    steps = run_to_end(page, "What is\nthis?", tokens=12)
    assert [step["i"] for step in steps] == list(range(12))
    assert prompt_text(page) == "What is\nthis?"
    assert new_texts(page) == [step["t"] for step in steps]
    shows_inference(page, 12)
    shows(page, "#status .note", "max_new_tokens")


def test_the_charts_hold_the_numbers_of_the_steps(visit: Callable[..., Any], address: str) -> None:
    page = visit(address)
    steps = run_to_end(page, "Numbers", tokens=12)
    confidence = plotted(page, "confidence-chart")
    assert confidence["probability"] == [step["p"] for step in steps]
    assert confidence["entropy_bits"] == [step["H"] for step in steps]
    cache = plotted(page, "kv-cache-chart")
    held = [sum(parts) for parts in zip(cache["prompt_bytes"], cache["new_bytes"], strict=True)]
    assert held == [step["kv"][1] for step in steps]
    latency = plotted(page, "latency-chart")["milliseconds"]
    assert latency == pytest.approx([1000 * step["s"] for step in steps])

    page.click('[data-token-index="4"]')
    favourites = [candidate[2] for candidate in steps[4]["c"][:12]]
    page.wait_for_function(
        "best => document.querySelector('#probability-chart .js-plotly-plot').data"
        ".find(trace => trace.name === 'probability').x[0] === best",
        arg=favourites[0],
    )
    shown = plotted(page, "probability-chart")
    # Where the chosen token is no favourite, it takes the last row.
    assert shown["probability"][:11] == favourites[:11]
    assert sum(shown["probability"]) == pytest.approx(1, abs=1e-3)


def test_one_cursor_joins_text_status_and_charts(visit: Callable[..., Any], address: str) -> None:
    page = visit(address)
    run_to_end(page, "Cursor", tokens=12)
    page.hover('[data-token-index="3"]')
    shows_inference(page, 4)
    shows(page, "#sentence", "Inference 4 ")
    for chart in CHARTS[1:]:
        page.wait_for_function(
            "id => String(document.querySelector(`#${id} .js-plotly-plot`).layout.shapes"
            ".map(shape => shape.x0)) === '4'",
            arg=chart,
        )
    page.mouse.move(2, 2)
    shows_inference(page, 12)
    page.click('[data-token-index="5"]')
    page.mouse.move(2, 2)
    shows_inference(page, 6)
    box = page.locator("#latency-chart").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + box["height"] / 2)
    shows_inference(page, 6, 7)
    page.mouse.move(2, 2)
    page.focus("#token-stream")
    for key, expected in [
        ("ArrowRight", 7),
        ("ArrowLeft", 6),
        ("Home", 1),
        ("ArrowLeft", 1),
        ("End", 12),
        ("Home", 1),
        ("Escape", 12),
    ]:
        page.keyboard.press(key)
        frames_pass(page)
        shows_inference(page, expected)


def test_stop_ends_the_run_and_keeps_its_text(visit: Callable[..., Any], address: str) -> None:
    page = visit(address)
    ask(page, "Long", tokens=2000)
    page.wait_for_selector('[data-token-index="5"]')
    page.click("#stop")
    page.wait_for_function(f"{STATE} === 'stopped'")
    count = page.evaluate("decodingLive.store.steps.length")
    frames_pass(page)
    assert 5 < count < 1000
    assert len(new_texts(page)) == count


def test_a_closed_tab_gives_the_model_to_the_next(visit: Callable[..., Any], address: str) -> None:
    first = visit(address)
    ask(first, "Long", tokens=2000)
    first.wait_for_selector('[data-token-index="2"]')
    second = visit(address)
    ask(second, "Next", tokens=5)
    second.wait_for_function(f"{STATE} === 'queued'")
    shows(second, "#status .note", "1")
    first.close()
    second.wait_for_function(f"{STATE} === 'finished'")
    assert prompt_text(second) == "Next"


def test_two_visitors_see_each_their_own(visit: Callable[..., Any], address: str) -> None:
    pages = [visit(address), visit(address)]
    for number, page in enumerate(pages):
        ask(page, f"visitor {number}", tokens=8)
    for number, page in enumerate(pages):
        page.wait_for_function(f"decodingLive.store.id && {STATE} === 'finished'")
        frames_pass(page)
        assert prompt_text(page) == f"visitor {number}"
        assert len(new_texts(page)) == 8


def test_what_is_asked_while_the_stream_of_answers_closes_is_answered(
    visit: Callable[..., Any], address: str
) -> None:
    page = visit(address)
    closed: list[str] = []

    def close_the_first(route: Any) -> None:
        if closed:
            route.continue_()
            return
        closed.append(route.request.url)
        event = 'data: {"msg": "close_stream"}\n\n'
        route.fulfill(headers={"content-type": "text/event-stream"}, body=event)

    page.route("**/queue/data?*", close_the_first)
    assert len(run_to_end(page, "a", tokens=2, charts=False)) == 2
    assert closed


def test_hostile_prompts_appear_verbatim_and_run_nothing(
    visit: Callable[..., Any], address: str
) -> None:
    page = visit(address)
    for text in HOSTILE:
        # A text box holds line feeds only; the carriage return is the browser's to drop.
        typed = text.replace("\r\n", "\n")
        if not typed.strip():
            continue
        run_to_end(page, text, tokens=1, charts=False)
        assert prompt_text(page) == typed
    page.click("#text-panel header button")
    assert page.evaluate("window.pw") is None
    assert page.locator("#token-stream :is(b, img, svg, script, a)").count() == 0


def test_hostile_vocabulary_appears_verbatim_and_runs_nothing(
    visit: Callable[..., Any], served: Callable[[str], Served]
) -> None:
    texts = tuple(dict.fromkeys(text for text in HOSTILE if len(text) < 200))
    page = visit(served("hostile").address)
    steps = run_to_end(page, "go", tokens=len(texts) + 4)
    written = {step["t"] for step in steps}
    assert new_texts(page) == [step["t"] for step in steps]
    assert len(written & set(texts)) > len(texts) * 0.5
    page.click("#text-panel header button")
    for index in range(0, len(steps), 3):
        page.click(f'[data-token-index="{index}"]', force=True)
        frames_pass(page)
    page.click("#distribution-panel header button")
    page.wait_for_function(
        "[...document.querySelectorAll('#probability-chart .ytick text')]"
        ".some(label => label.textContent.includes('<'))"
    )
    assert page.evaluate("window.pw") is None
    assert page.locator("#token-stream :is(b, img, svg, script, a)").count() == 0
    assert page.locator("#probability-chart :is(a, image, script)").count() == 0
    labels = page.evaluate(
        "[...document.querySelectorAll('#probability-chart .ytick text')].map(t => t.textContent)"
    )
    assert any("<" in label for label in labels)
    shows(page, "#summary", "<b>${window.pw=1}</b>")


def test_invisible_characters_can_be_seen(visit: Callable[..., Any], address: str) -> None:
    page = visit(address)
    run_to_end(page, "a b\u0007\u200b\u202ec\nd", tokens=1)
    shown = page.evaluate(
        "[...document.querySelectorAll('#token-stream [data-prompt-index]')]"
        ".map(token => token.dataset.shown ?? '')"
    )
    assert "␣" in shown
    assert "⏎" in shown
    assert "‹BEL›" in shown
    page.click("#text-panel header button")
    assert page.get_attribute("#text-panel header button", "aria-pressed") == "true"
    assert prompt_text(page) == "a b\u0007\u200b\u202ec\nd"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_narrow_pages_do_not_scroll_sideways(
    visit: Callable[..., Any], address: str, scheme: str
) -> None:
    size = {"width": 420, "height": 900}
    page = visit(address, viewport=size, color_scheme=scheme)
    run_to_end(page, "Narrow " + "x" * 300, tokens=12)
    assert page.evaluate("document.documentElement.scrollWidth") <= 420
    assert page.evaluate("document.body.classList.contains('dark')") == (scheme == "dark")


def test_everything_stands_on_the_first_screen(visit: Callable[..., Any], address: str) -> None:
    page = visit(address)
    page.fill("#prompt textarea", "Screen")
    page.click("#generate")
    page.wait_for_function(ENDED)
    boxes = [page.locator(f"#{chart}").bounding_box() for chart in CHARTS]
    assert max(box["y"] + box["height"] for box in boxes) <= 960


def test_theme_and_language_are_switched_and_remembered(
    visit: Callable[..., Any], address: str
) -> None:
    page = visit(address)
    run_to_end(page, "Switch", tokens=6)
    page.select_option("#language", "zh-TW")
    page.wait_for_function("document.querySelector('#generate').innerText.trim() !== 'Generate'")
    shows(page, "#status", "推論")
    shows(page, "#sentence", "推論")
    assert "views." not in page.inner_text("body")
    colour = "getComputedStyle(document.documentElement).getPropertyValue('--drawn').trim()"
    before = page.evaluate(colour)
    page.click("#theme")
    assert page.evaluate(colour) != before
    page.wait_for_function(
        f"document.querySelector('#kv-cache-chart .js-plotly-plot').data[1].fillcolor === {colour}"
    )
    page.reload()
    page.wait_for_function("window.decodingLive")
    page.wait_for_selector("#page-header h1")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert page.evaluate("document.documentElement.lang") == "zh-TW"


def test_the_browsers_language_decides(visit: Callable[..., Any], address: str) -> None:
    page = visit(address, locale="zh-Hant-TW")
    assert page.evaluate("document.documentElement.lang") == "zh-TW"
    page.wait_for_function("document.querySelector('#status').innerText.includes('推論')")


def test_lost_frames_are_fetched_again(visit: Callable[..., Any], address: str) -> None:
    page = visit(address)
    page.evaluate(
        """() => {
            const { receive } = decodingLive;
            let count = 0;
            decodingLive.receive = (text) => {
                count += 1;
                if (count % 4 === 0 || JSON.parse(text).state === "finished") receive(text);
            };
        }"""
    )
    steps = run_to_end(page, "Gaps", tokens=60)
    page.wait_for_function("decodingLive.store.steps.length === 60")
    steps = page.evaluate("decodingLive.store.steps")
    assert [step["i"] for step in steps] == list(range(60))
    assert len(new_texts(page)) == 60


def test_a_new_run_grows_no_nodes_and_no_listeners(visit: Callable[..., Any], address: str) -> None:
    page = visit(address)
    devtools = page.context.new_cdp_session(page)
    devtools.send("Performance.enable")

    def counts() -> tuple[float, float]:
        page.wait_for_timeout(800)
        devtools.send("HeapProfiler.collectGarbage")
        metrics = devtools.send("Performance.getMetrics")["metrics"]
        named = {metric["name"]: metric["value"] for metric in metrics}
        return named["Nodes"], named["JSEventListeners"]

    for _ in range(2):
        run_to_end(page, "Growth", tokens=8)
    nodes, listeners = counts()
    for _ in range(6):
        run_to_end(page, "Growth", tokens=8)
    later_nodes, later_listeners = counts()
    # The tokens drawn differ from run to run, and with them a handful of text nodes.
    assert later_nodes <= nodes + 60
    assert later_listeners <= listeners
