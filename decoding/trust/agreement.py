"""How far several answers to one question agree, in numbers; it knows groups, not models."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Literal

from decoding.trust.meaning import group_answers

SampledReason = Literal["eos", "length"]
CacheUse = Literal["repeated", "read_again", "none"]


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
