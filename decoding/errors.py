"""`decoding.records.errors` by its public address."""

from decoding.records.errors import (
    ContextLengthError,
    DecodingError,
    DownloadError,
    GenerationConfigError,
    LogitsError,
    ModelLoadError,
    ModelTooLargeError,
    PromptError,
    SessionError,
    TraceError,
)

__all__ = [
    "ContextLengthError",
    "DecodingError",
    "DownloadError",
    "GenerationConfigError",
    "LogitsError",
    "ModelLoadError",
    "ModelTooLargeError",
    "PromptError",
    "SessionError",
    "TraceError",
]
