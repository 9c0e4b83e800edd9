"""`decoding.records.step` by its public address."""

from decoding.records.step import (
    Candidate,
    DecodingStep,
    FinishReason,
    KVCacheSize,
    MemoryInUse,
    MemoryKind,
    Phase,
)

__all__ = [
    "Candidate",
    "DecodingStep",
    "FinishReason",
    "KVCacheSize",
    "MemoryInUse",
    "MemoryKind",
    "Phase",
]
