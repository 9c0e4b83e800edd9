"""The errors that a caller is meant to catch; this room knows no other.

DecodingError
├── ModelLoadError       the model cannot be had or cannot be used
│   ├── DownloadError    the default model cannot be fetched onto this machine
│   └── ModelTooLargeError   its weights do not fit into memory
├── PromptError          the prompt cannot be turned into token ids
│   └── ContextLengthError   prompt and new tokens do not fit the model's context
├── GenerationConfigError    the settings ask for what this decoder does not do
├── LogitsError          the model returned logits that are no distribution
├── SessionError         a session cannot go where it was told to
└── TraceError           a file is no trace that can be read
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Self

# Messages quote what files, templates and servers say, which may be of any length.
MOST_CHARACTERS = 1_000
MOST_IN_A_VALUE = 300
_BREAKS = re.compile(r"\s*[\n\v\f\r\x85\u2028\u2029]\s*")


def bounded(text: str, most: int = MOST_CHARACTERS) -> str:
    """A text on one line; one that is longer than so many characters without its middle."""
    tail = most // 3
    short = text if len(text) <= most else f"{text[: most - tail - 3]} … {text[-tail:]}"
    return _BREAKS.sub(" ", short)


def is_failure(error: BaseException) -> bool:
    """Whether an error is a failure and nobody's wish to end; a panic in Rust is no Exception."""
    return isinstance(error, Exception) or type(error).__name__ == "PanicException"


def as_exception(error: BaseException) -> BaseException:
    """The error; a panic as an Exception, which every handler of failures sees."""
    if isinstance(error, Exception) or not is_failure(error):
        return error
    found = RuntimeError(bounded(f"{type(error).__name__}: {error}"))
    found.__cause__ = error
    return found


class DecodingError(Exception):
    """Something the user can act on; the message says what was wrong and what to do.

    It is one line of at most `MOST_CHARACTERS`.

    Attributes:
        message_key: what a page in another language looks the message up by; `None` where there
            is no such entry.
        message_values: what fills that entry's placeholders.
    """

    message_key: str | None = None
    message_values: Mapping[str, Any] = {}

    def __init__(self, message: str = "") -> None:
        super().__init__(bounded(message))

    def worded(self, key: str, /, **values: Any) -> Self:
        """Gives the message a key; returns the error."""
        self.message_key = key
        self.message_values = {
            name: bounded(value, MOST_IN_A_VALUE) if isinstance(value, str) else value
            for name, value in values.items()
        }
        return self


class ModelLoadError(DecodingError):
    """The model cannot be had or cannot be used."""


class DownloadError(ModelLoadError):
    """The default model cannot be fetched onto this machine."""


class ModelTooLargeError(ModelLoadError):
    """Its weights do not fit into memory.

    Attributes:
        needed_bytes: of the weights as they were wanted.
        free_bytes: what weights may take.
        device: whose memory that is.
        fitting: the number formats and quantizations that would fit, the largest first.
    """

    def __init__(
        self,
        message: str,
        needed_bytes: int = 0,
        free_bytes: int = 0,
        device: str = "",
        fitting: tuple[str, ...] = (),
    ) -> None:
        super().__init__(message)
        self.needed_bytes = needed_bytes
        self.free_bytes = free_bytes
        self.device = device
        self.fitting = fitting


class PromptError(DecodingError):
    """The prompt cannot be turned into token ids."""


class ContextLengthError(PromptError):
    """Prompt and new tokens do not fit the model's context."""


class GenerationConfigError(DecodingError):
    """The settings ask for what this decoder does not do, or are out of range."""


class LogitsError(DecodingError):
    """The model returned logits that are no distribution (NaN or infinite)."""


class SessionError(DecodingError):
    """A session cannot go where it was told to: no such step, branch or token, or an end."""


class TraceError(DecodingError):
    """A file is no trace, is larger than what is read, or is of another version."""
