"""Cache sizes are those of the tensors themselves."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import torch

from decoding import LanguageModel, decode
from decoding.kv_cache import kv_cache_size

GetLM = Callable[[str], LanguageModel]


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
