"""One distribution on its way through the processors, stage by stage; it knows no session."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import Any, cast

import torch
from torch import FloatTensor, LongTensor, Tensor
from transformers import LogitsProcessorList

from decoding.records.step import Candidate

CUT_LISTED = 8
_BITS = 1 / math.log(2)  # in a nat


@dataclass(frozen=True, slots=True)
class Stage:
    """What one processor did to a distribution.

    Attributes:
        name: the processor's class in transformers.
        setting: its field of `GenerationConfig`; `None` for a processor of one's own.
        value: what that field said.
        kept_tokens: vocabulary entries with a probability after it.
        cut_tokens: those that had one before it and have none after it.
        cut_probability: that they had together, before it.
        moved: total variation distance between before and after, in [0, 1].
        entropy_bits: after it.
        probabilities: after it, of an inspection's candidates, in their order.
        cut: the likeliest of the tokens it cut; `probability` is the one before this stage.
    """

    name: str
    setting: str | None
    value: Any
    kept_tokens: int
    cut_tokens: int
    cut_probability: float
    moved: float
    entropy_bits: float
    probabilities: tuple[float, ...]
    cut: tuple[Candidate, ...]


@dataclass(frozen=True, slots=True)
class StageNumbers:
    """A stage's numbers, as `Stage` has them.

    Attributes:
        cut: (token id, probability before the stage), the likeliest first.
    """

    kept_tokens: int
    cut_tokens: int
    cut_probability: float
    moved: float
    entropy_bits: float
    cut: tuple[tuple[int, float], ...]


@dataclass(frozen=True, slots=True)
class Staged:
    """A distribution's way through the processors, in numbers on the host.

    Attributes:
        entropy_bits: of the model's own distribution; not finite where there is none.
        kept_tokens: vocabulary entries with a probability in the end.
        chosen: the token that is taken in the end.
        ranks: of the named and the found tokens, in the model's own distribution.
        found: (token id, probability, probability in the end) of the found tokens.
        token_ids: the favourites, the named and the chosen one, most likely first.
        probabilities: of these; one row for the model and one for each stage.
        stages: one for each processor.
    """

    entropy_bits: float
    kept_tokens: int
    chosen: int
    ranks: dict[int, int]
    found: tuple[tuple[int, float, float], ...]
    token_ids: tuple[int, ...]
    probabilities: tuple[tuple[float, ...], ...]
    stages: tuple[StageNumbers, ...]


Choice = Callable[[Tensor, Tensor], Tensor]


def distributions(
    logits: Tensor, ids: Tensor, processors: LogitsProcessorList
) -> tuple[list[Tensor], Tensor]:
    """The distribution before the first processor and after each, over the full vocabulary.

    Args:
        logits: (vocab_size,) float32, raw; they are left as they are.
        ids: (1, tokens) int64, prompt and new tokens so far.
        processors: called one by one, as `transformers.LogitsProcessorList` does.

    Returns:
        Rows of (1, vocab_size) float32, one more than there are processors; and the scores
        after the last, (1, vocab_size).
    """
    scores = logits.unsqueeze(0)
    rows = [torch.softmax(scores, dim=-1)]
    if processors:  # they may write in place
        scores = scores.clone()
    for processor in processors:
        scores = processor(cast(LongTensor, ids), cast(FloatTensor, scores))
        rows.append(torch.softmax(scores, dim=-1))
    return rows, scores


def measure_stages(
    logits: Tensor,
    ids: Tensor,
    processors: LogitsProcessorList,
    *,
    top: int,
    named: Tensor,
    found: Tensor,
    choose: Choice,
) -> Staged:
    """Takes a distribution through the processors, with one device-to-host copy.

    Args:
        logits: (vocab_size,) float32, raw.
        ids: (1, tokens) int64, prompt and new tokens so far.
        processors: in the order in which they are applied.
        top: how many of the model's favourites are listed.
        named: (tokens,) int64, further tokens to list.
        found: (tokens,) int64, tokens to tell apart from those.
        choose: takes a token, (1,) int64, from the last probabilities and scores, both
            (1, vocab_size).
    """
    rows, scores = distributions(logits, ids, processors)
    chosen = choose(rows[-1], scores)
    favourites = torch.topk(logits, min(top, logits.shape[-1])).indices
    listed = torch.cat([favourites, named, chosen])
    ranked = torch.cat([named, found])
    ranks = (logits > logits[ranked, None]).sum(dim=-1) + 1
    stages = [_stage_row(before, after) for before, after in pairwise(rows)]
    return _read(
        _to_host(
            [
                torch.stack([_entropy_bits(rows[0]), rows[-1].count_nonzero().float()]),
                chosen,
                ranked,
                ranks,
                torch.stack([found, rows[0][0, found], rows[-1][0, found]], dim=-1).flatten(),
                listed,
                *stages,
                *(row[0, listed] for row in rows),
            ]
        )
    )


def draw(probabilities: Tensor, state: Tensor) -> Tensor:
    """The token that a random generator in this state draws, as `decode` would draw it.

    Args:
        probabilities: (1, vocab_size) float32.
        state: of a generator on the same device.

    Returns:
        (1,) int64.
    """
    rng = torch.Generator(probabilities.device)
    rng.set_state(state)
    # To draw from NaN kills CUDA; who reads the numbers is told.
    return torch.multinomial(probabilities.nan_to_num(nan=1.0), 1, generator=rng).view(1)


def _stage_row(before: Tensor, after: Tensor) -> Tensor:
    """A stage's numbers in one row; ids and counts are exact in float32 below 2**24."""
    cut = before.masked_fill(after > 0, 0.0)[0]
    likeliest = torch.topk(cut, min(CUT_LISTED, cut.shape[-1]))
    numbers = [
        after.count_nonzero(),
        cut.count_nonzero(),
        cut.sum(),
        (after - before).abs_().sum() / 2,
        _entropy_bits(after),
    ]
    row = torch.stack([number.float() for number in numbers])
    return torch.cat([row, torch.stack([likeliest.indices, likeliest.values], dim=-1).flatten()])


def _entropy_bits(probabilities: Tensor) -> Tensor:
    bits: Tensor = torch.special.entr(probabilities).sum() * _BITS
    return bits


def _to_host(parts: Sequence[Tensor]) -> list[list[float]]:
    """All parts in one copy; float32 holds ids exactly below 2**24."""
    numbers = iter(torch.cat([part.float() for part in parts]).tolist())
    return [list(islice(numbers, part.numel())) for part in parts]


def _read(parts: list[list[float]]) -> Staged:
    (entropy, kept), (chosen,), ranked, ranks, found, listed, *rest = parts
    rows = rest[len(rest) // 2 :]  # one more than there are stages
    places = _likeliest_first(listed, rows[0])
    return Staged(
        entropy_bits=entropy,
        kept_tokens=int(kept),
        chosen=int(chosen),
        ranks={int(token): int(rank) for token, rank in zip(ranked, ranks, strict=True)},
        found=tuple(
            (int(token), p, q)
            for token, p, q in zip(found[::3], found[1::3], found[2::3], strict=True)
        ),
        token_ids=tuple(int(listed[place]) for place in places),
        probabilities=tuple(tuple(row[place] for place in places) for row in rows),
        stages=tuple(map(_read_stage, rest[: len(rest) // 2])),
    )


def _likeliest_first(listed: list[float], probabilities: list[float]) -> list[int]:
    """Where each token stands for the first time; the favourites' own order is kept."""
    first = {token: place for place, token in reversed(list(enumerate(listed)))}
    return sorted(sorted(first.values()), key=lambda place: -probabilities[place])


def _read_stage(row: list[float]) -> StageNumbers:
    kept, cut_tokens, cut_probability, moved, entropy, *cut = row
    pairs = zip(cut[::2], cut[1::2], strict=True)
    return StageNumbers(
        kept_tokens=int(kept),
        cut_tokens=int(cut_tokens),
        cut_probability=min(1.0, cut_probability),  # rounding may take a sum beyond
        moved=min(1.0, moved),
        entropy_bits=max(0.0, entropy),
        cut=tuple((int(token_id), probability) for token_id, probability in pairs if probability),
    )
