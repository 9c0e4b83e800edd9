"""A microscope for autoregressive decoding: each inference, each token, each number.

The public names load on first use, so that a page can be served before torch is imported.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from decoding.agreement import (
        AnswerAgreement,
        SampledAnswer,
        TruthOpinion,
        compare_answers,
        sampled_confidence,
        semantic_entropy_bits,
    )
    from decoding.cache_kinds import cache_settings
    from decoding.calibration import (
        CalibratingTemperature,
        Reliability,
        ReliabilityBin,
        answer_temperature,
        calibrating_temperature,
        reliability,
    )
    from decoding.compare import compare_caches
    from decoding.comparison import (
        ComparedStep,
        PrecisionStart,
        PrecisionSummary,
        PrecisionToken,
        Roofline,
        RooflinePoint,
    )
    from decoding.confidence import answer_confidence
    from decoding.decoder import decode
    from decoding.errors import (
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
    from decoding.forecast import MemoryForecast, forecast_memory
    from decoding.inspection import Inspection, inspect_step
    from decoding.marks import WordMarker
    from decoding.meaning import group_answers
    from decoding.models import LanguageModel, load_model
    from decoding.precision import compare_precisions
    from decoding.prompts import prompt_token_ids
    from decoding.roofline import measure_roofline, roofline_points
    from decoding.run import InspectRequest
    from decoding.sampled import sample_answers, sampled_cost
    from decoding.scoring import TextScore, score, scored_ids, text_score
    from decoding.session import DecodingSession
    from decoding.stages import Stage
    from decoding.step import Candidate, DecodingStep, KVCacheSize
    from decoding.trace import DecodingTrace
    from decoding.trace_checks import TraceLimits
    from decoding.trace_file import read_trace, trace_json, write_trace
    from decoding.tree import Branch, DecodingTree, Restoration
    from decoding.truth import p_true, question_of
    from decoding.words import Word, claim_steps, words_of

_ROOMS = {
    "agreement": (
        "AnswerAgreement",
        "SampledAnswer",
        "TruthOpinion",
        "compare_answers",
        "sampled_confidence",
        "semantic_entropy_bits",
    ),
    "cache_kinds": ("cache_settings",),
    "calibration": (
        "CalibratingTemperature",
        "Reliability",
        "ReliabilityBin",
        "answer_temperature",
        "calibrating_temperature",
        "reliability",
    ),
    "compare": ("compare_caches",),
    "comparison": (
        "ComparedStep",
        "PrecisionStart",
        "PrecisionSummary",
        "PrecisionToken",
        "Roofline",
        "RooflinePoint",
    ),
    "confidence": ("answer_confidence",),
    "decoder": ("decode",),
    "errors": (
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
    "forecast": ("MemoryForecast", "forecast_memory"),
    "inspection": ("Inspection", "inspect_step"),
    "marks": ("WordMarker",),
    "meaning": ("group_answers",),
    "models": ("LanguageModel", "load_model"),
    "precision": ("compare_precisions",),
    "prompts": ("prompt_token_ids",),
    "roofline": ("measure_roofline", "roofline_points"),
    "run": ("InspectRequest",),
    "sampled": ("sample_answers", "sampled_cost"),
    "scoring": ("TextScore", "score", "scored_ids", "text_score"),
    "session": ("DecodingSession",),
    "stages": ("Stage",),
    "step": ("Candidate", "DecodingStep", "KVCacheSize"),
    "trace": ("DecodingTrace",),
    "trace_checks": ("TraceLimits",),
    "trace_file": ("read_trace", "trace_json", "write_trace"),
    "tree": ("Branch", "DecodingTree", "Restoration"),
    "truth": ("p_true", "question_of"),
    "words": ("Word", "claim_steps", "words_of"),
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
