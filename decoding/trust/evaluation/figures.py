"""Judged answers -> the figures that the page and the tables quote; it measures nothing itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from hashlib import sha256
from typing import Any, Literal

from decoding.trust.calibration import answer_temperature, reliability
from decoding.trust.evaluation.answering import JudgedAnswer, JudgedWord
from decoding.trust.evaluation.statistics import (
    LEFT_OUT,
    auroc,
    auroc_interval,
    best_threshold,
    mark_rate,
    mark_rates,
    retained_accuracy,
)

CONFIDENCE = "answer_confidence"
EXAMPLES = 5
DIGITS = 6
SignalKind = Literal["live", "sampled"]
Scored = tuple[list[float], list[bool]]


def evaluation_of(answers: Sequence[JudgedAnswer], about: dict[str, Any]) -> dict[str, Any]:
    """All figures, as JSON has them.

    What is chosen (the threshold, the best signal of each kind, the temperature) is chosen on
    the selection half; all rates, areas and diagrams are of the reported half. "questions",
    "right" and those of "by_topic" count both.

    Args:
        answers: of both halves.
        about: what they were measured with; it comes first.
    """
    selection = [answer for answer in answers if answer.half == "selection"]
    reported = [answer for answer in answers if answer.half == "reported"]
    signals = [
        _signal(name, kind, selection, reported)
        for kind in ("live", "sampled")
        for name in _names(answers, kind)
    ]
    best = {kind: _best(signals, kind) for kind in ("live", "sampled")}
    threshold = best_threshold(mark_rates(_marks(selection)))
    found: dict[str, Any] = {
        **about,
        **_counts(answers),
        "halves": {"selection": _counts(selection), "reported": _counts(reported)},
        "by_topic": _by_topic(answers),
        "signals": signals,
        "best": best,
        "threshold": threshold,
        "words": {**_word_counts(reported), "areas": _word_areas(reported)},
        "single_claims": _single_claims(reported, threshold),
        "marks": [asdict(rate) for rate in mark_rates(_marks(reported))],
        "marks_by_topic": _marks_by_topic(reported, threshold),
        **_calibration(selection, reported),
        "retained": _retained(scored(reported, "live", CONFIDENCE)),
        "retained_sampled": _retained(scored(reported, "sampled", best["sampled"])),
        "examples": _examples(reported, threshold),
    }
    return {name: _rounded(value) for name, value in found.items()}


def scored(answers: Iterable[JudgedAnswer], kind: str, name: str | None) -> Scored:
    """A signal's values and whether the answers are right, where it has a value."""
    pairs = [(_values(answer, kind).get(name or ""), answer.right) for answer in answers]
    known = [(value, right) for value, right in pairs if value is not None]
    return [value for value, _ in known], [right for _, right in known]


def _values(answer: JudgedAnswer, kind: str) -> dict[str, float | None]:
    return answer.signals if kind == "live" else answer.sampled


def _names(answers: Iterable[JudgedAnswer], kind: str) -> list[str]:
    return list(dict.fromkeys(name for answer in answers for name in _values(answer, kind)))


def _signal(
    name: str, kind: str, selection: list[JudgedAnswer], reported: list[JudgedAnswer]
) -> dict[str, Any]:
    values, rights = scored(reported, kind, name)
    return {
        "name": name,
        "kind": kind,
        **_area(values, rights),
        "answers": len(values),
        "selection": auroc(*scored(selection, kind, name)),
    }


def _area(
    values: list[float], rights: list[bool], owners: list[int] | None = None
) -> dict[str, float | None]:
    found = auroc_interval(values, rights, owners)
    if found is None:
        return {"auroc": None, "low": None, "high": None}
    return {"auroc": found.value, "low": found.low, "high": found.high}


def _best(signals: list[dict[str, Any]], kind: str) -> str | None:
    """The name of the signal with the largest area on the selection half."""
    own = [one for one in signals if one["kind"] == kind and one["selection"] is not None]
    return max(own, key=lambda one: one["selection"])["name"] if own else None


def _counts(answers: Sequence[JudgedAnswer]) -> dict[str, int]:
    return {"questions": len(answers), "right": sum(answer.right for answer in answers)}


def _topics(answers: Sequence[JudgedAnswer]) -> dict[str, list[JudgedAnswer]]:
    by_topic: dict[str, list[JudgedAnswer]] = {}
    for answer in answers:
        by_topic.setdefault(answer.topic, []).append(answer)
    return dict(sorted(by_topic.items()))


def _by_topic(answers: Sequence[JudgedAnswer]) -> dict[str, Any]:
    """Of each topic its counts, and the area of the answers' confidence in the reported half."""
    found = {}
    for topic, own in _topics(answers).items():
        reported = [answer for answer in own if answer.half == "reported"]
        area = _area(*scored(reported, "live", CONFIDENCE))
        found[topic] = {**_counts(own), "reported": len(reported), **area}
    return found


def _words(answers: Iterable[JudgedAnswer]) -> list[JudgedWord]:
    return [word for answer in answers for word in answer.words]


def _marks(answers: Iterable[JudgedAnswer]) -> list[tuple[float | None, bool]]:
    return [(word.doubt, word.is_wrong) for word in _words(answers)]


def _word_counts(answers: Iterable[JudgedAnswer]) -> dict[str, int]:
    words = _words(answers)
    return {
        "words": len(words),
        "claims": sum(word.doubt is not None for word in words),
        "wrong": sum(word.is_wrong for word in words),
    }


def _word_areas(answers: Sequence[JudgedAnswer]) -> dict[str, Any]:
    """How well doubt tells wrong claim words from right ones; and a word's own doubt alone."""
    claims = [
        (place, word)
        for place, answer in enumerate(answers)
        for word in answer.words
        if word.own is not None
    ]
    rights = [not word.is_wrong for _, word in claims]
    owners = [place for place, _ in claims]
    by_doubt = _area([-(word.doubt or 0.0) for _, word in claims], rights, owners)
    by_own = _area([-(word.own or 0.0) for _, word in claims], rights, owners)
    return {"doubt": by_doubt, "own": by_own}


def _single_claims(answers: Sequence[JudgedAnswer], threshold: float | None) -> dict[str, Any]:
    """The same where a first sentence claims one word alone, which is then what is right or wrong.

    In longer wrong answers some of the claims may well be true.
    """
    claims = [[word for word in answer.words if word.doubt is not None] for answer in answers]
    words = [own[0] for own in claims if len(own) == 1]
    area = _area([-(word.doubt or 0.0) for word in words], [not word.is_wrong for word in words])
    rate = (
        None if threshold is None else mark_rate([(w.doubt, w.is_wrong) for w in words], threshold)
    )
    return {
        "words": len(words),
        "all_wrong": sum(word.is_wrong for word in words),
        **area,
        **({} if rate is None else asdict(rate)),
    }


def _marks_by_topic(
    reported: Sequence[JudgedAnswer], threshold: float | None
) -> list[dict[str, Any]]:
    if threshold is None:
        return []
    return [
        {"topic": topic, **asdict(mark_rate(_marks(own), threshold)), "words": _word_counts(own)}
        for topic, own in _topics(reported).items()
    ]


def _calibration(
    selection: Sequence[JudgedAnswer], reported: Sequence[JudgedAnswer]
) -> dict[str, Any]:
    found = reliability(zip(*scored(reported, "live", CONFIDENCE), strict=True))
    fitted = answer_temperature(zip(*scored(selection, "live", CONFIDENCE), strict=True))
    return {
        "reliability": [asdict(one) for one in found.bins],
        "ece": found.ece,
        "chance_ece": found.chance_ece,
        "answers": found.count,
        "temperature": None if fitted is None else fitted.temperature,
        "temperature_answers": len(selection),
        "temperature_differs": None if fitted is None else fitted.differs_from_one,
    }


def _retained(pairs: Scored) -> list[dict[str, Any]]:
    if not pairs[0]:
        return []
    return [{"left_out": share, "accuracy": retained_accuracy(*pairs, share)} for share in LEFT_OUT]


def _examples(reported: Sequence[JudgedAnswer], threshold: float | None) -> list[dict[str, Any]]:
    """Five marks on wrong words and five on right ones: of the questions with the least hashes."""
    if threshold is None:
        return []
    in_order = sorted(reported, key=lambda answer: sha256(answer.question.encode()).digest())
    return [
        example
        for is_wrong in (True, False)
        for example in _first_marks(in_order, _is_marked(threshold, is_wrong))
    ]


def _is_marked(threshold: float, is_wrong: bool) -> Callable[[JudgedWord], bool]:
    return lambda word: (
        word.is_wrong == is_wrong and word.doubt is not None and word.doubt >= threshold
    )


def _first_marks(
    answers: Iterable[JudgedAnswer], wanted: Callable[[JudgedWord], bool]
) -> list[dict[str, Any]]:
    """Of each answer the first such word, until there are enough."""
    found = ((answer, next(filter(wanted, answer.words), None)) for answer in answers)
    examples = [
        {
            "question": answer.question,
            "accepted": list(answer.accepted),
            "answer": answer.answer,
            "topic": answer.topic,
            "word": word.text.strip(),
            "doubt": word.doubt,
            "is_wrong": word.is_wrong,
        }
        for answer, word in found
        if word is not None
    ]
    return examples[:EXAMPLES]


def _rounded(value: Any) -> Any:
    """Numbers to six digits behind the point: more are no knowledge, and the page carries them."""
    if isinstance(value, float):
        return round(value, DIGITS)
    if isinstance(value, dict):
        return {name: _rounded(item) for name, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list) else value
