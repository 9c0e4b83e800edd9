"""How a session begins, goes on and is looked at as a visitor asked; it knows no threads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from decoding.records.errors import ContextLengthError, SessionError
from decoding.records.requests import (
    FIXED_IN_A_RUN,
    ContinueOrder,
    InspectRequest,
    RunRequest,
    ScoreRequest,
)
from decoding.records.step import DecodingStep
from decoding.records.tree import MAX_STEPS, given_tokens

if TYPE_CHECKING:
    from decoding.core.inference import OnPrefill
    from decoding.core.language_model import LanguageModel
    from decoding.session.inspection import Inspection
    from decoding.session.session import DecodingSession

# Under these the distribution that would be drawn from is the model's own: a text that was given
# is measured in that one.
_PLAIN = {"do_sample": False, "repetition_penalty": 1.0, "no_repeat_ngram_size": 0}
_COUNTED = ("max_new_tokens", "min_new_tokens")
_ALLOW_MORE = {"length": "allow more tokens, or ", "max_time": "allow more time, or "}


def begin(
    lm: LanguageModel,
    request: RunRequest,
    on_prefill: OnPrefill,
    prompt_ids: list[int] | None = None,
) -> DecodingSession:
    """A session before its first inference.

    Args:
        lm: that decodes.
        request: what was asked for.
        on_prefill: called while the prompt is read.
        prompt_ids: in the place of the request's prompt.

    Raises:
        DecodingError: what `decode` would refuse.
    """
    from decoding.session.session import DecodingSession

    prompt = request.prompt if prompt_ids is None else prompt_ids
    return DecodingSession(lm, prompt, on_prefill=on_prefill, **decode_arguments(lm, request))


def decode_arguments(lm: LanguageModel, request: RunRequest) -> dict[str, Any]:
    """A request as the arguments of `decode` and of a session, the prompt aside."""
    from decoding.core.cache_kinds import cache_settings

    generation = dict(request.generation)
    # At 0 it cuts nothing, and yet its processor would sort the vocabulary at each step.
    if not generation.get("min_p") and not lm.model.generation_config.min_p:
        generation.pop("min_p", None)
    kind = generation.pop("cache_implementation", None)
    if kind is not None:
        generation |= cache_settings(kind, lm)
    return {
        "seed": request.seed,
        "top_candidates": request.top_candidates,
        "use_cache": request.use_cache,
        "chat_template_kwargs": request.chat_template_kwargs,
        **generation,
    }


def given_run(lm: LanguageModel, ids: list[int], request: ScoreRequest) -> RunRequest:
    """The run that a text to be scored is taken for: its first token is the prompt.

    Raises:
        SessionError: it has more tokens than a run may have.
    """
    tokens = len(ids) - 1
    if tokens > MAX_STEPS:
        raise SessionError(
            f"This text has {tokens:,} tokens, and at most {MAX_STEPS:,} are scored at once: "
            "shorten it."
        )
    room = tokens if lm.context_length is None else min(tokens, lm.context_length)
    generation = {**_PLAIN, "max_new_tokens": room}
    return RunRequest("", generation, request.seed, request.top_candidates)


def go_on(session: DecodingSession, order: ContinueOrder) -> Iterator[DecodingStep]:
    """The steps that an order asks for.

    Raises:
        SessionError: there is no such place or token, or the text has ended there.
        DecodingError: settings that cannot be used.
    """
    at = _check(session, order)
    if (session.branch, session.position) != (order.branch, at):
        session.move(order.branch, at)
    changes = _changes(session, _after_given(session, order.generation or {}))
    if changes:
        session.configure(**changes)
    _refuse_end(session)
    left = order.steps
    if order.token_id is not None:
        yield session.step(order.token_id)
        left = None if left is None else left - 1
    if left != 0 and not session.is_finished:
        yield from session.run(left)


def inspect(
    session: DecodingSession, request: InspectRequest, on_prefill: OnPrefill | None = None
) -> Inspection:
    """What there is to know of one step, under its own settings or under those to be tried.

    Args:
        session: that decoded it.
        request: which step, and what to try.
        on_prefill: called while the text is read again; what it raises ends that.

    Raises:
        SessionError: there is no such step or token.
        DecodingError: settings that cannot be used.
    """
    from decoding.session.inspection import inspect_step

    if request.generation is not None:
        request = replace(request, generation=_changes(session, request.generation))
    return inspect_step(session, request, on_prefill)


def _changes(session: DecodingSession, wanted: dict[str, Any]) -> dict[str, Any]:
    """The wanted settings that may change in mid-run and are not in force."""
    lasting = {name: value for name, value in wanted.items() if name not in FIXED_IN_A_RUN}
    changes = {name: _or_nothing(session, name, value) for name, value in lasting.items()}
    return {name: v for name, v in changes.items() if v != _in_force(session, name)}


def _after_given(session: DecodingSession, wanted: dict[str, Any]) -> dict[str, Any]:
    """Settings that count new tokens, with those that were given counted as the prompt's are.

    Raises:
        ContextLengthError: what may be written after them does not fit the context.
    """
    given = given_tokens(session.path())
    if not given:
        return wanted
    counted = {name: wanted[name] for name in _COUNTED if wanted.get(name)}
    _check_room(session, given, counted.get("max_new_tokens", 0))
    return {**wanted, **{name: given + count for name, count in counted.items()}}


def _check_room(session: DecodingSession, given: int, more: int) -> None:
    text, context = len(session.prompt_ids) + given, session.lm.context_length
    if context is not None and more and text + more - 1 > context:
        raise ContextLengthError(
            f"The {text:,} tokens of the text up to there and max_new_tokens = {more:,} do not fit "
            f"the model's context of {context:,}: at most {max(0, context - text + 1):,} new "
            "tokens fit."
        )


def _in_force(session: DecodingSession, name: str) -> Any:
    own = getattr(session.generation.config, name, None)
    return _or_nothing(session, name, session.settings.get(name, own))


def _or_nothing(session: DecodingSession, name: str, value: Any) -> Any:
    """What changes nothing as `None`, so that its processor is left out.

    Where the model's own config has another value, `None` would stand for that one.
    """
    may_be_left_out = name == "min_p" and not session.lm.model.generation_config.min_p
    return None if may_be_left_out and not value else value


def _check(session: DecodingSession, order: ContinueOrder) -> int:
    """The index of the next step, where there can be one."""
    branches, size = session.tree.branches, session.lm.vocab_size
    if not 0 <= order.branch < len(branches):
        raise SessionError(f"There is no branch {order.branch}: this run has {len(branches)}.")
    length = branches[order.branch].length
    at = length if order.at is None else order.at
    if not 0 <= at <= length:
        raise SessionError(f"Branch {order.branch} has {length:,} tokens: there is no step {at:,}.")
    if order.token_id is not None and not 0 <= order.token_id < size:
        raise SessionError(f"There is no token {order.token_id}: the vocabulary has {size:,}.")
    if order.steps is not None and order.steps < 1:
        raise SessionError(f"A run goes on for 1 inference or more, not {order.steps}.")
    return at


def _refuse_end(session: DecodingSession) -> None:
    """Asked under the settings of the order: a length that was reached may be none any more."""
    reason = session.end_at(session.branch, session.position)
    if reason is None:
        return
    raise SessionError(
        f"This text ended with its token {session.position} ({reason}): nothing comes after "
        f"that; {_ALLOW_MORE.get(reason, '')}choose an earlier token to go on from."
    ).worded(f"ended_{reason}", tokens=session.position)
