"""How many layers and experts a config may ask for; it makes none of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from decoding.records.errors import ModelLoadError

# The largest models have some 130 layers and 512 experts; a config may claim anything.
MOST_PARTS = 2048
MOST_EXPERTS = 32_768  # Doge's are rows of a table
COUNTS_PARTS = re.compile(
    r"(^|_)(n|num|number)_(\w+_)?(layers?|experts|blocks|inputs|states)$|^attention_types$"
)
LISTS_PARTS = re.compile(r"layer|block|type|pattern")


def check_parts(config: dict[str, Any], name: str) -> None:
    """Raises `ModelLoadError` when a config asks for more layers or experts than there can be.

    Each is an object of Python, even where no weight is made: a billion would never end.
    """
    for key, value in _numbers(config):
        most = MOST_EXPERTS if key.endswith("experts") else MOST_PARTS
        if COUNTS_PARTS.search(key) and value > most:
            raise ModelLoadError(
                f"{name} has {key}={value} in its config.json, which can be {most} at "
                "most: the file is broken; fetch the model again or choose another."
            )


def _numbers(content: dict[str, Any]) -> Iterator[tuple[str, int]]:
    """The whole numbers of a config under their names, and how long its lists are."""
    waiting: list[tuple[str, Any]] = list(content.items())
    while waiting:
        key, value = waiting.pop()
        if isinstance(value, int):
            yield key, value
        elif isinstance(value, list):
            if LISTS_PARTS.search(key):
                yield f"num_{key}_layers", len(value)
            waiting += [(key, item) for item in value[:MOST_PARTS]]
        elif isinstance(value, dict):
            waiting += [(str(name), item) for name, item in value.items()]
