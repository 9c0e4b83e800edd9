"""The page's words, one data file per language; examples and measured figures are data too."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from decoding.page.files import ASSETS

LANGUAGES = ("en", "zh-TW")
DEFAULT_LANGUAGE = "en"
EVALUATION = "data/evaluation.json"


@cache
def texts() -> dict[str, Any]:
    """All words by language."""
    return {language: _read(f"texts/{language}.json") for language in LANGUAGES}


@cache
def examples() -> list[dict[str, Any]]:
    """Prompts that make a point: `label` by language, `prompt` by language, `chat`, `settings`."""
    found: list[dict[str, Any]] = _read("data/examples.json")
    return found


@cache
def evaluation() -> dict[str, Any] | None:
    """What `python -m decoding evaluate` found out about one model; `None` where nobody ran it."""
    found: dict[str, Any] | None = _read(EVALUATION) if (ASSETS / EVALUATION).is_file() else None
    return found


def _read(name: str) -> Any:
    return json.loads((ASSETS / name).read_text(encoding="utf-8"))
