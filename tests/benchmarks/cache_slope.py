"""How an inference's time grows with the text, with the KV cache and without.

python tests/benchmarks/cache_slope.py
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Mapping, Sequence

from machine import machine

from decoding import LanguageModel, load_model
from decoding.costs.caches import compare_caches
from decoding.records.comparisons import ComparedStep

WORDS = "The lighthouse keeper wrote down the weather, the ships and the hour. "
Milliseconds = Mapping[int, Sequence[float]]  # by the positions that an inference stands for


def slope(taken: Milliseconds) -> float:
    """Milliseconds that each further position adds: least squares over the medians."""
    medians = {positions: statistics.median(times) for positions, times in taken.items()}
    return statistics.linear_regression(list(medians), list(medians.values())).slope


def lengths(positions: int, count: int) -> list[int]:
    """From a tenth of the largest on, evenly spread."""
    first = positions // 10
    return [first + (positions - first) * i // (count - 1) for i in range(count)]


def inferences(lm: LanguageModel, ids: list[int], length: int, count: int) -> list[ComparedStep]:
    """Some inferences right after so many positions; the prefills of both sides are left out."""
    steps = compare_caches(lm, ids[:length], ids[length : length + count + 1], "none")
    return list(steps)[1:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--positions", type=int, default=1000)
    parser.add_argument("--lengths", type=int, default=6)
    parser.add_argument("--inferences", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=2)
    arguments = parser.parse_args()
    lm = load_model()
    words = lm.tokenizer(WORDS * arguments.positions, verbose=False)["input_ids"]
    measured = lengths(arguments.positions, arguments.lengths)
    cached: dict[int, list[float]] = {length: [] for length in measured}
    uncached: dict[int, list[float]] = {length: [] for length in measured}
    difference = 0.0
    inferences(lm, words, measured[0], 2)  # warm up
    for round_number in range(arguments.rounds):
        for length in measured if round_number % 2 == 0 else reversed(measured):
            for step in inferences(lm, words, length, arguments.inferences):
                cached[length].append(1000 * step.plain.seconds)
                uncached[length].append(1000 * step.other.seconds)
                difference = max(difference, step.largest_logit_difference)

    print(machine())
    print(f"{lm.name}, {lm.dtype}, {arguments.rounds * arguments.inferences} inferences a length")
    print("positions   cached ms   uncached ms   (medians)")
    for length in measured:
        middle = [statistics.median(taken[length]) for taken in (cached, uncached)]
        print(f"{length:9,} {middle[0]:11.1f} {middle[1]:13.1f}")
    report(slope(cached), slope(uncached))
    print(f"largest difference between their logits: {difference:.1e}")


def report(cached: float, uncached: float) -> None:
    print(f"cached:   {1000 * cached:8.2f} microseconds more with each position")
    print(f"uncached: {1000 * uncached:8.2f} microseconds more with each position")
    if cached > 0:
        print(f"uncached / cached: {uncached / cached:.0f}")
    else:
        print("uncached / cached: the cached one did not grow")


if __name__ == "__main__":
    main()
