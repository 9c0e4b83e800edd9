"""One line on the machine that a benchmark ran on, and medians of runs taken in turn."""

from __future__ import annotations

import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

# A program's own folder is on the path, the package's is not: each imports this room first.
sys.path.insert(0, str(Path(__file__).parents[2]))


def machine() -> str:
    import torch
    import transformers

    model = platform.processor() or platform.machine()
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo") as lines:
            names = [line.split(":", 1)[1].strip() for line in lines if "model name" in line]
        model = names[0] if names else model
    return (
        f"{os.cpu_count()} cores ({model}), {torch.get_num_threads()} torch threads, "
        f"Python {platform.python_version()}, torch {torch.__version__}, "
        f"transformers {transformers.__version__}"
    )


def in_turn(ways: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each way, all ways once a round, the order turned around each time."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for name in ways:
        ways[name]()  # warm up
    for round_number in range(rounds):
        order = list(ways) if round_number % 2 == 0 else list(reversed(ways))
        for name in order:
            started = time.perf_counter()
            ways[name]()
            taken[name].append(time.perf_counter() - started)
    return taken


def step_by_step(
    ways: Mapping[str, Callable[[], Iterator[object]]], rounds: int
) -> dict[str, list[float]]:
    """Seconds of each way's whole run, the ways taking turns token by token.

    A neighbour on a shared machine then slows all ways alike.
    """
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for round_number in range(rounds + 1):  # the first warms up
        runs = {name: way() for name, way in ways.items()}
        sums = dict.fromkeys(ways, 0.0)
        open_runs = list(ways)
        while open_runs:
            for name in list(open_runs):
                started = time.perf_counter()
                if next(runs[name], None) is None:
                    open_runs.remove(name)
                else:
                    sums[name] += time.perf_counter() - started
            open_runs.reverse()
        if round_number:
            for name in ways:
                taken[name].append(sums[name])
    return taken


def ratio(taken: Mapping[str, list[float]], one: str, other: str) -> tuple[float, float, float]:
    """Median of the ratios within a round, and their smallest and largest."""
    ratios = [a / b for a, b in zip(taken[one], taken[other], strict=True)]
    return statistics.median(ratios), min(ratios), max(ratios)
