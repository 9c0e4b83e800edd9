"""Whether a model that makes way is really gone: memory after ten models, one after another.

python tests/benchmarks/model_memory.py
"""

from __future__ import annotations

import argparse
import gc
import weakref
from collections.abc import Sequence

import psutil
from machine import machine

from decoding import decode, load_model
from decoding.memory.allocator import release_memory
from decoding.models.progress import say_nothing

MEGABYTE = 1e6
# (dtype, quantization): each is loaded twice.
FORMS = (
    ("float32", None),
    ("bfloat16", None),
    ("float16", None),
    ("float32", "8bit"),
    ("float32", "4bit"),
)


def resident() -> float:
    return float(psutil.Process().memory_info().rss)


def load_and_free(name: str | None, dtype: str, quantization: str | None) -> float:
    """Resident bytes with the model in memory, after a short run; then it is gone."""
    lm = load_model(name, dtype=dtype, quantization=quantization, progress=say_nothing)
    list(decode(lm, [1, 2, 3], max_new_tokens=4, do_sample=False))
    before = resident()
    model = weakref.ref(lm.model)
    del lm
    release_memory()
    assert model() is None, "somebody holds the model"
    return before


def loads(name: str | None, forms: Sequence[tuple[str, str | None]]) -> tuple[float, float]:
    """Prints memory around each of the loads; returns it before the first and after the last."""
    for dtype, quantization in (FORMS[0], FORMS[-2], FORMS[-1]):
        load_and_free(name, dtype, quantization)  # what the libraries allocate once
    gc.collect()
    start = resident()
    print(f"start, libraries warm            {start / MEGABYTE:8.1f} MB", flush=True)
    for number, (dtype, quantization) in enumerate(forms, 1):
        before = load_and_free(name, dtype, quantization)
        print(
            f"{number:3} {dtype:9} {quantization or '':5} loaded {before / MEGABYTE:8.1f} MB, "
            f"freed {resident() / MEGABYTE:8.1f} MB",
            flush=True,
        )
    return start, resident()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default=None, help="Hub id, folder or .gguf file")
    parser.add_argument("--loads", type=int, default=2 * len(FORMS))
    options = parser.parse_args()
    print(machine())
    forms = [FORMS[number % len(FORMS)] for number in range(options.loads)]
    start, end = loads(options.model, forms)
    print(f"after {len(forms)} models: {end / start - 1:+.1%} against the start; at most 5 %")


if __name__ == "__main__":
    main()
