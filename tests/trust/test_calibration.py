"""Reliability worked out by hand, and temperatures that are known beforehand."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decoding.trust.calibration import answer_temperature, calibrating_temperature, reliability

confidences = st.floats(0, 1)


def some(confidence, right, count):
    return [(confidence, n < right) for n in range(count)]


def answers(temperature, count=20_000):
    """Confidences that are `temperature` times as far from a half as the truth, in logits."""
    drawn = random.Random(5)
    for _ in range(count):
        logit = drawn.gauss(0, 1.5)
        is_right = drawn.random() < 1 / (1 + math.exp(-logit))
        yield 1 / (1 + math.exp(-logit * temperature)), is_right


def test_a_diagram_by_hand():
    found = reliability(some(0.85, 40, 80) + some(0.15, 12, 60))
    assert found.count == 140
    low, high = found.bins[1], found.bins[8]
    assert (low.low, low.high, low.count) == (0.1, 0.2, 60)
    assert (high.count, high.accuracy) == (80, 0.5)
    assert high.confidence == pytest.approx(0.85)
    assert found.ece == pytest.approx((80 * 0.35 + 60 * 0.05) / 140)
    assert [own.count for own in found.bins] == [0, 60, 0, 0, 0, 0, 0, 0, 80, 0]


def test_an_interval_by_hand():
    # Wilson's for 40 of 80, worked out from his formula: (0.5 + 0.024) / 1.048 ± ...
    high = reliability(some(0.85, 40, 80) + some(0.15, 12, 60)).bins[8]
    assert high.accuracy_low == pytest.approx(0.39298, abs=1e-5)
    assert high.accuracy_high == pytest.approx(0.60702, abs=1e-5)


def test_an_interval_stays_between_none_and_all():
    found = reliability(some(0.95, 100, 100) + some(0.05, 0, 100))
    assert found.bins[9].accuracy_high == 1.0
    assert found.bins[9].accuracy_low == pytest.approx(0.963, abs=1e-3)
    assert found.bins[0].accuracy_low == 0.0


def test_the_bounds_belong_to_the_bin_above_and_one_to_the_last():
    found = reliability([(0.0, True), (0.5, True), (1.0, True)], bins=2)
    assert [own.count for own in found.bins] == [1, 2]


def test_below_a_hundred_pairs_there_are_only_counts():
    few, enough = reliability(some(0.5, 50, 99)), reliability(some(0.5, 50, 100))
    assert (few.ece, few.chance_ece, few.bins[5].accuracy) == (None, None, None)
    assert (few.count, few.bins[5].count) == (99, 99)
    assert enough.ece == 0
    assert enough.bins[5].accuracy == 0.5


def test_a_bin_of_few_has_only_a_count_and_still_counts_in_the_error():
    found = reliability(some(0.5, 50, 100) + some(0.95, 0, 9))
    last = found.bins[9]
    assert (last.count, last.confidence, last.accuracy, last.accuracy_low) == (9, None, None, None)
    assert found.ece == pytest.approx(9 * 0.95 / 109)
    assert reliability(some(0.5, 50, 100) + some(0.95, 0, 10)).bins[9].accuracy == 0


def test_chance_makes_the_error_it_is_said_to_make():
    drawn = random.Random(7)
    sizes = [(n + 0.5) / 10 for n in range(10) for _ in range(30)]
    errors = [reliability((p, drawn.random() < p) for p in sizes).ece for _ in range(200)]
    chance = reliability((p, True) for p in sizes).chance_ece
    assert sum(errors) / len(errors) == pytest.approx(chance, rel=0.05)


@pytest.mark.parametrize("confidence", [-0.01, 1.01, math.nan])
def test_what_is_no_confidence_is_refused(confidence):
    with pytest.raises(ValueError, match="between 0 and 1"):
        reliability([(confidence, True)])


def test_no_bins_are_refused():
    with pytest.raises(ValueError, match="at least 1, not 0"):
        reliability([], bins=0)


@given(st.lists(st.tuples(confidences, st.booleans()), max_size=150), st.integers(1, 20))
def test_every_pair_is_in_one_bin_and_the_error_is_a_share(pairs, bins):
    found = reliability(pairs, bins)
    assert sum(own.count for own in found.bins) == found.count == len(pairs)
    assert len(found.bins) == bins
    if found.ece is not None:
        assert 0 <= found.ece <= 1
    for own in found.bins:
        if own.accuracy is not None:
            assert own.low <= own.confidence <= own.high + 1e-12
            assert 0 <= own.accuracy_low <= own.accuracy <= own.accuracy_high <= 1


@pytest.mark.parametrize("best", [0.3, 0.5, 0.93, 1.0, 1.07, 1.4, 2.6, 6.7])
def test_the_lowest_place_is_found_to_a_hundredth(best):
    asked = []

    def losses(temperatures):
        asked.append(list(temperatures))
        return [best / t + math.log(t) for t in temperatures]  # least at t = best

    found = calibrating_temperature(losses, 100)
    assert found.temperature == pytest.approx(best, rel=0.011)
    assert found.loss == best / found.temperature + math.log(found.temperature)
    assert found.loss_at_one == best
    assert found.count == 100
    assert len(asked) == 2


def test_of_too_few_nothing_is_even_measured():
    def losses(_temperatures):
        raise AssertionError("it was asked")

    assert calibrating_temperature(losses, 99) is None


@pytest.mark.parametrize(
    "loss",
    [lambda t: t, lambda t: 1 / t, lambda t: 2.0, lambda t: math.inf],
    ids=["falls to 0.25", "falls to 8", "level", "endless"],
)
def test_without_a_lowest_place_there_is_no_temperature(loss):
    assert calibrating_temperature(lambda ts: [loss(t) for t in ts], 1_000) is None


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_answers_that_are_too_sure_are_known_by_how_much(temperature):
    found = answer_temperature(answers(temperature))
    assert found.temperature == pytest.approx(temperature, rel=0.05)
    assert found.loss <= found.loss_at_one
    assert found.count == 20_000


def test_the_loss_of_answers_by_hand():
    found = answer_temperature(some(0.8, 60, 100))
    assert found.loss_at_one == pytest.approx(-0.6 * math.log(0.8) - 0.4 * math.log(0.2))
    # Right in six of ten: the odds of 4 to 1 have to become 1.5 to 1.
    assert found.temperature == pytest.approx(math.log(4) / math.log(1.5), rel=0.01)
    assert found.loss == pytest.approx(-0.6 * math.log(0.6) - 0.4 * math.log(0.4), abs=1e-4)


def test_answers_of_which_the_model_was_certain_have_a_loss():
    found = answer_temperature(some(1.0, 90, 100) + some(0.0, 10, 100))
    assert found.temperature == pytest.approx(math.log(1e6) / math.log(9), rel=0.02)


def test_few_answers_do_not_tell_a_temperature_from_one():
    few, many = answer_temperature(some(0.8, 75, 100)), answer_temperature(some(0.8, 1500, 2000))
    assert few.temperature == pytest.approx(many.temperature)
    assert (few.differs_from_one, many.differs_from_one) == (False, True)


def test_answers_that_are_too_few_or_no_answers():
    assert answer_temperature(some(0.8, 60, 99)) is None
    assert answer_temperature([]) is None
