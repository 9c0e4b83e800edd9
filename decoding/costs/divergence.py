"""How far two rows of logits lie from each other."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from decoding.records.errors import LogitsError


def kl_nats(logprobs: Tensor, other: Tensor) -> Tensor:
    """Kullback-Leibler divergence of `other` from `logprobs`.

    Args:
        logprobs: (..., vocab_size) float32, natural log, normalised; -inf allowed.
        other: the same.

    Returns:
        (...) float32 in nats, 0 or more: 0 for equal rows, inf where `other` excludes what
        `logprobs` allows, NaN where a row is no distribution.
    """
    probabilities = logprobs.exp()
    terms = probabilities * (logprobs - other)
    return terms.masked_fill(probabilities == 0, 0.0).sum(dim=-1).clamp(min=0.0)


def largest_difference(logits: Tensor, other: Tensor) -> Tensor:
    """The largest distance between two rows of logits, (..., vocab_size) -> (...)."""
    # Two equal infinities differ by nothing, though not by subtraction.
    return torch.where(logits == other, 0.0, logits - other).abs().amax(dim=-1)


def check_numbers(index: int, *numbers: float) -> None:
    """Raises LogitsError where one is NaN: inference `index` returned no distribution."""
    if any(map(math.isnan, numbers)):
        raise LogitsError(
            f"Inference {index + 1} returned no distribution (NaN): the model does not work in "
            "its number format; load it in float32."
        )
