"""Where sentences end and what their words are; cases by hand, English and Chinese."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decoding.trust.sentences import plain_words, sentence_end, stands_alone, with_digits

# The first sentence, and what follows it.
ENDED = [
    ("It is Oslo.", " It is cold."),
    ("Is it Oslo?", " Yes."),
    ("It is Oslo!", "\nYes."),
    ("What?!", " Yes"),
    ("It is 3.5 km.", " Yes."),
    ("It is 1,200.50 in all.", " Yes."),
    ("Washington, D.C.", " The city is large."),
    ("Washington, D.C. has it.", " Yes."),
    ("St. John's is it.", " Yes."),
    ("Dr. Smith climbed Mt. Etna with Mrs. Jones.", " Yes."),
    ("It was Prof. Higgs vs. Englert.", " Yes."),
    ("A fruit, e.g. Golden Delicious, i.e. An apple.", " Yes."),
    ("It was Martin Luther King Jr.", " He was a minister."),
    ("Robert Downey Jr. Plays it.", " Yes."),
    ("He is 6 ft.", " That is tall."),
    ("It was J. K. Rowling.", " She wrote it."),
    ("The symbol for uranium is U.", " Uranium is heavy."),
    ("The symbol for uranium is **U**.", " Uranium is heavy."),
    ("It is T.", " The other is W."),
    ("1. Oslo is one.", " 2. Bergen"),
    ("**1. Oslo** is one.", " **2.** Bergen"),
    ("It was in 1984.", " Orwell wrote it."),
    ("It is approx. five, etc., and so on.", " Yes."),
    ("It is about 5 p.m. in Oslo.", " Yes."),
    ("Yahoo! is a company.", " Yes."),
    ('"Where?" he asked.', " Nobody knew."),
    ("It is... Oslo.", " Yes."),
    ("It is… Oslo.", " Yes."),
    ("I do not know...", " It may be Oslo."),
    ("... Oslo.", " Yes."),
    ("**\n\nOslo", "\nBergen"),
    ('He said "No."', " Then he left."),
    ("He said “No.”", " Then he left."),
    ("(It is Oslo.)", " Yes."),
    ("It is **Oslo.**", " Yes."),
    ("_It is Oslo._", " Yes."),
    ("\n  It is.", "\nYes"),
    ("Oslo\n", "Bergen"),
    ("The capital is:\n\n1. Oslo\n", "2. Bergen"),
    ("**Answer:**\n\nOslo.", " Yes."),
    ("# Norway\n", "Oslo"),
    ("Oslo.\n", ""),
    ("是台北。", "它在北部。"),
    ("是台北！", "真的。"),
    ("是台北嗎？", "是。"),
    ("是台北｡", "是"),
    ("是台北!", "它很大。"),
    ("是台北.", "它很大。"),
    ("我想……是台北。", "是"),
    ("他說：「是台北。」", "然後他走了。"),
    ("答案：\n台北\n", "台中"),
    ("高約3.5公尺。", "是"),
    ("作者是J. K. 羅琳。", "是"),
]


@pytest.mark.parametrize(("first", "rest"), ENDED)
def test_where_the_first_sentence_ends(first: str, rest: str) -> None:
    assert (first + rest)[: sentence_end(first + rest)].strip() == first.strip()


@pytest.mark.parametrize(
    "text",
    ["", "no end", "...", "\n\n", "。", "It is Oslo and", "a.b", "3.5", "oslo.no", "是台北，"],
)
def test_what_does_not_end(text: str) -> None:
    assert sentence_end(text) is None


def test_marks_that_are_known_to_end_nothing_are_passed_over() -> None:
    text = "One. Two. Three."
    assert sentence_end(text) == 4
    assert sentence_end(text, 4) == 9
    assert sentence_end(text, len(text)) is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Crème-Brûlée, the «best»!", ["creme", "brulee", "the", "best"]),
        ("Bogotá's", ["bogota"]),
        ("N’Djaména and Sana'a's", ["ndjamena", "and", "sanaa"]),
        ("It's what I don't say", ["it", "what", "i", "dont", "say"]),
        ("Washington, D.C. and J. R. R. Tolkien", ["washington", "dc", "and", "jrr", "tolkien"]),
        ("1,000 or −20.5 or 1,5", ["1000", "or", "-20.5", "or", "1,5"]),
        ("10-3=7, at 3:15, 20/3", ["10", "3", "7", "at", "3:15", "20/3"]),
        ("the 31st, H2O, Pu-24", ["the", "31st", "h2o", "pu-24"]),
        ("10² and H₂O", ["10²", "and", "h₂o"]),
        ("_20_ snake_case", ["20", "snake", "case"]),
        ("Straße", ["strasse"]),
        ("首都是台北。", ["首", "都", "是", "台", "北"]),
        ("有20個，共1,000元", ["有", "20", "個", "共", "1000", "元"]),
        ("２０世紀的ＮＡＴＯ", ["20", "世", "紀", "的", "nato"]),
        ("人々・が", ["人", "々", "が"]),
        ("한국 서울", ["한국", "서울"]),
        ("… — 。", []),
    ],
)
def test_words_as_they_are_compared(text: str, words: list[str]) -> None:
    assert plain_words(text) == words


def test_words_with_their_case() -> None:
    assert plain_words("CO is Pu's", keep_case=True) == ["CO", "is", "Pu"]


def test_scripts_without_spaces() -> None:
    assert all(map(stands_alone, "台が々𠮷ㄅ"))
    assert not any(map(stands_alone, "aé한1。・ "))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("seven of twelve", ["7", "of", "12"]),
        ("twenty-one and ninety nine", ["21", "and", "99"]),
        ("twenty thirty", ["20", "30"]),
        ("twenty eleven", ["20", "11"]),
        ("one of them, one", ["one", "of", "them", "1"]),
        ("twenty-one of them", ["20", "one", "of", "them"]),
        ("a hundred", ["a", "hundred"]),
    ],
)
def test_spelled_numbers(text: str, words: list[str]) -> None:
    assert with_digits(plain_words(text)) == words


@given(st.text(st.sampled_from("aZ1 .!?…\n\"'*_():。？」,-台é"), max_size=60))
def test_any_text_is_cut_where_a_mark_stands(text: str) -> None:
    end = sentence_end(text)
    if end is not None:
        assert 0 < end <= len(text)
        assert plain_words(text[:end])
        assert set(text[:end].rstrip("\"'*_)」")[-1:]) <= set(".!?…\n。？")
    assert all(word == word.casefold() and word.strip() for word in plain_words(text))


@pytest.mark.parametrize("piece", [". ", "a. ", "\n", "1.\n", ".", "U. ", "是", "a.", "e.g. "])
def test_no_text_takes_long(piece: str) -> None:
    text = piece * (40_000 // len(piece))
    started = time.process_time()
    sentence_end(text)
    plain_words(text)
    assert time.process_time() - started < 5
