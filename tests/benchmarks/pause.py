"""How long after the key for Pause the page still shows a new token, on the default model.

python tests/benchmarks/pause.py
"""

from __future__ import annotations

import argparse
import random
import shutil
import statistics
from typing import Any

from loop_process import PROMPT, LoopProcess
from playwright.sync_api import sync_playwright

SERVER_CORE = 0
STORE = "window.decodingLive.store"

# When the key went down, and when the last token was put into the page.
WATCH = """() => {
  window.pressed = window.last = null;
  const press = () => (window.pressed = performance.now());
  addEventListener("keydown", press, {capture: true, once: true});
  window.watching?.disconnect();
  window.watching = new MutationObserver(() => (window.last = performance.now()));
  const text = document.querySelector("#token-stream .new");
  window.watching.observe(text, {childList: true, subtree: true});
}"""


def one_pause(page: Any, tokens: int) -> tuple[float, float]:
    """Milliseconds from the key to the last token, and of the inference that made it."""
    page.click("#generate")
    page.wait_for_function(f"{STORE}.state === 'decoding' && {STORE}.steps.length > {tokens}")
    page.evaluate("document.activeElement.blur()")
    page.evaluate(WATCH)
    page.keyboard.press("p")
    page.wait_for_function(f"{STORE}.state === 'paused'")
    page.wait_for_timeout(500)
    after, seconds = page.evaluate(
        f"[Math.max(0, window.last - window.pressed), {STORE}.steps.at(-1).s]"
    )
    return after, 1000 * seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pauses", type=int, default=20)
    arguments = parser.parse_args()
    chromium, rng = shutil.which("chromium"), random.Random(0)
    with LoopProcess("served", SERVER_CORE) as server, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1440, "height": 960}, locale="en-US")
        page.set_default_timeout(120_000)
        page.goto(server.ask("address"))
        page.wait_for_function(f"window.decodingLive && {STORE}.state === 'ready'", polling=100)
        page.fill("#prompt textarea", PROMPT)
        page.wait_for_timeout(500)
        taken = [one_pause(page, rng.randrange(5, 30)) for _ in range(arguments.pauses)]
        browser.close()
    after = [ms for ms, _ in taken]
    beyond = [ms - inference for ms, inference in taken]
    print(
        f"key to last token: median {statistics.median(after):.0f} ms, worst {max(after):.0f} ms "
        f"of {len(after)} pauses"
    )
    print(
        f"beyond one inference: median {statistics.median(beyond):.0f} ms, worst "
        f"{max(beyond):.0f} ms; at most 100"
    )


if __name__ == "__main__":
    main()
