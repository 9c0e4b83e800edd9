"""What makes a trace of a session."""

from __future__ import annotations

import math
import platform
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Protocol

from decoding.core.description import model_facts, prompt_tokens
from decoding.records.model_facts import ModelFacts
from decoding.records.requests import PromptToken
from decoding.records.trace import DecodingTrace
from decoding.records.tree import Branch, DecodingTree

if TYPE_CHECKING:
    from decoding.core.language_model import LanguageModel

LIBRARIES = ("torch", "transformers", "tokenizers")


@dataclass(frozen=True, slots=True)
class Origin:
    """What a trace says of the model, kept by a session whose model is let go."""

    model: ModelFacts
    prompt_tokens: tuple[PromptToken, ...]
    revision: str | None


class Recorded(Protocol):
    """What a trace holds of a session."""

    prompt: Any
    chat_template_kwargs: dict[str, Any]
    prompt_ids: list[int]
    seed: int
    top_candidates: int
    use_cache: bool
    created: str

    @property
    def tree(self) -> DecodingTree:
        """Every step."""

    @property
    def origin(self) -> Origin:
        """Of the model and the prompt."""


def trace_of(session: Recorded) -> DecodingTrace:
    """What a session has decoded so far; it goes on without changing this."""
    origin = session.origin
    return DecodingTrace(
        created=session.created,
        prompt=_plain_prompt(session.prompt, session.prompt_ids),
        prompt_tokens=origin.prompt_tokens,
        model=origin.model,
        revision=origin.revision,
        versions=library_versions(),
        seed=session.seed,
        use_cache=session.use_cache,
        top_candidates=session.top_candidates,
        # The list first: where the session goes on meanwhile, a parent only gets longer.
        branches=tuple(_copied(branch) for branch in list(session.tree.branches)),
        chat_template_kwargs=_plain(session.chat_template_kwargs),
    )


def origin_of(lm: LanguageModel, prompt_ids: list[int]) -> Origin:
    """What a trace says of a model and a prompt; to be called where torch runs."""
    return Origin(model_facts(lm), prompt_tokens(lm, prompt_ids), _revision(lm.model.config))


def library_versions() -> dict[str, str]:
    """The versions that a run depends on; a library that is not installed is left out."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _revision(config: Any) -> str | None:
    """The Hub's commit, also by the folder in which its files are kept on this machine."""
    told = getattr(config, "_commit_hash", None)
    if told is not None:
        return str(told)
    folder = re.search(r"[/\\]snapshots[/\\]([0-9a-f]{40})\b", str(config.name_or_path))
    return folder[1] if folder else None


def _plain_prompt(prompt: Any, ids: list[int]) -> str | list[dict[str, str]] | list[int]:
    """The prompt as it was given; its ids where messages hold more than texts."""
    if isinstance(prompt, str):
        return prompt
    if isinstance(prompt, Sequence) and all(_is_message(message) for message in prompt):
        return [dict(message) for message in prompt]
    return list(ids)


def _is_message(message: Any) -> bool:
    return isinstance(message, dict) and all(isinstance(v, str) for v in message.values())


def _copied(branch: Branch) -> Branch:
    """The branch as it is now; its settings as JSON has them, tuples as lists."""
    copied = Branch(branch.number, branch.parent, branch.at, list(branch.steps))
    # What belongs to a step is there before it is, and its step may have come since.
    changes = [change for change in list(branch.changes) if change.index < copied.length]
    copied.changes = [replace(change, settings=_plain(change.settings)) for change in changes]
    copied.restorations = [r for r in list(branch.restorations) if r.index < copied.length]
    return copied


def _plain(value: Any) -> Any:
    """A setting in JSON's own kinds; what is of no such kind is told in words."""
    if isinstance(value, dict):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    return value if value is None or isinstance(value, str | int) else str(value)
