"""Which bytes of a given text each of its tokens stands for; it knows tokenizers, not models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from decoding.core.detokenizer import Detokenizer
from decoding.core.tokenize import tokenized


def covered_bytes(
    tokenizer: Any, text: str | Sequence[int], ids: Sequence[int]
) -> list[int] | None:
    """UTF-8 bytes of a text, token by token; together they are all of it.

    What stands between two tokens belongs to the later one, and what stands behind the last to
    that one. A token that the tokenizer puts before or behind a text stands for none of it.

    Args:
        tokenizer: that made the ids.
        text: as it was given; of given ids the text is the one that they release.
        ids: all of its tokens.

    Returns:
        One number for each id; `None` where the tokenizer does not tell.
    """
    if not isinstance(text, str):
        detokenizer = Detokenizer(tokenizer)
        sizes = [len(detokenizer.add(token_id).encode()) for token_id in ids]
        sizes[-1:] = [size + len(detokenizer.flush().encode()) for size in sizes[-1:]]
        return sizes
    if not getattr(tokenizer, "is_fast", False):
        return None
    own_ids, offsets = tokenized(tokenizer, text, add_special_tokens=True, offsets=True)
    if own_ids != list(ids):
        return None
    own = [number for number, (start, end) in enumerate(offsets) if end > start]
    sizes, done = [0] * len(ids), 0
    for number in own:
        end = len(text) if number == own[-1] else offsets[number][1]
        sizes[number] = len(text[done:end].encode())
        done = max(done, end)
    return sizes
