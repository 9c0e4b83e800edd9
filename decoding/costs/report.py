"""What a model takes, as lines for a terminal or as one JSON object."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import torch

from decoding.costs.forecast import MemoryForecast
from decoding.memory.blueprint import Blueprint
from decoding.memory.cache_layers import kv_formula, kv_note
from decoding.records.choices import QUANTIZATIONS
from decoding.records.units import bytes_in_table

LENGTHS = (512, 2048, 8192, 32_768, 131_072)
UNKNOWN = "not known before it is loaded"
WHY_NO_FORMULA = {
    "sliding": "some layers keep only a window",
    "latent": "layers keep compressed keys and values",
    "shared": "some layers read another layer's cache",
    "state": "some layers keep a state that does not grow",
    "uneven": "layers differ in their heads",
}


def report_lines(
    plan: Blueprint, forecast: MemoryForecast, batches: Sequence[int], lengths: Sequence[int]
) -> list[str]:
    """The numbers of a model in plain words, and a table of cache bytes."""
    lines = [f"{forecast.name} ({plan.architecture})", ""]
    lines += [f"{label:<32}{value}" for label, value in _facts(plan, forecast)]
    lines += ["", "Bytes of the cache, by positions and batch (* does not fit here):"]
    lines.append(_row("positions", [f"batch {batch} " for batch in batches]))
    for length in lengths or default_lengths(forecast):
        cells = [_cell(forecast, length, batch) for batch in batches]
        lines.append(_row(f"{length:,}", cells))
    return lines


def report_object(
    plan: Blueprint, forecast: MemoryForecast, batches: Sequence[int], lengths: Sequence[int]
) -> dict[str, Any]:
    """The same numbers for a program; sizes in bytes, lengths in positions."""
    lengths = lengths or default_lengths(forecast)
    return {
        **asdict(forecast),
        "architecture": plan.architecture,
        "parameters": plan.parameters,
        "weights": _weights(plan, forecast),
        "outgrows_weights_at": {b: forecast.outgrows_weights_at(b) for b in batches},
        "longest_context": {b: forecast.longest_context(b) for b in batches},
        "cache_bytes": [
            {"positions": n, "batch": b, "bytes": forecast.cache_bytes(n, b)}
            for n in lengths
            for b in batches
        ],
    }


def default_lengths(forecast: MemoryForecast) -> tuple[int, ...]:
    """A few lengths up to the model's limit, the limit last."""
    limit = forecast.context_length
    if limit is None:
        return LENGTHS
    return (*(length for length in LENGTHS if length < limit), limit)


def _facts(plan: Blueprint, forecast: MemoryForecast) -> list[tuple[str, str]]:
    forms = [f"{bytes_in_table(size)} ({form})" for form, size in _weights(plan, forecast).items()]
    kinds = Counter(layer.kind for layer in forecast.cache_layers)
    form = forecast.quantization or forecast.dtype
    free, total = bytes_in_table(forecast.free_bytes), bytes_in_table(forecast.total_bytes)
    outgrows = _length(forecast, forecast.outgrows_weights_at(), "no length")
    weights = UNKNOWN if forecast.weight_bytes is None else bytes_in_table(forecast.weight_bytes)
    if forecast.weight_bytes is None:
        outgrows = UNKNOWN
    if forecast.packed_as:
        form = f"published packed as {forecast.packed_as}"
    return [
        ("parameters", f"{plan.parameters:,}"),
        ("weights", f"{weights} ({form})"),
        ("in each format", ", ".join(forms) or UNKNOWN),
        ("layers of the cache", ", ".join(f"{n} {kind}" for kind, n in kinds.items())),
        ("a position costs", _growth(forecast)),
        ("by the formula", _formula(forecast)),
        ("context limit", _length(forecast, forecast.context_length, "none")),
        ("memory", f"{free} free of {total} on {forecast.device}"),
        ("cache outgrows the weights at", outgrows),
        ("longest context that fits here", _longest(forecast)),
    ]


def _growth(forecast: MemoryForecast) -> str:
    layers = forecast.cache_layers
    first = sum(layer.position_bytes for layer in layers)
    later = sum(layer.position_bytes for layer in layers if layer.max_positions is None)
    windows = [layer.max_positions for layer in layers if layer.max_positions is not None]
    fixed = sum(layer.fixed_bytes for layer in layers)
    parts = [f"{first:,} bytes" if first else "nothing"]
    if windows:
        parts.append(f"{later:,} bytes beyond {max(windows):,} positions")
    if fixed:
        parts.append(f"beside {fixed:,} bytes of states")
    return ", ".join(parts)


def _formula(forecast: MemoryForecast) -> str:
    layers = forecast.cache_layers
    formula = kv_formula(layers, getattr(torch, forecast.dtype).itemsize)
    if formula is None:
        return f"none: {WHY_NO_FORMULA[kv_note(layers) or 'uneven']}"
    return (
        f"2 · {formula.layers} layers · {formula.kv_heads} KV heads · {formula.head_dim} · "
        f"{formula.value_bytes} bytes = {formula.bytes_per_token:,} bytes"
    )


def _longest(forecast: MemoryForecast) -> str:
    if forecast.cache_room_bytes is None:
        return UNKNOWN
    if forecast.cache_room_bytes < 0:
        return "none: the weights alone do not fit"
    return _length(forecast, forecast.longest_context(), "any length")


def _length(forecast: MemoryForecast, positions: int | None, without: str) -> str:
    if positions is None:
        return without
    is_beyond = forecast.context_length is not None and positions > forecast.context_length
    return f"{positions:,} positions" + (", beyond the context limit" if is_beyond else "")


def _cell(forecast: MemoryForecast, positions: int, batch: int) -> str:
    size = forecast.cache_bytes(positions, batch)
    room = forecast.cache_room_bytes
    return bytes_in_table(size) + ("*" if room is not None and size > room else " ")


def _row(first: str, cells: Sequence[str]) -> str:
    return (f"{first:>10}" + "".join(f"{cell:>16}" for cell in cells)).rstrip()


def _weights(plan: Blueprint, forecast: MemoryForecast) -> dict[str, int]:
    """Bytes of the weights in each format; what is not packed is in the forecast's own.

    Empty where they were published packed: they stay so.
    """
    if forecast.packed_as:
        return {}
    dtype = getattr(torch, forecast.dtype)
    plain = {
        name: plan.expected_weight_bytes(getattr(torch, name)) for name in ("float32", "bfloat16")
    }
    return plain | {name: plan.expected_weight_bytes(dtype, name) for name in QUANTIZATIONS}
