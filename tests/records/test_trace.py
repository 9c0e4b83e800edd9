"""A session's trace: everything that was decoded, also once its model is gone."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from readmes import code_blocks, room, section

from decoding import Branch, DecodingSession, DecodingTrace, LanguageModel, read_trace, trace_json
from decoding.records.step import DecodingStep
from decoding.session.recording import library_versions


def session_of(lm: LanguageModel, prompt: Any = "Hello", **settings: Any) -> DecodingSession:
    choices = {"seed": 3, "do_sample": True, "max_new_tokens": 8, "top_p": 0.9, **settings}
    return DecodingSession(lm, prompt, **choices)


def test_it_holds_the_session(tiny_lm: LanguageModel) -> None:
    session = session_of(tiny_lm, top_candidates=5)
    steps = list(session.run())
    session.fork(2, token_id=65)
    session.configure(temperature=0.5)
    list(session.run())
    trace = session.trace()
    assert list(trace.branches[0].steps) == steps
    assert list(trace.branches) == session.tree.branches
    assert trace.branches[1].parent == 0
    assert trace.branches[1].steps[0].is_forced
    assert trace.branches[1].changes[-1].settings["temperature"] == 0.5
    assert [token.token_id for token in trace.prompt_tokens] == session.prompt_ids
    assert (trace.prompt, trace.seed, trace.top_candidates) == ("Hello", 3, 5)
    assert trace.created == session.created
    assert trace.model.name == "tiny-llama"
    assert trace.versions == library_versions()
    assert {"python", "torch", "transformers", "tokenizers"} == set(trace.versions)
    assert read_trace(trace_json(trace)) == trace


@pytest.mark.parametrize("family", ["llama", "mistral", "mamba"])
def test_whatever_a_session_went_through(family: str, tiny_lms: Any) -> None:
    """A wild ride, each trace on the way read again from its own file."""
    lm = tiny_lms(family)
    session = session_of(lm, max_new_tokens=20)
    ride = random.Random(family)
    for _ in range(60):
        branch = ride.randrange(len(session.tree.branches))
        length = session.tree.branches[branch].length
        act = ride.choice(["run", "forced", "rewind", "move", "configure", "free"])
        if act == "run" and not session.is_finished:
            list(session.run(ride.randrange(1, 4)))
        elif act == "forced" and not session.is_finished:
            session.step(ride.randrange(lm.vocab_size))
        elif act == "rewind":
            session.rewind(ride.randrange(session.position + 1))
        elif act == "move":
            session.move(branch, ride.randrange(length + 1))
        elif act == "configure":
            session.configure(temperature=ride.uniform(0.5, 2), top_k=ride.randrange(1, 50))
        elif act == "free":
            session.free()
    trace = session.trace()
    assert len(trace.branches) > 3
    assert any(branch.restorations for branch in trace.branches)
    assert read_trace(trace_json(trace)) == trace


def test_it_does_not_grow_with_the_session(tiny_lm: LanguageModel) -> None:
    session = session_of(tiny_lm)
    session.step()
    trace = session.trace()
    session.step()
    assert len(trace.branches[0].steps) == 1


def test_what_goes_on_after_its_length(tiny_lm: LanguageModel) -> None:
    session = session_of(tiny_lm, eos_token_id=None)
    list(session.run())
    session.configure(max_new_tokens=9)
    session.step()
    trace = session.trace()
    assert [(branch.parent, branch.at) for branch in trace.branches] == [(None, 0), (0, 8)]
    assert read_trace(trace_json(trace)) == trace


class Growing(list[Any]):
    """A list; once it was read, the session goes on: as another thread may have it."""

    def __init__(self, items: list[Any], grow: Callable[[], object]) -> None:
        super().__init__(items)
        self.grow = grow

    def __iter__(self) -> Iterator[Any]:
        yield from self[:]
        self.grow()


@pytest.mark.parametrize("read", ["steps", "changes", "restorations"])
def test_a_session_that_goes_on_meanwhile(tiny_lm: LanguageModel, read: str) -> None:
    session = session_of(tiny_lm)
    list(session.run(2))
    branch = session.tree.branches[0]

    def go_on() -> None:
        setattr(branch, read, getattr(branch, read)[:])
        session.free()
        session.configure(temperature=0.5)
        session.step()
        session.fork(2)

    setattr(branch, read, Growing(getattr(branch, read), go_on))
    trace = session.trace()
    (kept,) = trace.branches
    assert (len(kept.steps), len(branch.steps), len(session.tree.branches)) == (2, 3, 2)
    assert [change.index for change in kept.changes] == [0]
    assert kept.restorations == []


def test_it_outlives_the_model(tiny_lm: LanguageModel) -> None:
    session = session_of(tiny_lm)
    list(session.run())
    before = session.trace()
    session.detach()
    assert replace(session.trace(), model=before.model) == before


def test_before_the_first_step(tiny_lm: LanguageModel) -> None:
    trace = session_of(tiny_lm).trace()
    assert trace.branches[0].steps == []
    assert read_trace(trace_json(trace)) == trace


@pytest.mark.parametrize(
    ("prompt", "kept"),
    [
        ([72, 105], [72, 105]),
        ((72, 105), [72, 105]),
        ([{"role": "user", "content": "Hi"}], [{"role": "user", "content": "Hi"}]),
    ],
)
def test_the_prompt_as_it_was_given(tiny_lm: LanguageModel, prompt: Any, kept: Any) -> None:
    assert session_of(tiny_lm, prompt).trace().prompt == kept


def test_messages_that_hold_more_than_texts_are_kept_as_ids(tiny_lm: LanguageModel) -> None:
    session = session_of(tiny_lm, [{"role": "user", "content": "Hi", "extra": 5}])
    assert session.trace().prompt == session.prompt_ids


def test_settings_of_every_kind_come_back(tiny_lm: LanguageModel) -> None:
    session = session_of(tiny_lm, stop_strings=["zzz"], bad_words_ids=[[1, 2]], temperature=1.5)
    session.step()
    settings = session.trace().branches[0].changes[0].settings
    assert settings["stop_strings"] == ["zzz"]
    assert settings["bad_words_ids"] == [[1, 2]]
    assert read_trace(trace_json(session.trace())) == session.trace()


def test_a_token_that_cannot_be_is_kept_as_it_is(tiny_lm: LanguageModel) -> None:
    session = session_of(tiny_lm)
    session.step()
    step = session.tree.branches[0].steps[0]
    session.tree.branches[0].steps[0] = replace(step, logprob=-math.inf, probability=0.0)
    assert read_trace(trace_json(session.trace())).branches[0].steps[0].logprob == -math.inf


def test_the_revision_is_the_hubs_commit(
    tiny_lm: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny_lm.model.config
    assert session_of(tiny_lm).trace().revision is None
    monkeypatch.setattr(config, "name_or_path", "/hub/models--a--b/snapshots/" + "b7" * 20)
    assert session_of(tiny_lm).trace().revision == "b7" * 20
    monkeypatch.setattr(config, "_commit_hash", "a" * 40, raising=False)
    assert session_of(tiny_lm).trace().revision == "a" * 40
    monkeypatch.setattr(config, "_commit_hash", None)
    monkeypatch.setattr(config, "name_or_path", "/home/me/snapshots/latest")
    assert session_of(tiny_lm).trace().revision is None


@pytest.mark.default_model
def test_the_readmes_lines_and_table(
    default_lm: LanguageModel,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    traces = section(room("records"), "Traces")
    (code,) = code_blocks(traces, "python")
    monkeypatch.setattr("decoding.load_model", lambda: default_lm)
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {})
    assert capsys.readouterr().out.startswith("2 Candidate(token_id=")
    named = set(re.findall(r"`(?:branches\[\]\.)?(\w+)`", traces))
    for record in (DecodingTrace, Branch):
        assert {field.name for field in fields(record)} <= named


def test_every_field_of_a_step_is_in_the_file(tiny_lm: LanguageModel) -> None:
    session = session_of(tiny_lm)
    session.step()
    text = trace_json(session.trace())
    assert all(f'"{field.name}":' in text for field in fields(DecodingStep))
