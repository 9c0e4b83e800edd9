"""The kinds of KV cache that a user can choose, as settings for `generate`."""

from __future__ import annotations

import math
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from decoding.records.choices import CACHE_KINDS
from decoding.records.errors import GenerationConfigError

if TYPE_CHECKING:
    from decoding.core.language_model import LanguageModel

_GROUP = 64  # numbers that share a scale at most, as transformers has it


def cache_settings(kind: str, lm: LanguageModel) -> dict[str, Any]:
    """The arguments of `decode` and `generate` that choose a kind of cache.

    Args:
        kind: `"none"`, `"dynamic"` (grows), `"static"` (the whole length at once),
            `"quantized"` (8-bit floating point), `"quantized_4bit"`, `"quantized_2bit"`
            (groups of integers; the last tokens stay as they are) or `"offloaded"` (in this
            machine's memory, one layer at a time on the accelerator).
        lm: the model it is for.

    Raises:
        GenerationConfigError: there is no such kind, or it cannot be had here.
    """
    if kind == "none":
        return {"use_cache": False}
    if kind == "dynamic" and lm.model.generation_config.cache_implementation is None:
        return {}
    if kind in ("dynamic", "static", "offloaded"):
        return {"cache_implementation": kind}
    if kind == "quantized":
        return {"cache_implementation": "quantized", "cache_config": {"backend": "fp8"}}
    if kind in ("quantized_4bit", "quantized_2bit"):
        return _in_groups(kind, lm)
    raise GenerationConfigError(
        f"There is no cache of the kind {kind!r}: choose among {', '.join(CACHE_KINDS)}."
    )


def _in_groups(kind: str, lm: LanguageModel) -> dict[str, Any]:
    if find_spec("hqq") is None:
        raise GenerationConfigError(
            f"A {kind[10]}-bit cache needs the package hqq: install it (pip install hqq) and "
            "start again, or choose the quantized cache of 8 bits."
        )
    if lm.kv_cache_formula is None:
        raise GenerationConfigError(
            f"{lm.name} keeps more than the keys and values of every position: its cache cannot "
            f"be stored in {kind[10]} bits."
        )
    bits = int(kind[10])
    head_dim = lm.kv_cache_formula.head_dim
    group = math.gcd(_GROUP, head_dim)
    if group % (8 // bits):
        raise GenerationConfigError(
            f"The heads of {lm.name} have {head_dim} numbers, which do not fill whole bytes of "
            f"{bits} bits a number: choose the quantized cache of 8 bits."
        )
    # Within a head the numbers are more alike; but rows are packed 8 / bits at a time, and for
    # 2 bits the groups would be so small that their scales outweighed what is saved.
    axis, group = (1, group // 2) if bits == 4 else (0, group)
    config = {"nbits": bits, "axis_key": axis, "axis_value": axis, "q_group_size": group}
    return {"cache_implementation": "quantized", "cache_config": {"backend": "hqq", **config}}
