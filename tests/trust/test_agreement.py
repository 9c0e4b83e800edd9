"""Answers grouped by what they say, and what follows from the groups; by hand."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decoding.records.answers import SampledAnswer
from decoding.trust.agreement import (
    agreement,
    compare_answers,
    group_answers,
    sampled_confidence,
    semantic_entropy_bits,
)

CAPITAL = "What is the capital of Armenia?"


def sample(text, logprob=-1.0, index=0):
    return SampledAnswer(index, text, tuple(text.encode()), logprob, "eos", 4, 9, "repeated", 0.5)


@pytest.mark.parametrize(
    ("question", "one", "other"),
    [
        (CAPITAL, "The capital of Armenia is Yerevan.", "Yerevan"),
        (CAPITAL, "It's YEREVAN!", "Armenia's capital is yerevan. It lies on the Hrazdan."),
        (CAPITAL, "Yerevan", "The beautiful city of Yerevan."),
        ("What is the capital of Togo?", "Lomé", "lome."),
        ("What is the capital of Chad?", "N'Djamena", "N’Djamena."),
        ("Where do the United Nations sit?", "Washington, D.C. is wrong", "Washington, D.C."),
        ("How many days has a week?", "A week has seven days.", "7"),
        ("How many letters?", "Twenty-one letters.", "21 letters"),
        ("How many grams?", "1,000", "1000 g"),
        ("What is 2 - 7?", "2 − 7 = -5", "−5"),
        ("What is the opposite of up?", "The opposite of up is down.", "Down."),
        ("A or B?", "A", "A."),
        ("Is it so?", "Yes.", "yes"),
        ("亞美尼亞的首都是哪裡?", "亞美尼亞的首都是葉里溫。", "葉里溫"),
        (CAPITAL, "", " "),
        ("What is 9 plus 6?", "9 + 6 equals 15.", "The sum is 15"),
        ("Who wrote Emma?", "Emma is a novel by Jane Austen.", "The author is Austen"),
        ("Who wrote Emma?", "austen", "Jane Austen"),
        ("Who wrote Emma?", "In 1815 Jane Austen did.", "It is by Jane Austen, of 1816."),
        ("Who wrote Emma?", "**Answer:**\n\nJane Austen", "Jane Austen"),
        ("Who wrote Emma?", 'It is "Jane Austen." He liked it.', "Jane Austen"),
        ("How many?", "It is 5. The other one was Bob.", "5"),
        ("有幾個?", "有20個。", "20個"),
    ],
)
def test_these_say_the_same(question, one, other):
    assert group_answers([one, other], question) == [0, 0]


@pytest.mark.parametrize(
    ("question", "one", "other"),
    [
        (CAPITAL, "The capital of Armenia is Yerevan.", "The capital of Armenia is Tbilisi."),
        (CAPITAL, "Yerevan", "It is not Yerevan."),
        (CAPITAL, "The capital is Paris. Or Yerevan.", "Yerevan"),
        (CAPITAL, "I don't know the capital of Armenia.", "The capital of Armenia is Yerevan."),
        (CAPITAL, "", "Yerevan"),
        ("What is 2 - 7?", "5", "-5"),
        ("How many?", "20", "120"),
        ("What is 9 plus 6?", "The sum is 15", "The sum is 14"),
        ("Who wrote Emma?", "The author is Jane Austen", "The author is Emily Brontë"),
        ("Who wrote Emma?", "In 1815 Jane Austen did.", "It is by Emily Brontë, of 1815."),
        ("How many?", "One of them left", "1"),
        ("What is the opposite of up?", "It is down.", "It is out."),
        ("Is it so?", "Yes.", "No."),
        ("法國的首都是哪裡?", "法國的首都是巴黎。", "法國的首都是里昂。"),
    ],
)
def test_these_do_not(question, one, other):
    assert group_answers([one, other], question) == [0, 1]


def test_groups_are_numbered_as_they_occur_and_later_answers_move_none():
    texts = ["Yerevan", "Tbilisi", "It is Yerevan.", "Baku", "Tbilisi!"]
    groups = group_answers(texts, CAPITAL)
    assert groups == [0, 1, 0, 2, 1]
    for end in range(len(texts)):
        assert group_answers(texts[:end], CAPITAL) == groups[:end]


@given(st.lists(st.text(max_size=30), max_size=6), st.text(max_size=20))
def test_whatever_is_answered_has_a_group_and_an_answer_is_its_own(texts, question):
    groups = group_answers(texts + texts, question)
    assert groups[: len(texts)] == groups[len(texts) :]
    assert all(group <= max(groups[:i], default=-1) + 1 for i, group in enumerate(groups))


def test_agreement_is_a_share_of_the_samples_alone():
    assert agreement([0, 0, 1, 0, 2]) == 0.5
    assert agreement([0, 1]) == 0


def test_entropy_over_meanings_by_hand():
    assert semantic_entropy_bits([0, 0, 0]) == 0
    assert semantic_entropy_bits([0, 1, 2, 3]) == 2
    assert semantic_entropy_bits([5, 5, 7, 7]) == 1
    assert semantic_entropy_bits([0, 0, 0, 1]) == pytest.approx(0.8112781)
    assert semantic_entropy_bits([0, 1], [math.log(0.3), math.log(0.1)]) == pytest.approx(0.8112781)
    # Two answers of one meaning weigh together, however small the probabilities are.
    logprobs = [-2000 + math.log(p) for p in (0.125, 0.125, 0.25)]
    assert semantic_entropy_bits([0, 0, 1], logprobs) == pytest.approx(1)
    assert semantic_entropy_bits([0, 1], [-1.0, -math.inf]) == 0


def test_all_that_follows_at_once():
    texts = ["It is Yerevan.", "Tbilisi", "Tbilisi", "Yerevan!"]
    logprobs = [math.log(p) for p in (0.2, 0.4, 0.4, 0.2)]
    samples = [sample(*pair) for pair in zip(texts, logprobs, strict=True)]
    found = compare_answers("Yerevan", samples, CAPITAL)
    assert found.groups == (0, 1, 1, 0)
    assert found.agreement == 0.5
    assert found.semantic_entropy_bits == 1
    # "Tbilisi" was drawn twice and is one answer of 0.4, beside two of 0.2.
    assert found.weighted_entropy_bits == pytest.approx(1)


def test_one_score_of_several():
    assert sampled_confidence(0.4) == 0.4
    assert sampled_confidence(0.4, 0.8) == pytest.approx(0.6)
    assert sampled_confidence(0.4, 0.7, 0.9) == pytest.approx(0.6)
