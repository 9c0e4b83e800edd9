"""What serving costs the model: the same bare loop inside the app and in a plain script.

python tests/benchmarks/serving.py
"""

from __future__ import annotations

import argparse
import statistics

from loop_process import LoopProcess
from machine import ratio


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=5, help="fresh processes in each")
    parser.add_argument("--turn", type=int, default=8, help="tokens until the other's turn")
    arguments = parser.parse_args()
    taken: dict[str, list[float]] = {"plain": [], "served": []}
    for round_number in range(arguments.rounds):
        with LoopProcess("plain") as plain, LoopProcess("served") as served:
            if round_number == 0:
                print(served.ask("machine"))
            sums = seconds_in_turn(
                {"plain": plain, "served": served}, arguments.tokens, arguments.turn
            )
        for name, seconds in sums.items():
            taken[name].append(seconds)
    for name, seconds in taken.items():
        print(f"  {name:7} {arguments.tokens / statistics.median(seconds):6.2f} tokens/s")
    middle, low, high = ratio(taken, "plain", "served")
    print(
        f"bare loop in the serving app, page closed / in a plain script: {middle:.3f} "
        f"in tokens/s ({low:.3f} to {high:.3f}, {arguments.rounds} rounds); at least 0.95"
    )


def seconds_in_turn(ways: dict[str, LoopProcess], tokens: int, turn: int) -> dict[str, float]:
    """Seconds of each process's loop; short turns, so that a busy neighbour slows both alike."""
    for process in ways.values():
        process.ask("begin", tokens + 2 * turn)
        process.ask("advance", 2 * turn)  # warm up
    sums = dict.fromkeys(ways, 0.0)
    order = list(ways)
    for _ in range(tokens // turn):
        for name in order:
            sums[name] += ways[name].ask("advance", turn)
        order.reverse()
    return sums


if __name__ == "__main__":
    main()
