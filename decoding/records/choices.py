"""The names among which a user chooses: number formats, quantizations, kinds of cache."""

from __future__ import annotations

from typing import Literal, get_args

CacheKind = Literal[
    "none", "dynamic", "static", "quantized", "quantized_4bit", "quantized_2bit", "offloaded"
]
CACHE_KINDS: tuple[CacheKind, ...] = get_args(CacheKind)
DTYPES = ("float32", "bfloat16", "float16")
QUANTIZATIONS = ("8bit", "4bit")
