"""What a user gives -> token ids: a text, chat messages, or ids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import TYPE_CHECKING, Any, cast

from decoding.core.chat import chat_ids
from decoding.core.context import refuse_long_prompt
from decoding.core.tokenize import tokenize
from decoding.records.errors import PromptError

if TYPE_CHECKING:
    from decoding.core.language_model import LanguageModel

Prompt = str | Sequence[dict[str, Any]] | Sequence[int]


def prompt_token_ids(
    lm: LanguageModel, prompt: Prompt, chat_template_kwargs: Mapping[str, Any] | None = None
) -> list[int]:
    """The token ids that a prompt stands for.

    Args:
        lm: whose tokenizer and chat template apply.
        prompt: a text, tokenized as it stands; chat messages (`role`, `content`), through
            the chat template, where a last message of the assistant is the answer's beginning;
            or token ids.
        chat_template_kwargs: variables of the chat template, such as `enable_thinking`, `tools`
            or `documents`, as in `apply_chat_template`.

    Returns:
        At least one id, all of them inside the vocabulary and fewer than the context.

    Raises:
        PromptError: empty, not valid Unicode, no chat template, ids out of range, or variables
            of a template that a prompt does not go through.
        ContextLengthError: longer than the model's context.
    """
    ids = any_token_ids(lm, prompt, chat_template_kwargs)
    if isinstance(prompt, str):
        ids = ids[: len(ids) - _appended(lm.tokenizer, prompt, ids)]
    refuse_long_prompt(lm, len(ids))
    return ids


def _appended(tokenizer: Any, text: str, ids: list[int]) -> int:
    """Tokens that the tokenizer puts behind every text: what is continued does not end yet."""
    if ids[-1] not in tokenizer.all_special_ids:
        return 0
    own = tokenize(tokenizer, text, add_special_tokens=False)
    starts = range(len(ids) - len(own) + 1)
    start = next((i for i in starts if own and ids[i : i + len(own)] == own), None)
    return 0 if start is None else len(ids) - start - len(own)


def any_token_ids(
    lm: LanguageModel, prompt: Prompt, chat_template_kwargs: Mapping[str, Any] | None = None
) -> list[int]:
    """The same at any length.

    Raises:
        PromptError: as `prompt_token_ids` does.
    """
    is_chat = _is_chat(prompt)
    if chat_template_kwargs and not is_chat:
        raise PromptError(
            "chat_template_kwargs are variables of the chat template, and this prompt does not go "
            "through it: give chat messages, or leave them out."
        )
    if isinstance(prompt, str):
        ids = tokenize(lm.tokenizer, prompt, add_special_tokens=True)
    elif is_chat:
        ids = chat_ids(lm.tokenizer, list(cast(Any, prompt)), chat_template_kwargs)
    elif isinstance(prompt, Sequence) and all(_is_whole(i) for i in prompt):
        ids = [int(cast(int, i)) for i in prompt]
    else:
        kind = type(prompt).__name__
        raise PromptError(f"A prompt is a text, chat messages or token ids; this is a {kind}.")
    _check_ids(lm, ids)
    return ids


def _is_chat(prompt: object) -> bool:
    is_list = isinstance(prompt, Sequence) and not isinstance(prompt, str) and bool(prompt)
    return is_list and all(isinstance(message, dict) for message in cast(Any, prompt))


def _is_whole(value: object) -> bool:
    """Of Python's own kind or of numpy's; True and False are no ids."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def _check_ids(lm: LanguageModel, ids: list[int]) -> None:
    if not ids:
        raise PromptError("The prompt is empty: write something for the model to continue.")
    outside = next((i for i in ids if not 0 <= i < lm.vocab_size), None)
    if outside is not None:
        raise PromptError(
            f"Token id {outside} is outside the vocabulary, 0 to {lm.vocab_size - 1}."
        )
