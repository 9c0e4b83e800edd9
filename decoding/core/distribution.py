"""One row of logits -> the numbers of a step; it knows the vocabulary only by index."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

_NO_SURPRISAL_ABOVE = 200.0  # nats; float32 probabilities are 0 long before, and 0 * inf is NaN
_FIELDS = 6
_GROUP = 64
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


def measure_rows(logits: Tensor, token_ids: Tensor, top_candidates: int) -> list[Measurement]:
    """The same for several inferences at once, of which nothing was drawn.

    Args:
        logits: (rows, vocab_size) float32, raw; they are written over.
        token_ids: (rows,) int64, the token that each row is about.
        top_candidates: favourites to list; the token is added when not among them.

    Returns:
        A measurement of each row, its sampling probabilities the probabilities.
    """
    size = logits.shape[-1]
    own = logits.gather(1, token_ids[:, None])
    rank = torch.count_nonzero(logits > own, dim=-1)[:, None] + 1
    listed = torch.cat([_top(logits, min(top_candidates, size)), token_ids[:, None]], dim=-1)
    logprobs = torch.log_softmax(logits, dim=-1)
    own = logprobs.gather(1, token_ids[:, None])
    candidates = logprobs.gather(1, listed).exp()
    probabilities = torch.exp(logprobs, out=logits)
    surprisal = logprobs.clamp_(min=-_NO_SURPRISAL_ABOVE).neg_()
    entropy = torch.linalg.vecdot(probabilities, surprisal)[:, None]
    surprisal.sub_(entropy).square_()
    varentropy = torch.linalg.vecdot(probabilities, surprisal)[:, None]
    kept = torch.full_like(rank, size)
    scalars = [token_ids[:, None], own, rank, entropy, varentropy, kept]
    parts = [*scalars, listed, candidates, candidates]
    packed = torch.cat([part.float() for part in parts], dim=-1).tolist()
    return [_unpack(row, listed.shape[-1], 0) for row in packed]


def _top(logits: Tensor, count: int) -> Tensor:
    """The `count` largest of each row by index, the largest first.

    The row is looked at in groups first: the largest are among those groups whose own largest
    are, which takes a fraction of the time.
    """
    rows, size = logits.shape
    groups = size // _GROUP
    if groups <= count:
        return torch.topk(logits, count).indices
    whole = logits[:, : groups * _GROUP].view(rows, groups, _GROUP)
    best = torch.topk(whole.amax(dim=-1), count).indices  # (rows, count)
    places = (best[:, :, None] * _GROUP + torch.arange(_GROUP, device=logits.device)).flatten(1)
    rest = torch.arange(groups * _GROUP, size, device=logits.device).expand(rows, -1)
    places = torch.cat([places, rest], dim=-1)
    return places.gather(1, torch.topk(logits.gather(1, places), count).indices)


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
