"""The arithmetic of the benchmark that tells a cached inference's growth from an uncached one's."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from decoding import LanguageModel

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

import cache_slope


def test_slope_is_that_of_the_medians() -> None:
    flat = {100: [5.0, 5.0, 90.0], 200: [5.0], 300: [1.0, 5.0, 5.0]}
    assert cache_slope.slope(flat) == pytest.approx(0.0)
    assert cache_slope.slope({100: [1.0], 200: [3.0], 300: [5.0]}) == pytest.approx(0.02)


def test_lengths_are_spread() -> None:
    assert cache_slope.lengths(1000, 6) == [100, 280, 460, 640, 820, 1000]


def test_inferences_come_after_the_length(tiny_lm: LanguageModel) -> None:
    steps = cache_slope.inferences(tiny_lm, list(range(60)), 40, 3)
    assert [step.positions for step in steps] == [41, 42, 43]
    assert [step.other.input_tokens for step in steps] == [41, 42, 43]


def test_a_flat_line_has_no_ratio(capsys: pytest.CaptureFixture[str]) -> None:
    cache_slope.report(0.002, 1.5)
    assert "uncached / cached: 750" in capsys.readouterr().out
    cache_slope.report(-0.001, 1.5)
    assert "did not grow" in capsys.readouterr().out
