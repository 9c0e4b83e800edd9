"""How sessions begin and go on as visitors ask: settings, places, tokens and their refusals."""

from __future__ import annotations

from typing import Any

import pytest

from decoding import LanguageModel, decode
from decoding.live.orders import begin, decode_arguments, go_on, inspect
from decoding.records.errors import GenerationConfigError, SessionError
from decoding.records.requests import ContinueOrder, InspectRequest, RunRequest
from decoding.records.step import DecodingStep
from decoding.session.session import DecodingSession

SAMPLED = {"do_sample": True, "temperature": 1.2, "max_new_tokens": 12, "min_new_tokens": 12}


def session(lm: LanguageModel, **changes: Any) -> DecodingSession:
    return begin(lm, RunRequest("Hello", {**SAMPLED, **changes}, 3, 5), lambda done, total: None)


def ids(steps: list[DecodingStep]) -> list[int]:
    return [step.token_id for step in steps]


def names(session: DecodingSession) -> list[str]:
    return [type(processor).__name__ for processor in session.generation.processors]


def test_a_session_begins_as_the_request_says(tiny_lm: LanguageModel) -> None:
    begun = session(tiny_lm)
    steps = list(begun.run())
    expected = decode(tiny_lm, "Hello", seed=3, top_candidates=5, **SAMPLED)
    assert ids(steps) == ids(list(expected))
    assert len(steps[0].candidates) in (5, 6)


def test_a_kind_of_cache_is_chosen_by_its_name(tiny_lm: LanguageModel) -> None:
    arguments = decode_arguments(
        tiny_lm, RunRequest("a", {"cache_implementation": "quantized", "min_p": 0}, 1)
    )
    assert arguments["cache_config"] == {"backend": "fp8"}
    assert "min_p" not in arguments


def test_it_goes_on_for_so_many_steps_and_to_the_end(tiny_lm: LanguageModel) -> None:
    begun = session(tiny_lm)
    steps = list(go_on(begun, ContinueOrder(0, 0, steps=3)))
    assert len(steps) == 3
    steps += go_on(begun, ContinueOrder(0, 3, steps=1))
    steps += go_on(begun, ContinueOrder(0, None, steps=1))
    steps += go_on(begun, ContinueOrder(0, 5))
    assert ids(steps) == ids(list(decode(tiny_lm, "Hello", seed=3, **SAMPLED)))
    assert steps[-1].finish_reason == "length"


def test_from_an_earlier_place_a_branch_begins(tiny_lm: LanguageModel) -> None:
    begun = session(tiny_lm)
    first = list(begun.run())
    forced = (first[4].token_id + 1) % 256
    other = list(go_on(begun, ContinueOrder(0, 4, token_id=forced, steps=3)))
    assert [step.index for step in other] == [4, 5, 6]
    assert other[0].token_id == forced
    assert other[0].is_forced
    assert not other[1].is_forced
    assert begun.tree.path(1) == first[:4] + other
    assert begun.tree.path(0) == first
    more = list(go_on(begun, ContinueOrder(1, 7, steps=2)))
    assert begun.tree.path(1) == first[:4] + other + more
    assert len(begun.tree.branches) == 2


def test_a_token_alone_is_one_step(tiny_lm: LanguageModel) -> None:
    begun = session(tiny_lm)
    assert ids(list(go_on(begun, ContinueOrder(0, 0, token_id=65, steps=1)))) == [65]


def test_an_end_that_was_forced_is_an_end(tiny_lm: LanguageModel) -> None:
    begun = session(tiny_lm)
    steps = list(go_on(begun, ContinueOrder(0, 0, token_id=256)))
    assert ids(steps) == [256]
    assert steps[0].finish_reason == "eos"


def test_settings_change_from_the_next_step_on(tiny_lm: LanguageModel) -> None:
    begun = session(tiny_lm)
    list(go_on(begun, ContinueOrder(0, 0, steps=2)))
    changed = {**SAMPLED, "do_sample": False}
    steps = list(go_on(begun, ContinueOrder(0, 2, generation=changed, steps=2)))
    assert all(step.rank == 1 for step in steps)
    assert [change.index for change in begun.tree.branches[0].changes] == [0, 2]


def test_settings_that_are_in_force_are_no_change(tiny_lm: LanguageModel) -> None:
    begun = session(tiny_lm, stop_strings=["never"], cache_implementation="dynamic")
    same = {
        **SAMPLED,
        "stop_strings": ["never"],
        "min_p": 0.0,
        "cache_implementation": "static",
        "use_cache": False,
    }
    list(go_on(begun, ContinueOrder(0, 0, generation=same, steps=2)))
    list(go_on(begun, ContinueOrder(0, 2, generation=same, steps=2)))
    assert [change.index for change in begun.tree.branches[0].changes] == [0]


def test_a_setting_can_be_taken_back(tiny_lm: LanguageModel) -> None:
    begun = session(tiny_lm, top_k=0, min_p=0.4, stop_strings=["never"])
    list(go_on(begun, ContinueOrder(0, 0, steps=1)))
    assert "MinPLogitsWarper" in names(begun)
    without = {**SAMPLED, "top_k": 0, "min_p": 0.0, "stop_strings": None}
    steps = list(go_on(begun, ContinueOrder(0, 1, generation=without, steps=1)))
    assert "MinPLogitsWarper" not in names(begun)
    assert "stop_string" not in begun.generation.finish_reasons
    assert steps[0].kept_tokens == tiny_lm.vocab_size - 1, "only the end token is held back"


@pytest.mark.parametrize(
    ("order", "message"),
    [
        (ContinueOrder(1, 0), "no branch 1: this run has 1"),
        (ContinueOrder(-1, 0), "no branch -1"),
        (ContinueOrder(0, 4), "no step 4"),
        (ContinueOrder(0, -1), "no step -1"),
        (ContinueOrder(0, 3, token_id=260), "no token 260: the vocabulary has 260"),
        (ContinueOrder(0, 3, token_id=-1), "no token -1"),
        (ContinueOrder(0, 3, steps=0), "1 inference or more, not 0"),
    ],
)
def test_places_and_tokens_that_are_not_there_are_refused(
    tiny_lm: LanguageModel, order: ContinueOrder, message: str
) -> None:
    begun = session(tiny_lm)
    list(begun.run(3))
    with pytest.raises(SessionError, match=message):
        list(go_on(begun, order))
    assert len(list(go_on(begun, ContinueOrder(0, 3, steps=2)))) == 2, "it goes on as before"


@pytest.mark.parametrize("token_id", [None, 65])
def test_nothing_comes_after_an_end(tiny_lm: LanguageModel, token_id: int | None) -> None:
    begun = session(tiny_lm)
    list(begun.run())
    with pytest.raises(SessionError, match=r"ended with its token 12 \(length\)"):
        list(go_on(begun, ContinueOrder(0, 12, token_id=token_id)))


def test_a_length_that_was_reached_is_no_end_where_more_is_allowed(tiny_lm: LanguageModel) -> None:
    begun = session(tiny_lm, max_new_tokens=6, min_new_tokens=6)
    steps = list(begun.run())
    with pytest.raises(SessionError, match=r"\(length\): .* allow more tokens, or choose"):
        list(
            go_on(
                begun, ContinueOrder(0, None, generation={"min_new_tokens": 5, "max_new_tokens": 5})
            )
        )
    steps += go_on(begun, ContinueOrder(0, None, generation=SAMPLED, steps=2))
    steps += go_on(begun, ContinueOrder(1, None))
    assert ids(steps) == ids(list(decode(tiny_lm, "Hello", seed=3, **SAMPLED)))
    assert [(branch.parent, branch.at) for branch in begun.tree.branches] == [(None, 0), (0, 6)]
    assert begun.tree.branches[0].steps[-1].finish_reason == "length", "it did end there then"


def test_an_end_of_the_text_s_own_is_one_whatever_is_allowed(tiny_lm: LanguageModel) -> None:
    begun = session(tiny_lm)
    list(go_on(begun, ContinueOrder(0, 0, token_id=256)))
    with pytest.raises(SessionError, match=r"\(eos\): nothing comes after that; choose"):
        list(go_on(begun, ContinueOrder(0, 1, generation={"max_new_tokens": 40})))


def test_settings_that_cannot_be_used_leave_the_session_as_it_was(tiny_lm: LanguageModel) -> None:
    begun = session(tiny_lm)
    steps = list(begun.run(3))
    with pytest.raises(GenerationConfigError, match="top_p"):
        list(go_on(begun, ContinueOrder(0, 3, generation={"top_p": 7.0})))
    steps += go_on(begun, ContinueOrder(0, 3))
    assert ids(steps) == ids(list(decode(tiny_lm, "Hello", seed=3, **SAMPLED)))


def test_to_look_at_a_step_changes_nothing(tiny_lm: LanguageModel) -> None:
    begun = session(tiny_lm)
    steps = list(begun.run(4))
    seen = inspect(begun, InspectRequest(0, 2, generation={"do_sample": False, "min_p": 0.0}))
    assert seen.chosen is not None
    assert seen.chosen == steps[2].candidates[0].token_id
    assert begun.position == 4
    steps += begun.run()
    assert ids(steps) == ids(list(decode(tiny_lm, "Hello", seed=3, **SAMPLED)))


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (InspectRequest(2, 0), "no branch 2"),
        (InspectRequest(0, 5), "no step 5"),
        (InspectRequest(0, 2, token_ids=(9, 999)), "999"),
    ],
)
def test_what_is_not_there_cannot_be_looked_at(
    tiny_lm: LanguageModel, request_: InspectRequest, message: str
) -> None:
    begun = session(tiny_lm)
    list(begun.run(4))
    with pytest.raises(SessionError, match=message):
        inspect(begun, request_)


def test_a_setting_of_the_model_s_own_is_taken_back_by_its_value(
    tiny_lm: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiny_lm.model.generation_config, "min_p", 0.3)
    begun = session(tiny_lm, min_p=0.0)
    list(go_on(begun, ContinueOrder(0, 0, generation={**SAMPLED, "min_p": 0.4}, steps=1)))
    list(go_on(begun, ContinueOrder(0, 1, generation={**SAMPLED, "min_p": 0.0}, steps=1)))
    assert begun.generation.config.min_p == 0
    assert [change.index for change in begun.tree.branches[0].changes] == [0, 1]


@pytest.mark.parametrize("do_sample", [True, False])
def test_what_the_page_sends_unchanged_is_no_change(
    tiny_lm: LanguageModel, do_sample: bool
) -> None:
    sent = {
        **{"do_sample": do_sample, "temperature": 0.8, "top_k": 50, "top_p": 1.0, "min_p": 0.0},
        **{"typical_p": 1.0, "repetition_penalty": 1.0, "no_repeat_ngram_size": 0},
        **{"max_new_tokens": 9, "stop_strings": ("never",), "cache_implementation": "dynamic"},
    }
    begun = begin(tiny_lm, RunRequest("Hello", sent, 3), lambda done, total: None)
    list(go_on(begun, ContinueOrder(0, 0, generation=sent, steps=2)))
    list(go_on(begun, ContinueOrder(0, 2, generation=dict(sent), steps=2)))
    assert [change.index for change in begun.tree.branches[0].changes] == [0]
