"""Steps made by hand: a text, and how probable each of its tokens was."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from decoding.records.step import Candidate, DecodingStep


def step_of(text: str, probability: float = 0.5, index: int = 0, **changes: Any) -> DecodingStep:
    """A step whose distribution has the chosen token and one other."""
    candidates = [Candidate(1, text, text, probability, probability)]
    if probability < 1:
        candidates.append(Candidate(2, "other", " other", 1 - probability, 1 - probability))
    candidates.sort(key=lambda candidate: -candidate.probability)
    values: dict[str, Any] = {
        "index": index,
        "phase": "decode" if index else "prefill",
        "input_tokens": 1,
        "token_id": 1,
        "token": text,
        "text": text,
        "is_special": text.startswith("<|"),
        "logprob": math.log(probability) if probability else -math.inf,
        "probability": probability,
        "rank": 1 if probability >= 0.5 else 2,
        "sampling_probability": probability,
        "entropy_bits": 1.0,
        "varentropy_bits2": 0.0,
        "candidates": tuple(candidates),
        "tail_probability": 0.0,
        "kept_tokens": len(candidates),
        "kv_cache": None,
        "seconds": 0.01,
        "finish_reason": None,
    }
    return DecodingStep(**{**values, **changes})


def steps_of(texts: Sequence[str], probabilities: Sequence[float] = ()) -> list[DecodingStep]:
    """One step for each text; 0.5 where no probability is given."""
    filled = [*probabilities, *([0.5] * (len(texts) - len(probabilities)))]
    return [
        step_of(text, p, index=i) for i, (text, p) in enumerate(zip(texts, filled, strict=True))
    ]
