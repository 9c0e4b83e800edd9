"""The page's address in a real Chromium: what a run was asked with, and asked again by a link."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import pytest
from browser_page import (
    BROWSER_MARKS,
    HOSTILE,
    Served,
    frames_pass,
    holds_setting,
    run_to_end,
    shows,
)

pytestmark = BROWSER_MARKS
OF_THE_CHAT = ("prompt", "system", "answer_prefix")


@pytest.fixture
def address(served: Callable[[str], Served]) -> str:
    return served("tiny").address


def parameters(page: Any) -> dict[str, str]:
    query = parse_qs(urlsplit(page.url).query, keep_blank_values=True, strict_parsing=True)
    assert all(len(values) == 1 for values in query.values())
    return {name: values[0] for name, values in query.items()}


def asked_for(page: Any) -> dict[str, str]:
    """The parameters but for those that name the model of the run, once they are written."""
    page.wait_for_function("new URLSearchParams(location.search).has('model')")
    found = parameters(page)
    assert [found.pop(name) for name in ("model", "precision")] == ["tiny", "float32"]
    return found


def filled(page: Any, **settings: Any) -> tuple[str, dict[str, Any]]:
    """The prompt and all settings once the address has filled in its prompt and these settings."""
    page.wait_for_function(
        "decodingLive.store.settings !== null && document.querySelector('#prompt textarea').value"
        " === (new URLSearchParams(location.search).get('prompt') ?? '')"
    )
    for name, value in settings.items():
        holds_setting(page, name, value)
    frames_pass(page)
    return page.input_value("#prompt textarea"), page.evaluate("decodingLive.store.settings")


def test_a_link_holds_what_a_run_was_asked_with_and_asks_it_again(
    visit: Callable[..., Any], address: str
) -> None:
    page = visit(address)
    prompt = "".join(HOSTILE[:3]) + "& a+b=c %41 \n# 你好?"
    steps = run_to_end(page, prompt, tokens=7, charts=False)
    seed = page.evaluate("decodingLive.store.config.seed")
    asked = {"prompt": prompt, "chat": "false", "max_new_tokens": "7", "seed": str(seed)}
    assert asked_for(page) == asked

    other = visit(page.url)
    text, settings = filled(other, max_new_tokens=7, seed=str(seed))
    assert text == prompt
    assert settings["chat"] is False
    assert settings["max_new_tokens"] == 7
    assert settings["seed"] == str(seed)
    assert other.evaluate("decodingLive.store.id") == ""  # nothing runs by itself
    other.click("#generate")
    other.wait_for_function("decodingLive.store.state === 'finished'")
    again = other.evaluate("decodingLive.store.steps.map(step => step.id)")
    assert again == [step["id"] for step in steps]
    assert asked_for(other) == asked


def test_the_link_is_of_what_was_asked_and_not_of_what_was_typed_since(
    visit: Callable[..., Any], address: str
) -> None:
    page = visit(address)
    run_to_end(page, "asked", tokens=2, charts=False)
    page.fill("#prompt textarea", "typed since")
    frames_pass(page)
    assert parameters(page)["prompt"] == "asked"
    page.click("#copy-link")
    assert page.input_value("#shared-link") == page.url
    run_to_end(page, "asked next", tokens=2, charts=False)
    assert parameters(page)["prompt"] == "asked next"


def test_a_prompt_too_long_for_servers_is_left_out_and_told(
    visit: Callable[..., Any], address: str
) -> None:
    page = visit(address)
    run_to_end(page, "x" * 7_600, tokens=1, charts=False)
    assert len(parameters(page)["prompt"]) == 7_600
    page.click("#copy-link")
    shows(page, "#trace-panel", "Generate")
    assert "too long" not in page.inner_text("#trace-panel")
    run_to_end(page, "x" * 7_990, tokens=1, charts=False)
    assert "prompt" not in parameters(page)
    assert parameters(page)["max_new_tokens"] == "1"
    page.click("#copy-link")
    shows(page, "#trace-panel", "too long")


def test_a_system_prompt_comes_back_though_the_settings_are_folded(
    visit: Callable[..., Any], address: str
) -> None:
    page = visit(f"{address}?{urlencode({'prompt': 'x', 'system': 'Be brief', 'seed': '3'})}")
    filled(page, seed="3")
    page.click("#generate")
    page.wait_for_function("decodingLive.store.state === 'finished'")
    assert asked_for(page) == {"prompt": "x", "system": "Be brief", "seed": "3"}
    prompt = page.evaluate("decodingLive.store.prompt.map(([, text]) => text).join('')")
    assert "Be brief" in prompt


def test_only_known_names_with_values_in_range_are_taken(
    visit: Callable[..., Any], address: str
) -> None:
    page = visit(address)
    _, usual = filled(page)
    wrong = {
        "temperature": "1e9",
        "top_k": "many",
        "top_p": "",
        "do_sample": "yes",
        "max_new_tokens": "Infinity",
        "cache_implementation": "nonsense",
        "seed": "1" * 500,
        "grid": "x",
        "__proto__": "x",
        "constructor": "x",
        "nonsense": "<script>window.pw=1</script>",
        "min_p": "0.25",
    }
    other = visit(f"{address}?{urlencode(wrong)}")
    text, settings = filled(other, min_p=0.25)
    assert text == ""
    assert settings == {**usual, "min_p": 0.25}
    assert other.evaluate("window.pw") is None


def test_hostile_texts_in_an_address_are_texts(visit: Callable[..., Any], address: str) -> None:
    hostile = "".join(text for text in HOSTILE if "<" in text or "$" in text)
    page = visit(f"{address}?{urlencode(dict.fromkeys(OF_THE_CHAT, hostile))}")
    text, _ = filled(page)
    assert text == hostile
    page.click("#settings .label-wrap")
    for name in OF_THE_CHAT[1:]:
        shown = page.input_value(f"#setting-{name} :is(textarea, input)")
        assert shown in (hostile, hostile.replace("\n", ""))
    # The tiny model's template has no such switch; another one's may.
    assert not page.is_visible("#setting-enable_thinking")
    page.evaluate(
        "() => { const { store } = decodingLive;"
        " store.loaded = { ...store.loaded, thinking_switch: true }; store.touch('state'); }"
    )
    page.wait_for_selector("#setting-enable_thinking", state="visible")
    assert page.evaluate("window.pw") is None


def test_a_link_to_another_models_run_says_so(visit: Callable[..., Any], address: str) -> None:
    same = visit(f"{address}?{urlencode({'prompt': 'x', 'model': 'tiny', 'precision': 'float32'})}")
    filled(same)
    assert "made by" not in same.inner_text("#status")
    hostile = "<img src=x onerror=window.pw=1>"
    page = visit(f"{address}?{urlencode({'model': hostile, 'precision': '8bit'})}")
    shows(page, "#status", f"made by {hostile} · 8bit. tiny · float32 is loaded")
    assert page.evaluate("window.pw") is None
    run_to_end(page, "x", tokens=1, charts=False)
    assert "made by" not in page.inner_text("#status")
    assert asked_for(page)["prompt"] == "x"


def test_back_and_forward_do_no_harm(visit: Callable[..., Any], address: str) -> None:
    page = visit(address)
    length = page.evaluate("history.length")
    run_to_end(page, "one", tokens=1, charts=False)
    run_to_end(page, "two", tokens=1, charts=False)
    assert page.evaluate("history.length") == length
    page.goto("about:blank")
    page.go_back()
    page.wait_for_function("window.decodingLive")
    text, _ = filled(page)
    assert text == "two"


def test_a_page_that_may_not_change_its_address_works(
    visit: Callable[..., Any], address: str
) -> None:
    page = visit(address)
    page.evaluate(
        "() => { history.replaceState = () => { throw new DOMException('no', 'SecurityError'); } }"
    )
    run_to_end(page, "framed", tokens=2, charts=False)
    assert "prompt" not in page.url
    page.click("#copy-link")
    assert "prompt=framed" in page.input_value("#shared-link")


LINK = urlencode({"prompt": "late", "seed": "3", "max_new_tokens": "2", "chat": "false"})
# As if Gradio listened late: its button takes no click before this says so.
DEAF = (
    "addEventListener('click', event => window.isHeard || event.target.id !== 'apply-settings'"
    " || event.stopImmediatePropagation(), true)"
)


def assert_asked_as_linked(page: Any) -> None:
    page.wait_for_function("location.search.includes('model=')")
    assert asked_for(page) == dict(parse_qsl(LINK))


def hold(held: list[Any], route: Any) -> None:
    held.append(route)


@pytest.mark.parametrize(
    "script", ["live/page.js", "live/controls.js", "live/base/words.js", "Blocks-*.js"]
)
def test_a_link_is_heard_whichever_script_comes_last(
    browser: Any, address: str, script: str
) -> None:
    page = browser.new_page()
    held: list[Any] = []
    page.route(f"**/{script}", lambda route: hold(held, route))
    page.set_default_timeout(60_000)
    page.goto(f"{address}?{LINK}", wait_until="commit")
    # Everything else is there, and has had its time.
    if script.startswith("live"):
        page.wait_for_selector("#generate")
    else:
        page.wait_for_function("window.decodingLive")
    page.wait_for_timeout(500)
    while not held:
        page.wait_for_timeout(50)
    held[0].continue_()
    page.click("#generate")
    assert_asked_as_linked(page)
    page.close()


def test_nothing_is_asked_before_the_link_was_heard(browser: Any, address: str) -> None:
    page = browser.new_page()
    page.set_default_timeout(60_000)
    page.add_init_script(DEAF)
    page.goto(f"{address}?{LINK}")
    page.wait_for_function("window.decodingLive?.store.state === 'ready'")
    page.press("#prompt textarea", "Enter")
    page.wait_for_timeout(500)
    assert page.is_disabled("#generate")
    assert page.evaluate("[decodingLive.store.id, decodingLive.store.settings]") == ["", None]
    page.evaluate("window.isHeard = true")
    assert_asked_as_linked(page)
    page.close()
