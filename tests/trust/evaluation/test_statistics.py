"""The statistics of an evaluation, by hand and against slower ways to the same figure."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from judged_answers import in_half, judged, made

from decoding.trust.evaluation.figures import evaluation_of
from decoding.trust.evaluation.statistics import (
    MarkRate,
    auroc,
    auroc_interval,
    best_threshold,
    mark_rate,
    mark_rates,
    retained_accuracy,
    roc_points,
)

PAIRS = st.lists(st.tuples(st.integers(0, 5).map(float), st.booleans()), max_size=30)


def parted(pairs: Iterable[tuple[float, bool]]) -> tuple[list[float], list[bool]]:
    pairs = list(pairs)
    return [score for score, _ in pairs], [right for _, right in pairs]


def test_the_area_by_hand() -> None:
    assert auroc([0.9, 0.8, 0.3, 0.1], [True, True, False, False]) == 1
    assert auroc([0.1, 0.3, 0.8, 0.9], [True, True, False, False]) == 0
    assert auroc([0.9, 0.5, 0.6, 0.1], [True, True, False, False]) == 0.75
    assert auroc([0.5, 0.5], [True, False]) == 0.5
    assert auroc([0.9, 0.5, 0.5], [True, True, False]) == 0.75
    assert auroc([-math.inf, 3.0], [False, True]) == 1


def test_one_class_has_no_area() -> None:
    assert auroc([1.0, 2.0], [True, True]) is None
    assert auroc([1.0, 2.0], [False, False]) is None
    assert auroc([], []) is None
    assert auroc_interval([1.0], [True]) is None
    with pytest.raises(ValueError, match="not a number"):
        auroc([math.nan, 1.0], [True, False])


@given(PAIRS)
def test_the_area_is_the_share_of_pairs_in_order(pairs: list[tuple[float, bool]]) -> None:
    rights = [score for score, right in pairs if right]
    wrongs = [score for score, right in pairs if not right]
    won = [(r > w) + (r == w) / 2 for r in rights for w in wrongs]
    area = auroc(*parted(pairs))
    assert area == (pytest.approx(sum(won) / len(won)) if won else None)
    if won:
        points = roc_points(*parted(pairs))
        steps = itertools.pairwise(points)
        beneath = sum((x2 - x1) * (y1 + y2) / 2 for (x1, y1), (x2, y2) in steps)
        assert (points[0], points[-1]) == ((0, 0), (1, 1))
        assert beneath == pytest.approx(area)


def test_the_interval_holds_the_area_and_narrows_with_more_questions() -> None:
    scores, rights = parted([(i % 7, i % 7 > 2 or i % 5 == 0) for i in range(70)])
    few = auroc_interval(scores, rights, resamples=500)
    many = auroc_interval(scores * 9, rights * 9, resamples=500)
    assert few is not None
    assert many is not None
    assert few.value == many.value == auroc(scores, rights)
    assert few.low is not None and few.high is not None  # noqa: PT018
    assert many.low is not None and many.high is not None  # noqa: PT018
    assert 0 < few.low < many.low < few.value < many.high < few.high < 1
    assert (many.high - many.low) * 3 == pytest.approx(few.high - few.low, rel=0.2)


def test_the_interval_is_drawn_alike_each_time() -> None:
    scores, rights = parted([(i * 37 % 101, i % 3 == 0) for i in range(40)])
    assert auroc_interval(scores, rights, resamples=200) == auroc_interval(
        scores, rights, resamples=200
    )
    assert auroc_interval(scores, rights, resamples=200, seed=1) != auroc_interval(
        scores, rights, resamples=200
    )
    certain = auroc_interval([1.0, 0.0] * 9, [True, False] * 9)
    assert certain is not None
    assert (certain.low, certain.value, certain.high) == (1, 1, 1)


def test_what_belongs_to_one_question_is_drawn_together() -> None:
    scores, rights = parted([(i * 37 % 101, i % 3 == 0) for i in range(40)])
    alone = auroc_interval(scores, rights)
    five = auroc_interval(scores * 5, rights * 5, [*range(40)] * 5)
    assert alone == five  # five times the same words are no more questions
    assert auroc_interval(scores * 5, rights * 5) != five


def test_a_draw_without_both_classes_counts_for_nothing() -> None:
    found = auroc_interval(
        [2.0, 1.0], [True, False], resamples=50
    )  # half the draws hold one class only
    assert found is not None
    assert (found.low, found.high) == (1, 1)
    none = auroc_interval([2.0, 1.0], [True, False], resamples=0)
    assert none is not None
    assert (none.value, none.low, none.high) == (1, None, None)


def test_the_accuracy_kept_by_hand() -> None:
    scores = [5.0, 4.0, 3.0, 2.0, 1.0]
    rights = [True, True, False, True, False]
    kept = [retained_accuracy(scores, rights, share) for share in (0.0, 0.2, 0.4, 0.6, 1.0)]
    assert kept == [0.6, 0.75, pytest.approx(2 / 3), 1.0, None]


def test_of_those_that_score_alike_a_share_stays() -> None:
    # Two are kept: the first, and one of three alike, of which one is right.
    rights = [True, False, True, False]
    assert retained_accuracy([2.0, 1.0, 1.0, 1.0], rights, 0.5) == pytest.approx((1 + 1 / 3) / 2)


WORDS = [(0.9, True), (0.8, False), (0.5, True), (0.2, False), (None, False)]


def test_marks_by_hand() -> None:
    assert mark_rate(WORDS, 0.5) == MarkRate(0.5, 3, 2, 2 / 3, 1.0, 0.5)
    assert mark_rate(WORDS, 0.85) == MarkRate(0.85, 1, 1, 1.0, 0.5, 0.0)
    assert mark_rate(WORDS, 0.0).marked == 4  # a word that claims nothing is never marked
    assert mark_rate(WORDS, 1.0) == MarkRate(1.0, 0, 0, None, 0.0, 0.0)
    assert mark_rate([(0.5, False)], 0.1).recall is None
    rates = mark_rates(WORDS)
    assert [rate.threshold for rate in rates] == [i / 40 for i in range(41)]
    marked = [rate.marked for rate in rates]
    assert marked == sorted(marked, reverse=True)


def test_the_threshold_is_that_of_the_best_youden() -> None:
    assert mark_rate(WORDS, 0.5).youden == 0.5
    assert mark_rate(WORDS, 0.85).youden == 0.5
    assert mark_rate(WORDS, 0.0).youden == 0.0
    assert best_threshold(mark_rates(WORDS)) == 0.9  # of equally good ones the highest
    assert best_threshold(mark_rates([(0.5, False)])) is None
    mostly_wrong = [(0.6, True)] * 90 + [(0.4, True)] * 9 + [(0.4, False)]
    assert best_threshold(mark_rates(mostly_wrong)) == 0.6  # the best F1 is at 0.4


def test_what_is_chosen_on_one_half_is_reported_on_the_other() -> None:
    found = evaluation_of(made(), {"model": "made"})
    assert (found["model"], found["questions"], found["right"]) == ("made", 120, 80)
    assert found["halves"]["reported"] == {"questions": 60, "right": 40}
    signals = {one["name"]: one for one in found["signals"]}
    assert (signals["a"]["selection"], signals["a"]["auroc"]) == (1.0, 0.5)
    assert (signals["b"]["selection"], signals["b"]["auroc"]) == (0.5, 1.0)
    assert signals["none"]["auroc"] is signals["none"]["low"] is None
    assert signals["none"]["answers"] == 0
    assert {one["kind"] for one in found["signals"]} == {"live", "sampled"}
    assert found["best"]["live"] in ("answer_confidence", "a")
    assert found["best"]["sampled"] == "agreement"


def test_marks_of_the_reported_half() -> None:
    found = evaluation_of(made(), {})
    assert found["threshold"] == 0.8
    areas = found["words"].pop("areas")
    assert found["words"] == {"words": 180, "claims": 120, "wrong": 20}
    assert (areas["doubt"]["auroc"], areas["own"]["auroc"]) == (1.0, 0.5)
    first, at = found["marks"][0], found["marks"][32]
    assert (first["marked"], first["wrong"], first["recall"]) == (120, 20, 1.0)
    assert (at["threshold"], at["marked"], at["precision"], at["recall"]) == (0.8, 20, 1.0, 1.0)
    assert sum(one["marked"] for one in found["marks_by_topic"]) == 20
    assert [one["topic"] for one in found["marks_by_topic"]] == ["even", "odd"]
    assert [one["is_wrong"] for one in found["examples"]] == [True] * 5
    assert {one["word"] for one in found["examples"]} == {"<b>"}
    assert evaluation_of(made()[::-1], {})["examples"] == found["examples"]


def test_answers_of_one_claim_are_told_apart() -> None:
    answers = made()
    single = [replace(one, words=one.words[::2]) for one in answers[::2]]
    found = evaluation_of([*answers[1::2], *single], {})["single_claims"]
    assert (found["words"], found["all_wrong"], found["auroc"]) == (30, 10, 1.0)
    assert (found["marked"], found["precision"], found["false_marks"]) == (10, 1.0, 0.0)
    assert evaluation_of([], {})["single_claims"]["words"] == 0


def test_the_rest_of_the_reported_half() -> None:
    found = evaluation_of(made(), {})
    assert found["retained"][0] == {"left_out": 0.0, "accuracy": pytest.approx(2 / 3, abs=1e-6)}
    assert found["retained"][4]["accuracy"] == 1.0  # without the third that is wrong
    assert found["retained_sampled"] == found["retained"]
    assert sum(one["count"] for one in found["reliability"]) == found["answers"] == 60
    assert found["ece"] is None  # fewer than a hundred
    assert found["by_topic"]["odd"]["questions"] + found["by_topic"]["even"]["questions"] == 120


def test_the_temperature_is_found_on_the_selection_half() -> None:
    # Said at 0.9: right 3 times of 5 in the selection half, always in the reported one.
    answers = [
        judged(question, half == "reported" or number % 5 < 3, {"answer_confidence": 0.9})
        for half in ("selection", "reported")
        for number, question in enumerate(in_half(half, 100))
    ]
    found = evaluation_of(answers, {})
    assert found["temperature"] == pytest.approx(math.log(9) / math.log(1.5), rel=0.02)
    assert (found["temperature_answers"], found["temperature_differs"]) == (100, True)
    assert found["ece"] == pytest.approx(0.1)
    assert found["reliability"][9]["accuracy"] == 1


def test_nothing_wrong_gives_no_figures_and_no_error() -> None:
    answers = [judged(question, True, {"answer_confidence": 0.5}) for question in "abc"]
    found = evaluation_of(answers, {})
    assert found["threshold"] is None
    assert found["best"] == {"live": None, "sampled": None}
    assert found["marks_by_topic"] == found["examples"] == found["retained_sampled"] == []
    assert evaluation_of([], {})["questions"] == 0
