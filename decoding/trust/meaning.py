"""Which answers to a question say the same, by rules over their words; it knows no models."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from decoding.trust.words import FUNCTION_WORDS, plain_word

# A number with its sign and separators; a Chinese character or Japanese sign, each a word of its
# own, as no space parts them; or a run of other letters.
_TOKEN = re.compile(
    r"(?<!\w)[-−]?\d+(?:[.,]\d+)*"
    r"|[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]"
    r"|[^\W_\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]+(?:['’][^\W_]+)*"
)
# A mark that ends a sentence; not the period of an initial or of a usual abbreviation.
_END = re.compile(r"[。！？\n]|(?<!\b\w)(?<!\b(?:St|Mt|Dr|Mr|Ms|Jr))(?<!\bMrs)[.!?]+(?=\s|$)")
_NEGATIONS = frozenset({"not", "never", "cannot", "isnt", "wasnt", "dont", "不", "沒"})
_UNITS = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
    *("ten", "eleven", "twelve", "thirteen", "fourteen"),
    *("fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_NUMBERS = {word: i for i, word in enumerate(_UNITS)}
_NUMBERS |= {word: 10 * i for i, word in enumerate(_TENS, start=2)}


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
    sentence = _first_sentence(text)
    words = frozenset(_words(sentence))
    new = words - asked
    capitalised = [word for word in _TOKEN.findall(sentence)[1:] if word[0].isupper()]
    return _Claim(
        words=new - FUNCTION_WORDS - _NEGATIONS or new or words,
        names=frozenset(map(_plain, capitalised)) - asked - FUNCTION_WORDS,
        numbers=frozenset(word for word in new if re.fullmatch(r"-?\d+(\.\d+)*", word)),
        is_negated=not words.isdisjoint(_NEGATIONS),
    )


def _first_sentence(text: str) -> str:
    text = text.strip()
    end = _END.search(text)
    return text[: end.start()] if end else text


def _words(text: str) -> list[str]:
    """As they are compared, apostrophes left out, numbers as digits."""
    return _with_digits([_plain(word) for word in _TOKEN.findall(text)])


def _plain(word: str) -> str:
    if word[-1].isdecimal() and word[0] in "-−":
        return "-" + _plain(word[1:])
    return re.sub("['’,]", "", plain_word(word))


def _with_digits(words: list[str]) -> list[str]:
    """Spelled numbers as digits, "twenty-one" as one of them; "one of" is no number."""
    spelled: list[str] = []
    tens = 0
    for i, word in enumerate(words):
        value = None if words[i : i + 2] == ["one", "of"] else _NUMBERS.get(word)
        if tens and value is not None and 0 < value < 10:
            spelled[-1] = str(tens + value)
            tens = 0
            continue
        spelled.append(word if value is None else str(value))
        tens = value if value is not None and word in _TENS else 0
    return spelled
