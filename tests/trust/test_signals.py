from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from steps import step_of, steps_of

from decoding.trust import signals as confidence
from decoding.trust.signals import FIRST_WEIGHT, SIGNALS, answer_confidence, word_confidence


def test_signals_worked_out_by_hand() -> None:
    steps = [
        step_of("a", 0.5, entropy_bits=1.0, varentropy_bits2=0.0),
        step_of("b", 0.25, entropy_bits=0.8, varentropy_bits2=2.0),
        step_of("c", 1.0, entropy_bits=0.0, varentropy_bits2=0.0),
    ]
    assert confidence.sequence_logprob(steps) == pytest.approx(math.log(1 / 8))
    assert confidence.mean_logprob(steps) == pytest.approx(-math.log(2))
    assert confidence.perplexity(steps) == pytest.approx(2)
    assert confidence.min_probability(steps) == 0.25
    assert confidence.mean_probability(steps) == pytest.approx(1.75 / 3)
    assert confidence.mean_entropy_bits(steps) == pytest.approx(0.6)
    assert confidence.max_entropy_bits(steps) == 1.0
    assert confidence.mean_varentropy_bits2(steps) == pytest.approx(2 / 3)
    assert confidence.max_varentropy_bits2(steps) == 2.0
    assert [confidence.margin(step) for step in steps] == [0.0, -0.5, 1.0]
    assert confidence.min_margin(steps) == -0.5
    assert confidence.mean_margin(steps) == pytest.approx(0.5 / 3)
    assert confidence.mean_rank(steps) == pytest.approx(4 / 3)


def test_an_impossible_token_makes_no_number_up() -> None:
    steps = [step_of("a", 0.0)]
    assert confidence.perplexity(steps) == math.inf
    assert word_confidence(steps) == answer_confidence(steps) == 0.0


@pytest.mark.parametrize("name", SIGNALS)
def test_a_signal_of_nothing_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="one step"):
        SIGNALS[name]([])


def test_a_word_spelled_with_doubt_is_less_sure_than_one_chosen_with_doubt() -> None:
    chosen, spelled = steps_of([" F", "reet"], [0.25, 1.0]), steps_of([" F", "reet"], [1.0, 0.25])
    assert word_confidence(chosen) == pytest.approx(0.25**FIRST_WEIGHT)
    assert word_confidence(spelled) == pytest.approx(0.25)


SURE = ["The", " capital", " is", " Oslo", "."]


def test_the_opening_and_what_follows_the_answer_count_for_nothing() -> None:
    sure = answer_confidence(steps_of(SURE, [1, 1, 1, 0.64, 1]))
    assert answer_confidence(steps_of([*SURE, " It"], [0.1, 1, 1, 0.64, 1, 0.01])) == sure
    assert sure == pytest.approx(0.64 ** (FIRST_WEIGHT / 2))  # four words: half the exponent


def test_a_sentence_that_goes_astray_is_not_sure() -> None:
    kept = answer_confidence(steps_of(SURE, [1, 1, 1, 0.64, 1]))
    astray = steps_of(["The", " capital", " is", " not", " Oslo"], [1, 1, 1, 0.25, 0.64])
    assert answer_confidence(astray) == pytest.approx(kept / 2)


def test_an_answer_of_one_word_counts() -> None:
    one = answer_confidence(steps_of(["Oslo", ".", "<|end|>"], [0.25, 1, 0.1]))
    assert one == pytest.approx(0.25 ** (FIRST_WEIGHT / math.sqrt(2)))
    assert answer_confidence(steps_of(["Yes", "<|end|>"], [0.25, 0.1])) == 0.25


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_every_signal_rises_with_the_probabilities(probabilities: list[float]) -> None:
    texts = [f" w{i}" for i in range(len(probabilities))]
    more = [p + (1 - p) / 2 for p in probabilities]
    for name in ("answer_confidence", "sequence_logprob", "min_probability", "min_margin"):
        signal = SIGNALS[name]
        assert signal(steps_of(texts, more)) >= signal(steps_of(texts, probabilities))
    assert 0 <= answer_confidence(steps_of(texts, probabilities)) <= 1
