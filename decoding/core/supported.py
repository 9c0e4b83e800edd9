"""What the loops of this program can do, checked before the first inference."""

from __future__ import annotations

from numbers import Integral
from typing import TYPE_CHECKING, Any

from transformers import GenerationConfig, LogitsProcessorList
from transformers.generation import (
    GenerationMode,
    SynthIDTextWatermarkLogitsProcessor,
    UnbatchedClassifierFreeGuidanceLogitsProcessor,
)

from decoding.records.errors import DecodingError, GenerationConfigError

if TYPE_CHECKING:
    from decoding.core.language_model import LanguageModel

# A loop that writes one sequence, a token at a time.
ONE_SEQUENCE = frozenset({GenerationMode.GREEDY_SEARCH, GenerationMode.SAMPLE})
BEAMS = frozenset({GenerationMode.BEAM_SEARCH, GenerationMode.BEAM_SAMPLE})
MAX_SEED = 2**64 - 1  # torch takes no larger one
# Outside of this `generate` leaves the processor out without a word.
_UNIT_FIELDS = ("top_p", "min_p", "typical_p", "top_h", "epsilon_cutoff", "eta_cutoff")
OUTPUT_FLAGS = (
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


def check_model(lm: LanguageModel) -> None:
    """Raises DecodingError where the model continues no sequence."""
    if lm.model.config.is_encoder_decoder:
        raise DecodingError(
            f"{type(lm.model).__name__} is an encoder-decoder model; only causal language models, "
            f"which continue one sequence, can be decoded here."
        )


def check_count(name: str, count: object) -> None:
    """Raises GenerationConfigError where there cannot be so many of something."""
    if not isinstance(count, Integral) or isinstance(count, bool) or count < 1:
        raise GenerationConfigError(f"{name} must be 1 or more, got {count!r}.")


def check_seed(seed: Any) -> None:
    """Raises GenerationConfigError where no random generator takes that seed."""
    is_whole = isinstance(seed, Integral) and not isinstance(seed, bool)
    if seed is not None and not (is_whole and 0 <= int(seed) <= MAX_SEED):
        raise GenerationConfigError(f"seed must be 0 to {MAX_SEED}, got {seed!r}.")


def check_names(generation_kwargs: dict[str, Any]) -> None:
    """Raises GenerationConfigError where a setting is no field of `GenerationConfig`."""
    known = GenerationConfig().to_dict()
    unknown = [name for name in generation_kwargs if name not in known]
    if unknown:
        raise GenerationConfigError(
            f"GenerationConfig has no field {', '.join(map(repr, unknown))}: check the spelling."
        )


def refuse_healing(is_wanted: object) -> None:
    """Raises GenerationConfigError where the prompt's last tokens are to be replaced."""
    if is_wanted:
        raise GenerationConfigError(
            "token_healing replaces the prompt's last tokens, and here the prompt stays as it is "
            "given: leave it out."
        )


def check_cache(lm: LanguageModel, kind: str | None, use_cache: bool) -> None:
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


def check_config(config: GenerationConfig, modes: frozenset[GenerationMode]) -> None:
    """Raises GenerationConfigError where the settings ask for more than a loop can do.

    Args:
        config: every field filled in.
        modes: what the loop can do.
    """
    mode = config.get_generation_mode()
    if mode not in modes:
        raise GenerationConfigError(
            f"This decoder does {_in_words(modes)}; the settings ask for {mode.value}."
        )
    for name in _UNIT_FIELDS:
        value = getattr(config, name, None)
        if value is not None and not 0 <= value <= 1:
            raise GenerationConfigError(f"{name} must be between 0 and 1, got {value}.")
    if config.num_return_sequences not in (None, 1) and not modes & BEAMS:
        raise GenerationConfigError(
            f"num_return_sequences must be 1, got {config.num_return_sequences}."
        )
    asked = [name for name in OUTPUT_FLAGS if getattr(config, name, None)]
    if asked:
        raise GenerationConfigError(
            f"{asked[0]} has no meaning here: each step carries its own distribution."
        )
    if config.prefill_chunk_size is not None and not config.use_cache:
        raise GenerationConfigError("prefill_chunk_size needs the cache: set use_cache=True.")


def _in_words(modes: frozenset[GenerationMode]) -> str:
    if modes == ONE_SEQUENCE:
        return "greedy search and sampling"
    return " and ".join(sorted(mode.value.replace("_", " ") for mode in modes))


def refuse_memories(processors: LogitsProcessorList) -> None:
    """Raises GenerationConfigError where a processor remembers the steps before.

    It could not be brought back to an earlier place.
    """
    kept = [p for p in processors if isinstance(p, _REMEMBERING)]
    if kept:
        raise GenerationConfigError(
            f"{type(kept[0]).__name__} remembers the steps before, so a run with it cannot be "
            "rewound: leave its setting out, or use decode()."
        )
