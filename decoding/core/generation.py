"""GenerationConfig -> processors and criteria in transformers' order; it runs no inference."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers import (
    EosTokenCriteria,
    GenerationConfig,
    LogitsProcessorList,
    MaxLengthCriteria,
    MaxTimeCriteria,
    StoppingCriteriaList,
    StopStringCriteria,
)
from transformers.generation import (
    GenerationMode,
    SynthIDTextWatermarkLogitsProcessor,
    UnbatchedClassifierFreeGuidanceLogitsProcessor,
)

from decoding.records.errors import ContextLengthError, DecodingError, GenerationConfigError
from decoding.records.step import FinishReason

if TYPE_CHECKING:
    from decoding.core.language_model import LanguageModel

FINISH_REASONS: dict[type, FinishReason] = {
    EosTokenCriteria: "eos",
    StopStringCriteria: "stop_string",
    MaxLengthCriteria: "length",
    MaxTimeCriteria: "max_time",
}
DEFAULT_MAX_NEW_TOKENS = 20  # what `generate` falls back to
# What transformers raises, its own sentences for the most part, for a setting it cannot follow.
_SETTING_ERRORS = (
    AssertionError,
    AttributeError,
    ImportError,
    NotImplementedError,
    TypeError,
    ValueError,
)
# Outside of this `generate` leaves the processor out without a word.
_UNIT_FIELDS = ("top_p", "min_p", "typical_p", "top_h", "epsilon_cutoff", "eta_cutoff")
_OUTPUT_FLAGS = (
    "return_dict_in_generate",
    "output_attentions",
    "output_hidden_states",
    "output_scores",
    "output_logits",
)
_REMEMBERING = (
    SynthIDTextWatermarkLogitsProcessor,
    UnbatchedClassifierFreeGuidanceLogitsProcessor,
)
_NO_SETTINGS = ("transformers_version", *_OUTPUT_FLAGS)


@dataclass(slots=True)
class Generation:
    """What `generate` would start its loop with.

    Attributes:
        input_ids: (1, prompt_tokens) int64 on the model's device.
        processors: applied to the scores in order.
        criteria: in the order in which they may claim the finish reason.
        config: every field filled in.
        model_kwargs: the model's other inputs, the cache among them.
    """

    input_ids: Tensor
    processors: LogitsProcessorList
    criteria: StoppingCriteriaList
    config: GenerationConfig
    model_kwargs: dict[str, Any] = field(default_factory=dict)

    @property
    def finish_reasons(self) -> list[FinishReason]:
        """The reason that each criterion stands for, in their order."""
        return [FINISH_REASONS[type(criterion)] for criterion in self.criteria]


def prepare_generation(
    lm: LanguageModel,
    token_ids: list[int],
    generation_config: GenerationConfig | None,
    use_cache: bool,
    generation_kwargs: dict[str, Any],
) -> Generation:
    """Has `model.generate` prepare everything, and stops it before the first inference.

    Source: `custom_generate` of `transformers.GenerationMixin.generate`, which hands its
    processors, criteria, cache and inputs to a loop of the caller's own.

    Raises:
        GenerationConfigError: an unknown field, a value out of range, or a way of generating
            that this decoder does not do.
        ContextLengthError: prompt and new tokens do not fit the context.
        DecodingError: the model is no causal language model.
    """
    if lm.model.config.is_encoder_decoder:
        raise DecodingError(
            f"{type(lm.model).__name__} is an encoder-decoder model; only causal language models, "
            f"which continue one sequence, can be decoded here."
        )
    _check_names(generation_kwargs)
    settings = _with_default_length(lm, generation_config, generation_kwargs, len(token_ids))
    criteria, settings = _take_stop_strings(lm, generation_config, settings)
    if _setting(lm, generation_config, settings, "use_cache") is not use_cache:
        settings["use_cache"] = use_cache
    kind = settings.get("cache_implementation")
    _check_cache(lm, kind or getattr(generation_config, "cache_implementation", None), use_cache)
    input_ids = torch.tensor([token_ids], device=lm.device)
    if "attention_mask" in inspect.signature(lm.model.forward).parameters:
        settings["attention_mask"] = torch.ones_like(input_ids)
    with _config_errors():
        generation: Generation = lm.model.generate(
            input_ids,
            generation_config=generation_config,
            stopping_criteria=criteria,
            custom_generate=_collect,
            **settings,
        )
    _check_supported(generation.config)
    _check_context(lm, len(token_ids), generation.config)
    return generation


def _collect(
    model: Any,
    input_ids: Tensor,
    logits_processor: LogitsProcessorList,
    stopping_criteria: StoppingCriteriaList,
    generation_config: GenerationConfig,
    **model_kwargs: Any,
) -> Generation:
    order = list(FINISH_REASONS)
    criteria = StoppingCriteriaList(sorted(stopping_criteria, key=lambda c: order.index(type(c))))
    return Generation(input_ids, logits_processor, criteria, generation_config, model_kwargs)


@contextmanager
def _config_errors() -> Iterator[None]:
    """Translates what transformers raises for a setting; its own sentences name the field."""
    try:
        yield
    except DecodingError:
        raise
    except _SETTING_ERRORS as error:
        raise GenerationConfigError(f"These settings cannot be used: {error}") from error


def settings_in_force(
    lm: LanguageModel,
    generation: Generation,
    config: GenerationConfig | None,
    kwargs: dict[str, Any],
) -> dict[str, Any]:
    """What differs from transformers' own defaults, by the names in `GenerationConfig`.

    Of a run that samples, top_k too where it is the default: that one cuts.

    Args:
        lm: whose own settings apply where nothing else is said.
        generation: what was prepared from `config` and `kwargs`.
        config: as it was given.
        kwargs: as they were given.
    """
    defaults = GenerationConfig._get_default_generation_params()
    fields = generation.config.to_dict() | {
        "stop_strings": _setting(lm, config, kwargs, "stop_strings")
    }
    if fields.get("max_new_tokens") is not None:
        fields |= {"max_length": None, "min_length": None}
    cuts = ("top_k",) if generation.config.do_sample else ()
    return {
        name: value
        for name, value in fields.items()
        if value is not None
        and (name in cuts or value != defaults.get(name))
        and name not in _NO_SETTINGS
        and not name.startswith("_")
    }


def refuse_memories(generation: Generation) -> None:
    """Raises GenerationConfigError where a processor remembers the steps before.

    It could not be brought back to an earlier place.
    """
    kept = [p for p in generation.processors if isinstance(p, _REMEMBERING)]
    if kept:
        raise GenerationConfigError(
            f"{type(kept[0]).__name__} remembers the steps before, so a run with it cannot be "
            "rewound: leave its setting out, or use decode()."
        )


def _check_names(generation_kwargs: dict[str, Any]) -> None:
    known = GenerationConfig().to_dict()
    unknown = [name for name in generation_kwargs if name not in known]
    if unknown:
        raise GenerationConfigError(
            f"GenerationConfig has no field {', '.join(map(repr, unknown))}: check the spelling."
        )


def _setting(
    lm: LanguageModel, config: GenerationConfig | None, kwargs: dict[str, Any], name: str
) -> Any:
    """A field's value as `generate` resolves it: arguments, the config, the model's config."""
    if name in kwargs:
        return kwargs[name]
    given = getattr(config, name, None)
    return given if given is not None else getattr(lm.model.generation_config, name, None)


def _with_default_length(
    lm: LanguageModel,
    config: GenerationConfig | None,
    kwargs: dict[str, Any],
    prompt_tokens: int,
) -> dict[str, Any]:
    lengths = [_setting(lm, config, kwargs, name) for name in ("max_new_tokens", "max_length")]
    if any(length is not None for length in lengths):
        return dict(kwargs)
    room = DEFAULT_MAX_NEW_TOKENS
    if lm.context_length is not None:
        room = max(1, min(room, lm.context_length - prompt_tokens))
    return {**kwargs, "max_new_tokens": room}


def _take_stop_strings(
    lm: LanguageModel, config: GenerationConfig | None, settings: dict[str, Any]
) -> tuple[StoppingCriteriaList, dict[str, Any]]:
    """`generate` hands no tokenizer to a custom loop, so the criterion is made here."""
    stop_strings = _setting(lm, config, settings, "stop_strings")
    if not stop_strings:
        return StoppingCriteriaList(), settings
    criterion = StopStringCriteria(lm.tokenizer, stop_strings)
    return StoppingCriteriaList([criterion]), {**settings, "stop_strings": None}


def _check_cache(lm: LanguageModel, kind: str | None, use_cache: bool) -> None:
    """Refuses the kinds of cache that transformers would ignore, or break off without a word."""
    # transformers makes each static cache as long as the longest before, for compiled graphs;
    # there are none here, and the cache is to be as long as this run needs it.
    lm.model._previous_max_cache_length = -1
    if kind is None or kind == "dynamic":
        return
    if not use_cache:
        raise GenerationConfigError(
            f"cache_implementation={kind!r} needs the cache: set use_cache=True."
        )
    if not lm.model._supports_default_dynamic_cache():
        raise GenerationConfigError(
            f"{type(lm.model).__name__} makes a cache of its own: cache_implementation={kind!r} "
            "would change nothing; leave it out."
        )
    if "offloaded" in str(kind) and lm.device.type == "cpu":
        raise GenerationConfigError(
            f"cache_implementation={kind!r} moves a cache between an accelerator and this "
            "machine's memory, and the model is in that memory already: choose another kind."
        )


def _check_supported(config: GenerationConfig) -> None:
    mode = config.get_generation_mode()
    if mode not in (GenerationMode.GREEDY_SEARCH, GenerationMode.SAMPLE):
        raise GenerationConfigError(
            f"This decoder does greedy search and sampling; the settings ask for {mode.value}."
        )
    for name in _UNIT_FIELDS:
        value = getattr(config, name, None)
        if value is not None and not 0 <= value <= 1:
            raise GenerationConfigError(f"{name} must be between 0 and 1, got {value}.")
    if config.num_return_sequences not in (None, 1):
        raise GenerationConfigError(
            f"num_return_sequences must be 1, got {config.num_return_sequences}."
        )
    asked = [name for name in _OUTPUT_FLAGS if getattr(config, name, None)]
    if asked:
        raise GenerationConfigError(
            f"{asked[0]} has no meaning here: each step carries its own distribution."
        )
    if config.prefill_chunk_size is not None and not config.use_cache:
        raise GenerationConfigError("prefill_chunk_size needs the cache: set use_cache=True.")


def _check_context(lm: LanguageModel, prompt_tokens: int, config: GenerationConfig) -> None:
    new_tokens = config.max_length - prompt_tokens
    if lm.context_length is None or config.max_length - 1 <= lm.context_length:
        return
    fitting = max(0, lm.context_length - prompt_tokens + 1)
    raise ContextLengthError(
        f"The prompt's {prompt_tokens:,} tokens and max_new_tokens = {new_tokens:,} do not fit the "
        f"model's context of {lm.context_length:,}: at most {fitting:,} new tokens fit."
    ).worded(
        "tokens_beyond_context",
        prompt=prompt_tokens,
        wanted=new_tokens,
        context=lm.context_length,
        fitting=fitting,
    )
