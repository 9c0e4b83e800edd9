"""Several answers to one question, grouped by what they say; it knows texts, not models."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Literal

from decoding.words import FUNCTION_WORDS, plain_word

SampledReason = Literal["eos", "length"]
CacheUse = Literal["repeated", "read_again", "none"]

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


@dataclass(frozen=True, slots=True)
class SampledAnswer:
    """One of several answers that were drawn for the same prompt.

    Attributes:
        index: its row in the batch.
        text: without the token that ended it.
        token_ids: all that were drawn, the end token included.
        logprob: sum over these in the model's own distribution (temperature 1), in nats.
        finish_reason: `"eos"`, or `"length"` where it was cut off.
        inferences: calls of the model's forward for all answers together when this one ended.
        prompt_tokens: prompt tokens fed for all of them together until then.
        cache_use: `"repeated"` where the prompt was read once and its cache repeated,
            `"read_again"` where it was read for each answer, `"none"` where there is no cache
            and every inference reads it.
        seconds: from the begin of the first inference until this one ended.
    """

    index: int
    text: str
    token_ids: tuple[int, ...]
    logprob: float
    finish_reason: SampledReason
    inferences: int
    prompt_tokens: int
    cache_use: CacheUse
    seconds: float = field(compare=False)


@dataclass(frozen=True, slots=True)
class TruthOpinion:
    """What the model says when asked whether an answer is right.

    Attributes:
        probability: p(True) / (p(True) + p(False)).
        mass: p(True) + p(False): how much of the distribution answers the question at all.
        prompt_tokens: fed in its one inference.
        seconds: that it took.
    """

    probability: float
    mass: float
    prompt_tokens: int
    seconds: float = field(compare=False)


@dataclass(frozen=True, slots=True)
class AnswerAgreement:
    """How far sampled answers say what a given one says.

    Attributes:
        groups: of each sampled answer; 0 is the given answer's.
        agreement: share of the sampled answers in group 0.
        semantic_entropy_bits: of the sampled answers' groups, by counts.
        weighted_entropy_bits: the same, by the probabilities of the distinct answers.
    """

    groups: tuple[int, ...]
    agreement: float
    semantic_entropy_bits: float
    weighted_entropy_bits: float


def compare_answers(
    answer: str, samples: Sequence[SampledAnswer], question: str = ""
) -> AnswerAgreement:
    """All that follows from sampled answers beside the given one.

    Args:
        answer: the one that is judged, usually the greedy one.
        samples: at least one.
        question: its words say nothing about the answer.
    """
    first, *groups = group_answers([answer, *(sample.text for sample in samples)], question)
    # An answer drawn twice is one sequence with one probability.
    distinct = {s.token_ids: (g, s.logprob) for s, g in zip(samples, groups, strict=True)}
    drawn, logprobs = zip(*distinct.values(), strict=True)
    return AnswerAgreement(
        groups=tuple(groups),
        agreement=agreement([first, *groups]),
        semantic_entropy_bits=semantic_entropy_bits(groups),
        weighted_entropy_bits=semantic_entropy_bits(drawn, logprobs),
    )


def group_answers(texts: Sequence[str], question: str = "") -> list[int]:
    """Which answers say the same; rules over words, no model judges.

    Of each answer the first sentence counts, and of that the words that neither stand in the
    question nor are function words: casefolded, without accents and punctuation, numbers up to
    99 as digits, each Chinese character as a word. Where none is left, function words count too,
    and then those of the question.
    Two answers are one group where the words of one contain all of the other's and both or
    neither negate. An answer joins the first group whose first answer it matches.

    Two names of one thing are two groups, and a wrong word beside the right one hides in its
    group: Kuhn et al. (2023, https://arxiv.org/abs/2302.09664) let an entailment model judge.

    Args:
        texts: the answers.
        question: what they answer.

    Returns:
        The group of each answer, numbered from 0 as they first occur.
    """
    asked = set(_words(question))
    firsts: list[tuple[frozenset[str], bool]] = []
    groups = []
    for text in texts:
        claim = _claim(text, asked)
        group = next((i for i, first in enumerate(firsts) if _same(first, claim)), len(firsts))
        if group == len(firsts):
            firsts.append(claim)
        groups.append(group)
    return groups


def agreement(groups: Sequence[int]) -> float:
    """Share of the sampled answers that say what the given one says, in [0, 1].

    Source: Wang et al. (2023, https://arxiv.org/abs/2203.11171), who take the most frequent
    answer for the surest.

    Args:
        groups: as of `group_answers`, the given answer's first, then those of the samples.
    """
    given, *sampled = groups
    return sampled.count(given) / len(sampled)


def semantic_entropy_bits(groups: Sequence[int], logprobs: Sequence[float] | None = None) -> float:
    """Entropy over meanings instead of over texts, in bits; 0 where all say the same.

    Source: Kuhn et al. (2023, https://arxiv.org/abs/2302.09664) with `logprobs`; without, the
    discrete form of Farquhar et al. (2024, https://doi.org/10.1038/s41586-024-07421-0).

    Args:
        groups: of the sampled answers.
        logprobs: of each of them, in nats; a group then weighs what its answers' probabilities
            come to, normalised over those given. Each distinct answer is to be given once.
    """
    top = max(logprobs) if logprobs else 0.0  # so that the largest weight is 1 and none is lost
    parts = [1.0] * len(groups) if logprobs is None else [math.exp(p - top) for p in logprobs]
    weights: dict[int, float] = {}
    for group, part in zip(groups, parts, strict=True):
        weights[group] = weights.get(group, 0.0) + part
    total = sum(weights.values())
    shares = [weight / total for weight in weights.values() if weight > 0]
    return max(0.0, -sum(share * math.log2(share) for share in shares))


def sampled_confidence(share: float, *others: float) -> float:
    """One score in [0, 1] of an answer that was sampled again, higher for surer.

    Agreement knows few values, so others break its ties: the mean of it and of their mean.

    Args:
        share: see `agreement`.
        *others: in [0, 1], such as `answer_confidence` of the given answer, or P(True).
    """
    return fmean([share, fmean(others)]) if others else share


def _same(one: tuple[frozenset[str], bool], other: tuple[frozenset[str], bool]) -> bool:
    (words, is_negated), (other_words, is_other_negated) = one, other
    if not words or not other_words:
        return words == other_words
    return is_negated == is_other_negated and (words <= other_words or other_words <= words)


def _claim(text: str, asked: set[str]) -> tuple[frozenset[str], bool]:
    """The words that carry an answer, and whether they are negated."""
    words = set(_words(_first_sentence(text)))
    new = words - asked
    claim = new - FUNCTION_WORDS - _NEGATIONS or new or words
    return frozenset(claim), not words.isdisjoint(_NEGATIONS)


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
