"""What the page costs: the server's speed, the browser's work, delay, bytes, memory.

python tests/benchmarks/page.py
python tests/benchmarks/page.py --parts busy,bytes
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from loop_process import PROMPT, LoopProcess
from machine import ratio
from playwright.sync_api import sync_playwright

SERVER_CORE, BROWSER_CORE = 0, 1
STORE = "window.decodingLive.store"
LENGTHS = (100, 2000)
A_SECOND = 10
LEAD_IN, WINDOW = 60, 80  # tokens that are written one by one before a length, and all of them
OUT_OF_VIEW = (2, 2)

# Two frames after the one in which a token's element appeared, it has been painted.
NOTE_PAINTS = """
const [paint, seen] = [(window.paintedAt = []), new Set()];
document.addEventListener("DOMContentLoaded", () => {
  new MutationObserver((changes) => {
    const added = changes.flatMap((change) => [...change.addedNodes])
      .flatMap((node) => node.querySelectorAll
        ? [node, ...node.querySelectorAll("[data-token-index]")] : [])
      .filter((node) => node.dataset?.tokenIndex !== undefined)
      .map((node) => Number(node.dataset.tokenIndex));
    if (added.includes(0)) paint.length = 0;
    requestAnimationFrame(() => requestAnimationFrame(() => {
      for (const index of added) paint[index] = Date.now() / 1000;
    }));
  }).observe(document.body, { childList: true, subtree: true });
});
"""


class Visitor:
    """One page in Chromium, and its DevTools session."""

    def __init__(self, browser: Any, address: str, *, notes_paints: bool = False) -> None:
        self.page = browser.new_page(viewport={"width": 1440, "height": 960}, locale="en-US")
        self.page.set_default_timeout(60_000)
        if notes_paints:
            self.page.add_init_script(NOTE_PAINTS)
        self.page.goto(address)
        self.devtools = self.page.context.new_cdp_session(self.page)
        self.until("window.decodingLive && decodingLive.store.state === 'ready'")
        self.page.click("#settings .label-wrap")

    def prepare(self, *, tokens: int, sample: bool = False) -> None:
        """The settings and the prompt of the runs that follow."""
        self.page.set_checked("#setting-do_sample input", sample)
        self.page.fill("#setting-max_new_tokens input[type=number]", str(tokens))
        self.page.press("#setting-max_new_tokens input[type=number]", "Tab")
        self.page.fill("#prompt textarea", PROMPT)
        self.page.mouse.move(*OUT_OF_VIEW)
        self.page.wait_for_timeout(500)

    def generate(self) -> None:
        """Starts a run; returns when the page shows that it is the newest."""
        before = json.dumps(self.page.evaluate(f"{STORE}.id"))
        self.page.evaluate("document.querySelector('#generate').click()")
        self.until(f"{STORE}.id !== {before}")

    def stop(self) -> None:
        self.page.evaluate("document.querySelector('#stop').click()")
        self.until(f"{STORE}.state === 'stopped'")

    def until(self, condition: str) -> None:
        # Asked now and then: Playwright's default is each animation frame, which costs.
        self.page.wait_for_function(condition, polling=100)

    def until_token(self, count: int) -> None:
        self.until(f"{STORE}.steps.length >= {count}")

    def until_finished(self) -> None:
        self.until(f"{STORE}.state === 'finished'")

    def tokens(self) -> int:
        return int(self.page.evaluate(f"{STORE}.steps.length"))

    def metrics(self) -> dict[str, float]:
        answer = self.devtools.send("Performance.getMetrics")
        return {metric["name"]: metric["value"] for metric in answer["metrics"]}

    def metrics_after_collection(self) -> dict[str, float]:
        for _ in range(2):
            self.devtools.send("HeapProfiler.collectGarbage")
            self.page.wait_for_timeout(200)
        return self.metrics()


Open = Callable[..., Visitor]


def speed(server: LoopProcess, visit: Open, arguments: argparse.Namespace) -> None:
    tokens = arguments.tokens
    visitor = visit()
    visitor.prepare(tokens=tokens, sample=arguments.sample)

    def bare() -> float:
        server.ask("begin", tokens)
        server.ask("advance", 1)
        return float(server.ask("advance", tokens - 1))

    def page() -> float:
        visitor.generate()
        visitor.until_finished()
        chosen = server.ask("chosen")
        assert len(chosen) == tokens, "the model ended its text: ask for fewer tokens"
        return float(chosen[-1] - chosen[0])

    ways = {"bare": bare, "page": page}
    for way in ways.values():
        way()  # warm up
    taken: dict[str, list[float]] = {name: [] for name in ways}
    used: dict[str, list[float]] = {name: [] for name in ways}
    for round_number in range(arguments.rounds):
        for name in sorted(ways, reverse=round_number % 2 == 1):
            before = server.ask("processor")
            taken[name].append(ways[name]())
            used[name].append((server.ask("processor") - before) / tokens)
            visitor.page.wait_for_timeout(1000)  # the last charts
    for name, seconds in taken.items():
        print(
            f"  {name:5} {(tokens - 1) / statistics.median(seconds):6.2f} tokens/s, "
            f"{1000 * statistics.median(used[name]):.1f} ms of the server's processor a token"
        )
    middle, low, high = ratio(taken, "bare", "page")
    print(
        f"page open and drawing / bare loop in the same app: {middle:.3f} in tokens/s "
        f"({low:.3f} to {high:.3f}, {arguments.rounds} rounds of {tokens} tokens); at least 0.90"
    )


def busy(server: LoopProcess, visit: Open, arguments: argparse.Namespace) -> None:
    visitor = visit()
    visitor.devtools.send("Performance.enable")
    visitor.prepare(tokens=LENGTHS[-1] + WINDOW)
    shares: dict[int, list[float]] = {length: [] for length in LENGTHS}
    with slow_writing(server, visitor, LENGTHS[0]):
        time.sleep(1)  # warm up: from the second run on Gradio does more at each frame
    for _ in range(arguments.windows):
        for length in LENGTHS:
            shares[length].append(busy_share(server, visitor, length))
    short, long = (statistics.median(shares[length]) for length in LENGTHS)
    print(f"main thread busy at {LENGTHS[0]} tokens: {short:.1%}; at most 60 %")
    print(
        f"main thread busy at {LENGTHS[1]} tokens: {long:.1%}, {long / short:.2f} times that; "
        "at most 1.3 times"
    )


def busy_share(server: LoopProcess, visitor: Visitor, length: int) -> float:
    with slow_writing(server, visitor, length):
        before, tokens = visitor.metrics(), visitor.tokens()
        time.sleep((WINDOW - 10) / A_SECOND)
        after, tokens = visitor.metrics(), visitor.tokens() - tokens
    spent = {name: after[name] - before[name] for name in after}
    wall = spent["Timestamp"]
    parts = {
        "script": spent["ScriptDuration"],
        "style": spent["RecalcStyleDuration"],
        "layout": spent["LayoutDuration"],
        "other": spent["TaskOtherDuration"],
        "computing": spent["ThreadTime"],
    }
    listed = ", ".join(f"{name} {seconds / wall:.1%}" for name, seconds in parts.items())
    print(f"  at {length}: {spent['TaskDuration'] / wall:.1%} of {wall:.1f} s ({listed}), ", end="")
    print(f"{tokens / wall:.1f} tokens/s")
    return spent["TaskDuration"] / wall


@contextmanager
def slow_writing(server: LoopProcess, visitor: Visitor, length: int) -> Iterator[None]:
    """A run that has just begun to write token by token, shortly before it is `length` long."""
    server.ask("script", length - LEAD_IN, A_SECOND, length + WINDOW)
    visitor.generate()
    visitor.until_token(length - LEAD_IN + 20)  # two seconds for what came at once
    yield
    visitor.stop()


def latency(server: LoopProcess, visit: Open, arguments: argparse.Namespace) -> None:
    visitor = visit(notes_paints=True)
    visitor.prepare(tokens=arguments.tokens, sample=arguments.sample)
    delays: list[float] = []
    for _ in range(arguments.windows):
        visitor.generate()
        visitor.until_finished()
        visitor.page.wait_for_timeout(1000)
        chosen, painted = server.ask("chosen"), visitor.page.evaluate("paintedAt")
        assert len(chosen) == len(painted), f"{len(chosen)} chosen, {len(painted)} painted"
        delays += [1000 * (b - a) for a, b in zip(chosen, painted, strict=True)]
    delays.sort()
    for name, part in (("median", 0.5), ("95th percentile", 0.95), ("longest", 1)):
        bar = "" if part == 1 else "; under 150 ms"
        value = delays[min(len(delays) - 1, int(part * len(delays)))]
        print(f"token chosen to painted, {name} of {len(delays)}: {value:.0f} ms{bar}")


def transferred(server: LoopProcess, visit: Open, arguments: argparse.Namespace) -> None:
    visitor = visit()
    received: list[int] = []
    visitor.devtools.send("Network.enable")
    visitor.devtools.on("Network.dataReceived", lambda event: received.append(event["dataLength"]))
    visitor.prepare(tokens=LENGTHS[-1] + WINDOW)
    for length in LENGTHS:
        with slow_writing(server, visitor, length):
            received.clear()
            tokens = visitor.tokens()
            visitor.page.wait_for_timeout(1000 * (WINDOW - 10) / A_SECOND)
            tokens = visitor.tokens() - tokens
            each = sum(received) / tokens
        print(f"bytes to the browser per token at {length} tokens: {each:.0f}; the same, < 2,048")


def growth(server: LoopProcess, visit: Open, arguments: argparse.Namespace) -> None:
    visitor = visit()
    visitor.devtools.send("Performance.enable")
    visitor.prepare(tokens=12)
    runs = 50 if "memory" in arguments.parts else 20
    nodes: dict[int, dict[str, float]] = {}
    held: list[int] = []
    for run in range(1, runs + 1):
        visitor.generate()
        visitor.until_finished()
        if "dom" in arguments.parts and run in (2, 20):
            visitor.page.wait_for_timeout(2500)  # the last charts, and Gradio's own clean-up
            nodes[run] = visitor.metrics_after_collection()
        held.append(server.ask("memory"))
    for name in ("Nodes", "JSEventListeners", "JSHeapUsedSize") if nodes else ():
        bar = "" if name == "JSHeapUsedSize" else "; no growth"
        print(f"{name} after 2 runs {nodes[2][name]:,.0f}, after 20 {nodes[20][name]:,.0f}{bar}")
    if "memory" in arguments.parts:
        print("  MB after each run: " + " ".join(f"{each / 1e6:.1f}" for each in held))
        noise = max(held[5:]) - min(held[5:])
        print(
            f"server memory after 5 runs {held[4] / 1e6:.1f} MB, after 50 {held[49] / 1e6:.1f} MB "
            f"(the later runs range over {noise / 1e6:.1f} MB); no growth beyond noise"
        )


PARTS = {
    "speed": speed,
    "latency": latency,
    "dom": growth,
    "memory": growth,
    # These replay recorded steps instead of running the model, so they come last.
    "busy": busy,
    "bytes": transferred,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", type=lambda text: text.split(","), default=list(PARTS))
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--windows", type=int, default=3, help="windows and runs to look at")
    parser.add_argument("--sample", action="store_true", help="speed with the page's own settings")
    arguments = parser.parse_args()
    if unknown := set(arguments.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    # Chromium and what drives it inherit this; the server is pinned to the other core.
    os.sched_setaffinity(0, {BROWSER_CORE})
    with LoopProcess("served", SERVER_CORE) as server, sync_playwright() as playwright:
        print(f"{server.ask('machine')}, server on core {SERVER_CORE}", end=", ")
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        print(f"Chromium {browser.version} on core {BROWSER_CORE}, software rendering")
        address = server.ask("address")

        # In the order of PARTS, each function once.
        for part in dict.fromkeys(PARTS[name] for name in PARTS if name in arguments.parts):
            opened: list[Visitor] = []

            def visit(opened: list[Visitor] = opened, **options: Any) -> Visitor:
                opened.append(Visitor(browser, address, **options))
                return opened[-1]

            part(server, visit, arguments)
            for visitor in opened:
                visitor.page.close()
        browser.close()


if __name__ == "__main__":
    main()
