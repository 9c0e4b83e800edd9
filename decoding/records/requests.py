"""The records of one run: what was asked, on which model, how far it is; plain Python."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from decoding.records.model_facts import ModelFacts

# These settings belong to a whole run: none of them can change in its midst.
FIXED_IN_A_RUN = (
    "answer_prefix",
    "enable_thinking",
    "seed",
    "top_candidates",
    "use_cache",
    "cache_implementation",
    "cache_config",
)


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What a visitor asked for, checked and complete.

    Attributes:
        prompt: text, or chat messages with `role` and `content`.
        generation: fields of `GenerationConfig`; the model's own apply to the rest.
        seed: of the draw; always known, so that a run can be repeated.
        top_candidates: favourites that each step lists.
        use_cache: whether to keep the KV cache.
        chat_template_kwargs: variables of the chat template.
    """

    prompt: str | list[dict[str, str]]
    generation: dict[str, Any]
    seed: int
    top_candidates: int = 20
    use_cache: bool = True
    chat_template_kwargs: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ScoreRequest:
    """A text that a visitor wants to see through the model's eyes.

    Attributes:
        text: as it was given.
        top_candidates: favourites that each step lists.
        seed: of the draws, once somebody has the text go on.
    """

    text: str
    top_candidates: int = 20
    seed: int = 0


@dataclass(frozen=True, slots=True)
class PromptToken:
    """One token of the prompt as the model saw it.

    Attributes:
        text: what it adds to the prompt's text; `""` while a character is incomplete.
        piece: its printable text on its own, for a token that adds nothing.
    """

    token_id: int
    text: str
    is_special: bool
    piece: str = ""


@dataclass(frozen=True, slots=True)
class RunHead:
    """What is known once the prompt is tokenized, before the first inference.

    Attributes:
        config: the settings in force by their names in `GenerationConfig`, and the seed.
    """

    prompt: tuple[PromptToken, ...]
    model: ModelFacts
    config: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """How far the model is.

    Attributes:
        stage: what is being done while it loads: `"download"`, `"prepare"` or `"load"`.
        progress: (done, total) of that stage, in bytes where they are known.
        error: why it could not be loaded; one sentence.
        facts: once it is ready.
    """

    state: Literal["loading", "ready", "error"] = "loading"
    stage: str = "load"
    progress: tuple[int, int] | None = None
    error: Exception | None = field(default=None, compare=False)
    facts: ModelFacts | None = None


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """A model to be loaded in the place of the one that is.

    Attributes:
        name: a Hub id, folder or GGUF file; `""` for the default model, `None` for the one
            that the page was started with.
        quantization: `"8bit"`, `"4bit"` or `None`.
        dtype: as `load_model` takes it.
    """

    name: str | None = None
    quantization: str | None = None
    dtype: str = "auto"


@dataclass(frozen=True, slots=True)
class ContinueOrder:
    """How a run that is there is to go on.

    Attributes:
        branch: from which branch of its tree.
        at: index of the next step: the branch's end goes on with it, a place before that
            begins a new branch; `None` for the end, wherever that is once its turn has come.
        token_id: that this step takes, whatever the settings would choose; `None` lets them.
        steps: how many inferences at most; `None` until an end.
        generation: fields of `GenerationConfig` from this step on; `None` for those in force.
        known: how many steps of each branch's own whoever orders has; those it lacks come first.
            `None` where it lacks none.
    """

    branch: int
    at: int | None
    token_id: int | None = None
    steps: int | None = None
    generation: dict[str, Any] | None = None
    known: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class InspectRequest:
    """What a visitor wants to know of one step.

    Attributes:
        branch: of the tree.
        index: of the step; the branch's length means the one that would come next.
        generation: settings to try in the place of those in force; `None` for those.
        find: text to search the vocabulary for; `None` for no search.
        token_ids: tokens to list beside the favourites.
        top: how many favourites are listed.
    """

    branch: int
    index: int
    generation: dict[str, Any] | None = None
    find: str | None = None
    token_ids: tuple[int, ...] = ()
    top: int = 20
