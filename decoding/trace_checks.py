"""Whether a trace's parts fit together and its size can be shown; the types are sure already."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from decoding.records import RecordError
from decoding.step import DecodingStep
from decoding.trace import DecodingTrace
from decoding.tree import Branch

LONGEST_TOKEN = 10_000
ROUNDING = 1e-5  # what sums in float32 may be off by

Complaint = tuple[str, str]


@dataclass(frozen=True, slots=True)
class TraceLimits:
    """How much is read of a file that may be anybody's: what a page can show, without more.

    Attributes:
        bytes: of the file.
        values: of its JSON; each becomes an object in memory.
        steps: of all branches together.
        candidates: of one step.
    """

    bytes: int = 32_000_000
    values: int = 4_000_000
    steps: int = 20_000
    branches: int = 1_000
    candidates: int = 200


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
            yield from _of_step(step, trace.model.vocab_size, here)


def _of_sizes(trace: DecodingTrace, limits: TraceLimits) -> Iterator[Complaint]:
    steps = sum(len(branch.steps) for branch in trace.branches)
    if not 1 <= len(trace.branches) <= limits.branches:
        yield "branches", f"must be 1 to {limits.branches:,}, not {len(trace.branches):,}"
    if steps > limits.steps:
        yield "branches", f"hold {steps:,} steps, and at most {limits.steps:,} are read"
    if trace.top_candidates < 1:
        yield "top_candidates", f"must be 1 or more, not {trace.top_candidates}"
    if trace.model.vocab_size < 1:
        yield "model.vocab_size", f"must be 1 or more, not {trace.model.vocab_size}"


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
            if not 0 <= index <= branch.length:
                yield f"{where}.{name}[{position}].index", f"is outside the branch: {index}"


def _of_parent(
    branch: Branch, number: int, branches: tuple[Branch, ...], where: str
) -> Iterator[Complaint]:
    if branch.parent is None or not 0 <= branch.parent < number:
        yield f"{where}.parent", f"must be an earlier branch, not {branch.parent}"
        return
    parent = branches[branch.parent]
    if not parent.at <= branch.at <= parent.length:
        yield f"{where}.at", f"must be {parent.at} to {parent.length}, not {branch.at}"


def _of_step(step: DecodingStep, vocab_size: int, where: str) -> Iterator[Complaint]:
    yield from _of_token(step.token_id, vocab_size, where, step.token, step.text)
    if all(candidate.token_id != step.token_id for candidate in step.candidates):
        yield f"{where}.candidates", f"lack the chosen token {step.token_id}"
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
    for name in ("input_tokens", "entropy_bits", "varentropy_bits2", "seconds"):
        if getattr(step, name) < -ROUNDING:
            yield f"{where}.{name}", f"must be 0 or more, not {getattr(step, name)}"


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
