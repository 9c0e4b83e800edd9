"""What a long prompt costs in memory: the peak of a prefill against weights and cache.

python tests/benchmarks/prefill_memory.py
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from itertools import pairwise
from threading import Event, Thread

import psutil
from machine import machine

from decoding import decode, load_model

WORDS = "The lighthouse keeper wrote down the weather, the ships and the hour. "
MEGABYTE = 1e6


class Peak:
    """The largest resident size of this process while it is open, looked at each millisecond."""

    def __enter__(self) -> Peak:
        self.bytes = psutil.Process().memory_info().rss
        self._over = Event()
        self._thread = Thread(target=self._watch)
        self._thread.start()
        return self

    def _watch(self) -> None:
        process = psutil.Process()
        while not self._over.wait(0.001):
            self.bytes = max(self.bytes, process.memory_info().rss)

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", type=int, default=4000)
    tokens = parser.parse_args().tokens
    lm = load_model()
    ids = lm.tokenizer(WORDS * (tokens // 10))["input_ids"][:tokens]
    next(decode(lm, ids[:300], max_new_tokens=1))  # what torch allocates once
    before = psutil.Process().memory_info().rss
    started = time.perf_counter()
    chunks = [started]
    with Peak() as peak:
        step = next(
            decode(
                lm,
                ids,
                max_new_tokens=1,
                on_prefill=lambda done, total: chunks.append(time.perf_counter()),
            )
        )
    assert step.kv_cache is not None
    full_logits = tokens * lm.vocab_size * 4
    grown = peak.bytes - before
    print(machine())
    print(f"{lm.name}, {lm.dtype}: prompt of {len(ids)} tokens, {step.seconds:.1f} s")
    print(f"  weights              {lm.weight_bytes / MEGABYTE:8.1f} MB")
    print(f"  cache after it       {step.kv_cache.bytes / MEGABYTE:8.1f} MB")
    print(f"  peak of the process  {peak.bytes / MEGABYTE:8.1f} MB, {grown / MEGABYTE:.1f} more")
    print(f"  above the cache      {(grown - step.kv_cache.bytes) / MEGABYTE:8.1f} MB")
    print(f"  all logits would be  {full_logits / MEGABYTE:8.1f} MB")
    longest = max(b - a for a, b in pairwise(chunks))
    print(f"  longest time between two chances to stop: {longest:.2f} s; at most 1")
    kind = 1 if sys.platform == "darwin" else 1024
    high_water = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * kind
    print(f"  high-water mark      {high_water / MEGABYTE:8.1f} MB (loading included)")


if __name__ == "__main__":
    main()
