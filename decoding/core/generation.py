"""GenerationConfig -> processors and criteria in transformers' order; it runs no inference."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
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
from transformers.generation import GenerationMode

from decoding.core.context import refuse_long_text
from decoding.core.supported import (
    ONE_SEQUENCE,
    OUTPUT_FLAGS,
    check_cache,
    check_config,
    check_model,
    check_names,
    refuse_healing,
)
from decoding.records.errors import DecodingError, GenerationConfigError
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
_NO_SETTINGS = ("transformers_version", *OUTPUT_FLAGS)


@dataclass(slots=True)
class Generation:
    """What `generate` would start its loop with.

    Attributes:
        input_ids: (1, prompt_tokens) int64 on the model's device.
        processors: applied to the scores in order.
        criteria: in the order in which they may claim the finish reason.
        config: every field filled in.
        model_kwargs: the model's other inputs, the cache among them.
        anew: prepares the same once more, with inputs for the prompt and an empty cache.
    """

    input_ids: Tensor
    processors: LogitsProcessorList
    criteria: StoppingCriteriaList
    config: GenerationConfig
    model_kwargs: dict[str, Any] = field(default_factory=dict)
    anew: Callable[[], Generation] | None = None

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
    modes: frozenset[GenerationMode] = ONE_SEQUENCE,
) -> Generation:
    """Has `model.generate` prepare everything, and stops it before the first inference.

    Source: `custom_generate` of `transformers.GenerationMixin.generate`, which hands its
    processors, criteria, cache and inputs to a loop of the caller's own.

    Args:
        lm: model and tokenizer.
        token_ids: of the prompt.
        generation_config: `None` for the model's own.
        use_cache: whether there is a cache.
        generation_kwargs: fields of `GenerationConfig`, over those of the config.
        modes: the ways of generating that the caller's loop can do.

    Raises:
        GenerationConfigError: an unknown field, a value out of range, or a way of generating
            that this decoder does not do.
        ContextLengthError: prompt and new tokens do not fit the context.
        DecodingError: the model is no causal language model.
    """
    check_model(lm)
    check_names(generation_kwargs)
    refuse_healing(_setting(lm, generation_config, generation_kwargs, "token_healing"))
    settings = _with_default_length(lm, generation_config, generation_kwargs, len(token_ids))
    criteria, settings = _take_stop_strings(lm, generation_config, settings)
    if _setting(lm, generation_config, settings, "use_cache") is not use_cache:
        settings["use_cache"] = use_cache
    kind = settings.get("cache_implementation")
    check_cache(lm, kind or getattr(generation_config, "cache_implementation", None), use_cache)
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
    check_config(generation.config, modes)
    refuse_long_text(lm, len(token_ids), int(generation.config.max_length))
    generation.anew = partial(
        prepare_generation,
        lm,
        token_ids,
        generation_config,
        use_cache,
        generation_kwargs,
        modes,
    )
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
