"""How sure a model was of what it wrote: signals on steps, each measured from its own run.

Each takes any run of steps: a token, a word, a claim or a whole answer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from decoding.records.step import DecodingStep
from decoding.trust.words import Word, claim_steps, first_sentence, words_of

Steps = Sequence[DecodingStep]
Signal = Callable[[Steps], float]

# Of a claim word's first token, chosen on one half of the labelled questions.
FIRST_WEIGHT = 0.25


def sequence_logprob(steps: Steps) -> float:
    """Logarithm of the probability of all tokens in a row, in nats: the sum of their logprobs."""
    _count(steps)
    return math.fsum(step.logprob for step in steps)


def mean_logprob(steps: Steps) -> float:
    """`sequence_logprob` by token, in nats: long answers are not held to be less sure.

    Source: Malinin and Gales, "Uncertainty Estimation in Autoregressive Structured
    Prediction", 2021 (length-normalised).
    """
    return sequence_logprob(steps) / _count(steps)


def perplexity(steps: Steps) -> float:
    """exp(−`mean_logprob`): 1 for a text without any surprise; infinite for an impossible one."""
    mean = mean_logprob(steps)
    return math.exp(-mean) if mean > -700 else math.inf


def min_probability(steps: Steps) -> float:
    """Of the least likely token, in [0, 1]."""
    _count(steps)
    return min(step.probability for step in steps)


def mean_probability(steps: Steps) -> float:
    """Mean of the tokens' probabilities, in [0, 1]."""
    return math.fsum(step.probability for step in steps) / _count(steps)


def mean_entropy_bits(steps: Steps) -> float:
    """Mean entropy of the distributions that the tokens were chosen from, in bits.

    Source: Kadavath et al., "Language Models (Mostly) Know What They Know", 2022.
    """
    return math.fsum(step.entropy_bits for step in steps) / _count(steps)


def max_entropy_bits(steps: Steps) -> float:
    """Entropy of the least decided distribution, in bits."""
    _count(steps)
    return max(step.entropy_bits for step in steps)


def mean_varentropy_bits2(steps: Steps) -> float:
    """Mean variance of the surprisal under the tokens' distributions, in bits²."""
    return math.fsum(step.varentropy_bits2 for step in steps) / _count(steps)


def max_varentropy_bits2(steps: Steps) -> float:
    """The largest variance of the surprisal, in bits²."""
    _count(steps)
    return max(step.varentropy_bits2 for step in steps)


def margin(step: DecodingStep) -> float:
    """The chosen token's probability less that of the best other one, in [−1, 1]."""
    others = (c.probability for c in step.candidates if c.token_id != step.token_id)
    return step.probability - max(others, default=0.0)


def min_margin(steps: Steps) -> float:
    """The least margin between a chosen token and the best other one."""
    _count(steps)
    return min(margin(step) for step in steps)


def mean_margin(steps: Steps) -> float:
    """Mean of the margins."""
    return math.fsum(margin(step) for step in steps) / _count(steps)


def mean_rank(steps: Steps) -> float:
    """Mean rank of the chosen tokens; 1 in greedy decoding."""
    return math.fsum(step.rank for step in steps) / _count(steps)


def _count(steps: Steps) -> int:
    if not steps:
        raise ValueError("A signal needs one step or more.")
    return len(steps)


def word_confidence(steps: Steps) -> float:
    """How sure the model was of one word, in [0, 1]; higher is surer.

    The product of its tokens' probabilities, the first one's to the power of `FIRST_WEIGHT`: the
    first token chooses among words, which may all be right; the others spell what was chosen,
    and a model that knows a name spells it without doubt.
    """
    _count(steps)
    rest = math.fsum(step.logprob for step in steps[1:])
    return math.exp(FIRST_WEIGHT * steps[0].logprob + rest)


def answer_confidence(steps: Steps) -> float:
    """How sure the model was of its answer, in [0, 1]; higher is surer.

    The probability of the first sentence, in which claim words count as in `word_confidence`
    and the others wholly: they tell whether a sentence keeps to the question or goes astray. The
    opening word counts for nothing where a claim follows, as there are many ways to begin, nor
    does the end token. The sum of n words' log-probabilities is divided by √n, between the
    probability of the whole, which holds length against an answer, and the mean, which forgives
    one wrong word among many. The best of the signals that need no further inference, by
    `python -m decoding evaluate`.
    """
    sentence = [step for step in first_sentence(steps) if not step.is_special]
    if not sentence:
        return word_confidence(steps)
    words = words_of(sentence)
    kept = words[1:] if any(word.kind == "claim" for word in words[1:]) else words
    total = math.fsum(_weighed_logprob(word, sentence) for word in kept)
    return math.exp(total / math.sqrt(len(kept)))


def _weighed_logprob(word: Word, steps: Steps) -> float:
    own = steps[word.start : word.end]
    weight = FIRST_WEIGHT if word.kind == "claim" else 1.0
    return weight * own[0].logprob + math.fsum(step.logprob for step in own[1:])


def _of_claim(signal: Signal) -> Signal:
    return lambda steps: signal(claim_steps(steps))


def _less(signal: Signal) -> Signal:
    return lambda steps: -signal(steps)


SIGNALS: dict[str, Signal] = {
    "answer_confidence": answer_confidence,
    "sequence_logprob": sequence_logprob,
    "mean_logprob": mean_logprob,
    "min_probability": min_probability,
    "mean_probability": mean_probability,
    "mean_entropy": _less(mean_entropy_bits),
    "max_entropy": _less(max_entropy_bits),
    "mean_varentropy": _less(mean_varentropy_bits2),
    "max_varentropy": _less(max_varentropy_bits2),
    "min_margin": min_margin,
    "mean_margin": mean_margin,
    "mean_rank": _less(mean_rank),
    "claim_logprob": _of_claim(sequence_logprob),
    "claim_mean_logprob": _of_claim(mean_logprob),
    "claim_min_probability": _of_claim(min_probability),
    "claim_max_entropy": _less(_of_claim(max_entropy_bits)),
}
