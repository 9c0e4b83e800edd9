"""A microscope for autoregressive decoding: each inference, each token, each number.

The public names load on first use, so that a page can be served before torch is imported.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from decoding.core.cache_kinds import cache_settings
    from decoding.core.decoder import decode
    from decoding.core.language_model import LanguageModel
    from decoding.core.prompts import prompt_token_ids
    from decoding.costs.caches import compare_caches
    from decoding.costs.forecast import MemoryForecast, forecast_memory
    from decoding.costs.precisions import compare_precisions
    from decoding.costs.roofline import measure_roofline, roofline_points
    from decoding.models.loading import load_model
    from decoding.records.answers import AnswerAgreement, SampledAnswer, TruthOpinion
    from decoding.records.comparisons import (
        ComparedStep,
        PrecisionStart,
        PrecisionSummary,
        PrecisionToken,
        Roofline,
        RooflinePoint,
    )
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
    from decoding.records.requests import InspectRequest
    from decoding.records.step import Candidate, DecodingStep, KVCacheSize
    from decoding.records.trace import DecodingTrace
    from decoding.records.trace_checks import TraceLimits
    from decoding.records.trace_file import read_trace, trace_json, write_trace
    from decoding.records.tree import Branch, DecodingTree, Restoration
    from decoding.session.inspection import Inspection, inspect_step
    from decoding.session.session import DecodingSession
    from decoding.session.stages import Stage
    from decoding.strategies.samples import sample_answers, sampled_cost
    from decoding.strategies.scoring import TextScore, score, scored_ids, text_score
    from decoding.trust.agreement import compare_answers, sampled_confidence, semantic_entropy_bits
    from decoding.trust.calibration import (
        CalibratingTemperature,
        Reliability,
        ReliabilityBin,
        answer_temperature,
        calibrating_temperature,
        reliability,
    )
    from decoding.trust.doubt import WordMarker
    from decoding.trust.meaning import group_answers
    from decoding.trust.signals import answer_confidence
    from decoding.trust.truth import p_true, question_of
    from decoding.trust.words import Word, claim_steps, words_of

_ROOMS = {
    "records.answers": ("AnswerAgreement", "SampledAnswer", "TruthOpinion"),
    "trust.agreement": (
        "compare_answers",
        "sampled_confidence",
        "semantic_entropy_bits",
    ),
    "core.cache_kinds": ("cache_settings",),
    "trust.calibration": (
        "CalibratingTemperature",
        "Reliability",
        "ReliabilityBin",
        "answer_temperature",
        "calibrating_temperature",
        "reliability",
    ),
    "costs.caches": ("compare_caches",),
    "records.comparisons": (
        "ComparedStep",
        "PrecisionStart",
        "PrecisionSummary",
        "PrecisionToken",
        "Roofline",
        "RooflinePoint",
    ),
    "trust.signals": ("answer_confidence",),
    "core.language_model": ("LanguageModel",),
    "core.decoder": ("decode",),
    "records.errors": (
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
    ),
    "costs.forecast": ("MemoryForecast", "forecast_memory"),
    "session.inspection": ("Inspection", "inspect_step"),
    "trust.doubt": ("WordMarker",),
    "trust.meaning": ("group_answers",),
    "models.loading": ("load_model",),
    "costs.precisions": ("compare_precisions",),
    "core.prompts": ("prompt_token_ids",),
    "costs.roofline": ("measure_roofline", "roofline_points"),
    "records.requests": ("InspectRequest",),
    "strategies.samples": ("sample_answers", "sampled_cost"),
    "strategies.scoring": ("TextScore", "score", "scored_ids", "text_score"),
    "console.notebook": ("DecodingSession",),
    "session.stages": ("Stage",),
    "records.step": ("Candidate", "DecodingStep", "KVCacheSize"),
    "records.trace": ("DecodingTrace",),
    "records.trace_checks": ("TraceLimits",),
    "records.trace_file": ("read_trace", "trace_json", "write_trace"),
    "records.tree": ("Branch", "DecodingTree", "Restoration"),
    "trust.truth": ("p_true", "question_of"),
    "trust.words": ("Word", "claim_steps", "words_of"),
}
_ROOM_OF = {name: room for room, names in _ROOMS.items() for name in names}

__all__ = [
    "AnswerAgreement",
    "Branch",
    "CalibratingTemperature",
    "Candidate",
    "ComparedStep",
    "ContextLengthError",
    "DecodingError",
    "DecodingSession",
    "DecodingStep",
    "DecodingTrace",
    "DecodingTree",
    "DownloadError",
    "GenerationConfigError",
    "InspectRequest",
    "Inspection",
    "KVCacheSize",
    "LanguageModel",
    "LogitsError",
    "MemoryForecast",
    "ModelLoadError",
    "ModelTooLargeError",
    "PrecisionStart",
    "PrecisionSummary",
    "PrecisionToken",
    "PromptError",
    "Reliability",
    "ReliabilityBin",
    "Restoration",
    "Roofline",
    "RooflinePoint",
    "SampledAnswer",
    "SessionError",
    "Stage",
    "TextScore",
    "TraceError",
    "TraceLimits",
    "TruthOpinion",
    "Word",
    "WordMarker",
    "answer_confidence",
    "answer_temperature",
    "cache_settings",
    "calibrating_temperature",
    "claim_steps",
    "compare_answers",
    "compare_caches",
    "compare_precisions",
    "decode",
    "forecast_memory",
    "group_answers",
    "inspect_step",
    "load_model",
    "measure_roofline",
    "p_true",
    "prompt_token_ids",
    "question_of",
    "read_trace",
    "reliability",
    "roofline_points",
    "sample_answers",
    "sampled_confidence",
    "sampled_cost",
    "score",
    "scored_ids",
    "semantic_entropy_bits",
    "text_score",
    "trace_json",
    "words_of",
    "write_trace",
]


def __getattr__(name: str) -> Any:
    if name not in _ROOM_OF:
        raise AttributeError(f"module 'decoding' has no attribute {name!r}")
    value = getattr(import_module(f"decoding.{_ROOM_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
