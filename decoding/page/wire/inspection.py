"""An inspection -> the JSON that the inspector draws from; pure functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from decoding.page.wire.frames import number, to_json
from decoding.records.step import Candidate
from decoding.records.tree import Restoration

if TYPE_CHECKING:
    from decoding.session.inspection import Inspection
    from decoding.session.stages import Stage

VALUE_CHARS = 80


def inspection_json(inspection: Inspection, run: str) -> str:
    """What the page knows of one step's inspection, under short names."""
    by_id = {candidate.token_id: candidate for candidate in inspection.candidates}
    return to_json(
        {
            "run": run,
            "branch": inspection.branch,
            "index": inspection.index,
            "ms": number(1000 * inspection.seconds),
            "entropy_bits": number(inspection.entropy_bits),
            "kept": inspection.kept_tokens,
            "candidates": [_candidate(candidate) for candidate in inspection.candidates],
            "stages": [_stage(stage) for stage in inspection.stages],
            "chosen": _candidate(by_id[inspection.chosen]),
            "found": [
                [*_candidate(candidate), inspection.ranks[candidate.token_id]]
                for candidate in inspection.found
            ],
            "ranks": [list(pair) for pair in inspection.ranks.items()],
            "reread": _reread(inspection.restoration),
        }
    )


def _candidate(candidate: Candidate) -> list[Any]:
    return [
        candidate.token_id,
        candidate.text,
        number(candidate.probability),
        number(candidate.sampling_probability),
    ]


def _stage(stage: Stage) -> dict[str, Any]:
    return {
        "name": stage.name,
        "setting": stage.setting,
        "value": _value(stage.value),
        "kept": stage.kept_tokens,
        "cut": stage.cut_tokens,
        "cut_probability": number(stage.cut_probability),
        "moved": number(stage.moved),
        "entropy_bits": number(stage.entropy_bits),
        "probabilities": [number(probability) for probability in stage.probabilities],
        "cut_tokens": [_candidate(candidate)[:3] for candidate in stage.cut],
    }


def _value(value: object) -> bool | float | str | None:
    """A setting's value; of one that is no single number, the beginning as a text."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return number(value)
    text = str(value)
    return text if len(text) <= VALUE_CHARS else f"{text[:VALUE_CHARS]}…"


def _reread(restoration: Restoration | None) -> list[Any] | None:
    if restoration is None:
        return None
    return [
        restoration.reused_positions,
        restoration.fed_tokens,
        number(restoration.seconds),
        restoration.reason,
    ]
