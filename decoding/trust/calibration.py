"""How far probabilities can be taken at their word; plain Python, it knows no model."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

Pair = tuple[float, bool]
Losses = Callable[[Sequence[float]], Sequence[float]]

BINS = 10
# Below these an error of ten points would be chance: with 100 right half the time, the interval
# of their share is 19 points wide, with 10 of them 53.
LEAST_PAIRS = 100
LEAST_IN_BIN = 10
Z_95 = 1.959964
# Three to a doubling, 1 among them: so near that a parabola finds the place between them to 1 %.
COARSE = tuple(2.0 ** (third / 3) for third in range(-6, 10))
FINE_STEP, FINE_STEPS = 1.01, 5
# An answer of probability 1 that is wrong has no finite logit.
SUREST = 1 - 1e-6


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """The pairs whose confidence lies between two bounds.

    Attributes:
        low, high: the bounds; the last bin holds its upper one, the others do not.
        count: pairs in it.
        confidence: their mean; `None` where they are too few, as all that follows.
        accuracy: the share of them that was right.
        accuracy_low, accuracy_high: the 95 % interval of that share (Wilson 1927).
    """

    low: float
    high: float
    count: int
    confidence: float | None = None
    accuracy: float | None = None
    accuracy_low: float | None = None
    accuracy_high: float | None = None


@dataclass(frozen=True, slots=True)
class Reliability:
    """How often what was said with some confidence was right.

    Attributes:
        bins: of equal width from 0 to 1, the empty ones included.
        count: pairs in all of them.
        ece: the expected calibration error: the mean over all pairs of the distance between
            their bin's confidence and its accuracy; `None` where the pairs are too few.
        chance_ece: about what that would be had every confidence been the true rate: so many
            pairs in such bins never agree to the last digit; `None` as above.
    """

    bins: tuple[ReliabilityBin, ...]
    count: int
    ece: float | None
    chance_ece: float | None


@dataclass(frozen=True, slots=True)
class CalibratingTemperature:
    """The temperature under which what happened would have been most likely.

    Attributes:
        temperature: above 1 where the model is too sure, below 1 where it is not sure enough;
            found to 1 %.
        loss: the mean negative log-likelihood at that temperature, in nats, measured there.
        loss_at_one: the same as the model is.
        count: tokens or answers that this rests on.
    """

    temperature: float
    loss: float
    loss_at_one: float
    count: int

    @property
    def differs_from_one(self) -> bool:
        """Whether so many tokens or answers tell it from 1, by the likelihood ratio at 5 %."""
        return 2 * self.count * (self.loss_at_one - self.loss) > Z_95**2


def reliability(pairs: Iterable[Pair], bins: int = BINS) -> Reliability:
    """A reliability diagram's numbers (Guo et al. 2017, https://arxiv.org/abs/1706.04599).

    Below 100 pairs nothing but counts is given, nor of a bin with fewer than 10. The error
    counts all pairs, those of such bins too.

    Args:
        pairs: (confidence in [0, 1], whether it was right).
        bins: how many of equal width.

    Raises:
        ValueError: a confidence that is none, or no bins.
    """
    if bins < 1:
        raise ValueError(f"bins must be at least 1, not {bins}")
    sorted_in: list[list[Pair]] = [[] for _ in range(bins)]
    for confidence, is_right in pairs:
        if not 0 <= confidence <= 1:  # nor is NaN
            raise ValueError(f"a confidence lies between 0 and 1, not at {confidence}")
        sorted_in[min(bins - 1, int(confidence * bins))].append((confidence, is_right))
    count = sum(map(len, sorted_in))
    is_enough = count >= LEAST_PAIRS
    return Reliability(
        tuple(_bin(n / bins, (n + 1) / bins, own, is_enough) for n, own in enumerate(sorted_in)),
        count,
        sum(abs(_surplus(own)) for own in sorted_in) / count if is_enough else None,
        sum(map(_chance_surplus, sorted_in)) / count if is_enough else None,
    )


def calibrating_temperature(losses: Losses, count: int) -> CalibratingTemperature | None:
    """The temperature at which the loss is least (Guo et al. 2017, section 4.2).

    Args:
        losses: the mean loss at each of some temperatures; called twice.
        count: tokens or answers behind each of these means.

    Returns:
        `None` where they are fewer than 100, or the loss still falls at 0.25 or at 8.
    """
    if count < LEAST_PAIRS:
        return None
    coarse = list(losses(COARSE))
    best = coarse.index(min(coarse))
    if not all(map(math.isfinite, coarse)) or best in (0, len(coarse) - 1):
        return None
    middle = COARSE[best] * math.exp(_vertex(coarse[best - 1 : best + 2]) * math.log(2) / 3)
    fine = [middle * FINE_STEP**step for step in range(-FINE_STEPS, FINE_STEPS + 1)]
    found = [*zip(coarse, COARSE, strict=True), *zip(losses(fine), fine, strict=True)]
    loss, temperature = min(found)
    return CalibratingTemperature(temperature, loss, coarse[COARSE.index(1.0)], count)


def answer_temperature(pairs: Iterable[Pair]) -> CalibratingTemperature | None:
    """The same for answers: the T of sigmoid(logit(confidence) / T) with the least log loss.

    Args:
        pairs: (confidence in [0, 1], whether it was right); 0 and 1 count as 10⁻⁶ from there.
    """
    odds = [(_logit(confidence), is_right) for confidence, is_right in pairs]

    def loss(temperature: float) -> float:
        return sum(_log_loss(logit / temperature, is_right) for logit, is_right in odds) / len(odds)

    return calibrating_temperature(lambda ts: [loss(t) for t in ts], len(odds))


def _bin(low: float, high: float, pairs: list[Pair], is_enough: bool) -> ReliabilityBin:
    count = len(pairs)
    if not is_enough or count < LEAST_IN_BIN:
        return ReliabilityBin(low, high, count)
    accuracy = sum(is_right for _, is_right in pairs) / count
    confidence = math.fsum(confidence for confidence, _ in pairs) / count
    return ReliabilityBin(low, high, count, confidence, accuracy, *_wilson(accuracy, count))


def _wilson(share: float, count: int) -> tuple[float, float]:
    spread = Z_95**2 / count
    middle = (share + spread / 2) / (1 + spread)
    half = math.sqrt(share * (1 - share) * spread + spread**2 / 4) / (1 + spread)
    return max(0.0, middle - half), min(1.0, middle + half)


def _surplus(pairs: list[Pair]) -> float:
    """How many more were to be right than were."""
    return math.fsum(confidence - is_right for confidence, is_right in pairs)


def _chance_surplus(pairs: list[Pair]) -> float:
    """Mean distance from 0 of that, were each right as often as said; by the normal curve."""
    variance = math.fsum(confidence * (1 - confidence) for confidence, _ in pairs)
    return math.sqrt(2 * variance / math.pi)


def _vertex(losses: Sequence[float]) -> float:
    """Where the parabola through (-1, 0, 1) is least; the middle one is the least of them."""
    before, least, after = losses
    return (before - after) / (2 * (before - 2 * least + after))


def _logit(confidence: float) -> float:
    bounded = min(SUREST, max(1 - SUREST, confidence))
    return math.log(bounded / (1 - bounded))


def _log_loss(logit: float, is_right: bool) -> float:
    towards = logit if is_right else -logit
    return math.log1p(math.exp(-abs(towards))) + max(0.0, -towards)
