"""Whether a trace's parts fit together and its size can be shown; the types are sure already."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from decoding.records.model_facts import ModelFacts
from decoding.records.step import DecodingStep, KVCacheSize
from decoding.records.strict_json import RecordError
from decoding.records.trace import DecodingTrace
from decoding.records.tree import MAX_BRANCHES, MAX_STEPS, Branch

LONGEST_TOKEN = 10_000
ROUNDING = 1e-5  # what sums in float32 may be off by
LARGEST_SEED = 2**64 - 1
MOST_LAYERS = 2_000
REASONS = (
    "evicted",
    "scored",
    "sliding",
    "state",
    "quantized",
    "static",
    "other_branch",
    "unknown",
)
NO_MORE = ("eos", "stop_string")  # after a length or a time the settings may allow more

Complaint = tuple[str, str]


@dataclass(frozen=True, slots=True)
class TraceLimits:
    """How much is read of a file that may be anybody's: what a page can show, without more.

    Attributes:
        bytes: of the file.
        values: of its JSON; each becomes an object in memory.
        steps: of all branches together.
        candidates: of one step.
        prompt_tokens: each of them becomes an element of the page.
    """

    bytes: int = 32_000_000
    values: int = 4_000_000
    steps: int = MAX_STEPS
    branches: int = MAX_BRANCHES
    candidates: int = 200
    prompt_tokens: int = 131_072


def check_trace(trace: DecodingTrace, limits: TraceLimits) -> None:
    """Refuses what could not come from a session, or is more than the limits allow.

    Raises:
        RecordError: one sentence that begins with the place.
    """
    for place, what in _complaints(trace, limits):
        raise RecordError(what, place)


def _complaints(trace: DecodingTrace, limits: TraceLimits) -> Iterator[Complaint]:
    """What is wrong, with its place; no part is looked at before what it relies on is right."""
    yield from _of_sizes(trace, limits)
    yield from _of_model(trace.model)
    yield from _of_prompt(trace)
    for number, branch in enumerate(trace.branches):
        where = f"branches[{number}]"
        yield from _of_branch(branch, number, trace.branches, where)
        for position, step in enumerate(branch.steps):
            here = f"{where}.steps[{position}]"
            if step.index != branch.at + position:
                yield f"{here}.index", f"must be {branch.at + position}, not {step.index}"
            if len(step.candidates) > limits.candidates:
                yield f"{here}.candidates", f"must be at most {limits.candidates:,}"
            if step.finish_reason is not None and position < len(branch.steps) - 1:
                yield f"{here}.finish_reason", "must be null before a branch's last step"
            yield from _of_step(step, trace.model.vocab_size, here)


def _of_sizes(trace: DecodingTrace, limits: TraceLimits) -> Iterator[Complaint]:
    steps = sum(len(branch.steps) for branch in trace.branches)
    if not 1 <= len(trace.branches) <= limits.branches:
        yield "branches", f"must be 1 to {limits.branches:,}, not {len(trace.branches):,}"
    if steps > limits.steps:
        yield "branches", f"hold {steps:,} steps, and at most {limits.steps:,} are read"
    if trace.top_candidates < 1:
        yield "top_candidates", f"must be 1 or more, not {trace.top_candidates}"
    if not 0 <= trace.seed <= LARGEST_SEED:
        yield "seed", f"must be 0 to {LARGEST_SEED}, not {trace.seed}"
    if len(trace.prompt_tokens) > limits.prompt_tokens:
        yield "prompt_tokens", f"must be at most {limits.prompt_tokens:,}"


def _of_model(model: ModelFacts) -> Iterator[Complaint]:
    for name in ("vocab_size", "context_length"):
        value = getattr(model, name)
        if value is not None and value < 1:
            yield f"model.{name}", f"must be 1 or more, not {value}"
    yield from _of_amounts(model, "model")


def _of_amounts(record: Any, where: str) -> Iterator[Complaint]:
    """Sizes and counts, in records and lists inside of it too: none is negative."""
    for field in fields(record):
        value, here = getattr(record, field.name), f"{where}.{field.name}"
        if isinstance(value, tuple) and len(value) > MOST_LAYERS:
            yield here, f"must be at most {MOST_LAYERS:,}"
        for item in value if isinstance(value, tuple) else (value,):
            if is_dataclass(item):
                yield from _of_amounts(item, here)
            elif isinstance(item, int | float) and item < 0:
                yield here, f"must be 0 or more, not {item}"


def _of_prompt(trace: DecodingTrace) -> Iterator[Complaint]:
    for position, token in enumerate(trace.prompt_tokens):
        here = f"prompt_tokens[{position}]"
        yield from _of_token(token.token_id, trace.model.vocab_size, here, token.text, token.piece)


def _of_branch(
    branch: Branch, number: int, branches: tuple[Branch, ...], where: str
) -> Iterator[Complaint]:
    if branch.number != number:
        yield f"{where}.number", f"must be {number}, not {branch.number}"
    if number == 0 and (branch.parent is not None or branch.at != 0):
        yield where, "must begin after the prompt and have no parent"
    if number > 0:
        yield from _of_parent(branch, number, branches, where)
    indices = {
        "changes": [change.index for change in branch.changes],
        "restorations": [restoration.index for restoration in branch.restorations],
    }
    for name, places in indices.items():
        for position, index in enumerate(places):
            here = f"{where}.{name}[{position}].index"
            if not branch.at <= index <= branch.length:
                yield here, f"is outside the branch: {index}"
            if position and index <= places[position - 1]:
                yield here, f"must come after {places[position - 1]}, not {index}"
    for position, restoration in enumerate(branch.restorations):
        here = f"{where}.restorations[{position}]"
        yield from _of_amounts(restoration, here)
        if restoration.reason not in (None, *REASONS):
            yield f"{here}.reason", "must be null or one of " + ", ".join(REASONS)


def _of_parent(
    branch: Branch, number: int, branches: tuple[Branch, ...], where: str
) -> Iterator[Complaint]:
    if branch.parent is None or not 0 <= branch.parent < number:
        yield f"{where}.parent", f"must be an earlier branch, not {branch.parent}"
        return
    parent = branches[branch.parent]
    if not parent.at <= branch.at <= parent.length:
        yield f"{where}.at", f"must be {parent.at} to {parent.length}, not {branch.at}"
    elif branch.at > parent.at and parent.steps[branch.at - parent.at - 1].finish_reason in NO_MORE:
        yield f"{where}.at", "must not be after the end of a text"


def _of_step(step: DecodingStep, vocab_size: int, where: str) -> Iterator[Complaint]:
    yield from _of_token(step.token_id, vocab_size, where, step.token, step.text)
    if all(candidate.token_id != step.token_id for candidate in step.candidates):
        yield f"{where}.candidates", f"lack the chosen token {step.token_id}"
    if len({candidate.token_id for candidate in step.candidates}) < len(step.candidates):
        yield f"{where}.candidates", "must be distinct tokens"
    for position, candidate in enumerate(step.candidates):
        here = f"{where}.candidates[{position}]"
        texts = candidate.token, candidate.text
        yield from _of_token(candidate.token_id, vocab_size, here, *texts)
        yield from _of_shares(candidate, ("probability", "sampling_probability"), here)
    yield from _of_shares(step, ("probability", "sampling_probability", "tail_probability"), where)
    yield from _of_counts(step, vocab_size, where)


def _of_counts(step: DecodingStep, vocab_size: int, where: str) -> Iterator[Complaint]:
    if step.logprob > ROUNDING:
        yield f"{where}.logprob", f"must be 0 at most, not {step.logprob}"
    if not 1 <= step.rank <= vocab_size:
        yield f"{where}.rank", f"must be 1 to {vocab_size}, not {step.rank}"
    if not 0 <= step.kept_tokens <= vocab_size:
        yield f"{where}.kept_tokens", f"must be 0 to {vocab_size}, not {step.kept_tokens}"
    yield from _of_cache(step.kv_cache, f"{where}.kv_cache")
    if step.memory is not None:
        yield from _of_amounts(step.memory, f"{where}.memory")
    for name in ("input_tokens", "entropy_bits", "varentropy_bits2", "seconds"):
        if getattr(step, name) < -ROUNDING:
            yield f"{where}.{name}", f"must be 0 or more, not {getattr(step, name)}"


def _of_cache(cache: KVCacheSize | None, where: str) -> Iterator[Complaint]:
    if cache is None:
        return
    yield from _of_amounts(cache, where)
    if cache.layer_tokens and len(cache.layer_tokens) != len(cache.layer_bytes):
        yield f"{where}.layer_tokens", "must be as many as layer_bytes"


def _of_shares(record: object, names: tuple[str, ...], where: str) -> Iterator[Complaint]:
    for name in names:
        value = getattr(record, name)
        if not -ROUNDING <= value <= 1 + ROUNDING:
            yield f"{where}.{name}", f"must be 0 to 1, not {value}"


def _of_token(token_id: int, vocab_size: int, where: str, *texts: str) -> Iterator[Complaint]:
    if not 0 <= token_id < vocab_size:
        yield f"{where}.token_id", f"is outside the vocabulary, 0 to {vocab_size - 1}: {token_id}"
    if any(len(text) > LONGEST_TOKEN for text in texts):
        yield where, f"is a token of more than {LONGEST_TOKEN:,} characters"
