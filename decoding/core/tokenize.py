"""Text -> token ids; what a tokenizer refuses is one sentence."""

from __future__ import annotations

from typing import Any

from decoding.records.errors import PromptError


def tokenize(tokenizer: Any, text: str, *, add_special_tokens: bool) -> list[int]:
    """The ids of a text as it stands.

    Raises:
        PromptError: it is not valid Unicode, or the tokenizer breaks down over it.
    """
    check_unicode(text)
    try:
        ids: list[int] = tokenizer(text, add_special_tokens=add_special_tokens, verbose=False)[
            "input_ids"
        ]
    except BaseException as error:
        # A panic in the tokenizers library passes by every handler of Exception.
        if isinstance(error, Exception) or type(error).__name__ != "PanicException":
            raise
        raise PromptError(
            f"The model's tokenizer broke down over this text: {str(error)[:200]}"
        ) from None
    return ids


def check_unicode(text: str) -> None:
    """Raises PromptError where a text holds half a character."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise PromptError(
            f"The text holds half a character (U+{ord(text[error.start]):04X} at position "
            f"{error.start}), which is not valid Unicode: remove it."
        ) from error
