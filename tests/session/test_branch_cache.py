"""The cache of a session: what is reused, what is read again and why, what is held."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import pytest
import torch
from tiny import byte_tokenizer, tiny_model

from decoding import DecodingSession, LanguageModel, Restoration, cache_settings

PROMPT = "The sea is"
GetLM = Callable[[str], LanguageModel]


def session(lm: LanguageModel, **choices: Any) -> DecodingSession:
    settings = {"seed": 3, "do_sample": True, "suppress_tokens": [256], "max_new_tokens": 60}
    return DecodingSession(lm, PROMPT, **{**settings, **choices})


def last_restoration(run: DecodingSession) -> tuple[int, int, int, str | None]:
    note: Restoration = run.tree.branches[run.branch].restorations[-1]
    assert note.seconds > 0
    return note.index, note.reused_positions, note.fed_tokens, note.reason


def fed(monkeypatch: pytest.MonkeyPatch, lm: LanguageModel) -> list[int]:
    """Grows by the tokens of each inference."""
    calls: list[int] = []
    hook = lm.model.register_forward_pre_hook(
        lambda module, args, kwargs: calls.append(kwargs["input_ids"].shape[1]), with_kwargs=True
    )
    monkeypatch.setattr(lm, "unhook", hook.remove, raising=False)
    return calls


@pytest.fixture
def own_lm() -> LanguageModel:
    return LanguageModel(tiny_model("llama"), byte_tokenizer(), name="own")


@pytest.mark.parametrize(
    ("family", "kind", "reason"),
    [
        ("llama", "dynamic", None),
        ("gpt2", "dynamic", None),
        ("deepseek_v3", "dynamic", None),
        ("gemma4_text", "dynamic", "sliding"),
        ("mistral", "dynamic", "sliding"),
        ("mamba", "dynamic", "state"),
        ("rwkv", "dynamic", "state"),
        ("jamba", "dynamic", "state"),
        ("minimax", "dynamic", "state"),
        ("lfm2", "dynamic", "state"),
        ("deepseek_v32", "dynamic", "unknown"),
        ("llama", "quantized", "quantized"),
        ("llama", "static", "static"),
    ],
)
def test_what_a_fork_reuses(tiny_lms: GetLM, family: str, kind: str, reason: str | None) -> None:
    lm = tiny_lms(family)
    run = session(lm, **cache_settings(kind, lm))
    list(run.run(20))
    step = run.fork(12, 65)
    positions = len(PROMPT) + 11
    expected = (12, positions, 0, None) if reason is None else (12, 0, positions, reason)
    assert last_restoration(run) == expected
    assert (step.phase, step.input_tokens) == ("decode", 1)
    assert step.kv_cache is None or step.kv_cache.tokens == positions + 1
    run.rewind(0)
    first = run.step()
    if reason is None:
        assert (first.phase, first.input_tokens) == ("decode", 1)
        assert last_restoration(run) == (0, len(PROMPT) - 1, 0, None)
    else:  # then the prompt is read in that inference
        assert (first.phase, first.input_tokens) == ("prefill", len(PROMPT))
        assert last_restoration(run) == (0, 0, 0, reason)


def test_without_a_cache_there_is_nothing_to_restore(tiny_lm: LanguageModel) -> None:
    run = session(tiny_lm, use_cache=False)
    list(run.run(8))
    step = run.fork(4, 65)
    assert step.input_tokens == len(PROMPT) + 4
    assert run.tree.branches[1].restorations == []
    assert (run.cache, step.kv_cache) == (None, None)


def test_a_window_that_never_filled_is_cropped() -> None:
    lm = LanguageModel(tiny_model("mistral", sliding_window=32), byte_tokenizer())
    run = session(lm)
    list(run.run(15))
    run.fork(9, 65)
    assert last_restoration(run) == (9, len(PROMPT) + 8, 0, None)
    list(run.run())
    run.fork(9, 66)
    assert last_restoration(run)[-1] == "sliding"


def test_what_was_parked_is_put_back(
    own_lm: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = session(own_lm)
    list(run.run(30))
    run.fork(10, 65)
    list(run.run(5))
    calls = fed(monkeypatch, own_lm)
    run.move(0)
    run.step()
    assert calls == [1]
    assert last_restoration(run) == (30, len(PROMPT) + 29, 0, None)
    run.move(1)
    run.step()
    assert calls == [1, 1]
    own_lm.unhook()


def test_what_another_branch_left_is_read_again(own_lm: LanguageModel) -> None:
    run = session(own_lm)
    list(run.run(30))
    run.fork(0, 65)  # parks more than the cache has ever held, once the next is parked too
    list(run.run(30))
    run.fork(0, 66)
    chunks: list[tuple[int, int]] = []
    run.on_prefill = lambda done, total: chunks.append((done, total))
    run.move(0)
    run.step()
    kept = len(PROMPT)  # of which all but the first token's own position are shared
    assert last_restoration(run) == (30, kept, 29, "other_branch")
    assert chunks == [(29, 29)]


def test_a_shared_beginning_is_reused_whatever_the_branch(tiny_lm: LanguageModel) -> None:
    run = session(tiny_lm)
    ids = [step.token_id for step in run.run(20)]
    run.fork(5, ids[5])  # another branch by number, the same one by its tokens
    list(run.run(4))
    run.move(0, 9)
    run.step()
    assert last_restoration(run)[1:] == (len(PROMPT) + 8, 0, None)


def test_the_bytes_are_those_of_the_tensors_that_are_alive(own_lm: LanguageModel) -> None:
    run = session(own_lm)
    list(run.run(40))
    position = own_lm.kv_bytes_per_token
    assert position is not None
    for at in (30, 20, 10, 35, 25):
        run.move(0)
        run.fork(at, 65)
        list(run.run(3))
    gc.collect()
    weights = {p.untyped_storage().data_ptr() for p in own_lm.model.parameters()}
    alive: dict[int, int] = {}
    for thing in gc.get_objects():
        if type(thing) is torch.Tensor and thing.dim() == 4 and thing.is_inference():
            storage = thing.untyped_storage()
            if storage.data_ptr() not in weights:
                alive[storage.data_ptr()] = storage.nbytes()
    assert run.places.reader.cache.held_bytes == sum(alive.values())
    most = (len(PROMPT) + 39) * position
    assert most < run.places.reader.cache.held_bytes <= 2 * most + 10 * position


def test_an_aside_shares_what_is_there(own_lm: LanguageModel) -> None:
    run = session(own_lm)
    list(run.run(20))
    before = run.held_bytes
    run.places.logits.clear()
    run.places.logits_at(0, 7)
    assert run.held_bytes == before - 19 * 260 * 4
    assert run.tree.branches[0].restorations == []


def test_two_sessions_of_a_model_that_keeps_its_state_in_itself(tiny_lms: GetLM) -> None:
    lm = tiny_lms("recurrent_gemma")
    ids = [step.token_id for step in session(lm).run(8)]
    one, other = session(lm), session(lm, seed=4)
    taken = []
    for _ in range(4):
        taken += [one.step().token_id]
        other.step()
    taken += [step.token_id for step in one.run(4)]
    assert taken == ids
    assert [r.reason for r in one.tree.branches[0].restorations] == ["evicted"] * 4


@pytest.mark.parametrize(("family", "reason"), [("llama", None), ("mistral", "sliding")])
def test_what_an_aside_tells(tiny_lms: GetLM, family: str, reason: str | None) -> None:
    run = session(tiny_lms(family))
    _, again = run.places.logits_at(0, 0)
    assert again is not None
    assert (again.reused_positions, again.fed_tokens, again.reason) == (0, 0, None)
    list(run.run(9))
    run.places.logits.clear()
    _, again = run.places.logits_at(0, 5)
    assert again is not None
    positions = len(PROMPT) + 4
    told = (again.reused_positions, again.fed_tokens, again.reason)
    assert told == ((positions, 0, None) if reason is None else (0, positions, reason))


def test_who_looks_around_after_an_eviction_reads_once(
    own_lm: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = session(own_lm)
    ids = [step.token_id for step in run.run(20)]
    run.free()
    calls = fed(monkeypatch, own_lm)
    told = []
    for index in (15, 7, 0, 12):
        again = run.places.logits_at(0, index)[1]
        assert again is not None
        told.append((again.reused_positions, again.fed_tokens, again.reason))
    own_lm.unhook()
    prompt = len(PROMPT)
    assert told == [
        (0, prompt + 14, "evicted"),
        (prompt + 6, 0, None),
        (prompt - 1, 0, None),
        (prompt + 11, 0, None),
    ]
    assert calls == [prompt + 14, 1, 1, 1, 1]
    assert (run.branch, run.position) == (0, 20)
    run.step()
    assert last_restoration(run) == (20, prompt + 15, 4, "evicted")
    expected = session(own_lm)
    assert [s.token_id for s in expected.run(21)] == [s.token_id for s in run.path()]
    assert [s.token_id for s in run.path()[:20]] == ids


def test_after_it_the_cache_stays_as_it_is(own_lm: LanguageModel) -> None:
    run = session(own_lm)
    list(run.run(20))
    run.free()
    run.places.logits_at(0, 15)
    run.step()
    cache = run.cache
    run.places.logits.clear()
    run.places.logits_at(0, 5)
    assert run.cache == cache
    run.step()
    assert len(run.tree.branches[0].restorations) == 1


def test_few_parts_are_parked(own_lm: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("decoding.session.parked.MAX_PARKED", 3)
    run = session(own_lm)
    list(run.run(40))
    for token in (*range(65, 75), 74, 74):
        run.fork(35, token)
        run.step()
    cache = run.places.reader.cache
    assert [part.ids[-1] for part in cache._parked._parts] == [72, 73, 74]
    before = cache.held_bytes
    run.free()
    assert (before > 0, cache.held_bytes) == (True, 0)
