"""The settings a visitor may change: range and default of each, and what the operator allows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from decoding.records import choices

Kind = Literal["switch", "whole", "number", "seed", "text", "lines", "choice"]


@dataclass(frozen=True, slots=True)
class Setting:
    """One field of `GenerationConfig`, one argument of `decode`, or a part of the chat.

    Attributes:
        low, high, step: the allowed range, both ends included, and the slider's step.
        only_sampling: means nothing to greedy decoding, and is left out there.
        on_page: has a control; the others are for the API.
        choices: the values of a `"choice"`.
    """

    name: str
    kind: Kind
    default: Any
    low: float = 0
    high: float = 1
    step: float = 1
    only_sampling: bool = False
    on_page: bool = True
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Limits:
    """What the operator allows each visitor.

    Attributes:
        prompt_chars: characters of prompt and system prompt together, or of a text to score.
        new_tokens: the most `max_new_tokens` may be.
        waiting: runs that may wait behind the one that runs.
    """

    prompt_chars: int = 32_000
    new_tokens: int = 2_048
    waiting: int = 16


DEFAULT_LIMITS = Limits()

MAX_SEED = 2**32 - 1
PLAIN_CACHE = "dynamic"
CACHE_KINDS = tuple(kind for kind in choices.CACHE_KINDS if kind != "none")

# Of `enable_thinking`: "auto" leaves it to the chat template.
SWITCHED = {"auto": None, "on": True, "off": False}

SETTINGS: tuple[Setting, ...] = (
    Setting("answer_prefix", "text", ""),
    Setting("enable_thinking", "choice", "auto", choices=tuple(SWITCHED)),
    Setting("do_sample", "switch", True),
    Setting("temperature", "number", 0.7, 0, 5, 0.05, only_sampling=True),
    Setting("top_k", "whole", 40, 0, 1_000, 1, only_sampling=True),
    Setting("top_p", "number", 0.9, 0, 1, 0.01, only_sampling=True),
    Setting("min_p", "number", 0, 0, 1, 0.01, only_sampling=True),
    Setting("typical_p", "number", 1, 0.01, 1, 0.01, only_sampling=True),
    Setting("repetition_penalty", "number", 1, 0.5, 3, 0.05),
    Setting("no_repeat_ngram_size", "whole", 0, 0, 20, 1),
    Setting("max_new_tokens", "whole", 128, 1, DEFAULT_LIMITS.new_tokens, 1),
    Setting("seed", "seed", None, 0, MAX_SEED),
    Setting("stop_strings", "lines", ()),
    Setting("top_candidates", "whole", 20, 1, 50, 1),
    Setting("use_cache", "switch", True),
    Setting("cache_implementation", "choice", PLAIN_CACHE, choices=CACHE_KINDS),
    Setting("top_h", "number", None, 0.01, 1, only_sampling=True, on_page=False),
    Setting("epsilon_cutoff", "number", None, 0, 0.99, only_sampling=True, on_page=False),
    Setting("eta_cutoff", "number", None, 0, 0.99, only_sampling=True, on_page=False),
    Setting("min_new_tokens", "whole", None, 0, DEFAULT_LIMITS.new_tokens, on_page=False),
    Setting("max_time", "number", None, 0.1, 3_600, on_page=False),
)
PAGE_SETTINGS = tuple(setting for setting in SETTINGS if setting.on_page)


def within(setting: Setting, limits: Limits) -> Setting:
    """The setting with the operator's limit as its upper end, where there is one."""
    if setting.name not in ("max_new_tokens", "min_new_tokens"):
        return setting
    default = setting.default and min(setting.default, limits.new_tokens)
    return Setting(
        setting.name, setting.kind, default, setting.low, limits.new_tokens, on_page=setting.on_page
    )
