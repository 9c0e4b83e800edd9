"""Which answers to a question say the same, by rules over their words; it knows no models."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from decoding.trust.sentences import plain_words, sentence_end, with_digits
from decoding.trust.words import FUNCTION_WORDS

_NEGATIONS = frozenset({"not", "never", "cannot", "isnt", "wasnt", "dont", "不", "沒"})
_NUMBER = re.compile(r"-?\d[\d.,:/]*")


class _Claim(NamedTuple):
    """What an answer says: its words, and among them the capitalised ones and the numbers."""

    words: frozenset[str]
    names: frozenset[str]
    numbers: frozenset[str]
    is_negated: bool


def group_answers(texts: Sequence[str], question: str = "") -> list[int]:
    """Which answers say the same; rules over words, no model judges.

    Of each answer the first sentence counts, and of that the words that neither stand in the
    question nor are function words: without case, accents and punctuation, numbers up to 99 as
    digits, each Chinese character as a word. Where none is left, function words count too, and
    then those of the question. Two answers say the same where the names in one, which are its
    capitalised words after the first, contain all of the other's; where not both have names, the
    same goes for their numbers, and where not both have any, for all their words. An answer that
    negates never says what one says that does not. Each answer joins the first group whose first
    answer it matches.

    Two names of one thing are two groups, and a wrong word beside the right one hides in its
    group: Kuhn et al. (2023, https://arxiv.org/abs/2302.09664) let an entailment model judge.

    Args:
        texts: the answers.
        question: what they answer.

    Returns:
        The group of each answer, numbered from 0 as they first occur.
    """
    asked = set(_words(question))
    firsts = list[_Claim]()
    groups = list[int]()
    for text in texts:
        claim = _claim(text, asked)
        group = next((i for i, first in enumerate(firsts) if _same(first, claim)), len(firsts))
        if group == len(firsts):
            firsts.append(claim)
        groups.append(group)
    return groups


def _same(one: _Claim, other: _Claim) -> bool:
    if one.is_negated != other.is_negated:
        return False
    if not one.words or not other.words:
        return one.words == other.words
    pairs = zip(one[1:3], other[1:3], strict=True)
    mine, its = next((pair for pair in pairs if all(pair)), (one.words, other.words))
    return mine <= its or its <= mine


def _claim(text: str, asked: set[str]) -> _Claim:
    sentence = text[: sentence_end(text)]
    words = frozenset(_words(sentence))
    new = words - asked
    capitalised = [word for word in plain_words(sentence, keep_case=True)[1:] if word[0].isupper()]
    return _Claim(
        words=new - FUNCTION_WORDS - _NEGATIONS or new or words,
        names=frozenset(map(str.casefold, capitalised)) - asked - FUNCTION_WORDS,
        numbers=frozenset(filter(_NUMBER.fullmatch, new)),
        is_negated=not words.isdisjoint(_NEGATIONS),
    )


def _words(text: str) -> list[str]:
    return with_digits(plain_words(text))
