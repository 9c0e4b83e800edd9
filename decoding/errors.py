"""The errors that a caller is meant to catch; this room knows no other.

DecodingError
├── ModelLoadError       the model cannot be had or cannot be used
│   └── DownloadError    the default model cannot be fetched onto this machine
├── PromptError          the prompt cannot be turned into token ids
│   └── ContextLengthError   prompt and new tokens do not fit the model's context
├── GenerationConfigError    the settings ask for what this decoder does not do
└── LogitsError          the model returned logits that are no distribution
"""


class DecodingError(Exception):
    """Something the user can act on; the message says what was wrong and what to do."""


class ModelLoadError(DecodingError):
    """The model cannot be had or cannot be used."""


class DownloadError(ModelLoadError):
    """The default model cannot be fetched onto this machine."""


class PromptError(DecodingError):
    """The prompt cannot be turned into token ids."""


class ContextLengthError(PromptError):
    """Prompt and new tokens do not fit the model's context."""


class GenerationConfigError(DecodingError):
    """The settings ask for what this decoder does not do, or are out of range."""


class LogitsError(DecodingError):
    """The model returned logits that are no distribution (NaN or infinite)."""
