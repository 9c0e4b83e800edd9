"""A page whose server goes and comes back, in a real Chromium."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from browser_page import BROWSER_MARKS, ask, run_to_end, set_setting, shows, tiny_page_model
from ports import free_port

import app

pytestmark = BROWSER_MARKS
# The page looks at once when it comes into sight, and every few seconds.
LOOK = "document.dispatchEvent(new Event('visibilitychange'))"


def test_an_open_page_says_that_its_server_is_gone_and_goes_on_with_the_next_one(
    visit: Callable[..., Any],
) -> None:
    port, lm = free_port(), tiny_page_model()

    def start() -> Any:
        demo = app.build_app(lm)
        demo.launch(**app.launch_options(port=port), prevent_thread_lock=True)
        return demo

    demo = start()
    page = visit(f"http://127.0.0.1:{port}/")
    run_to_end(page, "a run", charts=False)
    shown = page.inner_text("#token-stream")
    set_setting(page, "do_sample", False)
    page.fill("#prompt textarea", "typed since")
    demo.close()
    page.evaluate(LOOK)
    shows(page, "#status .note", "The server does not answer")
    page.select_option("#language", "zh-TW")
    shows(page, "#status .note", "伺服器沒有回應")
    assert page.inner_text("#token-stream") == shown, "what is shown stays"

    demo = start()
    page.evaluate(LOOK)
    # Loaded anew in between, when there is no such place in the page.
    page.wait_for_function(
        "document.querySelector('#status .note')?.innerText.includes('您的提示與設定都和先前一樣')"
    )
    assert page.input_value("#prompt textarea") == "typed since"
    assert page.evaluate("decodingLive.store.settings.do_sample") is False
    ask(page, "typed since", tokens=3)
    page.wait_for_function("decodingLive.store.state === 'finished'")
    assert page.evaluate("decodingLive.store.lost") is None
    demo.close()
