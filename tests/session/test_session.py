"""A session: what an undisturbed run gives, and what each operation does to the tree."""

from __future__ import annotations

import functools
import gc
import pickle
import time
import tracemalloc
import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from threading import Thread
from typing import Any

import pytest
import torch
from tiny import byte_tokenizer, tiny_model

from decoding import (
    ContextLengthError,
    DecodingSession,
    DecodingStep,
    GenerationConfigError,
    LanguageModel,
    LogitsError,
    PromptError,
    SessionError,
    cache_settings,
    decode,
)

PROMPT = "The capital of Armenia"
NO_EOS: dict[str, Any] = {"suppress_tokens": [256]}
SAMPLED: dict[str, Any] = {**NO_EOS, "do_sample": True, "top_k": 40, "temperature": 1.3}
GetLM = Callable[[str], LanguageModel]


def session(lm: LanguageModel, **choices: Any) -> DecodingSession:
    return DecodingSession(lm, PROMPT, **{"seed": 3, "max_new_tokens": 20, **SAMPLED, **choices})


def ids_of(steps: Iterator[DecodingStep] | list[DecodingStep]) -> list[int]:
    return [step.token_id for step in steps]


def timeless(step: DecodingStep) -> DecodingStep:
    return replace(step, seconds=0.0, memory=None)


@pytest.mark.parametrize("family", ["llama", "mistral", "mamba", "qwen3_next"])
@pytest.mark.parametrize("settings", [SAMPLED, {**NO_EOS, "do_sample": False}], ids=["draw", "max"])
@pytest.mark.parametrize("use_cache", [True, False])
def test_an_undisturbed_run_is_that_of_decode(
    tiny_lms: GetLM, family: str, settings: dict[str, Any], use_cache: bool
) -> None:
    choices = {"seed": 3, "max_new_tokens": 12, "use_cache": use_cache, **settings}
    expected = [timeless(s) for s in decode(tiny_lms(family), PROMPT, **choices)]
    run = DecodingSession(tiny_lms(family), PROMPT, **choices)
    assert [timeless(s) for s in run.run()] == expected
    assert run.tree.branches[0].restorations == []


@pytest.mark.parametrize("kind", ["static", "quantized"])
def test_an_undisturbed_run_with_another_cache(tiny_lm: LanguageModel, kind: str) -> None:
    choices = {"seed": 3, "max_new_tokens": 12, **SAMPLED, **cache_settings(kind, tiny_lm)}
    expected = [timeless(s) for s in decode(tiny_lm, PROMPT, **choices)]
    assert [timeless(s) for s in DecodingSession(tiny_lm, PROMPT, **choices).run()] == expected


@pytest.mark.default_model
def test_an_undisturbed_run_is_that_of_generate(default_lm: LanguageModel) -> None:
    ids = default_lm.tokenizer("The sea is")["input_ids"]
    choices: dict[str, Any] = {"do_sample": True, "temperature": 0.9, "max_new_tokens": 24}
    torch.manual_seed(8)
    x = torch.tensor([ids])
    out = default_lm.model.generate(x, attention_mask=torch.ones_like(x), **choices)
    run = DecodingSession(default_lm, "The sea is", seed=8, **choices)
    expected = out[0, len(ids) :].tolist()
    assert ids_of(run.run()) == expected
    run.rewind(5)
    assert ids_of(run.run()) == expected[5:]


def test_the_checks_run_at_once(tiny_lm: LanguageModel) -> None:
    with pytest.raises(GenerationConfigError, match="top_candidates"):
        session(tiny_lm, top_candidates=0)
    with pytest.raises(GenerationConfigError, match="tempreature"):
        session(tiny_lm, tempreature=1)
    with pytest.raises(ContextLengthError):
        session(tiny_lm, max_new_tokens=1000)
    with pytest.raises(PromptError):
        DecodingSession(tiny_lm, "")
    with pytest.raises(GenerationConfigError, match="cannot be rewound"):
        session(tiny_lm, guidance_scale=2.0)


def test_a_seed_is_drawn_and_kept(tiny_lm: LanguageModel) -> None:
    run = session(tiny_lm, seed=None)
    assert run.seed != session(tiny_lm, seed=None).seed
    assert ids_of(session(tiny_lm, seed=run.seed).run()) == ids_of(run.run())


@pytest.mark.parametrize("seed", [1.5, True, -1, 2**70, "3"])
def test_a_seed_that_is_none(tiny_lm: LanguageModel, seed: Any) -> None:
    with pytest.raises(GenerationConfigError, match="seed"):
        session(tiny_lm, seed=seed)
    assert session(tiny_lm, seed=2**64 - 1).step().index == 0


def test_rewound_without_a_change_it_repeats_itself(tiny_lm: LanguageModel) -> None:
    run = session(tiny_lm)
    ids = ids_of(run.run())
    run.rewind(6)
    assert not run.is_finished
    assert ids_of(run.run()) == ids[6:]
    assert (run.branch, run.position, run.tree.branches[1].at) == (1, 20, 6)
    assert ids_of(run.tree.path(0)) == ids  # nothing is lost
    run.rewind(0)
    assert ids_of(run.run()) == ids
    assert run.tree.branches[2].steps[0].phase == "decode"  # the prompt is still in the cache


def test_a_fork_draws_with_the_same_random_numbers(tiny_lm: LanguageModel) -> None:
    run = session(tiny_lm)
    ids = ids_of(run.run(10))
    run.fork(4, ids[4] ^ 1)
    list(run.run())
    places = run.places
    for index in range(20):
        ours, theirs = places.draw_state(1, index), places.draw_state(0, min(index, 10))
        assert torch.equal(ours, theirs) == (index <= 10)
    run.fork(4, ids[4])  # the token that was drawn there: all that follows is the same
    assert ids_of(run.run(5)) == ids[5:]


def test_greedy_steps_leave_the_draws_as_they_are(tiny_lm: LanguageModel) -> None:
    ids = ids_of(session(tiny_lm).run())
    run = session(tiny_lm)
    run.configure(do_sample=False)
    run.step(ids[0])
    run.step(ids[1])
    run.configure(**SAMPLED)
    assert ids_of(run.run()) == ids[2:]


def test_greedy_steps_leave_no_draws_to_catch_up_with(
    tiny_lm: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = session(tiny_lm, do_sample=False)
    list(run.run(9))
    run.step(5)
    with monkeypatch.context() as patched:
        patched.delattr(torch, "multinomial")
        state = run.places.draw_state(0, 10)
    drawn = session(tiny_lm)
    list(drawn.run(10))
    assert torch.equal(state, drawn.places.draw_state(0, 10))


def test_a_forced_token_is_measured(tiny_lm: LanguageModel) -> None:
    run = session(tiny_lm, top_k=3)
    first = run.step()
    cut = 7 if all(c.token_id != 7 for c in first.candidates[:3]) else 8
    forced = run.fork(0, cut)
    assert forced.is_forced
    assert not first.is_forced
    assert (forced.token_id, forced.sampling_probability, forced.kept_tokens) == (cut, 0.0, 3)
    row, _ = run.places.logits_at(0, 0)
    assert forced.probability == pytest.approx(row.softmax(-1)[cut].item(), rel=1e-4)
    assert forced.rank == 1 + int((row > row[cut]).sum())
    assert forced.candidates[-1].token_id == cut
    for outside in (-1, tiny_lm.vocab_size):
        with pytest.raises(SessionError, match=f"{outside} is outside"):
            run.step(outside)
    assert run.position == 1


def test_a_forced_end_of_text_ends_it(tiny_lm: LanguageModel) -> None:
    run = session(tiny_lm)
    list(run.run(3))
    assert run.step(256).finish_reason == "eos"
    assert run.is_finished
    assert list(run.run()) == []
    with pytest.raises(SessionError, match="ended"):
        run.step()
    run.fork(3)
    assert not run.is_finished


def test_after_its_length_it_goes_on_with_more(tiny_lm: LanguageModel) -> None:
    longer = ids_of(session(tiny_lm, max_new_tokens=30).run())
    run = session(tiny_lm, max_new_tokens=10)
    assert list(run.run())[-1].finish_reason == "length"
    with pytest.raises(ContextLengthError):
        run.configure(max_new_tokens=1000)
    assert run.is_finished
    run.configure(max_new_tokens=30)
    assert not run.is_finished
    assert ids_of(run.run()) == longer[10:]
    ended, longer_one = run.tree.branches
    assert [s.finish_reason for s in ended.steps] == [None] * 9 + ["length"]
    assert (longer_one.parent, longer_one.at, longer_one.changes[0].index) == (0, 10, 10)
    assert longer_one.restorations == []
    assert (run.end_at(0, 10), run.end_at(1, 30)) == (None, "length")
    run.move(0)
    assert run.fork(10, longer[10] ^ 1).index == 10
    run.configure(max_new_tokens=10)
    assert run.end_at(0, 10) == "length"
    run.move(0)
    assert list(run.run()) == []


def test_after_its_time_it_goes_on_with_more(tiny_lm: LanguageModel) -> None:
    ids = ids_of(session(tiny_lm).run())
    run = session(tiny_lm, max_time=1e-9)
    assert [s.finish_reason for s in run.run()] == ["max_time"]
    run.configure(max_time=1e-8)
    assert run.is_finished
    run.configure(max_time=None)
    assert ids_of(run.run()) == ids[1:]
    run.configure(max_time=1e-9)
    run.fork(2, 256)
    run.configure(max_time=None, eos_token_id=None)
    assert run.end_at(run.branch, 3) == "eos"  # that stays an end


def test_a_static_cache_is_made_anew_where_it_is_too_short(tiny_lm: LanguageModel) -> None:
    choices = {**SAMPLED, **cache_settings("static", tiny_lm)}
    longer = ids_of(session(tiny_lm, max_new_tokens=30, **choices).run())
    run = session(tiny_lm, max_new_tokens=5, **choices)
    run.configure(max_new_tokens=10)
    list(run.run(9))
    run.configure(max_new_tokens=30)
    assert ids_of(run.run()) == longer[9:]
    assert [r.reason for r in run.tree.branches[0].restorations] == ["static"]


def test_settings_change_from_the_next_step_on(tiny_lm: LanguageModel) -> None:
    run = session(tiny_lm)
    list(run.run(4))
    run.configure(top_k=2)
    assert [s.kept_tokens for s in run.run(3)] == [2, 2, 2]
    changes = run.tree.branches[0].changes
    assert [(c.index, c.settings["top_k"]) for c in changes] == [(0, 40), (4, 2)]
    assert changes[0].settings["seed"] == 3
    assert changes[0].settings["temperature"] == 1.3  # what was not named is still in force
    assert changes[1].settings == run.settings
    run.rewind(2)
    run.step()
    run.move(0)
    run.step()
    assert [(c.index, c.settings["top_k"]) for c in run.tree.branches[1].changes] == [(2, 2)]
    assert len(changes) == 2


def test_a_default_that_cuts_is_among_the_settings(tiny_lm: LanguageModel) -> None:
    drawn = session(tiny_lm, do_sample=True, top_k=50, temperature=1.0)
    assert drawn.settings["top_k"] == 50
    assert "temperature" not in drawn.settings
    assert "top_k" not in DecodingSession(tiny_lm, PROMPT, do_sample=False, top_k=50).settings


def test_settings_of_a_fork_at_the_start(tiny_lm: LanguageModel) -> None:
    run = session(tiny_lm)
    run.step()
    run.fork(0)
    run.step()
    assert [c.index for c in run.tree.branches[1].changes] == [0]


def test_what_cannot_change_in_mid_run(tiny_lm: LanguageModel) -> None:
    run = session(tiny_lm)
    run.step()
    for settings in ({"use_cache": False}, {"cache_implementation": "static"}):
        with pytest.raises(GenerationConfigError, match="kind of cache"):
            run.configure(**settings)
    run.configure(use_cache=True)
    quantized = session(tiny_lm, **cache_settings("quantized", tiny_lm))
    quantized.configure(tiny_lm.model.generation_config, max_new_tokens=15)
    assert len(list(quantized.run())) == 15


def test_settings_are_tried_without_being_taken(tiny_lm: LanguageModel) -> None:
    run = session(tiny_lm)
    list(run.run(4))
    before = run.generation
    tried = run.generation_with(top_k=2, max_new_tokens=50)
    assert tried.config.top_k == 2
    assert tried.config.temperature == 1.3
    assert tried.model_kwargs == {}
    assert run.generation is before
    with pytest.raises(GenerationConfigError):
        run.generation_with(top_k=-2)


def test_pause_from_another_thread(tiny_lm: LanguageModel) -> None:
    run = session(tiny_lm)
    steps = []
    for step in run.run():
        steps.append(step)
        if step.index == 4:
            thread = Thread(target=run.pause)
            thread.start()
            thread.join()
    assert len(steps) == run.position == 5
    assert ids_of(steps) + ids_of(run.run()) == ids_of(session(tiny_lm).run())


def test_an_interrupted_prefill_leaves_the_tree(tiny_lm: LanguageModel) -> None:
    def refuse(done: int, total: int) -> None:
        raise KeyboardInterrupt

    run = session(tiny_lm, on_prefill=refuse)
    with pytest.raises(KeyboardInterrupt):
        run.step()
    assert (run.position, run.tree.branches[0].steps, run.cache) == (0, [], None)
    run.on_prefill = None
    ids = ids_of(run.run(10))
    run.free()
    run.on_prefill = refuse
    run.rewind(4)
    with pytest.raises(KeyboardInterrupt):
        run.step()
    assert len(run.tree.branches) == 1
    run.on_prefill = None
    assert ids_of(run.run(6)) == ids[4:]
    assert run.tree.branches[1].restorations[0].reason == "evicted"


# --- a prompt that is read in parts -------------------------------------------------------

LONG_PROMPT = list(range(40, 90))


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("decoding.core.inference.CPU_PREFILL_CHUNK", 16)


def long_session(lm: LanguageModel) -> DecodingSession:
    return DecodingSession(lm, LONG_PROMPT, seed=3, max_new_tokens=6, **SAMPLED)


@pytest.mark.parametrize("family", ["llama", "mistral", "gemma2", "mamba", "qwen3_next"])
def test_a_prompt_read_in_parts_gives_the_same_records(
    tiny_lms: GetLM, family: str, small_chunks: None
) -> None:
    lm = tiny_lms(family)
    expected = [timeless(step) for step in long_session(lm).run()]
    run = long_session(lm)
    fed: list[tuple[int, int]] = []
    run.on_prefill = lambda done, total: fed.append((done, total))
    parts = list(run.read_ahead())
    assert parts == ([] if family in ("mamba", "qwen3_next") else [(16, 50), (32, 50), (48, 50)])
    assert [timeless(step) for step in run.run()] == expected
    assert run.tree.branches[0].restorations == []
    assert run.path()[0].phase == "prefill"
    assert run.path()[0].input_tokens == 50
    assert fed == [*parts, (50, 50)]


def test_the_parts_time_is_the_first_steps(
    tiny_lm: LanguageModel, small_chunks: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, clock = long_session(tiny_lm), [0.0]
    forward = tiny_lm.model.forward

    @functools.wraps(forward)
    def a_second_later(*args: Any, **kwargs: Any) -> Any:
        clock[0] += 1
        return forward(*args, **kwargs)

    monkeypatch.setattr(tiny_lm.model, "forward", a_second_later)
    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])
    for _ in run.read_ahead():
        clock[0] += 100  # others' turns
    assert [run.step().seconds, run.step().seconds] == [4, 1]


@pytest.mark.parametrize("disturb", ["free", "close", "look", "fork"])
def test_a_prompt_half_read_is_read_anew_after_a_disturbance(
    tiny_lm: LanguageModel, small_chunks: None, disturb: str
) -> None:
    ids = ids_of(long_session(tiny_lm).run())
    run = long_session(tiny_lm)
    parts = run.read_ahead()
    next(parts)
    if disturb == "free":
        run.free()
    elif disturb == "look":
        run.places.logits_at(0, 0)
    elif disturb == "fork":
        other = run.step()
        assert other.token_id == ids[0]
        assert ids_of(run.run()) == ids[1:]
        return
    else:
        parts.close()  # type: ignore[attr-defined]
    list(parts)
    assert ids_of(run.run()) == ids
    first = run.path()[0]
    assert (first.phase, first.input_tokens) == ("prefill", 50)


def test_broken_logits_leave_the_tree(
    tiny_lm: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = ids_of(session(tiny_lm).run())
    run = session(tiny_lm)
    list(run.run(5))
    head = tiny_lm.model.lm_head
    with monkeypatch.context() as broken:
        broken.setattr(head, "forward", lambda x: torch.full((1, 1, 260), torch.nan))
        with pytest.raises(LogitsError, match="Inference 6 "):
            run.step()
    assert run.position == 5
    assert ids_of(run.run()) == ids[5:]


def test_an_interrupt_before_a_step_is_recorded(
    tiny_lm: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    ids = ids_of(session(tiny_lm).run())
    run = session(tiny_lm)
    list(run.run(5))
    with monkeypatch.context() as patched:
        patched.setattr(run._cursor, "write", interrupt)
        with pytest.raises(KeyboardInterrupt):
            run.step()
    assert ids_of(run.run()) == ids[5:]
    assert [s.index for s in run.path()] == list(range(20))


def test_a_run_has_bounds(tiny_lm: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("decoding.session.cursor.MAX_BRANCHES", 2)
    monkeypatch.setattr("decoding.session.cursor.MAX_STEPS", 8)
    run = session(tiny_lm)
    list(run.run(4))
    run.fork(2)
    with pytest.raises(SessionError, match="2 branches"):
        run.fork(1)
    run.move(0)
    assert len(list(run.run(3))) == 3
    with pytest.raises(SessionError, match="8 steps"):
        list(run.run())
    assert [len(branch.steps) for branch in run.tree.branches] == [7, 1]


def test_what_a_record_takes(tiny_lm: LanguageModel) -> None:
    run = session(tiny_lm, top_candidates=50)
    list(run.run())
    record = pickle.dumps(run.tree)
    tracemalloc.start()
    tree = pickle.loads(record)
    taken = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert tree.size == 20
    assert taken / 2 < run.record_bytes < taken * 2


def test_looking_back_can_be_ended(tiny_lm: LanguageModel) -> None:
    def refuse(done: int, total: int) -> None:
        raise KeyboardInterrupt

    ids = ids_of(session(tiny_lm).run())
    for kind in ("dynamic", "quantized"):
        run = session(tiny_lm, **cache_settings(kind, tiny_lm))
        given = ids_of(run.run(10))
        run.places.logits.clear()
        if kind == "dynamic":
            assert given == ids[:10]
            run.free()
        before = run.cache
        with pytest.raises(KeyboardInterrupt):
            run.places.logits_at(0, 8, refuse)
        assert run.cache == before
        assert run.places.logits_at(0, 8)[1] is not None
        following = ids_of(run.run())
        assert kind != "dynamic" or following == ids[10:]


def test_logits_of_an_earlier_step(tiny_lm: LanguageModel) -> None:
    run = session(tiny_lm)
    list(run.run(12))
    kept = {i: run.places.logits_at(0, i)[0].clone() for i in range(12)}
    assert all(run.places.logits_at(0, i)[1] is None for i in range(12))
    run.places.logits.clear()
    cursor, cache = (run.branch, run.position), run.cache
    for index in (3, 0, 11):
        row, again = run.places.logits_at(0, index)
        assert torch.allclose(row, kept[index], atol=1e-4)
        assert again is not None
        assert (again.reused_positions, again.fed_tokens) == (len(PROMPT) + index - 1, 0)
        assert run.places.logits_at(0, index)[1] is None
    assert ((run.branch, run.position), run.cache) == (cursor, cache)
    following, _ = run.places.logits_at(0, 12)
    assert run.step().probability == pytest.approx(
        following.softmax(-1)[run.path()[-1].token_id].item(), abs=1e-5
    )
    with pytest.raises(SessionError):
        run.places.logits_at(0, 14)
    with pytest.raises(SessionError):
        run.places.logits_at(1, 0)


def test_kept_logits_are_bounded(tiny_lm: LanguageModel) -> None:
    run = session(tiny_lm)
    run.places.logits._max_bytes = 4 * 260 * 4
    list(run.run())
    is_kept = [run.places.logits_at(0, i)[1] is None for i in (19, 18, 17, 16, 15)]
    assert is_kept == [True] * 4 + [False]
    assert run.places.logits_at(0, 15)[1] is None  # the last one that was asked for
    assert run.places.logits.held_bytes == 4 * 260 * 4


def test_a_model_that_goes_and_comes_back(tiny_lm: LanguageModel) -> None:
    ids = ids_of(session(tiny_lm).run())
    run = session(tiny_lm)
    list(run.run(5))
    run.detach()
    assert run.cache is None
    with pytest.raises(SessionError, match="attach"):
        run.step()
    with pytest.raises(SessionError, match="another model"):
        run.attach(LanguageModel(tiny_model("llama"), byte_tokenizer(), name="other"))
    run.attach(tiny_lm)
    assert ids_of(run.run()) == ids[5:]
    restorations = run.tree.branches[0].restorations
    assert [(r.index, r.reused_positions, r.fed_tokens, r.reason) for r in restorations] == [
        (5, 0, len(PROMPT) + 4, "evicted")
    ]


def test_a_model_that_was_let_go_is_freed() -> None:
    lm = LanguageModel(tiny_model("llama"), byte_tokenizer(), name="own")
    run = session(lm)
    list(run.run(3))
    run.fork(1, 5)
    gone = weakref.ref(lm.model)
    run.close()
    del lm
    gc.collect()
    assert gone() is None
    assert run.held_bytes == run.places.draws.held_bytes
    assert len(run.path()) == 2
    assert run.origin.model.name == "own"


def test_freed_it_holds_next_to_nothing(tiny_lm: LanguageModel) -> None:
    run = session(tiny_lm)
    list(run.run(10))
    cache = run.cache
    assert cache is not None
    assert run.held_bytes >= cache.bytes + 10 * 260 * 4
    run.free()
    assert run.cache is None
    assert run.held_bytes == run.places.draws.held_bytes


def test_the_text_of_a_branch_is_its_paths(tiny_lm: LanguageModel) -> None:
    run = session(tiny_lm, max_new_tokens=12)
    for byte in "a海b".encode():
        run.step(byte)
    for at, text in ((2, "海y"), (4, "é"), (3, "🜁")):
        run.move(0, at)
        for byte in text.encode():
            run.step(byte)
        list(run.run())
        whole = tiny_lm.tokenizer.decode(ids_of(run.path()))
        assert "".join(step.text for step in run.path()) == whole
    assert [branch.at for branch in run.tree.branches] == [0, 2, 4, 3]


def test_places_that_do_not_exist(tiny_lm: LanguageModel) -> None:
    run = session(tiny_lm)
    list(run.run(3))
    for wrong in (
        lambda: run.rewind(4),
        lambda: run.rewind(-1),
        lambda: run.move(1),
        lambda: run.move(-1),
        lambda: run.fork(9),
        lambda: run.places.draw_state(0, 4),
        lambda: run.places.ids_before(2, 0),
    ):
        with pytest.raises(SessionError):
            wrong()
    assert (run.branch, run.position) == (0, 3)
    assert len(run.tree.branches) == 1


def test_who_watches_is_told_of_each_step(tiny_lm: LanguageModel) -> None:
    run = session(tiny_lm)
    seen: list[int] = []
    end = run.watch(lambda: seen.append(run.position))
    list(run.run(3))
    end()
    run.step()
    assert seen == [1, 2, 3]


def test_max_time_counts_no_pause(tiny_lm: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    now = time.time()
    run = session(tiny_lm, max_time=60.0)
    run.step()
    monkeypatch.setattr(time, "time", lambda: now + 3600)
    assert run.step().finish_reason is None


def test_steps_of_a_session_pickle(tiny_lm: LanguageModel) -> None:
    run = session(tiny_lm)
    list(run.run(3))
    run.fork(1, 5)
    assert pickle.loads(pickle.dumps(run.tree)) == run.tree


# --- a text that was given ----------------------------------------------------------------


def given_steps(lm: LanguageModel, ids: list[int]) -> list[DecodingStep]:
    """What scoring makes of a text, here by feeding it token by token."""
    run = DecodingSession(lm, ids[:1], max_new_tokens=len(ids) - 1, do_sample=False)
    steps = [run.step(token_id) for token_id in ids[1:]]
    bare = {"phase": "score", "kv_cache": None, "is_forced": False}
    return [replace(step, **bare) for step in steps]  # type: ignore[arg-type]


def of_given(lm: LanguageModel, ids: list[int], **choices: Any) -> DecodingSession:
    length = {"max_new_tokens": len(ids) - 1, "do_sample": False}
    return DecodingSession(lm, ids[:1], **{"seed": 3, **length, **choices})


TEXT = list(b"To be, or not to be, that is the question")


@pytest.mark.parametrize("family", ["llama", "mistral", "mamba", "qwen3_next"])
def test_a_given_text_goes_on_from_any_place_as_decode_does_from_it_as_a_prompt(
    tiny_lms: GetLM, family: str
) -> None:
    lm = tiny_lms(family)
    run, steps = of_given(lm, TEXT), given_steps(lm, TEXT)
    assert list(run.adopt(steps)) == run.path() == steps
    assert run.is_finished
    assert run.cache is None
    for at in (17, 0, len(steps), 5):
        run.move(0, at)
        run.configure(**{**SAMPLED, "max_new_tokens": at + 9})
        expected = ids_of(decode(lm, TEXT[: 1 + at], seed=3, max_new_tokens=9, **SAMPLED))
        assert ids_of(run.run()) == expected
        branch = run.tree.branches[run.branch]
        assert branch.at == at
        assert branch.steps[0].phase == ("decode" if at else "prefill")
    first = run.tree.branches[1].restorations[0]
    assert (first.reused_positions, first.fed_tokens, first.reason) == (0, 17, "scored")
    assert run.tree.branches[0].steps == steps


def test_a_place_of_a_given_text_is_read_when_it_is_looked_at(tiny_lm: LanguageModel) -> None:
    run, steps = of_given(tiny_lm, TEXT), given_steps(tiny_lm, TEXT)
    list(run.adopt(steps))
    row, restoration = run.places.logits_at(0, 20)
    assert restoration is not None
    assert restoration.fed_tokens == 20
    own = row.log_softmax(-1)[steps[20].token_id]
    assert float(own) == pytest.approx(steps[20].logprob, abs=1e-5)
    draws = decode(tiny_lm, TEXT[:21], seed=3, max_new_tokens=1, **SAMPLED)
    run.rewind(20)
    run.configure(**SAMPLED)
    assert torch.equal(run.places.draw_state(0, 20), run.places.draw_state(0, 0))
    assert run.step().token_id == next(draws).token_id


def test_a_given_text_longer_than_the_context_is_kept_and_read_up_to_there(
    tiny_lm: LanguageModel,
) -> None:
    assert tiny_lm.context_length == 256
    run = of_given(tiny_lm, TEXT, max_new_tokens=256)
    one = given_steps(tiny_lm, TEXT[:2])[0]
    long = [replace(one, index=i, finish_reason=None) for i in range(300)]
    list(run.adopt(long))
    assert run.places.logits_at(0, 255)[0].shape == (260,)
    with pytest.raises(SessionError, match="after 257 tokens of the text"):
        run.places.logits_at(0, 256)
    with pytest.raises(SessionError, match="context holds 256"):
        run.places.ids_before(0, 300)
    with pytest.raises(SessionError, match="after 301 tokens"):
        run.step()
    assert run.fork(255).index == 255


def test_a_text_is_taken_once_and_within_bounds(
    tiny_lm: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = given_steps(tiny_lm, TEXT)
    run = session(tiny_lm)
    run.step()
    with pytest.raises(SessionError, match="nothing yet"):
        run.adopt(steps)
    monkeypatch.setattr("decoding.session.cursor.MAX_STEPS", 5)
    run, told = of_given(tiny_lm, TEXT), []
    run.watch(lambda: told.append(run.position))
    with pytest.raises(SessionError, match="5 steps, as many"):
        list(run.adopt(steps))
    assert run.path() == steps[:5]
    assert told == [1, 2, 3, 4, 5]
