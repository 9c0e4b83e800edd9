"""Chat messages -> token ids; it sees to it that nobody's text can pass for a turn."""

from __future__ import annotations

import inspect
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Any
from weakref import WeakKeyDictionary

from decoding.core.tokenize import check_unicode, tokenize
from decoding.records.errors import PromptError

# What a template writes between turns is read off a chat of these.
_PROBES = ("qzvauser", "qzvbanswer", "qzvcuser", "qzvdanswer")
_MOST_TOLD = 300  # characters of what a template says of the messages
# What `apply_chat_template` names among its own arguments and hands to the template.
_TEMPLATES_OWN = ("tools", "documents", "kwargs")
_guards: WeakKeyDictionary[Any, tuple[str, re.Pattern[str] | None]] = WeakKeyDictionary()


def chat_ids(
    tokenizer: Any,
    messages: list[dict[str, Any]],
    template_kwargs: Mapping[str, Any] | None = None,
) -> list[int]:
    """The ids that `apply_chat_template` gives, but no message ends its turn or begins another.

    What could do that is cut in two by a mark before the template is rendered, and the rendered
    text is tokenized piece by piece between the marks: no tokenizer can join it again. All other
    text is the template's and the tokenizer's as it stands. A last message of the assistant is
    the beginning of the answer, which is continued.

    Args:
        tokenizer: with a chat template.
        messages: each with `role` and `content`.
        template_kwargs: further variables of the template, such as `enable_thinking`; texts in
            them, such as documents, are taken like messages.

    Raises:
        PromptError: there is no template, it refuses the messages, or a variable is no template's.
    """
    if not tokenizer.chat_template:
        raise PromptError("This model's tokenizer has no chat template: use a raw prompt.").worded(
            "no_chat_template"
        )
    mark = secrets.token_hex(16)
    guard = _guard_of(tokenizer)
    variables = dict(template_kwargs or {})
    _check_variables(tokenizer, variables)
    guarded, given = _guarded(messages, guard, mark), _guarded(variables, guard, mark)
    rendered = _rendered(tokenizer, guarded, given)
    pieces = [piece for piece in rendered.split(mark) if piece]
    return [i for piece in pieces for i in tokenize(tokenizer, piece, add_special_tokens=False)]


def has_thinking_switch(tokenizer: Any) -> bool:
    """Whether the chat template reads `enable_thinking`, told by its text alone."""
    return re.search(r"\benable_thinking\b", str(tokenizer.chat_template or "")) is not None


def _check_variables(tokenizer: Any, variables: dict[str, Any]) -> None:
    """What turns the rendering itself, as to tokens or into another template, is not theirs."""
    parameters = inspect.signature(tokenizer.apply_chat_template).parameters
    reserved = (set(parameters) | {"messages"}) - set(_TEMPLATES_OWN)
    wrong = next((name for name in variables if not isinstance(name, str) or name in reserved), "")
    if wrong != "":
        raise PromptError(f"chat_template_kwargs cannot set {wrong!r:.100}: it is no variable.")


def _rendered(
    tokenizer: Any, messages: list[dict[str, Any]], template_kwargs: dict[str, Any]
) -> str:
    *before, last = messages
    if last.get("role") == "assistant" and last.get("content") == "":
        messages, last = before, {}
    continues = last.get("role") == "assistant" and bool(last.get("content"))
    try:
        text: str = tokenizer.apply_chat_template(
            messages,
            tokenize=False,
            add_generation_prompt=not continues,
            continue_final_message=continues,
            **template_kwargs,
        )
    except Exception as error:  # a template is a model's own program, and raises what it likes
        told = str(error) or type(error).__name__
        raise PromptError(f"The chat template refused the messages: {told[:_MOST_TOLD]}") from error
    return text


def _guarded(value: Any, guard: re.Pattern[str] | None, mark: str) -> Any:
    if isinstance(value, list):
        return [_guarded(part, guard, mark) for part in value]
    if isinstance(value, dict):
        return {name: _guarded(part, guard, mark) for name, part in value.items()}
    if not isinstance(value, str):
        return value
    check_unicode(value)
    if guard is None:
        return value
    return guard.sub(lambda found: found[0][0] + mark + found[0][1:], value)


def _guard_of(tokenizer: Any) -> re.Pattern[str] | None:
    """Finds what is not to be taken as it stands; the longest first, worked out once."""
    template = str(tokenizer.chat_template)
    known = _guards.get(tokenizer)
    if known is None or known[0] != template:
        known = template, _pattern(_turn_marks(tokenizer))
        _guards[tokenizer] = known
    return known[1]


def _pattern(marks: Iterable[tuple[str, bool]]) -> re.Pattern[str] | None:
    """One character alone cannot be cut in two, and ends no turn of a template either."""
    usable = {mark: is_folded for mark, is_folded in marks if len(mark) > 1}
    parts = [
        f"(?i:{re.escape(mark)})" if usable[mark] else re.escape(mark)
        for mark in sorted(usable, key=len, reverse=True)
    ]
    return re.compile("|".join(parts)) if parts else None


def _turn_marks(tokenizer: Any) -> Iterator[tuple[str, bool]]:
    """Special tokens, and what the template itself writes between turns.

    Each with whether the tokenizer finds it in a normalized text, as in other letters.
    """
    added = tokenizer.added_tokens_decoder.values()
    special = dict.fromkeys(tokenizer.all_special_tokens, False)
    special |= {token.content: bool(token.normalized) for token in added if token.special}
    yield from special.items()
    for between in _between_turns(tokenizer):
        yield from (
            (token.content, bool(token.normalized))
            for token in added
            if token.content in between and token.content.strip()
        )
        if not any(content in between for content in special):
            yield between.strip(), False


def _between_turns(tokenizer: Any) -> list[str]:
    """What a template writes before, between and behind the texts of a chat."""
    roles = ("user", "assistant", "user", "assistant")
    chat = [{"role": role, "content": text} for role, text in zip(roles, _PROBES, strict=True)]
    try:
        text = tokenizer.apply_chat_template(chat, tokenize=False)
    except Exception:  # then what it writes is not known, and the special tokens are what there is
        return []
    places = [(text.find(probe), text.find(probe) + len(probe)) for probe in _PROBES]
    if any(start < 0 for start, _end in places):
        return []
    ends = [(0, 0), *places, (len(text), len(text))]
    return [text[end:start] for (_, end), (start, _) in pairwise(ends)]
