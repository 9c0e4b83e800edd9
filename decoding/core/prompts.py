"""What a user gives -> token ids; it sees to it that nobody's text can pass for a turn."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from decoding.core.context import refuse_long_prompt
from decoding.records.errors import PromptError

if TYPE_CHECKING:
    from decoding.core.language_model import LanguageModel

Prompt = str | Sequence[dict[str, Any]] | Sequence[int]


def prompt_token_ids(lm: LanguageModel, prompt: Prompt) -> list[int]:
    """The token ids that a prompt stands for.

    Args:
        lm: whose tokenizer and chat template apply.
        prompt: a text, tokenized as it stands; chat messages (`role`, `content`), through
            the chat template; or token ids.

    Returns:
        At least one id, all of them inside the vocabulary and fewer than the context.

    Raises:
        PromptError: empty, not valid Unicode, no chat template, ids out of range.
        ContextLengthError: longer than the model's context.
    """
    ids = any_token_ids(lm, prompt)
    refuse_long_prompt(lm, len(ids))
    return ids


def any_token_ids(lm: LanguageModel, prompt: Prompt) -> list[int]:
    """The same at any length.

    Raises:
        PromptError: as `prompt_token_ids` does.
    """
    if isinstance(prompt, str):
        ids = _tokenize(lm.tokenizer, prompt, add_special_tokens=True)
    elif isinstance(prompt, Sequence) and prompt and all(isinstance(m, dict) for m in prompt):
        ids = _chat_ids(lm.tokenizer, [m for m in prompt if isinstance(m, dict)])
    elif isinstance(prompt, Sequence) and all(type(i) is int for i in prompt):
        ids = [i for i in prompt if isinstance(i, int)]
    else:
        kind = type(prompt).__name__
        raise PromptError(f"A prompt is a text, chat messages or token ids; this is a {kind}.")
    _check_ids(lm, ids)
    return ids


def _check_ids(lm: LanguageModel, ids: list[int]) -> None:
    if not ids:
        raise PromptError("The prompt is empty: write something for the model to continue.")
    outside = next((i for i in ids if not 0 <= i < lm.vocab_size), None)
    if outside is not None:
        raise PromptError(
            f"Token id {outside} is outside the vocabulary, 0 to {lm.vocab_size - 1}."
        )


def _tokenize(tokenizer: Any, text: str, *, add_special_tokens: bool) -> list[int]:
    _check_unicode(text)
    ids: list[int] = tokenizer(text, add_special_tokens=add_special_tokens, verbose=False)[
        "input_ids"
    ]
    return ids


def _check_unicode(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise PromptError(
            f"The text holds half a character (U+{ord(text[error.start]):04X} at position "
            f"{error.start}), which is not valid Unicode: remove it."
        ) from error


def _chat_ids(tokenizer: Any, messages: list[dict[str, Any]]) -> list[int]:
    """Renders the chat template, then tokenizes what users wrote apart from its turn marks.

    A special token's text inside a message is cut in two by a mark before rendering, and the
    rendered text is tokenized piece by piece between the marks: no tokenizer can join it again.
    """
    if not tokenizer.chat_template:
        raise PromptError("This model's tokenizer has no chat template: use a raw prompt.").worded(
            "no_chat_template"
        )
    mark = secrets.token_hex(16)
    specials = sorted(tokenizer.get_added_vocab(), key=len, reverse=True)
    guarded = [{k: _guard(v, specials, mark) for k, v in m.items()} for m in messages]
    try:
        rendered = tokenizer.apply_chat_template(
            guarded, tokenize=False, add_generation_prompt=True
        )
    except Exception as error:  # a template is a model's own program, and raises what it likes
        raise PromptError(f"The chat template refused the messages: {error}") from error
    pieces = [piece for piece in rendered.split(mark) if piece]
    return [i for piece in pieces for i in _tokenize(tokenizer, piece, add_special_tokens=False)]


def _guard(value: Any, specials: list[str], mark: str) -> Any:
    if isinstance(value, list):
        return [_guard(part, specials, mark) for part in value]
    if isinstance(value, dict):
        return {name: _guard(part, specials, mark) for name, part in value.items()}
    if not isinstance(value, str):
        return value
    _check_unicode(value)
    for special in specials:
        if len(special) > 1:
            value = value.replace(special, special[0] + mark + special[1:])
    return value
