"""Cache sizes are those of the tensors themselves."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import torch
from transformers.cache_utils import DynamicLayer

from decoding import LanguageModel, decode
from decoding.memory.kv_cache import held_bytes, kv_cache_size, storage_bytes, stored_positions

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


def test_the_positions_that_each_layer_stores(tiny_lms: GetLM) -> None:
    stored = {}
    for family in ("llama", "gemma3_text", "qwen3_next", "gemma3n_text", "minimax"):
        step = next(decode(tiny_lms(family), [97] * 20, max_new_tokens=1))
        assert step.kv_cache is not None
        assert len(step.kv_cache.layer_tokens) == len(step.kv_cache.layer_bytes)
        stored[family] = step.kv_cache.layer_tokens
    assert stored == {
        "llama": (20, 20, 20),
        "gemma3_text": (5, 5, 5, 5, 5, 20),
        "qwen3_next": (None, None, None, 20),
        "gemma3n_text": (5, 20, 5, 20, None, None),
        "minimax": (None, 20, None),
    }


def test_a_quantized_cache_counts_its_positions_and_a_static_one_its_room(
    tiny_lm: LanguageModel,
) -> None:
    def sizes(**kwargs: object) -> list[tuple[int, tuple[int | None, ...], int]]:
        steps = decode(tiny_lm, [97] * 20, max_new_tokens=3, suppress_tokens=[256], **kwargs)
        caches = [step.kv_cache for step in steps if step.kv_cache]
        return [(cache.tokens, cache.layer_tokens, cache.bytes) for cache in caches]

    heads = 3 * 2 * 2 * 8  # layers, keys and values, heads, head size
    packed = sizes(cache_implementation="quantized", cache_config={"backend": "fp8"})
    assert packed == [(n, (n,) * 3, heads * n) for n in (20, 21, 22)]
    [(tokens, room, held), *_] = static = sizes(cache_implementation="static")
    assert [size[0] for size in static] == [20, 21, 22]
    assert (tokens, held) == (20, heads * 4 * (room[0] or 0))
    assert room[0] is not None
    assert room[0] >= 22
    assert len({size[1:] for size in static}) == 1


def test_a_layer_that_holds_nothing_yet() -> None:
    layer = DynamicLayer()
    assert stored_positions(layer) is None
    layer.keys = torch.tensor([])
    assert stored_positions(layer) == 0
    assert stored_positions(None) is None


def test_a_view_keeps_all_that_it_is_a_view_of() -> None:
    whole = torch.zeros(10, 4)
    part = whole[:3]
    assert held_bytes([part]) == 48
    assert storage_bytes([part, [whole], torch.zeros(2)]) == 160 + 8
