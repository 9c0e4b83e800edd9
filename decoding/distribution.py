"""One row of logits -> the numbers of a step; it knows the vocabulary only by index."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

_NO_SURPRISAL_ABOVE = 200.0  # nats; float32 probabilities are 0 long before, and 0 * inf is NaN
_FIELDS = 6
_BITS = 1 / math.log(2)  # in a nat


def entropy_bits(logprobs: Tensor) -> Tensor:
    """Shannon entropy of next-token distributions.

    Args:
        logprobs: (..., vocab_size) float32, natural log, normalised; -inf allowed.

    Returns:
        (...) float32 in bits: 0 for a one-hot row, log2(vocab_size) for a uniform one.
    """
    surprisal = _surprisal_bits(logprobs)
    return (logprobs.exp() * surprisal).sum(dim=-1)


def varentropy_bits2(logprobs: Tensor) -> Tensor:
    """Variance of the surprisal of next-token distributions.

    Args:
        logprobs: (..., vocab_size) float32, natural log, normalised; -inf allowed.

    Returns:
        (...) float32 in bits²: 0 for a uniform row and for a one-hot one.
    """
    surprisal = _surprisal_bits(logprobs)
    probabilities = logprobs.exp()
    mean = (probabilities * surprisal).sum(dim=-1, keepdim=True)
    return (probabilities * (surprisal - mean).square()).sum(dim=-1)


def _surprisal_bits(logprobs: Tensor) -> Tensor:
    return -logprobs.clamp(min=-_NO_SURPRISAL_ABOVE) * _BITS


@dataclass(frozen=True, slots=True)
class Measurement:
    """The numbers of one inference, on the host; see `DecodingStep` for units.

    Attributes:
        valid: whether logits and scores were distributions (no NaN, some finite entry).
        candidates: (token id, probability, sampling probability), most likely first.
        flags: the extra flags that were handed to `measure`, in their order.
    """

    valid: bool
    token_id: int
    logprob: float
    rank: int
    entropy_bits: float
    varentropy_bits2: float
    kept_tokens: int
    candidates: tuple[tuple[int, float, float], ...]
    flags: tuple[bool, ...]

    @property
    def chosen(self) -> tuple[int, float, float]:
        """The chosen token's own entry among the candidates."""
        return next(entry for entry in self.candidates if entry[0] == self.token_id)

    @property
    def tail_probability(self) -> float:
        """1 − the candidates' probabilities; rounding never takes it below 0."""
        return max(0.0, 1.0 - math.fsum(probability for _, probability, _ in self.candidates))


def measure(
    logits: Tensor,
    sampling_probabilities: Tensor,
    token_id: Tensor,
    top_candidates: int,
    flags: list[Tensor],
) -> Measurement:
    """Reduces one inference to its numbers with one device-to-host copy.

    Args:
        logits: (vocab_size,) float32, raw.
        sampling_probabilities: (vocab_size,) float32, what the token was drawn from.
        token_id: (1,) int64, the chosen token.
        top_candidates: favourites to list; the chosen token is added when not among them.
        flags: one-element tensors to bring along in the same copy.

    Returns:
        The measurement. Token ids travel as float32, exact below 2**24.
    """
    logprobs = torch.log_softmax(logits, dim=-1)
    probabilities = logprobs.exp()
    top = torch.topk(logits, min(top_candidates, logits.shape[-1])).indices
    listed = torch.cat([top, token_id])
    chosen_logprob = logprobs[token_id]
    # In place and in nats from here on: each pass over the vocabulary is paid for.
    surprisal = logprobs.clamp_(min=-_NO_SURPRISAL_ABOVE).neg_()
    entropy = (probabilities * surprisal).sum()
    varentropy = surprisal.sub_(entropy).square_().mul_(probabilities).sum()
    scalars = [
        token_id,
        chosen_logprob,
        (logits > logits[token_id]).count_nonzero().view(1) + 1,
        entropy.view(1),
        varentropy.view(1),
        sampling_probabilities.count_nonzero().view(1),
    ]
    rows = [listed, probabilities[listed], sampling_probabilities[listed]]
    extra = [flag.view(1) for flag in flags]
    packed = torch.cat([part.float() for part in (*scalars, *rows, *extra)]).tolist()
    return _unpack(packed, len(listed), len(extra))


def _unpack(packed: list[float], listed: int, flags: int) -> Measurement:
    token_id, logprob, rank, entropy, varentropy, kept = packed[:_FIELDS]
    ids, probabilities, sampling = (
        packed[_FIELDS + listed * row : _FIELDS + listed * (row + 1)] for row in range(3)
    )
    # One NaN or +inf among the logits or the scores makes its whole row NaN.
    valid = math.isfinite(entropy) and math.isfinite(sampling[-1])
    candidates = [(int(i), p, q) for i, p, q in zip(ids, probabilities, sampling, strict=True)]
    if any(entry[0] == int(token_id) for entry in candidates[:-1]):
        candidates.pop()
    return Measurement(
        valid=valid,
        token_id=int(token_id),
        logprob=logprob,
        rank=int(rank),
        entropy_bits=entropy * _BITS,
        varentropy_bits2=varentropy * _BITS**2,
        kept_tokens=int(kept),
        candidates=tuple(candidates),
        flags=tuple(flag > 0 for flag in packed[len(packed) - flags :]),
    )
