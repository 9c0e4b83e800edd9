"""An inspection as the inspector's script takes it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from decoding import Candidate, Inspection, Restoration, Stage
from decoding.page.wire.inspection import VALUE_CHARS, inspection_json

HOSTILE = "</script><img src=x onerror=alert(1)>${1}`\\"

CANDIDATES = (
    Candidate(5, "Ġyes", " yes", 0.7000001, 0.9),
    Candidate(9, "x", HOSTILE, 0.2, 0.1),
)
STAGE = Stage(
    name="TopPLogitsWarper",
    setting="top_p",
    value=0.9,
    kept_tokens=2,
    cut_tokens=7,
    cut_probability=0.1,
    moved=0.1234567,
    entropy_bits=0.5,
    probabilities=(0.9, 0.1),
    cut=(Candidate(3, "no", "no", 0.06, 0.0),),
)
INSPECTION = Inspection(
    branch=1,
    index=4,
    entropy_bits=1.25,
    kept_tokens=2,
    candidates=CANDIDATES,
    stages=(STAGE,),
    chosen=9,
    found=(Candidate(11, "z", "z", 0.0, 0.0),),
    ranks={11: 40, 5: 1},
    restoration=Restoration(4, 90, 3, 0.25, "sliding"),
    seconds=0.012,
)


def sent(inspection: Inspection) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads(inspection_json(inspection, "run"))
    return fields


def test_the_fields() -> None:
    assert sent(INSPECTION) == {
        "run": "run",
        "branch": 1,
        "index": 4,
        "ms": 12,
        "entropy_bits": 1.25,
        "kept": 2,
        "candidates": [[5, " yes", 0.7, 0.9], [9, HOSTILE, 0.2, 0.1]],
        "stages": [
            {
                "name": "TopPLogitsWarper",
                "setting": "top_p",
                "value": 0.9,
                "kept": 2,
                "cut": 7,
                "cut_probability": 0.1,
                "moved": 0.12346,
                "entropy_bits": 0.5,
                "probabilities": [0.9, 0.1],
                "cut_tokens": [[3, "no", 0.06]],
            }
        ],
        "chosen": [9, HOSTILE, 0.2, 0.1],
        "found": [[11, "z", 0, 0, 40]],
        "ranks": [[11, 40], [5, 1]],
        "reread": [90, 3, 0.25, "sliding"],
    }


def test_nothing_was_read_again() -> None:
    assert sent(replace(INSPECTION, restoration=None))["reread"] is None


def test_any_setting_has_a_value_that_travels() -> None:
    def value(of: object) -> object:
        return sent(replace(INSPECTION, stages=(replace(STAGE, value=of),)))["stages"][0]["value"]

    assert value(True) is True
    assert value(40) == 40
    assert value(None) is None
    assert value({(1, 2): -1.0}) == "{(1, 2): -1.0}"
    long = value(list(range(1000)))
    assert isinstance(long, str)
    assert len(long) == VALUE_CHARS + 1
    assert long.startswith("[0, 1, 2")
    assert long.endswith("…")
