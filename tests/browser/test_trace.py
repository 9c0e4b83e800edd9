"""Recorded runs in a real Chromium: as a file with the network off, and opened on the page."""

from __future__ import annotations

import base64
import csv
import io
import json
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from browser_page import (
    BROWSER_MARKS,
    HOSTILE,
    STATE,
    frames_pass,
    plotted,
    run_to_end,
    shows,
    slow_llama,
)
from tiny import byte_tokenizer

from decoding import LanguageModel
from decoding.page.wire.frames import shown_text
from decoding.page.wire.replay import replay_html
from decoding.records.trace import DecodingTrace
from decoding.records.trace_file import read_trace, trace_json
from decoding.session.recording import trace_of
from decoding.session.session import DecodingSession

pytestmark = BROWSER_MARKS

COUNT = "decodingLive.store.steps.length"
TOKENS = (
    "[...document.querySelectorAll('#token-stream [data-token-index]')].map(t => t.textContent)"
)
# What is told of a run, and the text of it below.
IN_SIGHT = (
    "['#status', '#text-panel header'].every(part => { const { top, bottom } ="
    " document.querySelector(part).getBoundingClientRect();"
    " return top > -1 && bottom <= innerHeight; })"
)
HIGHEST = 16_384
CHARTED = (
    "['confidence-chart', 'latency-chart'].every(id => "
    "document.querySelector(`#${{id}} .js-plotly-plot`)?.data[0].x.length === {count})"
)


@pytest.fixture(scope="module")
def texts() -> tuple[str, ...]:
    return tuple(dict.fromkeys(text for text in HOSTILE if len(text) < 200))


@pytest.fixture(scope="module")
def lm(texts: tuple[str, ...]) -> LanguageModel:
    tokenizer = byte_tokenizer(texts)
    return LanguageModel(slow_llama(len(tokenizer)), tokenizer, name="<b>tiny</b>")


@pytest.fixture(scope="module")
def trace(lm: LanguageModel, texts: tuple[str, ...]) -> DecodingTrace:
    """Every hostile text as a token, and a second branch that leaves after ten of them."""
    session = DecodingSession(lm, "".join(HOSTILE[:20]), seed=1, max_new_tokens=500)
    known = lm.tokenizer.get_vocab()
    for text in texts:
        session.step(known[text])
    session.fork(10, known[texts[0]])
    list(session.run(5))
    return trace_of(session)


@pytest.fixture(scope="module")
def file(trace: DecodingTrace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("replay") / "run.html"
    path.write_text(replay_html(trace), encoding="utf-8")
    return path


@pytest.fixture
def replay(browser: Any, file: Path) -> Iterator[Any]:
    """The file with the network off; what it asks for or complains of fails the test."""
    context = browser.new_context(offline=True, viewport={"width": 1440, "height": 1000})
    page = context.new_page()
    page.set_default_timeout(60_000)
    wrong: list[str] = []
    page.on("request", lambda request: wrong.append(request.url))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda said: wrong.append(said.text))
    page.on("dialog", lambda dialog: wrong.append(dialog.message))
    page.goto(file.as_uri())
    until(page, f"window.decodingLive && {COUNT} > 0")
    choose(page, 1)
    until(page, f"{COUNT} === 16")
    until(page, CHARTED.format(count=16))
    yield page
    context.close()
    assert [what for what in wrong if what != file.as_uri() and not what.startswith("blob:")] == []


def until(page: Any, expression: str) -> None:
    """Waits for what holds; Playwright's own waiting needs the eval that the policy forbids."""
    end = time.monotonic() + 60
    while not page.evaluate(expression):
        assert time.monotonic() < end, expression
        page.wait_for_timeout(10)
    frames_pass(page)


def choose(page: Any, branch: int) -> None:
    page.locator("#branches-panel .branch").nth(branch).click()


def tells(page: Any, selector: str, text: str) -> None:
    spoken = f"document.querySelector({json.dumps(selector)}).innerText"
    until(page, f"{spoken}.includes({json.dumps(text)})")


def path_of(trace: DecodingTrace, branch: int) -> list[Any]:
    own = trace.branches[branch]
    return [*(trace.branches[0].steps[: own.at] if branch else []), *own.steps]


def test_a_file_shows_the_run_with_its_charts(replay: Any, trace: DecodingTrace) -> None:
    steps = path_of(trace, 1)
    assert replay.evaluate(TOKENS) == [shown_text(step) for step in steps]
    assert replay.evaluate(
        "document.querySelector('#token-stream .prompt').textContent"
    ) == "".join(token.text for token in trace.prompt_tokens)
    probability = plotted(replay, "confidence-chart")["probability"]
    assert probability == pytest.approx([step.probability for step in steps], rel=1e-4)
    assert len(plotted(replay, "latency-chart")["milliseconds"]) == len(steps)
    assert replay.inner_text("#summary b") == "<b>tiny</b>"
    replay.locator("#layers-panel").scroll_into_view_if_needed()
    replay.wait_for_selector("#layers-chart [data-layer]")
    tells(replay, "#status .note", "16")


def test_hostile_text_stays_text(replay: Any, texts: tuple[str, ...]) -> None:
    choose(replay, 0)
    until(replay, f"{COUNT} === {len(texts)}")
    assert replay.evaluate(TOKENS) == list(texts)
    replay.click("#text-panel header button")
    for place in range(len(texts)):
        replay.evaluate("i => document.querySelectorAll('[data-token-index]')[i].click()", place)
    assert replay.evaluate("window.pw") is None
    inside = "#token-stream :is(b, img, svg, script, a), #branches-panel :is(img, script, a)"
    assert replay.locator(inside).count() == 0


def test_a_script_that_got_in_would_not_run(browser: Any, file: Path) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(file.as_uri())
    until(page, f"window.decodingLive && {COUNT} > 0")
    page.evaluate(
        "() => { const s = document.createElement('script'); s.textContent = 'window.pw = 1';"
        " document.body.append(s); document.body.insertAdjacentHTML('beforeend',"
        " '<img src=data:, onerror=window.pw=1>'); }"
    )
    page.wait_for_timeout(200)
    assert page.evaluate("window.pw") is None
    assert page.evaluate("fetch('data:,x').then(() => true, () => false)") is False
    context.close()


def test_it_plays_rests_and_goes_on_by_button_and_by_key(replay: Any) -> None:
    replay.select_option("#replay-speed", "8")
    replay.click("#replay-play")
    # Looked at and rested in one frame: from here it would be further on by the time of a click.
    state, tokens = replay.evaluate(
        "new Promise(done => { const look = () => {"
        f" if ({COUNT} < 4) return requestAnimationFrame(look);"
        f" const seen = [{STATE}, {TOKENS}];"
        " document.getElementById('replay-play').click(); done(seen); }; look(); })"
    )
    assert state == "decoding"
    assert len(tokens) >= 3
    shown = replay.evaluate(COUNT)
    assert replay.evaluate(STATE) == "paused"
    replay.wait_for_timeout(400)
    assert replay.evaluate(COUNT) == shown < 16
    replay.keyboard.press("n")
    assert replay.evaluate(COUNT) == shown + 1
    replay.click("#replay-step")
    assert replay.evaluate(COUNT) == shown + 2
    tells(replay, "#status .inference dd", f"{shown + 2} of {shown + 2}")
    replay.select_option("#replay-speed", "32")
    replay.keyboard.press("Tab")  # a key in a field is the field's
    replay.evaluate("document.activeElement.blur()")
    replay.keyboard.press("p")
    until(replay, f"{COUNT} === 16 && {STATE} !== 'decoding'")
    assert replay.is_disabled("#replay-step")
    assert len(plotted(replay, "confidence-chart")["probability"]) <= 16


@pytest.mark.serial
def test_the_speed_is_kept_to_and_as_it_was_is_as_it_was(replay: Any) -> None:
    timed = (
        "async speed => { const { steps } = decodingLive.store;"
        " const select = document.getElementById('replay-speed'); select.value = speed;"
        " select.dispatchEvent(new Event('change')); const began = performance.now();"
        " document.getElementById('replay-play').click();"
        " while (decodingLive.store.steps.length < 16) await new Promise(requestAnimationFrame);"
        " return [(performance.now() - began) / 1000, steps.reduce((sum, { s }) => sum + s, 0)]; }"
    )
    seconds, _ = replay.evaluate(timed, "16")
    assert 1 <= seconds < 2
    seconds, measured = replay.evaluate(timed, "measured")
    assert measured <= seconds < measured + 1


def test_the_place_can_be_dragged_both_ways(replay: Any) -> None:
    tokens = replay.evaluate(TOKENS)
    for place in (5, 12, 0, 16):
        replay.fill("#replay-scrub", str(place))
        until(replay, f"{COUNT} === {place}")
        assert replay.evaluate(TOKENS) == tokens[:place]
        assert replay.inner_text(".replay-place") == f"{place} of 16"
    until(replay, CHARTED.format(count=16))


def test_another_branch_is_chosen_while_it_plays(replay: Any, trace: DecodingTrace) -> None:
    replay.select_option("#replay-speed", "8")
    replay.click("#replay-play")
    until(replay, f"{COUNT} >= 2")
    choose(replay, 0)
    until(replay, f"{COUNT} === {len(trace.branches[0].steps)}")
    replay.wait_for_timeout(400)
    assert replay.evaluate(COUNT) == len(trace.branches[0].steps)
    assert replay.evaluate(STATE) == "paused"
    replay.click("#replay-play")
    until(replay, f"0 < {COUNT} && {COUNT} < 5")


def test_the_trace_in_a_file_can_be_saved_again(
    replay: Any, trace: DecodingTrace, tmp_path: Path
) -> None:
    assert saved(replay, "#trace-json", tmp_path, "json").decode() == trace_json(trace)
    assert replay.locator("#trace-csv, #trace-html, #copy-link").count() == 0


def test_both_languages_are_in_a_file(replay: Any) -> None:
    replay.select_option("#language", "zh-TW")
    tells(replay, "#trace-panel", "保存與分享")
    tells(replay, "#replay-play", "播放")


def saved(page: Any, button: str, folder: Path, kind: str) -> bytes:
    """What a button has the browser keep; its name tells neither the run nor its text."""
    with page.expect_download() as download:
        page.click(button)
    name = download.value.suggested_filename
    assert name.startswith("decoding-")
    assert name.removeprefix("decoding-").removesuffix(f".{kind}").replace("-", "").isdigit()
    download.value.save_as(folder / name)
    return (folder / name).read_bytes()


def png_size(content: bytes) -> tuple[int, int]:
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", content[16:24])
    return width, height


PIXELS = (
    "async encoded => { const bytes = Uint8Array.from(atob(encoded), c => c.charCodeAt());"
    " const blob = new Blob([bytes]);"
    " const picture = await createImageBitmap(blob);"
    " const canvas = new OffscreenCanvas(picture.width, picture.height);"
    " const context = canvas.getContext('2d'); context.drawImage(picture, 0, 0);"
    " const { data } = context.getImageData(0, 0, picture.width, picture.height);"
    " const colours = new Map();"
    " for (let i = 0; i < data.length; i += 4) {"
    "   const colour = [data[i], data[i + 1], data[i + 2]].join(' ');"
    "   colours.set(colour, (colours.get(colour) ?? 0) + 1); }"
    " return [...colours].sort((a, b) => b[1] - a[1]).slice(0, 200); }"
)


def test_a_picture_of_the_text_in_the_themes_colours(replay: Any, tmp_path: Path) -> None:
    light = saved(replay, "#trace-png", tmp_path, "png")
    width, height = png_size(light)
    assert width == 2160
    assert 400 < height <= HIGHEST
    assert replay.locator(".picture-paper").count() == 0
    replay.click("#theme")
    frames_pass(replay)
    dark = saved(replay, "#trace-png", tmp_path, "png")
    for picture, paper in ((light, "255 255 255"), (dark, "27 31 37")):
        colours = replay.evaluate(PIXELS, base64.b64encode(picture).decode())
        assert colours[0][0] == paper
        # Ink, and tokens in warm colours: red well above blue.
        warm = [c for c, _ in colours if int(c.split()[0]) - int(c.split()[2]) > 40]
        assert len(colours) > 50
        assert warm


def test_a_picture_draws_the_marks(replay: Any, tmp_path: Path) -> None:
    """A line of the paper that explains them, and ink below the words themselves."""
    replay.check("#mark-switch")
    marked = saved(replay, "#trace-png", tmp_path, "png")
    replay.uncheck("#mark-switch")
    plain = saved(replay, "#trace-png", tmp_path, "png")
    replay.check("#mark-switch")
    assert png_size(marked)[1] > png_size(plain)[1]
    replay.evaluate(
        "for (const token of document.querySelectorAll('#token-stream .doubted'))"
        " token.style.textDecoration = 'none'"
    )
    lineless = saved(replay, "#trace-png", tmp_path, "png")
    assert png_size(lineless) == png_size(marked)
    assert lineless != marked


def test_a_token_is_shown_as_chosen_by_hand_and_as_doubted(replay: Any, tmp_path: Path) -> None:
    replay.evaluate(
        "document.querySelector('#token-stream .new .token').classList.add('forced', 'doubted-end')"
    )
    signs = "document.querySelector('.forced.doubted-end')"
    assert replay.evaluate(f"getComputedStyle({signs}, '::after').content") == '"◆?"'
    drawn = saved(replay, "#trace-png", tmp_path, "png")
    replay.add_style_tag(content=".forced.doubted-end::after { color: transparent !important; }")
    signless = saved(replay, "#trace-png", tmp_path, "png")
    assert png_size(signless) == png_size(drawn)
    assert signless != drawn


def test_a_long_text_is_cut_where_a_picture_ends(replay: Any, tmp_path: Path) -> None:
    replay.evaluate(
        "() => { const line = document.querySelector('#token-stream .new .line');"
        " for (let i = 0; i < 1500; i += 1) {"
        " const copy = line.cloneNode(true); line.parentElement.append(copy); } }"
    )
    replay.evaluate(
        "() => { const { append } = Element.prototype; Element.prototype.append = function (...a) {"
        " if (a[0]?.className === 'picture-paper') window.paper = a[0];"
        " return append.apply(this, a); }; }"
    )
    width, height = png_size(saved(replay, "#trace-png", tmp_path, "png"))
    assert width == 1080
    assert HIGHEST - 200 < height <= HIGHEST
    assert "more" in replay.evaluate("window.paper.querySelector('.picture-note').textContent")


@pytest.fixture(scope="module")
def address(serve: Callable[..., str], lm: LanguageModel) -> str:
    return serve(lm)


def open_trace(page: Any, content: bytes, name: str = "run.json") -> None:
    page.set_input_files(
        "#trace input[type=file]", {"name": name, "mimeType": "application/json", "buffer": content}
    )


def test_a_run_is_kept_as_files(visit: Callable[..., Any], address: str, tmp_path: Path) -> None:
    page = visit(address)
    assert page.get_attribute("#trace-json", "href") is None
    assert page.is_disabled("#trace-png")
    assert page.is_disabled("#copy-link")
    steps = run_to_end(page, "Keep this", tokens=8)
    kept = read_trace(saved(page, "#trace-json", tmp_path, "json"))
    assert [step.token_id for step in kept.branches[0].steps] == [step["id"] for step in steps]
    table = saved(page, "#trace-csv", tmp_path, "csv").decode("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(table)))
    assert [int(row["token_id"]) for row in rows] == [step["id"] for step in steps]
    assert b"Content-Security-Policy" in saved(page, "#trace-html", tmp_path, "html")
    assert png_size(saved(page, "#trace-png", tmp_path, "png"))[0] == 2160


def test_a_run_that_is_forgotten_is_told(visit: Callable[..., Any], address: str) -> None:
    page = visit(address)
    run_to_end(page, "Forgotten", tokens=2, charts=False)
    page.evaluate("decodingLive.store.id = 'nobody'")
    page.click("#trace-csv")
    shows(page, "#trace-panel", "no longer holds")


def test_an_opened_trace_is_played_without_a_model(
    visit: Callable[..., Any], address: str, trace: DecodingTrace, tmp_path: Path
) -> None:
    page = visit(address)
    before = page.url
    page.locator("#open-trace").scroll_into_view_if_needed()
    open_trace(page, trace_json(trace).encode())
    page.wait_for_function("decodingLive.store.branches[1]?.steps.length === 6")
    assert page.evaluate("decodingLive.store.live") is False
    page.wait_for_function(IN_SIGHT)
    assert page.evaluate("document.activeElement.id") == "token-stream"
    choose(page, 1)
    page.wait_for_function(f"{COUNT} === 16")
    frames_pass(page)
    assert page.evaluate(TOKENS) == [shown_text(step) for step in path_of(trace, 1)]
    assert page.url == before
    assert page.is_disabled("#copy-link")
    assert page.is_hidden("#pause")
    page.select_option("#replay-speed", "32")
    page.click("#replay-play")
    page.wait_for_function(f"{COUNT} < 16 && {COUNT} > 0")
    page.wait_for_function(f"{COUNT} === 16")
    assert page.evaluate("window.pw") is None
    assert saved(page, "#trace-json", tmp_path, "json").decode() == trace_json(trace)
    run_to_end(page, "Live again", tokens=3, charts=False)
    assert page.is_hidden("#replay-play")
    assert page.is_visible("#pause")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"{}", "cannot be opened"),
        (b"[" * 100_000, "cannot be opened"),
        (b'{"version": 2', "cannot be opened"),
        (b"<script>window.pw=1</script>", "cannot be opened"),
    ],
)
def test_what_is_no_trace_leaves_the_page_as_it_is(
    visit: Callable[..., Any], address: str, content: bytes, told: str
) -> None:
    page = visit(address)
    steps = run_to_end(page, "Stays", tokens=3, charts=False)
    page.locator("#open-trace").scroll_into_view_if_needed()
    open_trace(page, content, "<img src=x onerror=window.pw=1>.json")
    shows(page, "#status .note", told)
    page.wait_for_function(IN_SIGHT)
    assert page.evaluate(TOKENS) == [step["t"] for step in steps]
    assert page.evaluate("window.pw") is None


def test_scripts_in_every_text_of_a_trace_are_shown_and_not_run(
    visit: Callable[..., Any], address: str, trace: DecodingTrace
) -> None:
    evil = "<img src=x onerror=window.pw=1>${window.pw=1}"

    def poisoned(node: Any, key: str = "") -> Any:
        if isinstance(node, dict):
            return {name: poisoned(value, name) for name, value in node.items()}
        if isinstance(node, list):
            return [poisoned(value, key) for value in node]
        spoken = ("text", "token", "piece", "name", "content", "architecture", "prompt")
        return evil if isinstance(node, str) and key in spoken else node

    page = visit(address)
    open_trace(page, json.dumps(poisoned(json.loads(trace_json(trace)))).encode())
    page.wait_for_function("decodingLive.store.branches[1]?.steps.length === 6")
    frames_pass(page)
    assert set(page.evaluate(TOKENS)) == {evil}
    assert page.evaluate("window.pw") is None
    shows(page, "#token-stream .prompt", evil)
