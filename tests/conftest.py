"""Tiny models made once, the real default model, the served page, a browser and its visitors."""

from __future__ import annotations

import gc
import os
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

from tiny import byte_tokenizer, tiny_model

from decoding import LanguageModel


@pytest.fixture(scope="session")
def tiny_lms() -> Callable[[str], LanguageModel]:
    """`tiny_lms(family)`: that family's tiny model, made once."""
    made: dict[str, LanguageModel] = {}

    def lm(family: str) -> LanguageModel:
        if family not in made:
            made[family] = LanguageModel(
                tiny_model(family), byte_tokenizer(), name=f"tiny-{family}"
            )
        return made[family]

    return lm


@pytest.fixture(scope="session")
def tiny_lm(tiny_lms: Callable[[str], LanguageModel]) -> LanguageModel:
    return tiny_lms("llama")


@pytest.fixture(scope="session")
def default_lm() -> Iterator[LanguageModel]:
    """The real default model, fetched and prepared on first use."""
    from decoding import load_model

    yield load_model()
    gc.collect()


@pytest.fixture(scope="module")
def serve() -> Iterator[Callable[..., str]]:
    """`serve(lm)`: the address of the real app on that model; without one on the default model."""
    import app

    demos = []

    def start(lm: LanguageModel | None = None, **choices: Any) -> str:
        demo = app.build_app(lm, **choices)
        demos.append(demo)
        options = {**app.launch_options(port=None), "prevent_thread_lock": True}
        _, address, _ = demo.launch(**options)
        return str(address)

    yield start
    for demo in demos:
        demo.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    executable = shutil.which("chromium")
    if executable is None:
        reason = "no chromium on PATH (Debian: apt-get install chromium)"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def visit(browser: Any) -> Iterator[Callable[..., Any]]:
    """`visit(address, **context)`: a new visitor; script errors and dialogs fail the test."""
    contexts = []
    errors: list[str] = []

    def refuse(dialog: Any) -> None:
        errors.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def open_page(address: str, **context: Any) -> Any:
        context = {"viewport": {"width": 1440, "height": 960}, "locale": "en-US", **context}
        contexts.append(browser.new_context(**context))
        page = contexts[-1].new_page()
        page.set_default_timeout(30_000)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("dialog", refuse)
        page.goto(address)
        page.wait_for_function("window.decodingLive")
        page.wait_for_function("decodingLive.store.state === 'ready'")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert errors == []
