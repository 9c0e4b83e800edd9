from __future__ import annotations

import pytest
from steps import steps_of

from decoding.trust.doubt import FADING, WordMarker
from decoding.trust.signals import FIRST_WEIGHT, word_confidence
from decoding.trust.words import words_of

TEXTS = ["It", " is", " Y", "ere", "van", ".", " Y", "es"]
# A power of the first token's probability counts: 0.6 and 0.5 of these two words.
PROBABILITIES = [0.1, 1.0, 0.6 ** (1 / FIRST_WEIGHT), 0.5, 1.0, 1.0, 0.5 ** (1 / FIRST_WEIGHT), 0.5]


def test_a_mark_is_revised_as_the_word_grows() -> None:
    marker = WordMarker("Where?")
    told = [marker.add(step) for step in steps_of(TEXTS, PROBABILITIES)]
    assert [doubt.start for doubt in told] == [0, 1, 2, 2, 2, 5, 6, 6]
    # The word that opens a sentence, the least likely one here, counts for nothing.
    assert [doubt.value for doubt in told[:6]] == [
        None,
        None,
        *(pytest.approx(value) for value in (0.4, 0.7, 0.7)),
        None,
    ]
    assert told[6].own == pytest.approx(0.5)
    assert told[7].value is None  # "Yes" is a function word; "Y" could have become a name


def test_a_word_takes_over_the_doubt_before_it() -> None:
    steps = steps_of(
        ["It", " is", " not", " Oslo", " or", " Rome"], [1, 1, 0.5, 0.5 ** (1 / FIRST_WEIGHT), 1, 1]
    )
    told = list(map(WordMarker().add, steps))
    assert told[3].own == pytest.approx(0.5)
    assert told[3].value == pytest.approx(1 - 0.5 * 0.5**FADING)
    assert told[5].own == 0.0
    before = (0.5**FADING * 0.5) ** FADING
    assert told[5].value == pytest.approx(1 - before**FADING)


def test_the_last_word_on_a_word_is_that_of_the_whole_word() -> None:
    steps, marker = steps_of(TEXTS, PROBABILITIES), WordMarker("Where?")
    last = {doubt.start: doubt.own for doubt in map(marker.add, steps)}
    for word in words_of(steps, "Where?"):
        expected = 1 - word_confidence(steps[word.start : word.end])
        assert last[word.start] == (pytest.approx(expected) if word.kind == "claim" else None)


def test_an_impossible_token_is_all_doubt() -> None:
    told = [WordMarker().add(step) for step in steps_of([" Oslo"], [0.0])]
    assert (told[0].value, told[0].own) == (1.0, 1.0)


@pytest.mark.parametrize(
    ("before", "is_opening"),
    [
        (["Oslo", "."], True),
        (["Oslo", ".", "\n\n"], True),
        (["Oslo", ".", "”", ' "'], True),
        (["是", "。"], True),
        (["by", " Dr", "."], False),
        (["by", " J", "."], False),
        (["3", "."], False),
        (["so", "..."], False),
        (["here", ":", "\n"], False),
    ],
)
def test_the_word_that_opens_a_sentence_hands_no_doubt_on(
    before: list[str], is_opening: bool
) -> None:
    texts = [*before, " Bergen", " lies"]
    marker = WordMarker()
    told = [marker.add(step) for step in steps_of(texts, [*[1] * len(before), 0.1, 1])]
    expected = 0.0 if is_opening else 1 - 0.1 ** (FIRST_WEIGHT * FADING)
    assert told[-1].value == pytest.approx(expected)
