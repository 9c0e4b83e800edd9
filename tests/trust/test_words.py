from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from steps import step_of, steps_of

from decoding.trust.words import claim_steps, first_sentence, words_of

ARMENIA = [
    "The",
    " capital",
    " of",
    " Armenia",
    " is",
    " Y",
    "ere",
    "k",
    "av",
    "kad",
    ".",
    "<|end|>",
]


def texts(pieces: list[str], prompt: str = "") -> list[tuple[str, str]]:
    return [(word.text, word.kind) for word in words_of(steps_of(pieces), prompt)]


def test_tokens_become_words_and_words_say_what_they_are_for() -> None:
    assert texts(ARMENIA, "What is the capital of Armenia?") == [
        ("The", "phrasing"),
        (" capital", "repeated"),
        (" of", "phrasing"),
        (" Armenia", "repeated"),
        (" is", "phrasing"),
        (" Yerekavkad", "claim"),
        (".", "phrasing"),
        ("<|end|>", "phrasing"),
    ]


def test_without_a_prompt_what_it_says_is_a_claim() -> None:
    kinds = dict(texts(ARMENIA))
    assert kinds[" capital"] == kinds[" Armenia"] == kinds[" Yerekavkad"] == "claim"


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        (["1", "2", " is", " 3"], ["12", " is", " 3"]),
        ([" Port", "-", "au", "-", "Prince", ","], [" Port-au-Prince", ","]),
        ([" N", "'", "D", "jamena"], [" N'Djamena"]),
        (["Paris", "\n", "Rome"], ["Paris", "\n", "Rome"]),
        (["台", "北", "是", "首都"], ["台", "北", "是", "首都"]),
        (["a", "", "", "é", "b"], ["aéb"]),
        (["好", "", "", "字"], ["好", "字"]),
        ([" say", ' "', "Ya", '"'], [" say", ' "', "Ya", '"']),
    ],
)
def test_where_words_begin(pieces: list[str], expected: list[str]) -> None:
    assert [text for text, _ in texts(pieces)] == expected


def test_korean_words_are_parted_by_spaces() -> None:
    assert [text for text, _ in texts(["서", "울", "은", " 수", "도"])] == ["서울은", " 수도"]


def test_a_word_without_an_end_is_cut() -> None:
    found = words_of(steps_of(["abcd"] * 100))
    assert [word.end - word.start for word in found] == [26, 26, 26, 22]


def test_what_was_said_once_is_repeated_afterwards() -> None:
    assert [kind for _, kind in texts(["Paris", ",", " Paris", "!"])] == [
        "claim",
        "phrasing",
        "repeated",
        "phrasing",
    ]


def test_a_word_of_several_is_repeated_where_they_stand_in_a_row() -> None:
    prompt = "Port-au-Prince, or the prince of a port?"
    said = [
        kind
        for _, kind in texts([" Port", "-", "au", "-", "Prince", " Prince", "-", "port"], prompt)
    ]
    assert said == ["repeated", "claim"]
    assert [kind for _, kind in texts(["台北", "台南", "南北", "台北"])] == [
        "claim",
        "claim",
        "claim",
        "repeated",
    ]


def test_punctuation_in_a_prompt_parts_its_words() -> None:
    assert texts([" Oslo", " Bergen", " -", "5"], "Oslo/Bergen: 5?") == [
        (" Oslo", "repeated"),
        (" Bergen", "repeated"),
        (" -5", "claim"),
    ]


@pytest.mark.parametrize("token", ["因為", "可以", "了"])
def test_chinese_function_words_claim_nothing(token: str) -> None:
    assert texts([token]) == [(token, "phrasing")]


def test_a_chinese_prompt_is_repeated_character_by_character() -> None:
    assert texts(["首", "都", "是", "台", "北"], "台灣的首都是哪裡？")[-2:] == [
        ("台", "repeated"),
        ("北", "claim"),
    ]


@pytest.mark.parametrize(
    ("pieces", "count"),
    [
        (["It", " is", " Oslo", ".", " It", " is"], 4),
        (["Washington", ",", " D", ".", "C", ".", " is", " it", "."], 9),
        (["St", ".", " John", "'s", ".", " Yes"], 5),
        (["3", ".", "5", " m", ".", "<|end|>"], 5),
        (["\n", "\n", "Oslo", "\n", "Bergen"], 4),
        (["是", "台", "北", "。", "它"], 4),
        (["no", " end"], 2),
        (["no", " end", "<|end|>"], 3),
        (["It", " is", " Oslo", "<|end|>", ".", " It"], 5),
        (["It", " is", "...", " Oslo", ".", " It"], 5),
        (["Yahoo", "!", " is", " it", ".", " It"], 5),
        (["Oslo", ".", "”", " It"], 3),
        (["Answer", ":", "\n", "Oslo", "\n", "It"], 5),
    ],
)
def test_where_the_first_sentence_ends(pieces: list[str], count: int) -> None:
    assert len(first_sentence(steps_of(pieces))) == count


def test_the_claim_is_what_the_question_did_not_say() -> None:
    claim = claim_steps(steps_of(ARMENIA), "What is the capital of Armenia?")
    assert [step.text for step in claim] == [" Y", "ere", "k", "av", "kad"]


def test_where_nothing_is_claimed_all_of_it_is_the_answer() -> None:
    assert [step.text for step in claim_steps(steps_of(["Yes", ".", "<|end|>"]))] == ["Yes", "."]


@given(st.lists(st.text(max_size=4), max_size=30), st.text(max_size=20))
def test_any_text_is_cut_into_neighbouring_words(pieces: list[str], prompt: str) -> None:
    steps = [step_of(text, index=i) for i, text in enumerate(pieces)]
    words = words_of(steps, prompt)
    assert "".join(word.text for word in words) == "".join(pieces)
    ends = [0, *(word.end for word in words)]
    assert [word.start for word in words] == ends[:-1]
    assert ends[-1] == len(pieces)
