"""How long the inspector takes from a click on a token to what it shows, at 2,000 steps.

python tests/benchmarks/inspector.py
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import statistics
from typing import Any

from loop_process import LoopProcess
from playwright.sync_api import sync_playwright

SERVER_CORE = 0
STORE = "window.decodingLive.store"

SHOW = """index =>
  document.querySelector(`[data-token-index='${index}']`).scrollIntoView({block: "center"})"""
# From the click to the task after the frame that holds the panel: then it has been painted.
WATCH = """index => { window.painted = new Promise(resolve => {
  addEventListener("click", () => {
    const began = performance.now();
    const channel = new MessageChannel();
    const look = () => requestAnimationFrame(() => channel.port2.postMessage(0));
    channel.port1.onmessage = () => {
      const title = document.querySelector("#inspector-panel .is-open h2")?.textContent;
      if (!title?.includes(`${(index + 1).toLocaleString("en")}:`)) return look();
      resolve(performance.now() - began);
    };
    look();
  }, {capture: true, once: true});
}); }"""

# A run of this length from steps of a real, short one.
LENGTHEN = """total => {
  const {store, receive} = window.decodingLive;
  const {prompt, model, config} = store;
  const short = store.steps.map(({fin, ...step}) => step);
  const steps = Array.from({length: total}, (_, i) => ({...short[i % short.length], i}));
  receive(JSON.stringify({run: "long", state: "paused", message: null, progress: null, start: 0,
    total, steps, b: 0, head: {prompt, model, config, live: true}}));
}"""


def short_run(page: Any, tokens: int) -> None:
    page.click("#settings .label-wrap")
    page.fill("#setting-max_new_tokens input[type=number]", str(tokens))
    page.press("#setting-max_new_tokens input[type=number]", "Tab")
    page.fill("#prompt textarea", "Write a long story about a lighthouse keeper and the sea.")
    page.wait_for_timeout(500)
    page.click("#generate")
    page.wait_for_function(f"{STORE}.state === 'finished'", polling=100)


def report(name: str, taken: list[float]) -> None:
    print(
        f"{name}: median {statistics.median(taken):.0f} ms, worst {max(taken):.0f} ms "
        f"of {len(taken)} clicks; at most 100"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--clicks", type=int, default=30)
    parser.add_argument("--rest", type=int, default=150, help="ms of pointing before the click")
    parser.add_argument("--at-once", action="store_true", help="a click that nothing pointed to")
    arguments = parser.parse_args()
    chromium = shutil.which("chromium")
    with LoopProcess("served", SERVER_CORE) as server, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1440, "height": 960}, locale="en-US")
        page.set_default_timeout(120_000)
        page.goto(server.ask("address"))
        page.wait_for_function(f"window.decodingLive && {STORE}.state === 'ready'", polling=100)
        short_run(page, 64)
        page.evaluate(LENGTHEN, arguments.steps)
        page.wait_for_function(f"{STORE}.steps.length === {json.dumps(arguments.steps)}")
        page.wait_for_timeout(3000)
        chosen = random.Random(0).sample(range(arguments.steps), arguments.clicks)
        taken = []
        for index in chosen:
            page.evaluate(SHOW, index)
            token = page.locator(f"[data-token-index='{index}']")
            if not arguments.at_once:
                token.hover()
                page.wait_for_timeout(arguments.rest)
            page.evaluate(WATCH, index)
            token.click() if not arguments.at_once else token.dispatch_event("click")
            taken.append(page.evaluate("window.painted"))
            page.wait_for_timeout(300)
        report(f"a token of {arguments.steps:,} steps, click to painted", taken)
        browser.close()


if __name__ == "__main__":
    main()
