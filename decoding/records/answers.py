"""The records of sampled answers: what was drawn, and how far it agrees; plain Python."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

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
