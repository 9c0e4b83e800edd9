"""The limit of a model's context: what still fits, and what is said where it does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from decoding.records.errors import ContextLengthError, SessionError

if TYPE_CHECKING:
    from decoding.core.language_model import LanguageModel


def fitting_tokens(lm: LanguageModel, tokens: int) -> int | None:
    """New tokens that fit after so many; `None` where the model has no limit.

    The last one is written and not read, so that it needs no position.
    """
    return None if lm.context_length is None else max(0, lm.context_length - tokens + 1)


def refuse_long_prompt(lm: LanguageModel, tokens: int) -> None:
    """Raises ContextLengthError where a prompt of so many tokens cannot be read at once."""
    if lm.context_length is not None and tokens > lm.context_length:
        raise ContextLengthError(
            f"The prompt is {tokens:,} tokens long, and the model's context holds "
            f"{lm.context_length:,}: shorten it."
        ).worded("prompt_beyond_context", tokens=tokens, context=lm.context_length)


def refuse_long_text(lm: LanguageModel, prompt_tokens: int, max_length: int) -> None:
    """Raises ContextLengthError where a prompt and what may come after it do not fit."""
    fitting, wanted = fitting_tokens(lm, prompt_tokens), max_length - prompt_tokens
    if fitting is None or wanted <= fitting:
        return
    raise ContextLengthError(
        f"The prompt's {prompt_tokens:,} tokens and max_new_tokens = {wanted:,} do not fit the "
        f"model's context of {lm.context_length:,}: at most {fitting:,} new tokens fit."
    ).worded(
        "tokens_beyond_context",
        prompt=prompt_tokens,
        wanted=wanted,
        context=lm.context_length,
        fitting=fitting,
    )


def refuse_place_beyond(lm: LanguageModel, tokens: int) -> None:
    """Raises SessionError where nothing can be read after so many tokens of a text.

    A text that was measured in windows may be longer than the model can read at once.
    """
    if lm.context_length is not None and tokens > lm.context_length:
        raise SessionError(
            f"This place comes after {tokens:,} tokens of the text, and the model's context "
            f"holds {lm.context_length:,}: choose an earlier one."
        )
