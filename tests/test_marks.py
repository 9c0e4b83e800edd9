from __future__ import annotations

import pytest
from steps import steps_of

from decoding.confidence import word_confidence
from decoding.marks import WordMarker
from decoding.words import words_of

TEXTS = ["It", " is", " Y", "ere", "van", ".", " Y", "es"]
PROBABILITIES = [0.9, 0.9, 0.36, 0.5, 1.0, 0.9, 0.25, 0.5]


def test_a_mark_is_revised_as_the_word_grows() -> None:
    marker = WordMarker("Where?")
    told = [marker.add(step) for step in steps_of(TEXTS, PROBABILITIES)]
    assert [start for start, _ in told] == [0, 1, 2, 2, 2, 5, 6, 6]
    doubts = [doubt for _, doubt in told]
    assert doubts[:2] == [None, None]
    assert doubts[2:5] == [pytest.approx(0.4), pytest.approx(0.7), pytest.approx(0.7)]
    assert doubts[5] is None
    assert doubts[6] == pytest.approx(0.5)
    assert doubts[7] is None  # "Yes" is a function word; "Y" could have become a name


def test_the_last_word_on_a_word_is_that_of_the_whole_text() -> None:
    steps, marker = steps_of(TEXTS, PROBABILITIES), WordMarker("Where?")
    last = dict(map(marker.add, steps))
    for word in words_of(steps, "Where?"):
        expected = 1 - word_confidence(steps[word.start : word.end])
        assert last[word.start] == (pytest.approx(expected) if word.kind == "claim" else None)
