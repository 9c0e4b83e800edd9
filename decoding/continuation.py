"""How a session begins, goes on and is looked at as a visitor asked; it knows no threads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from decoding.errors import SessionError
from decoding.run import ContinueOrder, InspectRequest, RunRequest
from decoding.step import DecodingStep

if TYPE_CHECKING:
    from decoding.inference import OnPrefill
    from decoding.inspection import Inspection
    from decoding.models import LanguageModel
    from decoding.session import DecodingSession

# The cache is made for one kind, and its length in mid-run cannot be another.
FIXED_SETTINGS = ("cache_implementation", "cache_config", "use_cache")
_ALLOW_MORE = {"length": "allow more tokens, or ", "max_time": "allow more time, or "}


def begin(lm: LanguageModel, request: RunRequest, on_prefill: OnPrefill) -> DecodingSession:
    """A session before its first inference.

    Raises:
        DecodingError: what `decode` would refuse.
    """
    from decoding.session import DecodingSession

    return DecodingSession(
        lm, request.prompt, on_prefill=on_prefill, **decode_arguments(lm, request)
    )


def decode_arguments(lm: LanguageModel, request: RunRequest) -> dict[str, Any]:
    """A request as the arguments of `decode` and of a session, the prompt aside."""
    from decoding.cache_kinds import cache_settings

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
        **generation,
    }


def go_on(session: DecodingSession, order: ContinueOrder) -> Iterator[DecodingStep]:
    """The steps that an order asks for.

    Raises:
        SessionError: there is no such place or token, or the text has ended there.
        DecodingError: settings that cannot be used.
    """
    at = _check(session, order)
    if (session.branch, session.position) != (order.branch, at):
        session.move(order.branch, at)
    changes = _changes(session, order.generation or {})
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
    from decoding.inspection import inspect_step

    if request.generation is not None:
        request = replace(request, generation=_changes(session, request.generation))
    return inspect_step(session, request, on_prefill)


def _changes(session: DecodingSession, wanted: dict[str, Any]) -> dict[str, Any]:
    """The wanted settings that may change in mid-run and are not in force."""
    lasting = {name: value for name, value in wanted.items() if name not in FIXED_SETTINGS}
    changes = {name: _or_nothing(session, name, value) for name, value in lasting.items()}
    return {name: v for name, v in changes.items() if v != _in_force(session, name)}


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
    )
