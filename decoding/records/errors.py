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

from collections.abc import Mapping
from typing import Any, Self


class DecodingError(Exception):
    """Something the user can act on; the message says what was wrong and what to do.

    Attributes:
        message_key: what a page in another language looks the message up by; `None` where there
            is no such entry.
        message_values: what fills that entry's placeholders.
    """

    message_key: str | None = None
    message_values: Mapping[str, Any] = {}

    def worded(self, key: str, /, **values: Any) -> Self:
        """Gives the message a key; returns the error."""
        self.message_key, self.message_values = key, values
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
