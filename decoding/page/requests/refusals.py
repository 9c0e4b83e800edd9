"""What the page refuses by itself, before anything reaches the model."""

from __future__ import annotations

from typing import Any

from decoding.records.errors import DecodingError, PromptError


class RequestError(DecodingError):
    """A request the page refuses by itself, in the visitor's language."""

    def __init__(self, text: str, message_key: str, /, **values: Any) -> None:
        super().__init__(text)
        self.worded(message_key, **values)


class PromptRequestError(RequestError, PromptError):
    """A prompt that is refused before it reaches the tokenizer."""
