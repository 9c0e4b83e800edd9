"""Steps -> frames: what the page is told, how often, and in how many bytes."""

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from run_records import HEAD, make_step, make_trace

from decoding.page.requests.refusals import PromptRequestError
from decoding.page.wire.frames import (
    error_message,
    model_frame,
    number,
    page_frame,
    step_fields,
    to_json,
)
from decoding.page.wire.last_logs import LastLogs
from decoding.page.wire.run_log import RunLog
from decoding.records.errors import LogitsError
from decoding.records.model_facts import KVFormula, ModelFacts
from decoding.records.requests import ModelStatus
from decoding.records.step import Candidate, KVCacheSize, MemoryInUse
from decoding.records.tree import Branch, DecodingTree, Restoration, RunStep, SettingsChange


def test_a_step_keeps_its_numbers_under_short_names():
    fields = step_fields(make_step(index=3))
    assert fields["i"] == 3
    assert fields["ph"] == "decode"
    assert fields["p"] == 0.053191
    assert fields["lp"] == -2.9338
    assert fields["kv"] == [2_061, 94_970_880]
    assert fields["c"][1] == [40_001, " southeastern", 0.0061728, 0.011728]
    assert step_fields(make_step(kv_cache=None))["kv"] is None


def test_a_character_cut_off_by_the_end_is_not_shown_as_broken():
    bytes_only = Candidate(49_151, "å", "<0xE5>", 0.1, 0.1)
    cut_off = make_step(text="\ufffd", finish_reason="length")
    cut_off = dataclasses.replace(cut_off, candidates=(bytes_only,))
    assert step_fields(cut_off)["t"] == ""
    assert step_fields(cut_off)["c"][0][1] == "<0xE5>"
    literal = dataclasses.replace(bytes_only, token="\ufffd", text="\ufffd")
    written = dataclasses.replace(cut_off, candidates=(literal,))
    assert step_fields(written)["t"] == "\ufffd"


def test_layers_that_hold_the_same_are_told_once_and_in_order():
    cache = KVCacheSize(9, 34, (5, 5, 8, 8, 8), (9, 9, 4, 4, None))
    assert step_fields(make_step(kv_cache=cache))["L"] == [[2, 9, 5], [2, 4, 8], [1, None, 8]]
    unknown = KVCacheSize(9, 10, (5, 5))
    assert step_fields(make_step(kv_cache=unknown))["L"] == [[2, None, 5]]
    assert step_fields(make_step(kv_cache=None))["L"] is None


def test_what_the_allocator_holds_and_what_it_reserves():
    assert step_fields(make_step())["m"] is None
    process = make_step(memory=MemoryInUse("process", 1_054_500_000, None))
    assert step_fields(process)["m"] == [1_054_500_000]
    cuda = make_step(memory=MemoryInUse("cuda", 5, 8))
    assert step_fields(cuda)["m"] == [5, 8]


def test_layers_and_memory_cost_a_step_of_the_default_model_few_bytes():
    cache = KVCacheSize(900, 41_472_000, (1_382_400,) * 30, (900,) * 30)
    memory = MemoryInUse("process", 954_500_000, None)
    fields = step_fields(make_step(kv_cache=cache, memory=memory))
    without = {name: value for name, value in fields.items() if name not in ("L", "m")}
    assert len(to_json(fields)) - len(to_json(without)) < 40


def test_a_run_keeps_its_tokens_for_comparisons():
    last_runs, run = LastLogs(), RunLog()
    run.add(HEAD)
    run.add(RunStep(make_step(0)))
    bytes_only = Candidate(49_151, "å", "<0xE5>", 0.1, 0.1)
    run.add(RunStep(dataclasses.replace(make_step(1, text=""), candidates=(bytes_only,))))
    last_runs.keep(run)
    kept = last_runs.find(run.log_id).tokens
    assert (kept.prompt_ids, kept.model) == ([1], "m")
    assert kept.tokens == [(49_151, " southeastern"), (49_151, "<0xE5>")]
    assert last_runs.find("guessed") is None


def test_a_step_with_twenty_candidates_stays_under_1200_bytes():
    assert len(to_json(step_fields(make_step(index=2_000))).encode()) < 1_200


@given(st.floats())
def test_a_number_on_the_wire_is_near_or_none(value):
    read = json.loads(to_json(number(value)))
    if read is None:
        assert not abs(value) < 1.7976e308
    else:
        assert read == pytest.approx(value, rel=1e-4, abs=0)


@given(st.text() | st.text(st.characters(categories=["Cs"])))
def test_any_text_travels_unchanged_even_half_characters(text):
    encoded = to_json({"t": text})
    encoded.encode()
    # Two halves side by side are read as the character they make.
    read = json.loads(encoded)["t"]
    assert read.encode("utf-16", "surrogatepass") == text.encode("utf-16", "surrogatepass")


def test_frames_carry_each_step_once_and_the_head_first():
    run = RunLog()
    run.add(HEAD)
    run.progress = (128, 300)
    first = json.loads(run.next_frame())
    assert (first["state"], first["progress"], first["total"]) == ("prefill", [128, 300], 0)
    assert first["head"]["prompt"] == [[1, "<|im_start|>", 1]]
    assert first["head"]["model"]["name"] == "m"
    run.add(RunStep(make_step(0)))
    run.add(RunStep(make_step(1)))
    second = json.loads(run.next_frame())
    assert (second["state"], second["start"], second["total"]) == ("decoding", 0, 2)
    assert second["progress"] is None
    run.add(RunStep(make_step(2, finish_reason="eos")))
    third = json.loads(run.next_frame())
    assert [s["i"] for s in third["steps"]] == [2]
    assert (third["state"], third["start"], third["total"]) == ("finished", 2, 3)
    assert "head" not in third
    assert third["run"] == first["run"]
    assert json.loads(run.next_frame())["steps"] == []


def test_a_long_prompt_travels_once_however_long_it_is_read():
    run = RunLog()
    run.add(HEAD)
    frames = []
    for done in (128, 256, 384):
        run.progress = (done, 6_001)
        frames.append(json.loads(run.next_frame()))
    assert ["head" in frame for frame in frames] == [True, False, False]
    assert [frame["progress"][0] for frame in frames] == [128, 256, 384]
    assert "head" in json.loads(run.frame_from(0))


def test_a_browser_that_missed_steps_gets_them_and_the_oldest_runs_are_forgotten():
    last_runs, runs = LastLogs(kept=2), [RunLog() for _ in range(3)]
    for run in runs:
        run.add(HEAD)
        for index in range(3):
            run.add(RunStep(make_step(index)))
        last_runs.keep(run)
    missed = json.loads(last_runs.frame_from(runs[2].log_id, 1))
    assert [s["i"] for s in missed["steps"]] == [1, 2]
    assert "head" in json.loads(last_runs.frame_from(runs[2].log_id, -5))
    assert json.loads(last_runs.frame_from(runs[2].log_id, 99))["steps"] == []
    assert last_runs.frame_from(runs[0].log_id, 0) is None
    assert last_runs.frame_from("guessed", 0) is None


def test_log_ids_cannot_be_guessed():
    ids = {RunLog().log_id for _ in range(100)}
    assert len(ids) == 100
    assert min(map(len, ids)) >= 16


def test_what_the_model_is_doing():
    loading = json.loads(model_frame(ModelStatus(stage="download", progress=(5, 10))))
    assert (loading["run"], loading["state"], loading["progress"]) == ("", "loading", [5, 10])
    assert loading["message"]["key"] == "loading_download"
    kv = KVFormula(30, 3, 64, 4)
    facts = ModelFacts("m", "cpu", "float32", "8bit", 10, None, 1, kv)
    ready = json.loads(model_frame(ModelStatus(state="ready", facts=facts)))
    assert ready["model"]["kv"]["bytes_per_token"] == 46_080
    failed = json.loads(model_frame(ModelStatus(state="error", error=LogitsError("No."))))
    assert failed["message"] == {"key": "error", "args": {"text": "No."}}


def test_errors_are_said_in_their_own_words_and_bugs_are_not():
    assert error_message(LogitsError("NaN."))["args"] == {"text": "NaN."}
    assert error_message(ZeroDivisionError("secret")) == {"key": "failed", "args": {}}
    refused = PromptRequestError("text", "prompt_too_long", length=2, limit=1)
    assert error_message(refused) == {"key": "prompt_too_long", "args": {"length": 2, "limit": 1}}


def test_a_page_frame_belongs_to_no_run():
    frame = json.loads(page_frame("stopped"))
    assert frame == {
        "run": "",
        "state": "stopped",
        "message": None,
        "progress": None,
        "start": 0,
        "total": 0,
        "steps": [],
    }


# Branches


def make_tree(steps=3, changes=({"seed": 7},)):
    tree = DecodingTree()
    tree.branches[0].changes.extend(SettingsChange(0, settings) for settings in changes)
    tree.branches[0].steps.extend(make_step(index) for index in range(steps))
    return tree


def run_of(tree):
    run = RunLog()
    run.add(HEAD)
    take(run, tree)
    return run


def take(run, tree, *, is_late=False):
    """What a stream brings of a tree: the steps that the run does not have, in order."""
    for event in tree.late_steps(run.known):
        run.add(dataclasses.replace(event, is_late=is_late))


def test_a_run_without_branches_costs_a_few_bytes_more_and_tells_its_settings_once():
    tree, run = make_tree(2), RunLog()
    run.add(HEAD)
    take(run, tree)
    first = json.loads(run.next_frame())
    assert first["changes"] == [[0, 0, {"seed": 7}]]
    assert (first["b"], first["notes"]) == (0, [])
    assert first["head"]["live"] is True
    tree.branches[0].steps.append(make_step(2))
    take(run, tree)
    frame = run.next_frame()
    assert not json.loads(frame).keys() & {"tree", "notes", "changes", "head"}
    plain = json.loads(frame)
    del plain["b"]
    assert len(frame) - len(to_json(plain)) < 10
    assert "f" not in plain["steps"][0]
    assert step_fields(make_step(is_forced=True))["f"] == 1


def test_a_branch_sends_its_own_steps_by_their_place_on_its_path():
    tree = make_tree(5)
    run = run_of(tree)
    run.next_frame()
    run.go_on(0)
    branch = tree.add(0, 2)
    branch.restorations.append(Restoration(2, 9, 0, 0.0012345678))
    branch.changes.append(SettingsChange(2, {"seed": 7, "top_p": 0.5}))
    branch.steps.extend([make_step(2, is_forced=True), make_step(3, finish_reason="eos")])
    take(run, tree)
    frame = json.loads(run.next_frame())
    assert (frame["b"], frame["start"], frame["total"], frame["state"]) == (1, 2, 4, "finished")
    assert [step["i"] for step in frame["steps"]] == [2, 3]
    assert frame["tree"] == [[None, 0, 5], [0, 2, 4]]
    assert frame["notes"] == [[1, 2, 9, 0, 0.0012346, None]]
    assert frame["changes"] == [[0, 0, {"seed": 7}], [1, 2, {"seed": 7, "top_p": 0.5}]]
    assert [token for token, _ in run.tokens.tokens] == [49_151] * 4
    later = json.loads(run.next_frame())
    assert (later["tree"], later["steps"]) == (frame["tree"], [])
    assert "notes" not in later


def test_going_on_at_the_end_tells_the_tree_once_and_only_what_is_new():
    tree = make_tree(3)
    run = run_of(tree)
    run.next_frame()
    run.go_on(0)
    tree.branches[0].steps.append(make_step(3))
    take(run, tree)
    frame = json.loads(run.next_frame())
    assert (frame["tree"], frame["start"], frame["total"]) == ([[None, 0, 4]], 3, 4)
    assert "tree" not in json.loads(run.next_frame())


def test_a_late_step_of_another_branch_does_not_take_the_word():
    tree = make_tree(3)
    tree.add(0, 1).steps.append(make_step(1))
    run = run_of(tree)
    run.next_frame()
    run.go_on(0)
    tree.branches[1].steps.append(make_step(2, finish_reason="eos"))
    take(run, tree, is_late=True)
    assert (run.branch, run.state) == (0, "prefill")
    tree.branches[0].steps.append(make_step(3))
    take(run, tree)
    frame = json.loads(run.next_frame())
    assert (frame["b"], frame["state"], frame["total"]) == (0, "decoding", 4)
    assert frame["tree"] == [[None, 0, 4], [0, 1, 3]]


def test_what_goes_on_after_an_end_that_no_longer_holds_is_a_branch_behind_it():
    tree = make_tree(2)
    tree.branches[0].steps.append(make_step(2, finish_reason="length"))
    run = run_of(tree)
    assert json.loads(run.next_frame())["state"] == "finished"
    run.go_on(0)
    tree.add(0, 3).steps.append(make_step(3))
    take(run, tree)
    frame = json.loads(run.next_frame())
    assert (frame["b"], frame["start"], frame["total"], frame["state"]) == (1, 3, 4, "decoding")
    assert frame["tree"] == [[None, 0, 3], [0, 3, 4]]
    assert len(run.tokens.tokens) == 4
    again = json.loads(run.frame_from(0, 0))
    assert [step["fin"] for step in again["steps"]] == [None, None, "length"]


def test_any_branch_can_be_asked_for_whatever_is_written():
    tree = make_tree(4)
    tree.add(0, 1).steps.append(make_step(1))
    tree.add(0, 3).steps.append(make_step(3))
    run = run_of(tree)
    asked = json.loads(run.frame_from(0, 1))
    assert (asked["b"], asked["start"], asked["total"]) == (1, 1, 2)
    assert len(asked["tree"]) == 3
    assert "head" in asked
    assert "changes" in asked
    assert [s["i"] for s in json.loads(run.frame_from(2, 0))["steps"]] == [2, 3]
    assert json.loads(run.frame_from(99, 1))["steps"] == []
    assert json.loads(run.frame_from(0, 99))["b"] == 2


def test_settings_that_are_no_plain_values_are_told_in_words():
    odd = {"eos_token_id": (1, 2), "top_p": float("inf"), "sequence_bias": {(1,): 2.0}}
    frame = json.loads(run_of(make_tree(1, [odd])).next_frame())
    told = frame["changes"][0][2]
    assert told == {"eos_token_id": [1, 2], "top_p": None, "sequence_bias": "{(1,): 2.0}"}


def test_a_trace_is_shown_one_frame_a_branch_and_cannot_go_on():
    tree = make_tree(3)
    tree.add(0, 1).steps.append(make_step(1))
    frames = [json.loads(frame) for frame in RunLog.from_trace(make_trace(*tree.branches)).frames()]
    assert [(f["b"], f["start"], f["total"]) for f in frames] == [(0, 0, 3), (1, 1, 2)]
    assert [f["state"] for f in frames] == ["decoding", "finished"]
    assert frames[0]["head"]["live"] is False
    assert frames[0]["head"]["config"] == {"seed": 7}
    assert "head" not in frames[1]
    empty = RunLog.from_trace(make_trace(Branch(0, None, 0)))
    assert json.loads(next(empty.frames()))["state"] == "finished"
