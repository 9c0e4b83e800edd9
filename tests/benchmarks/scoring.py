"""What scoring a text costs against one plain forward pass with a loss over it.

python tests/benchmarks/scoring.py
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import torch
from machine import machine, ratio
from prefill_memory import Peak

from decoding import LanguageModel, load_model, score, scored_ids

TEXT = Path(__file__).parents[2] / "decoding" / "trust" / "README.md"
MEGABYTE = 1e6


def plain(lm: LanguageModel, ids: list[int]) -> float:
    """The loss by one forward pass over all of the text, with all of its logits."""
    with torch.inference_mode():
        whole = torch.tensor([ids], device=lm.device)
        logits = lm.model(input_ids=whole, use_cache=False).logits[0, :-1]
        return float(torch.nn.functional.cross_entropy(logits.float(), whole[0, 1:]))


def scored(lm: LanguageModel, ids: list[int]) -> float:
    """The loss by the steps of a scored text."""
    steps = list(score(lm, ids))
    return -sum(step.logprob for step in steps) / len(steps)


WAYS: dict[str, Callable[[LanguageModel, list[int]], float]] = {"plain": plain, "scored": scored}


def memory(way: str, tokens: int) -> None:
    """Prints what one way takes at most above the weights, in a process of its own."""
    lm = load_model()
    ids = ids_of(lm, tokens)
    WAYS[way](lm, ids[:200])  # what torch allocates once
    before = psutil.Process().memory_info().rss
    with Peak() as peak:
        WAYS[way](lm, ids)
    print(f"  {way:7} {tokens:5} tokens: {(peak.bytes - before) / MEGABYTE:7.1f} MB")


def ids_of(lm: LanguageModel, tokens: int) -> list[int]:
    return scored_ids(lm, TEXT.read_text(encoding="utf-8"))[: tokens + 1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--memory", choices=WAYS, help="of one way, in this process")
    arguments = parser.parse_args()
    if arguments.memory:
        memory(arguments.memory, arguments.tokens)
        return
    lm = load_model()
    ids = ids_of(lm, arguments.tokens)
    print(machine())
    taken: dict[str, list[float]] = {name: [] for name in WAYS}
    losses: dict[str, float] = {}
    order = list(WAYS)
    for name in order:
        WAYS[name](lm, ids)  # warm up
    for _ in range(arguments.rounds):
        for name in order:
            began = time.perf_counter()
            losses[name] = WAYS[name](lm, ids)
            taken[name].append(time.perf_counter() - began)
        order.reverse()
    for name, seconds in taken.items():
        print(f"  {name:7} {statistics.median(seconds):6.2f} s, loss {losses[name]:.6f}")
    middle, low, high = ratio(taken, "scored", "plain")
    print(
        f"scored / plain forward with loss, {len(ids) - 1} tokens: {middle:.3f} in time "
        f"({low:.3f} to {high:.3f}, {arguments.rounds} rounds); at most 1.15"
    )
    print("largest size above the weights:", flush=True)
    for way in WAYS:
        for tokens in (arguments.tokens // 2, arguments.tokens, 2 * arguments.tokens):
            command = [sys.executable, __file__, "--memory", way, "--tokens", str(tokens)]
            subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
