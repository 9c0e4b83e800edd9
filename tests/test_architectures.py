"""What holds for each architecture: the cache's bytes, the formula, generate's ids."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from conftest import FAMILIES
from torch import Tensor

from decoding import LanguageModel, decode, inference

GetLM = Callable[[str], LanguageModel]
PROMPT = "a prompt of some length"


@pytest.mark.parametrize("family", FAMILIES)
def test_bytes_are_the_sum_over_the_tensors(
    tiny_lms: GetLM, family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lm = tiny_lms(family)
    by_hand: list[list[int]] = []
    measure = inference.kv_cache_size

    def watching(cache: Any, fed: int) -> Any:
        by_hand.append(layer_bytes(cache))
        return measure(cache, fed)

    monkeypatch.setattr(inference, "kv_cache_size", watching)
    steps = list(decode(lm, PROMPT, max_new_tokens=12, suppress_tokens=[256]))
    assert [list(s.kv_cache.layer_bytes) for s in steps if s.kv_cache] == by_hand
    assert [s.kv_cache.tokens for s in steps if s.kv_cache] == list(range(23, 35))
    assert all(sum(row) > 0 for row in by_hand)


def layer_bytes(cache: Any) -> list[int]:
    """By the names that transformers gives the tensors."""
    if isinstance(cache, list):  # rwkv
        return [_bytes(cache)]
    if hasattr(cache, "rnn_state"):  # xlstm
        states = [part for layer in cache.rnn_state.values() for part in layer]
        return [_bytes([*states, cache.seqlen_offset])]
    held = []
    for layer in cache.layers:
        tensors = [getattr(layer, name, None) for name in ("keys", "values")]
        for name in ("conv_states", "recurrent_states"):
            tensors += list((getattr(layer, name, None) or {}).values())
        held.append(_bytes(tensors))
    for index, state in enumerate(getattr(cache, "linear_cache", [])):  # minimax
        held += [0] * (index + 1 - len(held))
        held[index] += _bytes([state])
    return held


def _bytes(tensors: list[Any]) -> int:
    return sum(t.numel() * t.element_size() for t in tensors if isinstance(t, Tensor))


@pytest.mark.parametrize("family", FAMILIES)
def test_bytes_are_the_formulas_where_it_applies(tiny_lms: GetLM, family: str) -> None:
    lm = tiny_lms(family)
    steps = list(decode(lm, PROMPT, max_new_tokens=12, suppress_tokens=[256]))
    sizes = [s.kv_cache for s in steps if s.kv_cache]
    assert len(sizes) == 12
    if lm.kv_cache_formula is not None:
        assert [s.bytes for s in sizes] == [s.tokens * lm.kv_bytes_per_token for s in sizes]
