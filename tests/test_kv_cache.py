"""Cache sizes are those of the tensors themselves."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch
from conftest import FAMILIES

from decoding import LanguageModel, decode, inference
from decoding.kv_cache import kv_cache_size

GetLM = Callable[[str], LanguageModel]
ATTENTION_ONLY = [f for f in FAMILIES if f not in ("mamba", "jamba", "qwen3_next")]
WINDOWED = {"gemma2", "gemma3_text", "mistral"}


@pytest.mark.parametrize("family", FAMILIES)
def test_bytes_are_the_sum_over_the_tensors(
    tiny_lms: GetLM, family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lm = tiny_lms(family)
    by_hand: list[list[int]] = []
    measure = inference.kv_cache_size

    def watching(cache, fed):  # type: ignore[no-untyped-def]
        by_hand.append([_named_tensor_bytes(layer) for layer in cache.layers])
        return measure(cache, fed)

    monkeypatch.setattr(inference, "kv_cache_size", watching)
    steps = list(decode(lm, "a prompt of some length", max_new_tokens=12, suppress_tokens=[256]))
    assert [list(s.kv_cache.layer_bytes) for s in steps if s.kv_cache] == by_hand
    assert [s.kv_cache.tokens for s in steps if s.kv_cache] == list(range(23, 35))
    assert all(sum(row) > 0 for row in by_hand)
    if family in ATTENTION_ONLY and family not in WINDOWED:
        assert [s.kv_cache.bytes for s in steps if s.kv_cache] == [
            tokens * lm.kv_bytes_per_token for tokens in range(23, 35)
        ]


def _named_tensor_bytes(layer) -> int:  # type: ignore[no-untyped-def]
    """The tensors by the names that transformers gives them."""
    held = [getattr(layer, name, None) for name in ("keys", "values")]
    for name in ("conv_states", "recurrent_states"):
        held += list((getattr(layer, name, None) or {}).values())
    return sum(t.nbytes for t in held if t is not None)


def test_a_sliding_window_stops_growing_in_bytes_but_not_in_positions(tiny_lms: GetLM) -> None:
    lm = tiny_lms("mistral")
    steps = list(decode(lm, "abcdefgh", max_new_tokens=6, suppress_tokens=[256]))
    sizes = [s.kv_cache for s in steps if s.kv_cache]
    assert [s.tokens for s in sizes] == list(range(8, 14))
    assert len({s.bytes for s in sizes}) == 1
    assert sizes[0].bytes == (6 - 1) * 3 * 2 * 2 * 8 * 4  # window − 1 positions are kept


def test_a_state_without_layers() -> None:
    state = SimpleNamespace(
        a=torch.zeros(2, 3), b={0: [torch.zeros(5, dtype=torch.bfloat16)]}, c=torch.tensor(7), d="x"
    )
    state.again = state.a
    size = kv_cache_size(state, 11)
    assert (size.tokens, size.bytes, size.layer_bytes) == (11, 34, (34,))
