"""Served pages, one of each kind in a process; its one browser, and visitors of the pages."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from browser_page import MODELS, Served
from ports import free_port

if TYPE_CHECKING:
    from decoding import LanguageModel

VISITOR = {"viewport": {"width": 1440, "height": 960}, "locale": "en-US"}


def launch(lm: LanguageModel | None, demos: list[Any], **choices: Any) -> str:
    import app

    demos.append(app.build_app(lm, **choices))
    options = {**app.launch_options(port=free_port()), "prevent_thread_lock": True}
    _, address, _ = demos[-1].launch(**options)
    return str(address)


@pytest.fixture(scope="module")
def serve() -> Iterator[Callable[..., str]]:
    """`serve(lm)`: the address of a page of one's own; without a model with the default model."""
    demos: list[Any] = []
    yield lambda lm=None, **choices: launch(lm, demos, **choices)
    for demo in demos:
        demo.close()


@pytest.fixture(scope="session")
def served() -> Iterator[Callable[[str], Served]]:
    """`served(name)`: the page of one of `MODELS`, for tests that leave it as it is."""
    demos: list[Any] = []
    pages: dict[str, Served] = {}

    def page(name: str) -> Served:
        if name not in pages:
            lm = MODELS[name]()
            pages[name] = Served(lm, launch(lm, demos))
        return pages[name]

    yield page
    for demo in demos:
        demo.close()


@pytest.fixture(scope="session")
def profile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The browser's own profile, where the page's scripts are kept compiled.

    A page is open there in less than half of the time that it takes in a context of its own.
    """
    executable = shutil.which("chromium")
    if executable is None:
        reason = "no chromium on PATH (Debian: apt-get install chromium)"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    from playwright.sync_api import sync_playwright

    folder = tmp_path_factory.mktemp("profile")
    with sync_playwright() as playwright:
        profile = playwright.chromium.launch_persistent_context(
            folder, executable_path=executable, args=["--no-sandbox"], **VISITOR
        )
        yield profile
        profile.close()


@pytest.fixture(scope="session")
def browser(profile: Any) -> Any:
    return profile.browser


@pytest.fixture
def visit(profile: Any, browser: Any) -> Iterator[Callable[..., Any]]:
    """`visit(address, **context)`: a new visitor; script errors and dialogs fail the test.

    A test's first one has the profile, which forgets it; others have contexts of their own.
    """
    contexts: list[Any] = []
    pages: list[Any] = []
    errors: list[str] = []

    def refuse(dialog: Any) -> None:
        errors.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def context_for(choices: dict[str, Any]) -> Any:
        if not pages and not choices:
            return profile
        contexts.append(browser.new_context(**{**VISITOR, **choices}))
        return contexts[-1]

    def open_page(address: str, **choices: Any) -> Any:
        page = context_for(choices).new_page()
        pages.append(page)
        page.set_default_timeout(60_000)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("dialog", refuse)
        page.goto(address)
        page.wait_for_function("window.decodingLive")
        page.wait_for_function("decodingLive.store.state === 'ready'")
        return page

    yield open_page
    for page in pages:
        page.close()
    for context in contexts:
        context.close()
    forget(profile)
    assert errors == []


def forget(profile: Any) -> None:
    """Takes from a profile what pages have remembered, and leaves it the compiled scripts."""
    devtools = profile.new_cdp_session(profile.pages[0])
    kept = "cookies,local_storage,indexeddb,service_workers"
    devtools.send("Storage.clearDataForOrigin", {"origin": "*", "storageTypes": kept})
    devtools.detach()
