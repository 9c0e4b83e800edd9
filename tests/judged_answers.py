"""Answers that were judged, made by hand."""

from __future__ import annotations

from typing import Any

from decoding.trust.evaluation.answering import JudgedAnswer, JudgedWord
from decoding.trust.evaluation.questions import Half, half_of


def in_half(half: Half, count: int) -> list[str]:
    texts = (f"question {number}" for number in range(10_000))
    return [text for text in texts if half_of(text) == half][:count]


def judged(question: str, right: bool, signals: dict[str, Any], **changes: Any) -> JudgedAnswer:
    words = (
        JudgedWord("The", "phrasing", None, None, False),
        JudgedWord(" thing", "claim", 0.3, 0.5, False),
        JudgedWord(" <b>", "claim", 0.3 if right else 0.8, 0.5, not right),
    )
    values: dict[str, Any] = {
        "question": question,
        "accepted": ("yes",),
        "topic": "even" if question[-1] in "02468" else "odd",
        "half": half_of(question),
        "answer": "The thing <b>",
        "right": right,
        "signals": signals,
        "sampled": {},
        "samples": (),
        "words": words,
    }
    return JudgedAnswer(**{**values, **changes})


def made() -> list[JudgedAnswer]:
    """Signal a tells right from wrong in one half, signal b in the other."""
    answers = []
    for half in ("selection", "reported"):
        for number, question in enumerate(in_half(half, 60)):
            right = number % 3 > 0
            good, bad = (0.9 if right else 0.2), (number % 2) / 2
            a, b = (good, bad) if half == "selection" else (bad, good)
            signals = {"answer_confidence": good, "a": a, "b": b, "none": None}
            answers.append(judged(question, right, signals, sampled={"agreement": good}))
    return answers
