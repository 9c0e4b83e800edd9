"""The numbers of one distribution, against hand-worked ones and as properties."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from decoding.core.distribution import Measurement, entropy_bits, measure, varentropy_bits2

NO_FLAGS: list[torch.Tensor] = []


def measured(
    probabilities: list[float],
    token: int,
    sampling: list[float] | None = None,
    top: int = 20,
) -> Measurement:
    logits = torch.tensor(probabilities).log()
    drawn = torch.tensor(probabilities if sampling is None else sampling)
    return measure(logits, drawn, torch.tensor([token]), top, NO_FLAGS)


def test_entropy_by_hand() -> None:
    rows = torch.tensor([[0.5, 0.25, 0.25, 0.0], [0.25] * 4, [1.0, 0.0, 0.0, 0.0]]).log()
    assert entropy_bits(rows).tolist() == pytest.approx([1.5, 2.0, 0.0])


def test_varentropy_by_hand() -> None:
    # surprisals 1, 2, 2 bits around a mean of 1.5: each 0.5 away
    rows = torch.tensor([[0.5, 0.25, 0.25, 0.0], [0.25] * 4, [1.0, 0.0, 0.0, 0.0]]).log()
    assert varentropy_bits2(rows).tolist() == pytest.approx([0.25, 0.0, 0.0])


def test_a_measurement_by_hand() -> None:
    m = measured([0.5, 0.3, 0.15, 0.05], 2, sampling=[0.625, 0.375, 0.0, 0.0], top=2)
    assert (m.token_id, m.rank, m.kept_tokens, m.valid) == (2, 3, 2, True)
    assert m.logprob == pytest.approx(math.log(0.15))
    assert [c[0] for c in m.candidates] == [0, 1, 2]  # the chosen one is added
    assert m.candidates[0][1:] == pytest.approx((0.5, 0.625))
    assert m.chosen == pytest.approx((2, 0.15, 0.0))
    assert m.tail_probability == pytest.approx(0.05)
    assert m.entropy_bits == pytest.approx(-sum(p * math.log2(p) for p in (0.5, 0.3, 0.15, 0.05)))


def test_ties_share_a_rank() -> None:
    assert measured([0.4, 0.2, 0.2, 0.2], 3).rank == 2


def test_flags_travel_in_order() -> None:
    flags = [torch.tensor([True]), torch.tensor([False]), torch.tensor([True])]
    row = torch.zeros(4)
    m = measure(row, torch.softmax(row, -1), torch.tensor([1]), 2, flags)
    assert m.flags == (True, False, True)


def test_large_ids_survive_the_copy() -> None:
    row = torch.zeros(262_144)
    row[262_143] = 30.0
    m = measure(row, torch.softmax(row, -1), torch.tensor([262_143]), 5, NO_FLAGS)
    assert m.token_id == m.candidates[0][0] == 262_143
    assert m.entropy_bits == pytest.approx(0.0, abs=1e-3)
    flat = torch.zeros(262_144)
    m = measure(flat, torch.softmax(flat, -1), torch.tensor([262_143]), 5, NO_FLAGS)
    assert m.entropy_bits == pytest.approx(18.0, rel=1e-5)
    assert m.kept_tokens == 262_144


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_no_distribution_is_told(bad: float) -> None:
    row = torch.full((8,), bad) if bad < 0 else torch.tensor([0.0, bad] + [0.0] * 6)
    m = measure(row, torch.softmax(row, -1), torch.tensor([0]), 3, NO_FLAGS)
    assert not m.valid


logit = st.one_of(st.floats(-60, 60, width=32), st.just(-math.inf))


@settings(max_examples=200)
@given(st.data())
def test_properties(data: st.DataObject) -> None:
    size = data.draw(st.integers(2, 60))
    values = data.draw(st.lists(logit, min_size=size, max_size=size))
    values[data.draw(st.integers(0, size - 1))] = 0.0  # at least one finite
    token = data.draw(st.sampled_from([i for i, v in enumerate(values) if v > -math.inf]))
    top = data.draw(st.integers(1, size))
    row = torch.tensor(values)
    m = measure(row, torch.softmax(row, -1), torch.tensor([token]), top, NO_FLAGS)
    probabilities = [p for _, p, _ in m.candidates]
    assert m.valid
    assert sum(probabilities) + m.tail_probability == pytest.approx(1.0, abs=1e-5)
    assert probabilities == sorted(probabilities, reverse=True)
    assert token in [i for i, _, _ in m.candidates]
    assert top <= len(m.candidates) <= top + 1
    assert m.rank == 1 + sum(v > values[token] for v in values)
    assert 0 <= m.entropy_bits <= math.log2(size) + 1e-4
    assert m.varentropy_bits2 >= 0
    assert all(math.isfinite(x) for x in (m.entropy_bits, m.varentropy_bits2, m.logprob))
    assert m.entropy_bits == pytest.approx(entropy_bits(torch.log_softmax(row, -1)).item())
    varentropy = varentropy_bits2(torch.log_softmax(row, -1)).item()
    assert m.varentropy_bits2 == pytest.approx(varentropy, rel=1e-3, abs=1e-4)
