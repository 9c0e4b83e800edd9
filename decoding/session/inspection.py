"""What one step of a session was chosen from, and what other settings would make of it."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import FloatTensor, LongTensor, Tensor
from transformers import GenerationConfig, InfNanRemoveLogitsProcessor

from decoding.core.detokenizer import token_piece, token_text
from decoding.core.generation import Generation
from decoding.core.inference import OnPrefill
from decoding.records.errors import GenerationConfigError, LogitsError, SessionError
from decoding.records.requests import FIXED_IN_A_RUN, InspectRequest
from decoding.records.step import Candidate
from decoding.records.tree import Restoration
from decoding.session.processors import SETTING_OF
from decoding.session.stages import Choice, Stage, Staged, StageNumbers, draw, measure_stages
from decoding.session.vocabulary import vocabulary_of

if TYPE_CHECKING:
    from decoding.session.session import DecodingSession

FOUND_LISTED = 50
_TRIED_KEPT = 8
# No distribution depends on them, and to prepare stop strings takes a look at every token.
_WITHOUT = {"stop_strings": None, "max_time": None}
_NOT_TRIED = {*_WITHOUT, *FIXED_IN_A_RUN}


@dataclass(frozen=True, slots=True)
class Inspection:
    """One step's distribution on its way from the model to the draw.

    Attributes:
        branch, index: which step.
        entropy_bits: of the model's own distribution, over the full vocabulary.
        kept_tokens: vocabulary entries that could still be drawn after the last stage.
        candidates: the model's favourites, the step's own token, the one that is chosen here
            and those asked for, most likely first; `sampling_probability` is the one after the
            last stage.
        stages: in the order in which the processors are applied.
        chosen: the token that the step's own random numbers, or the maximum, take under these
            settings.
        found: what the search found, the better matches first, of equal ones the likelier.
        ranks: in the model's own distribution, of the step's own token and of those found and
            asked for.
        restoration: what it took to have the logits again; `None` where they were kept.
        seconds: all of it.
    """

    branch: int
    index: int
    entropy_bits: float
    kept_tokens: int
    candidates: tuple[Candidate, ...]
    stages: tuple[Stage, ...]
    chosen: int
    found: tuple[Candidate, ...]
    ranks: dict[int, int]
    restoration: Restoration | None
    seconds: float


@torch.inference_mode()
def inspect_step(
    session: DecodingSession, request: InspectRequest, on_prefill: OnPrefill | None = None
) -> Inspection:
    """Takes a step apart, under the settings it was chosen with or under others.

    Nothing of the session changes, and the model runs only where logits were not kept.

    Args:
        session: that decoded it.
        request: which step, and what to try.
        on_prefill: called while the model reads, as `Places.logits_at` does.

    Raises:
        SessionError: there is no such step or token.
        GenerationConfigError: the settings cannot be used, or leave nothing to choose from.
        LogitsError: the model's own logits are no distribution.
    """
    started = time.perf_counter()
    ids = session.places.ids_before(request.branch, request.index)
    generation = _generation(session, request)
    logits, restoration = session.places.logits_at(request.branch, request.index, on_prefill)
    with _one_thread(logits.device):
        staged = _staged(session, request, generation, logits, ids)
    _check_staged(staged, request)
    tokenizer = session.lm.tokenizer
    return Inspection(
        branch=request.branch,
        index=request.index,
        entropy_bits=staged.entropy_bits,
        kept_tokens=staged.kept_tokens,
        candidates=_candidates(tokenizer, staged),
        stages=_stages(tokenizer, generation, staged),
        chosen=staged.chosen,
        found=tuple(_candidate(tokenizer, *entry) for entry in staged.found),
        ranks=staged.ranks,
        restoration=restoration,
        seconds=time.perf_counter() - started,
    )


@contextmanager
def _one_thread(device: torch.device) -> Iterator[None]:
    """Has torch compute without helpers on a CPU.

    A preview is many small passes over one row. Two threads gain little on them, and where a
    browser takes one of the cores, each pass waits for the thread that it has displaced.
    """
    threads = torch.get_num_threads()
    if device.type != "cpu" or threads == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _staged(
    session: DecodingSession,
    request: InspectRequest,
    generation: Generation,
    logits: Tensor,
    ids: Tensor,
) -> Staged:
    found = _find(session, request.find, logits)
    listed = torch.tensor(_listed(session, request), dtype=torch.long, device=logits.device)
    if generation.config.remove_invalid_values:
        row = cast(FloatTensor, logits.unsqueeze(0))
        logits = InfNanRemoveLogitsProcessor()(cast(LongTensor, ids), row)[0]
    return measure_stages(
        logits,
        ids,
        generation.processors,
        top=request.top,
        named=listed,
        found=found,
        choose=_choice(session, request, generation),
    )


def _check_staged(staged: Staged, request: InspectRequest) -> None:
    if not math.isfinite(staged.entropy_bits):
        raise LogitsError(f"Inference {request.index + 1} returned no distribution.")
    if not all(map(math.isfinite, staged.probabilities[-1])):
        raise GenerationConfigError("These settings leave no token to choose from.")


def _listed(session: DecodingSession, request: InspectRequest) -> list[int]:
    """The tokens that were asked for, and the one that the step has taken."""
    size = session.lm.vocab_size
    unknown = [token for token in request.token_ids if not 0 <= token < size]
    if unknown:
        raise SessionError(f"Token id {unknown[0]} is outside the vocabulary, 0 to {size - 1}.")
    path = session.tree.path(request.branch)
    own = [step.token_id for step in path[request.index : request.index + 1]]
    return list(dict.fromkeys([*request.token_ids, *own]))


def _generation(session: DecodingSession, request: InspectRequest) -> Generation:
    """The processors to look at: those to be tried, those of that step, or those in force."""
    if request.generation is not None:
        return _generation_with(session, request.generation)
    if request.index < session.tree.branches[request.branch].length:
        settings = session.tree.settings(request.branch, request.index)
        if settings != session.settings:
            defaults = GenerationConfig()._get_default_generation_params()
            left_out = {name: defaults.get(name) for name in session.settings}
            return _generation_with(session, {**left_out, **(settings or {})})
    return session.generation


def _generation_with(session: DecodingSession, wanted: dict[str, Any]) -> Generation:
    """Prepared once for the same settings laid over the same: a slider is moved to and fro."""
    settings = {name: value for name, value in wanted.items() if name not in _NOT_TRIED}
    kept = session.tried
    key = repr((session.lm.device, session.settings, sorted(settings.items())))
    if key not in kept:
        generation = session.generation_with(**_WITHOUT, **settings)
        while len(kept) >= _TRIED_KEPT:
            del kept[next(iter(kept))]
        kept[key] = generation
    return kept[key]


def _choice(session: DecodingSession, request: InspectRequest, generation: Generation) -> Choice:
    if not generation.config.do_sample:
        return lambda _, scores: scores.argmax(dim=-1)
    state = session.places.draw_state(request.branch, request.index)
    return lambda probabilities, _: draw(probabilities, state)


def _find(session: DecodingSession, query: str | None, logits: Tensor) -> Tensor:
    """The tokens that the search finds, (tokens,) int64 on the device of the logits."""
    found = [torch.empty(0, dtype=torch.long, device=logits.device)]
    left = FOUND_LISTED
    vocabulary = vocabulary_of(session.lm.tokenizer, logits.shape[-1]) if query else None
    for group in vocabulary.search(query or "") if vocabulary else []:
        if not left:
            break
        ids = torch.tensor(group, device=logits.device)
        found.append(ids[logits[ids].topk(min(left, len(group))).indices])
        left -= len(found[-1])
    return torch.cat(found)


def _candidates(tokenizer: Any, staged: Staged) -> tuple[Candidate, ...]:
    rows = zip(staged.token_ids, staged.probabilities[0], staged.probabilities[-1], strict=True)
    return tuple(_candidate(tokenizer, *row) for row in rows)


def _stages(tokenizer: Any, generation: Generation, staged: Staged) -> tuple[Stage, ...]:
    rows = zip(generation.processors, staged.stages, staged.probabilities[1:], strict=True)
    return tuple(
        _stage(tokenizer, generation, type(processor).__name__, numbers, probabilities)
        for processor, numbers, probabilities in rows
    )


def _stage(
    tokenizer: Any,
    generation: Generation,
    name: str,
    numbers: StageNumbers,
    probabilities: tuple[float, ...],
) -> Stage:
    setting = SETTING_OF.get(name)
    return Stage(
        name=name,
        setting=setting,
        value=None if setting is None else getattr(generation.config, setting),
        kept_tokens=numbers.kept_tokens,
        cut_tokens=numbers.cut_tokens,
        cut_probability=numbers.cut_probability,
        moved=numbers.moved,
        entropy_bits=numbers.entropy_bits,
        probabilities=probabilities,
        cut=tuple(_candidate(tokenizer, token_id, p, 0.0) for token_id, p in numbers.cut),
    )


def _candidate(
    tokenizer: Any, token_id: int, probability: float, sampling_probability: float
) -> Candidate:
    return Candidate(
        token_id,
        token_piece(tokenizer, token_id),
        token_text(tokenizer, token_id),
        probability,
        sampling_probability,
    )
