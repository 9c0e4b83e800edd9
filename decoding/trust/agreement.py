"""How far several answers to one question agree, in numbers; it knows groups, not models."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean

from decoding.records.answers import AnswerAgreement, SampledAnswer
from decoding.trust.meaning import group_answers


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
