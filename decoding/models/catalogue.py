"""The models offered by name, smallest first; facts from one data file, nothing is looked up."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FILE = Path(__file__).with_name("catalogue.json")


@dataclass(frozen=True, slots=True)
class CatalogueEntry:
    """One model on offer.

    Attributes:
        id: its Hub id; `""` for the default model, which needs no Hub.
        parameters: as published, tied weights counted once.
        unpacked_parameters: those of them that 8-bit and 4-bit quantization leaves as they
            are: embeddings, norms, the output layer, stacked experts.
        gated: whether the Hub asks for an account that has accepted its conditions.
        bytes: of the weights by `"float32"`, `"bfloat16"`, `"8bit"` and `"4bit"`; the last
            two are estimates, by the rule that the data file states.
        context_length: positions it was made for; `None` where it has no limit.
        good_for: one line for people, by language.
    """

    id: str
    name: str
    parameters: int
    unpacked_parameters: int
    licence: str
    gated: bool
    bytes: dict[str, int]
    context_length: int | None
    good_for: dict[str, str]


@cache
def catalogue() -> tuple[CatalogueEntry, ...]:
    """All entries: the default model, and then the others from small to large."""
    models = json.loads(FILE.read_text("utf-8"))["models"]
    return tuple(CatalogueEntry(**model) for model in models)
