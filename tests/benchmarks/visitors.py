"""Whether many visitors share the model fairly, and what taking turns costs.

python tests/benchmarks/visitors.py
"""

from __future__ import annotations

import argparse
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from machine import machine

from decoding.live.live_model import LiveModel
from decoding.live.model_source import source_of
from decoding.page.requests.readers import read_request
from decoding.page.requests.refusals import RequestError
from decoding.page.requests.settings import Limits
from decoding.page.visitors.queue import Queue, Visitor
from decoding.page.visitors.runs import Runs

PROMPT = "Tell me about the sea."


@dataclass
class Seen:
    """What one visitor saw of a run."""

    refused: str = ""
    tokens: int = 0
    turns_to_first: int | None = None
    seconds_to_first: float | None = None


class Turns:
    """Counts the turns that the worker gives."""

    def __init__(self, model: LiveModel) -> None:
        line, self.count = model.worker._line, 0
        give: Any = line.next

        def counted() -> Any:
            waiting = give()
            self.count += waiting is not None
            return waiting

        line.next = counted  # type: ignore[method-assign]


def watch(
    runs: Runs, turns: Turns, name: str, tokens: int, seen: Seen, end: threading.Event
) -> None:
    """One visitor, from Generate to the end of the text or of the measurement."""
    settings = {"max_new_tokens": tokens, "min_new_tokens": tokens, "do_sample": False}
    began, turn = time.monotonic(), turns.count
    frames: Iterator[str] = runs.frames(
        Visitor(name, "class"), lambda: read_request(PROMPT, settings=settings)
    )
    for text in frames:
        frame = json.loads(text)
        if frame["state"] == "error":
            seen.refused = str(frame["message"])
        seen.tokens = max(seen.tokens, frame["total"])
        if frame["total"] and seen.turns_to_first is None:
            seen.turns_to_first = turns.count - turn
            seen.seconds_to_first = time.monotonic() - began
        if end.is_set():
            runs.stop(name)


def together(runs: Runs, turns: Turns, wanted: list[int]) -> tuple[list[Seen], float]:
    """All of them at once, until those with few tokens have them; tokens a second in sum."""
    seen, end = [Seen() for _ in wanted], threading.Event()
    threads = [
        threading.Thread(target=watch, args=(runs, turns, f"v{i}", n, seen[i], end))
        for i, n in enumerate(wanted)
    ]
    began = time.monotonic()
    threads[0].start()
    while seen[0].tokens == 0:
        time.sleep(0.01)
    for thread in threads[1:]:
        thread.start()
    for thread in threads[1:]:
        thread.join()
    rate = sum(one.tokens for one in seen) / (time.monotonic() - began)
    end.set()
    threads[0].join()
    return seen, rate


def alone(runs: Runs, turns: Turns, tokens: int) -> float:
    """Tokens a second of one visitor."""
    seen, began = Seen(), time.monotonic()
    watch(runs, turns, "alone", tokens, seen, threading.Event())
    return seen.tokens / (time.monotonic() - began)


def flood(runs: Runs, turns: Turns) -> tuple[int, Seen]:
    """One session with a hundred requests, and then another visitor."""
    refused: list[bool] = []

    def ask() -> None:
        request = read_request(PROMPT, settings={"max_new_tokens": 100, "do_sample": False})
        steps = runs.steps(Visitor("flood", "one"), request)
        try:
            for _ in steps:
                if over.is_set():
                    return
        except RequestError:
            refused.append(True)

    over = threading.Event()
    threads = [threading.Thread(target=ask) for _ in range(100)]
    for thread in threads:
        thread.start()
    time.sleep(2)
    seen = Seen()
    watch(runs, turns, "other", 8, seen, threading.Event())
    over.set()
    for thread in threads:
        thread.join()
    return len(refused), seen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    limits = Limits()
    model = LiveModel(source_of(None))
    runs, turns = Runs(model, limits, Queue(limits.waiting)), Turns(model)
    model.shared.wait()
    print(machine())
    for _ in range(arguments.rounds):
        before = alone(runs, turns, 200)
        seen, rate = together(runs, turns, [2000] + [20] * 19)
        after = alone(runs, turns, 200)
        first = [one.turns_to_first for one in seen[1:]]
        print(
            f"20 visitors: refused {sum(bool(one.refused) for one in seen)}; turns to the first "
            f"token at most {max(n or 0 for n in first)}; {min(one.tokens for one in seen[1:])} "
            f"tokens or more each; in sum {rate / ((before + after) / 2):.3f} of one run alone "
            f"({rate:.1f} and {before:.1f}, {after:.1f} tokens/s)"
        )
    refused, other = flood(runs, turns)
    print(
        f"one session with 100 requests: {refused} refused; another visitor's first token after "
        f"{other.turns_to_first} turns, {other.seconds_to_first:.1f} s; {other.tokens} tokens"
    )
    model.worker.shutdown()


if __name__ == "__main__":
    main()
