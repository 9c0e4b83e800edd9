"""What a device can do at most, and how near to it prefill and decode come; all measured."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch

from decoding.core.inference import OnPrefill
from decoding.memory.blueprint import blueprint
from decoding.memory.devices import wait_for
from decoding.records.comparisons import Roofline, RooflinePoint, Side
from decoding.records.errors import DecodingError
from decoding.strategies.forced import ForcedRun

if TYPE_CHECKING:
    from decoding.core.language_model import LanguageModel

# Matrices grow until one multiplication takes long enough for the clock, or this large.
SMALLEST_MATRIX, LARGEST_MATRIX = 256, 8192
ENOUGH_SECONDS = 0.02
CPU_COPY_BYTES = 256 * 2**20  # larger than a processor's own caches
ACCELERATOR_COPY_BYTES = 1024 * 2**20
MEASURING_SECONDS = 0.5
LEAST_RUNS = 2
DECODE_INFERENCES = 8
ROUNDS = 2
OUT_OF_MEMORY = re.compile(r"can't allocate memory|not enough memory|out of memory")


def measure_roofline(device: torch.device, dtype: torch.dtype) -> Roofline:
    """The most arithmetic and the most memory traffic a device is seen to do in a second.

    A multiplication of large square matrices, and a copy and a sum of numbers that no cache
    holds; the best of all that fit into about a second.

    Raises:
        DecodingError: the device has no memory left to measure in.
    """
    try:
        return Roofline(
            flops_per_second=_flops_per_second(device, dtype),
            bytes_per_second=_bytes_per_second(device, dtype),
            device=str(device),
            dtype=str(dtype).removeprefix("torch."),
        )
    except RuntimeError as error:  # torch has a class for an accelerator's, none for the CPU's
        if not isinstance(error, torch.OutOfMemoryError) and not OUT_OF_MEMORY.search(str(error)):
            raise
        raise DecodingError(
            f"There is too little memory left on {device} to measure it: load a smaller model."
        ) from error


def roofline_points(
    lm: LanguageModel, prompt_ids: Sequence[int], on_prefill: OnPrefill | None = None
) -> tuple[RooflinePoint, RooflinePoint]:
    """Where the prefill of a prompt and the decoding after it lie on the roofline.

    FLOPs are counted over the model's operations on shapes alone. Bytes are an estimate: all
    weights, which a mixture of experts need not read, once for each chunk of the prompt, and
    the cache, but not what lies between two layers. Seconds are the best of two rounds.

    Args:
        lm: model and tokenizer.
        prompt_ids: what the prefill feeds.
        on_prefill: called with (tokens fed, prompt tokens) after each chunk; an exception it
            raises ends the measurement.

    Returns:
        The prefill's point and that of one of the inferences right after it.

    Raises:
        DecodingError: the prompt cannot be fed, or the model not be counted.
    """
    prompt_tokens = len(prompt_ids)
    chunks: set[int] = set()

    def count(done: int, total: int) -> None:
        chunks.add(done)
        if on_prefill is not None:
            on_prefill(done, total)

    rounds = [_round(lm, prompt_ids, count) for _ in range(ROUNDS)]
    prefill = min((sides[0] for sides in rounds), key=lambda side: side.seconds)
    after = [(index, side) for sides in rounds for index, side in enumerate(sides[1:])]
    index, decode = min(after, key=lambda entry: entry[1].seconds)
    # What is not fed lies in the cache; without one, everything is fed.
    cached_tokens = prompt_tokens + index + 1 - decode.input_tokens
    counted = blueprint(lm.model.config, type(lm.model))
    return (
        RooflinePoint(
            phase="prefill",
            tokens=prefill.input_tokens,
            flops=counted.flops(prompt_tokens, 0),
            bytes=len(chunks) * lm.weight_bytes + (prefill.kv_bytes or 0),
            seconds=prefill.seconds,
        ),
        RooflinePoint(
            phase="decode",
            tokens=decode.input_tokens,
            flops=counted.flops(decode.input_tokens, cached_tokens),
            bytes=lm.weight_bytes + (decode.kv_bytes or 0),
            seconds=decode.seconds,
        ),
    )


def _round(lm: LanguageModel, prompt_ids: Sequence[int], on_prefill: OnPrefill) -> list[Side]:
    """A prefill and a few inferences; the prompt's last token stands for the new ones."""
    tokens = [prompt_ids[-1]] * (DECODE_INFERENCES + 1)
    run = ForcedRun(lm, prompt_ids, tokens, on_prefill=on_prefill)
    try:
        return [run.infer(index)[1] for index in range(len(tokens))]
    finally:
        run.close()


def _flops_per_second(device: torch.device, dtype: torch.dtype) -> float:
    size = SMALLEST_MATRIX
    while size < LARGEST_MATRIX and _multiplying(size, device, dtype, 0.0) < ENOUGH_SECONDS:
        size *= 2
    return 2 * size**3 / _multiplying(size, device, dtype, MEASURING_SECONDS)


def _multiplying(size: int, device: torch.device, dtype: torch.dtype, budget: float) -> float:
    matrix = torch.rand(size, size, device=device, dtype=dtype)
    product = torch.empty_like(matrix)
    return _best_seconds(lambda: torch.mm(matrix, matrix, out=product), device, budget)


def _bytes_per_second(device: torch.device, dtype: torch.dtype) -> float:
    total = CPU_COPY_BYTES if device.type == "cpu" else ACCELERATOR_COPY_BYTES
    numbers = torch.zeros(total // dtype.itemsize, device=device, dtype=dtype)
    copy = torch.empty_like(numbers)
    copying = _best_seconds(lambda: copy.copy_(numbers), device, MEASURING_SECONDS / 2)
    adding = _best_seconds(numbers.sum, device, MEASURING_SECONDS / 2)
    return max(2 * total / copying, total / adding)  # a copy reads and writes


def _best_seconds(work: Callable[[], object], device: torch.device, budget: float) -> float:
    """The shortest of the runs that fit the budget, after one that warms up; at least two."""
    work()
    taken: list[float] = []
    while len(taken) < LEAST_RUNS or sum(taken) < budget:
        wait_for(device)
        started = time.perf_counter()
        work()
        wait_for(device)
        taken.append(time.perf_counter() - started)
    return min(taken)
