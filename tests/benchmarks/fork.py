"""What a fork and a rewind cost against a new prefill, and what ten branches hold.

python tests/benchmarks/fork.py
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch
from machine import machine

from decoding import DecodingSession, DecodingStep, KVCacheSize, LanguageModel, load_model

PROMPT = "The lighthouse keeper"
OTHER_TOKENS = 50  # that each branch goes its own way


def new_run(lm: LanguageModel, tokens: int) -> DecodingSession:
    """The tokens of one run, and no end of the text before."""
    settings = {"max_new_tokens": tokens + OTHER_TOKENS, "min_new_tokens": tokens + OTHER_TOKENS}
    return DecodingSession(lm, PROMPT, seed=1, do_sample=True, **settings)


def prefill_seconds(lm: LanguageModel, ids: list[int]) -> float:
    """A new session that reads the prefix, up to its first token."""
    run = DecodingSession(lm, ids, max_new_tokens=1, do_sample=False)
    started = time.perf_counter()
    run.step()
    return time.perf_counter() - started


def seconds_of(restored: DecodingSession, at: int, forced: bool) -> float:
    """From the end of the first branch to the next token at an earlier place."""
    restored.move(0)
    started = time.perf_counter()
    restored.fork(at, restored.tree.path(0)[at].candidates[1].token_id if forced else None)
    seconds = time.perf_counter() - started
    note = restored.tree.branches[-1].restorations[-1]
    assert note.fed_tokens == 0, note
    restored.move(0)
    restored.step()  # the whole first branch is in the live cache again
    return seconds


def times(lm: LanguageModel, tokens: int, at: int, rounds: int) -> None:
    run = new_run(lm, tokens)
    steps: list[DecodingStep] = list(run.run(tokens))
    prefix = run.prompt_ids + [step.token_id for step in steps[:at]]
    print(f"{len(run.prompt_ids)} prompt tokens, {tokens} new ones, back to token {at}")
    taken: dict[str, list[float]] = {"prefill": [], "fork": [], "rewind": []}
    for round_number in range(rounds + 1):  # the first warms up
        once = {
            "prefill": prefill_seconds(lm, prefix),
            "fork": seconds_of(run, at, forced=True),
            "rewind": seconds_of(run, at, forced=False),
        }
        for name, seconds in once.items() if round_number else ():
            taken[name].append(seconds)
    for name, all_seconds in taken.items():
        print(f"  {name:8} {statistics.median(all_seconds) * 1000:9.1f} ms, with its inference")
    for name in ("fork", "rewind"):
        ratios = [p / s for p, s in zip(taken["prefill"], taken[name], strict=True)]
        middle, low, high = statistics.median(ratios), min(ratios), max(ratios)
        print(f"prefill / {name}: {middle:.1f} in time ({low:.1f} to {high:.1f}); at least 10")


def memory(lm: LanguageModel, tokens: int, branches: int) -> None:
    run = new_run(lm, tokens)
    list(run.run(tokens))
    size = run.cache
    assert isinstance(size, KVCacheSize)
    kept = run.held_bytes
    print(f"one prefix of {size.tokens} positions: {size.bytes / 1e6:.1f} MB of cache")
    print(f"  held with its logits and draws: {kept / 1e6:.1f} MB")
    for branch in range(branches):
        run.move(0, tokens - 1)
        run.step(branch)
        list(run.run(OTHER_TOKENS - 1))
    held = run.held_bytes
    print(f"{branches} branches of {OTHER_TOKENS} tokens after it: {held / 1e6:.1f} MB held in all")
    print(f"held / prefix: {held / size.bytes:.2f}; under 3")
    run.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", type=int, default=1000)
    parser.add_argument("--at", type=int, default=900)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--branches", type=int, default=10)
    arguments = parser.parse_args()
    lm = load_model()
    print(machine())
    print(f"{lm.name}, {lm.dtype}, {torch.device(lm.device)}")
    times(lm, arguments.tokens, arguments.at, arguments.rounds)
    memory(lm, arguments.tokens, arguments.branches)


if __name__ == "__main__":
    main()
