"""A step taken apart shows what it was chosen from; trying settings changes nothing."""

from __future__ import annotations

import copy
import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from tiny import byte_tokenizer, tiny_model

from decoding import (
    DecodingSession,
    DecodingStep,
    GenerationConfigError,
    Inspection,
    InspectRequest,
    LanguageModel,
    LogitsError,
    SessionError,
    decode,
    inspect_step,
)
from decoding.session.inspection import FOUND_LISTED

SAMPLING = {
    "do_sample": True,
    "temperature": 1.3,
    "top_k": 60,
    "top_p": 0.95,
    "min_p": 0.01,
    "repetition_penalty": 1.2,
    "no_repeat_ngram_size": 3,
    "max_new_tokens": 12,
    "eos_token_id": None,
}
ORDER = [
    "repetition_penalty",
    "no_repeat_ngram_size",
    "temperature",
    "top_k",
    "top_p",
    "min_p",
]


def ran(lm: LanguageModel, **settings: Any) -> DecodingSession:
    session = DecodingSession(lm, "hello", seed=7, **(settings or SAMPLING))
    assert len(list(session.run())) > 1
    return session


def look(session: DecodingSession, index: int, **request: Any) -> Inspection:
    return inspect_step(session, InspectRequest(request.pop("branch", 0), index, **request))


def agrees(inspection: Inspection, step: DecodingStep) -> None:
    """The inspection has the step's own numbers."""
    listed = {candidate.token_id: candidate for candidate in inspection.candidates}
    for candidate in step.candidates:
        own = listed[candidate.token_id]
        assert (own.token, own.text) == (candidate.token, candidate.text)
        assert own.probability == pytest.approx(candidate.probability, rel=1e-5)
        assert own.sampling_probability == pytest.approx(candidate.sampling_probability, rel=1e-5)
    assert inspection.kept_tokens == step.kept_tokens
    assert inspection.entropy_bits == pytest.approx(step.entropy_bits, rel=1e-4)
    assert inspection.ranks[step.token_id] == step.rank


def state_of(session: DecodingSession) -> tuple[Any, ...]:
    place = (session.branch, session.position, copy.deepcopy(session.settings))
    return (*place, session.generation, session.cache, copy.deepcopy(session.tree))


@pytest.mark.parametrize(
    "settings", [SAMPLING, {"do_sample": False, "max_new_tokens": 6, "eos_token_id": None}]
)
def test_every_step_is_the_one_that_was_decoded(
    tiny_lm: LanguageModel, settings: dict[str, Any]
) -> None:
    session = ran(tiny_lm, **settings)
    for step in session.path():
        inspection = look(session, step.index)
        agrees(inspection, step)
        assert inspection.chosen == step.token_id


def test_the_stages_are_named_by_their_settings(tiny_lm: LanguageModel) -> None:
    inspection = look(ran(tiny_lm), 5)
    assert [stage.setting for stage in inspection.stages] == ORDER
    assert [stage.value for stage in inspection.stages] == [SAMPLING[name] for name in ORDER]
    last = [candidate.sampling_probability for candidate in inspection.candidates]
    assert list(inspection.stages[-1].probabilities) == last
    assert inspection.stages[-1].kept_tokens == inspection.kept_tokens
    top_k = inspection.stages[3]
    assert top_k.kept_tokens == 60
    likeliest = max(top_k.cut, key=lambda candidate: candidate.probability)
    assert top_k.cut[0] == likeliest
    assert likeliest.sampling_probability == 0 < likeliest.probability


def test_greedy_without_processors_has_no_stages(tiny_lm: LanguageModel) -> None:
    session = ran(tiny_lm, do_sample=False, max_new_tokens=3, eos_token_id=None)
    inspection = look(session, 1)
    assert inspection.stages == ()
    assert inspection.kept_tokens == tiny_lm.vocab_size


def test_settings_that_are_tried_are_what_a_run_with_them_would_do(
    tiny_lm: LanguageModel,
) -> None:
    session = ran(tiny_lm)
    tried = {"temperature": 3.0, "top_k": 5, "top_p": 1.0, "min_p": None}
    before = state_of(session)
    inspection = look(session, 0, generation=tried)
    assert state_of(session) == before
    (fresh, *_) = decode(tiny_lm, "hello", seed=7, **{**SAMPLING, **tried})
    agrees(look(session, 0, generation=tried, token_ids=(fresh.token_id,)), fresh)
    assert inspection.chosen == fresh.token_id
    assert inspection.kept_tokens == 5
    names = [stage.setting for stage in inspection.stages]
    assert names == ["repetition_penalty", "no_repeat_ngram_size", "temperature", "top_k"]


def test_trying_settings_runs_no_inference(tiny_lm: LanguageModel) -> None:
    session = ran(tiny_lm)
    inferences = []
    hook = tiny_lm.model.register_forward_pre_hook(lambda *_: inferences.append(1))
    for temperature in (0.5, 1.0, 2.0):
        inspection = look(session, 3, generation={"temperature": temperature})
        assert inspection.restoration is None
    assert inferences == []
    session.fork(11)
    hook.remove()
    assert inferences == [1], "the hook works"


def test_a_greedy_step_tells_what_a_draw_would_take(tiny_lm: LanguageModel) -> None:
    greedy = ran(tiny_lm, do_sample=False, max_new_tokens=4, eos_token_id=None)
    sampled = {"do_sample": True, "temperature": 2.0, "top_k": 0}
    (fresh, *_) = decode(tiny_lm, "hello", seed=7, max_new_tokens=4, eos_token_id=None, **sampled)
    assert look(greedy, 0, generation=sampled).chosen == fresh.token_id


def test_a_step_keeps_the_settings_it_was_made_with(tiny_lm: LanguageModel) -> None:
    session = DecodingSession(tiny_lm, "hello", seed=7, **SAMPLING)
    list(session.run(3))
    session.configure(temperature=0.4, top_k=3, repetition_penalty=1.0, typical_p=0.9)
    list(session.run(3))
    for step in session.path():
        agrees(look(session, step.index), step)
    assert look(session, 2).stages[0].setting == "repetition_penalty"
    assert look(session, 3).stages[0].setting == "no_repeat_ngram_size"
    in_force = look(session, 2, generation={})
    assert in_force.stages[0].setting == "no_repeat_ngram_size"
    coming = look(session, session.position)
    assert coming.chosen == session.step().token_id


def test_the_step_to_come(tiny_lm: LanguageModel) -> None:
    session = DecodingSession(tiny_lm, "hello", seed=7, **SAMPLING)
    inspection = look(session, 0, token_ids=(3,))
    step = session.step()
    assert inspection.chosen == step.token_id
    assert set(inspection.ranks) == {3}


def test_a_forced_step_and_its_branch(tiny_lm: LanguageModel) -> None:
    session = ran(tiny_lm)
    drawn = session.path()[4].token_id
    forced = session.fork(4, (drawn + 1) % 256)
    inspection = look(session, 4, branch=1)
    agrees(inspection, forced)
    assert inspection.chosen == drawn, "the same draw as on the first branch"
    assert look(session, 4).candidates[0] == inspection.candidates[0]


def test_steps_after_the_session_was_freed(tiny_lm: LanguageModel) -> None:
    session = ran(tiny_lm)
    session.free()
    step = session.path()[6]
    inspection = look(session, 6)
    assert inspection.restoration is not None
    agrees(inspection, step)
    assert inspection.chosen == step.token_id
    assert look(session, 6).restoration is None


def test_a_search_comes_with_probabilities_and_ranks(tiny_lm: LanguageModel) -> None:
    session = ran(tiny_lm)
    (found,) = look(session, 2, find="#65").found
    assert (found.token_id, found.text) == (65, "A")
    inspection = look(session, 2, find="a")
    assert [candidate.text for candidate in inspection.found[:2]] == ["a", "A"]
    everything = look(session, 2, find="<0x")
    assert len(everything.found) == FOUND_LISTED
    probabilities = [candidate.probability for candidate in everything.found]
    assert probabilities == sorted(probabilities, reverse=True)
    logits, _ = session.places.logits_at(0, 2)
    for candidate in everything.found:
        rank = 1 + int((logits > logits[candidate.token_id]).sum())
        assert everything.ranks[candidate.token_id] == rank
        own = torch.softmax(logits, dim=-1)[candidate.token_id].item()
        assert candidate.probability == pytest.approx(own, rel=1e-5)
    assert look(session, 2, find="no such text").found == ()


def test_how_many_favourites_are_listed(tiny_lm: LanguageModel) -> None:
    session = ran(tiny_lm)
    assert 3 <= len(look(session, 2, top=3).candidates) <= 5  # and the two that were chosen
    asked = look(session, 2, top=3, token_ids=(9, 10))
    assert {9, 10} <= {candidate.token_id for candidate in asked.candidates}
    assert len(look(session, 2, top=5000).candidates) == tiny_lm.vocab_size


@pytest.mark.parametrize(
    "request_",
    [
        InspectRequest(1, 0),
        InspectRequest(-1, 0),
        InspectRequest(0, -1),
        InspectRequest(0, 99),
        InspectRequest(0, 0, token_ids=(260,)),
        InspectRequest(0, 0, token_ids=(-1,)),
    ],
)
def test_what_is_not_there_is_refused(tiny_lm: LanguageModel, request_: InspectRequest) -> None:
    with pytest.raises(SessionError):
        inspect_step(ran(tiny_lm), request_)


def test_settings_that_cannot_be_used_are_refused(tiny_lm: LanguageModel) -> None:
    session = ran(tiny_lm)
    before = state_of(session)
    with pytest.raises(GenerationConfigError, match="top_p"):
        look(session, 1, generation={"top_p": 1.5})
    with pytest.raises(GenerationConfigError, match="remembers"):
        look(session, 1, generation={"guidance_scale": 2.0})
    with pytest.raises(GenerationConfigError, match="no token"):
        look(session, 1, generation={"suppress_tokens": list(range(tiny_lm.vocab_size))})
    assert state_of(session) == before


def test_logits_that_are_none_are_told(
    tiny_lm: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = ran(tiny_lm)
    row = torch.full((tiny_lm.vocab_size,), torch.nan)
    monkeypatch.setattr(session.places, "logits_at", lambda *_: (row, None))
    with pytest.raises(LogitsError):
        look(session, 1)
    mended = look(session, 1, generation={"remove_invalid_values": True})
    assert mended.stages[-1].kept_tokens <= tiny_lm.vocab_size


def test_equal_settings_are_prepared_once(
    tiny_lm: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = ran(tiny_lm)
    prepared = []
    prepare = session.generation_with

    def counted(**settings: Any) -> Any:
        prepared.append(settings)
        return prepare(**settings)

    monkeypatch.setattr(session, "generation_with", counted)
    for temperature in (0.5, 0.6, 0.5, 0.6):
        look(session, 1, generation={"temperature": temperature, "stop_strings": ["x"]})
    assert [settings["temperature"] for settings in prepared] == [0.5, 0.6]
    session.rewind(2)
    session.configure(top_k=3)
    assert look(session, 1, generation={"temperature": 0.5}).kept_tokens <= 3
    for temperature in range(1, 30):
        look(session, 1, generation={"temperature": float(temperature)})
    assert len(prepared) == 32
    session.free()
    assert session.tried == {}


def test_it_can_be_ended_while_the_model_reads(tiny_lm: LanguageModel) -> None:
    def refuse(done: int, total: int) -> None:
        raise TimeoutError

    session = ran(tiny_lm)
    session.free()
    with pytest.raises(TimeoutError):
        inspect_step(session, InspectRequest(0, 5), refuse)
    agrees(inspect_step(session, InspectRequest(0, 5)), session.path()[5])


def test_a_session_that_let_its_model_go_keeps_none_of_it() -> None:
    lm = LanguageModel(tiny_model("llama"), byte_tokenizer())
    session = ran(lm)
    look(session, 1, generation={"temperature": 0.5}, find="a")
    weights = weakref.ref(lm.model)
    session.detach()
    del lm
    gc.collect()
    assert weights() is None


def test_it_computes_on_one_thread_and_leaves_the_others_to_the_model(
    tiny_lm: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = ran(tiny_lm)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    told: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", told.append)
    look(session, 1)
    with pytest.raises(SessionError):
        look(session, 1, token_ids=(-1,))
    assert told == [1, 2, 1, 2]
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    look(session, 1)
    assert told == [1, 2, 1, 2]


@pytest.mark.parametrize("family", ["mamba", "gemma3_text"])
def test_other_families(tiny_lms: Callable[[str], LanguageModel], family: str) -> None:
    session = ran(tiny_lms(family))
    session.free()
    for step in session.path()[::4]:
        inspection = look(session, step.index)
        assert inspection.chosen == step.token_id
        agrees(inspection, step)


@pytest.mark.default_model
def test_the_default_model(default_lm: LanguageModel) -> None:
    chat = [{"role": "user", "content": "Tell me a story about a cat."}]
    settings = {**SAMPLING, "max_new_tokens": 8}
    session = DecodingSession(default_lm, chat, seed=3, **settings)
    list(session.run())
    for step in session.path():
        inspection = look(session, step.index, find="cat")
        agrees(inspection, step)
        assert inspection.chosen == step.token_id
        assert [candidate.text for candidate in inspection.found[:2]] == ["cat", " cat"]
