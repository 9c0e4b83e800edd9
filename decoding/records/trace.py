"""A session's record, complete and in plain Python: what a file of it holds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from decoding.records.model_facts import ModelFacts
from decoding.records.requests import PromptToken
from decoding.records.tree import Branch


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodingTrace:
    """Everything that was decoded after one prompt, and what with.

    Attributes:
        version: of this format.
        created: when the session began; ISO 8601, UTC.
        prompt: as it was given: a text, chat messages with `role` and `content`, or token ids.
        prompt_tokens: as the model saw it.
        model: what is known of the model, and of the memory it was in.
        revision: the Hub's commit of the model; null where it came from elsewhere.
        versions: of Python and of the libraries that decoded, by name.
        seed: of the draws.
        use_cache: whether there was a KV cache.
        top_candidates: favourites that each step lists.
        branches: all of them; a branch's parent stands before it.
        chat_template_kwargs: variables of the chat template that the prompt went through.
    """

    version: Literal[1] = 1
    created: str
    prompt: str | list[dict[str, str]] | list[int]
    prompt_tokens: tuple[PromptToken, ...]
    model: ModelFacts
    revision: str | None
    versions: dict[str, str]
    seed: int
    use_cache: bool
    top_candidates: int
    branches: tuple[Branch, ...]
    chat_template_kwargs: dict[str, Any] = field(default_factory=dict)
