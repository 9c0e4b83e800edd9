"""How well a score tells right from wrong: plain numbers in, plain numbers out."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

RESAMPLES = 2_000
INTERVAL = 0.95
THRESHOLDS = tuple(step / 40 for step in range(41))
LEFT_OUT = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure and what it may as well have been.

    Attributes:
        value: as it was measured.
        low, high: the middle 95 % of what other questions like these would have given; `None`
            where it could not be told.
    """

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class MarkRate:
    """How often marks lie on wrong words where doubt from a threshold on is marked.

    Attributes:
        threshold: the least doubt that is marked.
        marked: words that are.
        wrong: those of them that are wrong.
        precision: wrong among the marked; `None` where none is.
        recall: marked among the wrong; `None` where none is wrong.
        false_marks: marked among the right words that claim something; `None` where there are
            none.
    """

    threshold: float
    marked: int
    wrong: int
    precision: float | None
    recall: float | None
    false_marks: float | None

    @property
    def youden(self) -> float:
        """Recall less false marks (Youden 1950): 0 for marks set by chance, however many."""
        return (self.recall or 0.0) - (self.false_marks or 0.0)


def auroc(scores: Sequence[float], rights: Sequence[bool]) -> float | None:
    """The chance that a right answer scores above a wrong one; ties count half.

    The area under the receiver operating characteristic (Hanley and McNeil 1982): 1 where each
    right one is above each wrong one, 0.5 for a score that knows nothing.

    Args:
        scores: higher for surer.
        rights: of each score, whether its answer was right.

    Returns:
        `None` where all are right, or none is.
    """
    return _area(_groups(scores, rights), [1] * len(scores))


def auroc_interval(
    scores: Sequence[float],
    rights: Sequence[bool],
    owners: Sequence[int] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval | None:
    """The same with its bootstrap interval: questions drawn again with replacement.

    Source: the percentile interval of Efron and Tibshirani (1993, chapter 13). Draws without a
    right or without a wrong answer give no area, and are left out.

    Args:
        scores: higher for surer.
        rights: of each score, whether its answer was right.
        owners: of each score, the number of the question that it belongs to, from 0 on: what
            belongs together is drawn together. One question each, without.
        resamples: how often.
        seed: the same seed draws the same.
    """
    value = auroc(scores, rights)
    if value is None:
        return None
    groups, owned_by = _groups(scores, rights), owners or range(len(scores))
    questions = range(max(owned_by) + 1)
    rng = random.Random(seed)  # noqa: S311 - it keeps no secret
    areas = []
    for _ in range(resamples):
        drawn = [0] * len(questions)
        for question in rng.choices(questions, k=len(questions)):
            drawn[question] += 1
        area = _area(groups, [drawn[owner] for owner in owned_by])
        if area is not None:
            areas.append(area)
    return Interval(value, *_middle(areas))


def roc_points(scores: Sequence[float], rights: Sequence[bool]) -> list[tuple[float, float]]:
    """(share of the wrong, share of the right) that score at least something, from (0, 0) on."""
    of_right, of_wrong = sum(rights), len(rights) - sum(rights)
    points, right, wrong = [(0.0, 0.0)], 0, 0
    for rights_here, wrongs_here in reversed(_groups(scores, rights)):
        right, wrong = right + len(rights_here), wrong + len(wrongs_here)
        points.append((wrong / max(1, of_wrong), right / max(1, of_right)))
    return points


def retained_accuracy(
    scores: Sequence[float], rights: Sequence[bool], left_out: float
) -> float | None:
    """Accuracy of the rest when a share of the answers, the least sure, is left out.

    Of answers that score alike at the cut, each counts with the share of them that stays.

    Returns:
        `None` where nothing is left.
    """
    kept = len(scores) - round(left_out * len(scores))
    if not kept:
        return None
    right, room = 0.0, kept
    for rights_here, wrongs_here in reversed(_groups(scores, rights)):
        alike = len(rights_here) + len(wrongs_here)
        taken = min(room, alike)
        right += len(rights_here) * taken / alike
        room -= taken
    return right / kept


def mark_rate(words: Iterable[tuple[float | None, bool]], threshold: float) -> MarkRate:
    """Precision and recall of marking words in doubt.

    Args:
        words: (doubt in [0, 1], `None` where the word claims nothing; whether it is wrong).
        threshold: the least doubt that is marked.
    """
    claims = [(doubt, wrong) for doubt, wrong in words if doubt is not None]
    marks = [wrong for doubt, wrong in claims if doubt >= threshold]
    marked, found, wrong = len(marks), sum(marks), sum(wrong for _, wrong in claims)
    return MarkRate(
        threshold,
        marked,
        found,
        precision=_share(found, marked),
        recall=_share(found, wrong),
        false_marks=_share(marked - found, len(claims) - wrong),
    )


def mark_rates(words: Iterable[tuple[float | None, bool]]) -> list[MarkRate]:
    """The same over 41 thresholds from 0 to 1."""
    told = list(words)
    return [mark_rate(told, threshold) for threshold in THRESHOLDS]


def best_threshold(rates: Iterable[MarkRate]) -> float | None:
    """That of the best Youden's J, and of equally good ones the highest: it marks fewest words.

    The best F1 would mark nearly every claim wherever most of them are wrong.

    Returns:
        `None` where no threshold is better than chance.
    """
    best = max(rates, key=lambda rate: (rate.youden, rate.threshold))
    return best.threshold if best.youden > 0 else None


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _groups(scores: Sequence[float], rights: Sequence[bool]) -> list[tuple[list[int], list[int]]]:
    """The places of right and wrong answers that score alike, from the least sure on."""
    by_score: dict[float, tuple[list[int], list[int]]] = {}
    for place, (score, is_right) in enumerate(zip(scores, rights, strict=True)):
        if math.isnan(score):
            raise ValueError("a score is not a number")
        by_score.setdefault(score, ([], []))[0 if is_right else 1].append(place)
    return [by_score[score] for score in sorted(by_score)]


def _area(groups: list[tuple[list[int], list[int]]], counts: list[int]) -> float | None:
    """The area where each answer counts so many times."""
    area, right, wrong = 0.0, 0, 0
    for rights_here, wrongs_here in groups:
        right_here = sum([counts[place] for place in rights_here])
        wrong_here = sum([counts[place] for place in wrongs_here])
        area += right_here * (wrong + wrong_here / 2)
        right, wrong = right + right_here, wrong + wrong_here
    return area / (right * wrong) if right and wrong else None


def _middle(values: list[float]) -> tuple[float | None, float | None]:
    """The bounds of the middle 95 %."""
    if not values:
        return None, None
    ordered, outside = sorted(values), (1 - INTERVAL) / 2
    last = len(ordered) - 1
    return ordered[round(outside * last)], ordered[round((1 - outside) * last)]
