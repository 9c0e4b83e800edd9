"""A trace comes back from its file exactly; whatever else a file holds is told in one sentence."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trace_schema import trace_schema
from traces import made_step, made_trace

from decoding import DecodingTrace, TraceError, read_trace, trace_json, write_trace
from decoding.records.model_facts import CacheLayer
from decoding.records.strict_json import plain_record
from decoding.records.trace_checks import TraceLimits
from decoding.records.trace_file import LIMITS
from decoding.records.tree import MAX_BRANCHES, MAX_STEPS, Branch

ROOT = Path(__file__).parents[2]
HOSTILE: list[str] = json.loads((ROOT / "tests/data/hostile_text.json").read_text())
FOREIGN = sorted((ROOT / "tests/data/traces").glob("*"))
Wreck = Callable[[dict[str, Any]], object]


def refused(source: Any) -> str:
    """The sentence with which it is refused: one line, one full stop at its end."""
    with pytest.raises(TraceError) as caught:
        read_trace(source)
    told = str(caught.value)
    assert told.isprintable()
    assert told.endswith(".")
    assert len(told) < 300
    return told


def changed(wreck: Wreck) -> str:
    value = json.loads(trace_json(made_trace()))
    wreck(value)
    return json.dumps(value)


def test_it_comes_back_exactly() -> None:
    trace = made_trace()
    again = read_trace(trace_json(trace))
    assert again == trace
    assert trace_json(again) == trace_json(trace)
    assert again.branches[1].steps[0].logprob == -math.inf
    assert json.loads(trace_json(trace))["branches"][1]["steps"][0]["logprob"] == "-Infinity"


@given(st.floats(0, 1), st.floats(-(2.0**127), 0), st.floats(0, 2.0**127, allow_subnormal=True))
def test_every_number_is_exact(share: float, logprob: float, seconds: float) -> None:
    step = made_step(0, probability=share, logprob=logprob, seconds=seconds)
    trace = replace(made_trace(), branches=(Branch(0, None, 0, [step]),))
    assert read_trace(trace_json(trace)) == trace


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_text_in_every_field_is_read_verbatim(text: str) -> None:
    trace = made_trace(text)
    again = read_trace(trace_json(trace).encode())
    assert again == trace
    assert again.model.name == text
    assert again.branches[0].steps[0].candidates[1].text == text


@given(st.text(st.characters(), max_size=50))
def test_any_text_is_read_verbatim(text: str) -> None:
    assert read_trace(trace_json(made_trace(text)).encode()) == made_trace(text)


@pytest.mark.parametrize("prompt", ["text", [1, 2, 3], [{"role": "user", "content": "x"}], []])
def test_each_kind_of_prompt(prompt: Any) -> None:
    trace = replace(made_trace(), prompt=prompt)
    assert read_trace(trace_json(trace)).prompt == prompt


def test_a_file(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    write_trace(made_trace(), path)
    assert read_trace(path) == made_trace()
    assert os.listdir(tmp_path) == ["run.json"]
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())  # some editors put a mark before it
    assert read_trace(path) == made_trace()


def test_a_file_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match=r"'x\.json' cannot be written: No such file"):
        write_trace(made_trace(), tmp_path / "none" / "x.json")
    assert "no file 'none.json'" in refused(tmp_path / "none.json")
    assert "no file" in refused(Path("/dev/zero"))
    os.mkfifo(tmp_path / "pipe")
    assert "no file" in refused(tmp_path / "pipe")


def test_bytes_are_a_text_and_open_no_file(tmp_path: Path) -> None:
    """What a visitor sends comes as bytes."""
    path = tmp_path / "run.json"
    write_trace(made_trace(), path)
    assert "no JSON" in refused(str(path).encode())


def test_every_place_at_which_it_may_break_off() -> None:
    whole = trace_json(made_trace())
    for end in range(0, len(whole), 7):
        refused(whole[:end])
        refused(whole[:end].encode())


@pytest.mark.parametrize("path", FOREIGN, ids=lambda path: path.name)
def test_files_of_others(path: Path) -> None:
    refused(path)


@pytest.mark.parametrize("depth", [10, 1_000, 1_000_000])
@pytest.mark.parametrize("bracket", ["[", '{"version":1,"branches":', '{"a":'])
def test_depth_bombs(depth: int, bracket: str) -> None:
    refused(bracket * depth)
    closing = ("]" if bracket == "[" else "}") * depth
    refused(bracket * depth + "1" + closing)


def test_a_deep_setting() -> None:
    def wreck(value: dict[str, Any]) -> None:
        deep: Any = 1
        for _ in range(50):
            deep = {"a": [deep]}
        value["branches"][0]["changes"][0]["settings"]["x"] = deep

    assert "nested more than" in refused(changed(wreck))


@pytest.mark.serial
def test_too_large_is_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "large.json"
    with path.open("wb") as file:
        file.truncate(LIMITS.bytes * 1000)  # a sparse file: 32 GB of zeros
    started = time.monotonic()
    assert "larger than the 32,000,000 bytes" in refused(path)
    assert "shown by its HTML file, and read_trace" in refused(b" " * (LIMITS.bytes + 1))
    assert "more than the 4,000,000 values" in refused("[" + "0," * LIMITS.values + "0]")
    assert time.monotonic() - started < 10
    with pytest.raises(TraceError, match="larger than the 10 bytes"):
        read_trace(trace_json(made_trace()), TraceLimits(bytes=10))


@pytest.mark.serial
def test_a_field_twice_among_very_many_is_found_at_once() -> None:
    names = [*(f'"k{number}":0' for number in range(30_000)), '"k29999":1']
    started = time.monotonic()
    assert "the field 'k29999' stands twice" in refused("{" + ",".join(names) + "}")
    assert time.monotonic() - started < 2


def test_ones_own_long_runs_are_read_with_other_limits() -> None:
    one = made_step(0).candidates[1]
    wide = made_step(0, candidates=tuple(replace(one, token_id=i) for i in range(300)))
    facts = replace(made_trace().model, vocab_size=300)
    trace = replace(made_trace(), model=facts, branches=(Branch(0, None, 0, [wide]),))
    assert "candidates must be at most 200" in refused(trace_json(trace))
    assert read_trace(trace_json(trace), TraceLimits(candidates=300)) == trace


@pytest.mark.parametrize("version", [0, 2, -1, 1.0, "1", True, None, [1], 10**30])
def test_other_versions(version: Any) -> None:
    told = refused(changed(lambda value: value.update(version=version)))
    assert "version" in told
    assert "reads version 1" in told


def test_what_is_no_trace() -> None:
    for text in ("{}", "[]", "1", "null", '"x"', '{"version": 1}', '{"branches": []}'):
        assert "no trace" in refused(text)
    assert "not UTF-8" in refused(b"\xff\xfe{}")
    assert "no JSON" in refused("")
    assert "no JSON" in refused("PK\x03\x04")


def test_a_key_twice_and_numbers_that_are_none() -> None:
    text = trace_json(made_trace())
    assert "'seed' stands twice" in refused(text.replace('"seed":', '"seed":1,"seed":', 1))
    for bad in ("NaN", "Infinity", "-Infinity"):
        assert f"{bad} is no number" in refused(text.replace('"rank":2', f'"rank":{bad}', 1))
    assert "seconds is no finite" in refused(text.replace("0.0123456789", "1e999", 1))
    assert "too large" in refused(text.replace('"rank":2', '"rank":' + "9" * 5_000, 1))
    assert "too large" in refused(text.replace('"rank":2', '"rank":' + "9" * 100, 1))
    assert "branches[0].steps[0].rank must be a whole number" in refused(
        text.replace('"rank":2', '"rank":2.0', 1)
    )


STEP: Callable[[dict[str, Any]], dict[str, Any]] = lambda value: value["branches"][0]["steps"][1]  # noqa: E731
DISK = {"device": "disk", "layers": [-1], "weight_bytes": 1}
LAYER = plain_record(CacheLayer("full", 0, 2, 8, 8, 128, 0, None))


def note(value: dict[str, Any]) -> Any:
    return value["branches"][1]["restorations"][0]


def leave(value: dict[str, Any], at: int) -> None:
    """Has the second branch leave the first at another step."""
    second = value["branches"][1]
    second["at"] = second["steps"][0]["index"] = at
    second["restorations"][0]["index"] = second["changes"][0]["index"] = at


@pytest.mark.parametrize(
    ("wreck", "told"),
    [
        (lambda v: v.update(extra=1), "'extra', which is not known"),
        (lambda v: STEP(v).update(extra=1), "branches[0].steps[1] has a field 'extra'"),
        (lambda v: v.pop("seed"), "the file lacks 'seed'"),
        (lambda v: STEP(v).pop("text"), "branches[0].steps[1] lacks 'text'"),
        (lambda v: v.update(seed="7"), "seed must be a whole number, not '7'"),
        (lambda v: v.update(seed=True), "seed must be a whole number, not True"),
        (lambda v: v.update(use_cache=1), "use_cache must be true or false, not 1"),
        (lambda v: v.update(created=None), "created must be a text, not null"),
        (lambda v: v.update(prompt=5), "prompt must be a list, not 5"),
        (lambda v: v.update(prompt=[{"role": 1}]), "prompt[0] must be a whole number"),
        (lambda v: v.update(branches={}), "branches must be a list, not an object"),
        (lambda v: v.update(branches=[]), "branches must be 1 to 1,000, not 0"),
        (lambda v: v.update(versions={"python": 3}), "versions holds what must be a text"),
        (lambda v: STEP(v).update(text=["x"]), "steps[1].text must be a text, not a list"),
        (lambda v: STEP(v).update(phase="<script>"), "must be one of 'prefill', 'decode'"),
        (lambda v: STEP(v).update(probability="0.5"), "probability must be a number, not '0.5'"),
        (lambda v: STEP(v).update(probability=None), "probability must be a number, not null"),
        (lambda v: STEP(v).update(probability="-Infinity"), "probability must be 0 to 1"),
        (lambda v: STEP(v).update(probability=1.1), "probability must be 0 to 1, not 1.1"),
        (lambda v: STEP(v).update(tail_probability=-0.1), "tail_probability must be 0 to 1"),
        (lambda v: STEP(v).update(logprob=0.1), "logprob must be 0 at most"),
        (lambda v: STEP(v).update(entropy_bits=-1), "entropy_bits must be 0 or more"),
        (lambda v: STEP(v).update(seconds=-1), "seconds must be 0 or more"),
        (lambda v: STEP(v).update(rank=0), "rank must be 1 to 100, not 0"),
        (lambda v: STEP(v).update(rank=101), "rank must be 1 to 100"),
        (lambda v: STEP(v).update(kept_tokens=-1), "kept_tokens must be 0 to 100"),
        (lambda v: STEP(v).update(index=7), "steps[1].index must be 1, not 7"),
        (lambda v: STEP(v).update(token_id=100), "outside the vocabulary, 0 to 99: 100"),
        (lambda v: STEP(v).update(token_id=8), "candidates lack the chosen token 8"),
        (lambda v: STEP(v).update(candidates=[]), "candidates lack the chosen"),
        (
            lambda v: STEP(v)["candidates"][0].update(token_id=-1),
            "candidates[0].token_id is outside the vocabulary",
        ),
        (
            lambda v: STEP(v)["candidates"][0].update(sampling_probability=2),
            "candidates[0].sampling_probability must be 0 to 1",
        ),
        (
            lambda v: STEP(v).update(candidates=STEP(v)["candidates"] * LIMITS.candidates),
            "candidates must be at most 200",
        ),
        (lambda v: STEP(v).update(token="x" * 10_001), "token of more than 10,000 characters"),
        (lambda v: v.update(prompt="x" * 1_000_001), "of more than 1,000,000"),
        (lambda v: v["prompt_tokens"][0].update(token_id=100), "prompt_tokens[0].token_id"),
        (lambda v: v["model"].update(vocab_size=0), "model.vocab_size must be 1 or more"),
        (lambda v: v.update(top_candidates=0), "top_candidates must be 1 or more"),
        (lambda v: v.update(seed=-1), "seed must be 0 to 18446744073709551615, not -1"),
        (lambda v: v.update(seed=2**64), "seed must be 0 to"),
        (
            lambda v: v.update(prompt_tokens=v["prompt_tokens"][:1] * (LIMITS.prompt_tokens + 1)),
            "prompt_tokens must be at most 131,072",
        ),
        (lambda v: v["model"].update(context_length=0), "context_length must be 1 or more, not 0"),
        (lambda v: v["model"].update(weight_bytes=-1), "model.weight_bytes must be 0 or more"),
        (lambda v: v["model"].update(placement=[DISK]), "model.placement.layers must be 0 or more"),
        (lambda v: v["model"].update(cache_layers=[LAYER] * 2_001), "cache_layers must be at most"),
        (lambda v: STEP(v)["kv_cache"].update(tokens=-3), "kv_cache.tokens must be 0 or more"),
        (lambda v: STEP(v)["kv_cache"].update(layer_bytes=[-5]), "layer_bytes must be 0 or more"),
        (
            lambda v: STEP(v)["kv_cache"].update(layer_bytes=[5] * 100_000),
            "kv_cache.layer_bytes must be at most 2,000",
        ),
        (
            lambda v: STEP(v)["kv_cache"].update(layer_tokens=[1, 2]),
            "kv_cache.layer_tokens must be as many as layer_bytes",
        ),
        (lambda v: STEP(v)["memory"].update(bytes=-1), "memory.bytes must be 0 or more"),
        (lambda v: STEP(v).update(finish_reason="eos"), "finish_reason must be null before"),
        (
            lambda v: STEP(v).update(candidates=STEP(v)["candidates"] * 2),
            "candidates must be distinct tokens",
        ),
        (lambda v: note(v).update(fed_tokens=-4), "restorations[0].fed_tokens must be 0 or more"),
        (lambda v: note(v).update(seconds="-Infinity"), "restorations[0].seconds must be 0"),
        (lambda v: note(v).update(reason="nonsense"), "restorations[0].reason must be null or"),
        (
            lambda v: v["branches"][1]["changes"].append(v["branches"][1]["changes"][0]),
            "branches[1].changes[1].index must come after 2, not 2",
        ),
        (
            lambda v: (v["branches"][0]["steps"][2].update(finish_reason="eos"), leave(v, 3)),
            "branches[1].at must not be after the end",
        ),
        (lambda v: v["branches"][0].update(at=1), "branches[0] must begin after the prompt"),
        (lambda v: v["branches"][0].update(parent=0), "branches[0] must begin after the prompt"),
        (lambda v: v["branches"][1].update(number=0), "branches[1].number must be 1, not 0"),
        (lambda v: v["branches"][1].update(parent=1), "branches[1].parent must be an earlier"),
        (lambda v: v["branches"][1].update(parent=None), "branches[1].parent must be an earlier"),
        (lambda v: v["branches"][1].update(parent=-1), "branches[1].parent must be an earlier"),
        (lambda v: v["branches"][1].update(at=4), "branches[1].at must be 0 to 3, not 4"),
        (lambda v: v["branches"][1].update(at=-1), "branches[1].at must be 0 to 3, not -1"),
        (
            lambda v: v["branches"][1]["restorations"][0].update(index=9),
            "branches[1].restorations[0].index is outside",
        ),
        (
            lambda v: v["branches"][1]["changes"][0].update(index=-1),
            "branches[1].changes[0].index is outside",
        ),
        (
            lambda v: v.update(branches=v["branches"] + [v["branches"][1]] * LIMITS.branches),
            "branches must be 1 to 1,000",
        ),
    ],
)
def test_what_does_not_fit(wreck: Wreck, told: str) -> None:
    assert told in refused(changed(wreck))


def test_a_branch_may_go_on_where_another_reached_its_length() -> None:
    assert read_trace(changed(lambda value: leave(value, 3))).branches[1].at == 3


def test_what_a_session_may_hold_can_be_read() -> None:
    assert (LIMITS.steps, LIMITS.branches) == (MAX_STEPS, MAX_BRANCHES)
    value = json.loads(trace_json(made_trace()))
    branches = [value["branches"][0]]
    branches += [value["branches"][1] | {"number": n} for n in range(1, MAX_BRANCHES)]
    value["branches"] = branches
    assert len(read_trace(json.dumps(value)).branches) == MAX_BRANCHES


def test_too_many_steps() -> None:
    step = json.loads(trace_json(made_trace()))["branches"][0]["steps"][0]
    step["candidates"] = step["candidates"][1:]
    many = {"branches": [{"number": 0, "parent": None, "at": 0, "steps": [step] * 20_001}]}
    text = changed(lambda value: value.update(many))
    assert f"and at most {LIMITS.steps:,} are read" in refused(text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    return [path] + [place for key, item in items for place in places(item, (*path, key))]


PLACES = places(json.loads(trace_json(made_trace())))[1:]


@settings(max_examples=300)
@given(st.sampled_from(PLACES), JSON)
def test_anything_in_any_place_is_a_trace_or_a_sentence(place: tuple[Any, ...], value: Any) -> None:
    whole = json.loads(trace_json(made_trace()))
    inner = whole
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    text = json.dumps(whole)
    try:
        trace = read_trace(text)
    except TraceError:
        refused(text)
    else:
        assert isinstance(trace, DecodingTrace)
        assert read_trace(trace_json(trace)) == trace


def test_the_schema_file_is_that_of_the_records() -> None:
    kept = (ROOT / "assets/data/trace.schema.json").read_text()
    assert kept == json.dumps(trace_schema(), indent=2, ensure_ascii=False) + "\n", "write it anew"


def test_the_schema_holds_for_a_trace_and_for_no_wreck() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    check = jsonschema.Draft202012Validator(trace_schema())
    value = json.loads(trace_json(made_trace()))
    check.validate(value)
    for wreck in (
        lambda v: v.update(extra=1),
        lambda v: v.pop("version"),
        lambda v: v.update(version=2),
        lambda v: v["branches"][0]["steps"][0].update(phase="x"),
        lambda v: v["branches"][0]["steps"][0].update(probability="0.5"),
    ):
        assert not check.is_valid(json.loads(changed(wreck)))


def test_the_schema_tells_what_each_field_of_a_step_is() -> None:
    step = trace_schema()["$defs"]["DecodingStep"]["properties"]
    told = {name for name, part in step.items() if part.get("description")}
    assert told == set(step)
    assert step["entropy_bits"]["description"].startswith("of the model's own distribution")


def test_a_path_may_be_a_str(tmp_path: Path) -> None:
    file = str(tmp_path / "run.json")
    write_trace(made_trace(), file)
    assert read_trace(file) == made_trace()
    for name in ("nowhere.json", "x" * 5000, "a\0b"):
        with pytest.raises(TraceError, match="no JSON"):
            read_trace(name)
