"""Text -> token ids; what a tokenizer refuses is one sentence."""

from __future__ import annotations

import itertools
from typing import Any
from weakref import WeakKeyDictionary

from decoding.core.apart import Bounds, NotApartError, Once, OverrunError, RefusedError, apart
from decoding.core.tokenizer_parts import encodes_in_time
from decoding.records.errors import PromptError, is_failure

# Apart: the largest tokenizers take two seconds and a gigabyte to be read; and a megabyte a second.
SECONDS = 4
MEMORY_BYTES = 3_000_000_000
CHARACTERS_A_SECOND = 200_000
BYTES_A_CHARACTER = 1_000  # an answer's
MORE_BYTES = 1_000_000

_MOST_TOLD = 200
_numbers: WeakKeyDictionary[Any, int] = WeakKeyDictionary()
_counted = itertools.count()


def tokenize(tokenizer: Any, text: str, *, add_special_tokens: bool) -> list[int]:
    """The ids of a text as it stands.

    Raises:
        PromptError: it is not valid Unicode, or the tokenizer breaks down over it.
    """
    ids, _offsets = tokenized(tokenizer, text, add_special_tokens=add_special_tokens)
    return ids


def tokenized(
    tokenizer: Any, text: str, *, add_special_tokens: bool, offsets: bool = False
) -> tuple[list[int], list[tuple[int, int]]]:
    """The ids, and where in the text each of them begins and ends.

    Args:
        tokenizer: a fast one, where offsets are wanted.
        text: as it stands.
        add_special_tokens: whether the tokenizer puts its own around it.
        offsets: without it there are none.

    Raises:
        PromptError: as `tokenize` does.
    """
    check_unicode(text)
    try:
        if encodes_in_time(tokenizer):
            return _here(tokenizer, text, add_special_tokens, offsets)
        return _apart(tokenizer, text, add_special_tokens)
    except OverrunError as error:
        raise PromptError(
            f"The model's tokenizer {error} over this text: choose another model."
        ) from error
    except NotApartError:
        return _here(tokenizer, text, add_special_tokens, offsets)
    except RefusedError as error:
        raise _broken_down(error) from error


def _here(
    tokenizer: Any, text: str, add_special_tokens: bool, offsets: bool
) -> tuple[list[int], list[tuple[int, int]]]:
    wanted = {"return_offsets_mapping": True} if offsets else {}
    try:
        found = tokenizer(text, add_special_tokens=add_special_tokens, verbose=False, **wanted)
    except BaseException as error:
        if not is_failure(error):
            raise
        raise _broken_down(error) from error
    return found["input_ids"], found["offset_mapping"] if offsets else []


def _apart(
    tokenizer: Any, text: str, add_special_tokens: bool
) -> tuple[list[int], list[tuple[int, int]]]:
    core = tokenizer.backend_tokenizer
    name = _name(tokenizer)
    arguments = {
        "name": name,
        "core": None,
        "text": text,
        "add_special_tokens": add_special_tokens,
        "split_special_tokens": bool(getattr(tokenizer, "split_special_tokens", False)),
    }
    bounds = Bounds(
        SECONDS + len(text) // CHARACTERS_A_SECOND,
        MEMORY_BYTES,
        BYTES_A_CHARACTER * len(text) + MORE_BYTES,
    )
    once = Once(name, lambda: {"core": core.to_str()})
    found = apart.ask("encode", arguments, bounds, once)
    return found["ids"], [(start, end) for start, end in found["offsets"]]


def _name(tokenizer: Any) -> str:
    """Another one for each tokenizer, and where tokens were added or parts replaced."""
    if tokenizer not in _numbers:
        _numbers[tokenizer] = next(_counted)
    core = tokenizer.backend_tokenizer
    parts = (core.normalizer, core.pre_tokenizer, core.post_processor)
    states = hash(tuple(part and part.__getstate__() for part in parts))
    return f"{_numbers[tokenizer]} {len(tokenizer)} {states}"


def _broken_down(error: BaseException) -> PromptError:
    told = str(error)[:_MOST_TOLD] or type(error).__name__
    return PromptError(f"The model's tokenizer broke down over this text: {told}")


def check_unicode(text: str) -> None:
    """Raises PromptError where a text holds half a character."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise PromptError(
            f"The text holds half a character (U+{ord(text[error.start]):04X} at position "
            f"{error.start}), which is not valid Unicode: remove it."
        ) from error
