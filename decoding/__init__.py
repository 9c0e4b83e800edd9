"""A microscope for autoregressive decoding: each inference, each token, each number."""

from decoding.decoder import decode
from decoding.errors import (
    ContextLengthError,
    DecodingError,
    DownloadError,
    GenerationConfigError,
    LogitsError,
    ModelLoadError,
    PromptError,
)
from decoding.models import LanguageModel, load_model
from decoding.prompts import prompt_token_ids
from decoding.step import Candidate, DecodingStep, KVCacheSize

__all__ = [
    "Candidate",
    "ContextLengthError",
    "DecodingError",
    "DecodingStep",
    "DownloadError",
    "GenerationConfigError",
    "KVCacheSize",
    "LanguageModel",
    "LogitsError",
    "ModelLoadError",
    "PromptError",
    "decode",
    "load_model",
    "prompt_token_ids",
]
