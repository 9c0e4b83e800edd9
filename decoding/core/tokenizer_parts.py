"""Which tokenizers end in time, by their parts: the others run apart.

A tokenizer comes with its model, and is half a program: a regular expression of it may take hours
over a word, and what it replaces may be replaced again by more. What is listed here takes a time
that grows with the text, and makes no more of it than a few times as much.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

# The regular expressions of the tokenizers that are in use, as they were published.
PATTERNS = frozenset(json.loads(Path(__file__).with_name("patterns.json").read_text("utf-8")))
MOST_GROWTH = 16
MOST_ADDED = 16  # tokens before and behind a text
LONGEST_WORD = 200  # of WordPiece, which takes the cube of it

_NORMALIZERS = {
    "BertNormalizer",
    "ByteLevel",
    "Lowercase",
    "NFC",
    "NFD",
    "NFKC",
    "NFKD",
    "Nmt",
    "Prepend",
    "Replace",
    "Strip",
    "StripAccents",
}
_PRE_TOKENIZERS = {
    "BertPreTokenizer",
    "ByteLevel",
    "CharDelimiterSplit",
    "Digits",
    "Metaspace",
    "Punctuation",
    "Split",
    "UnicodeScripts",
    "Whitespace",
    "WhitespaceSplit",
}
_PROCESSORS = {"BertProcessing", "ByteLevel", "RobertaProcessing", "TemplateProcessing"}
_DECODERS = {
    "BPEDecoder",
    "ByteFallback",
    "ByteLevel",
    "CTC",
    "Fuse",
    "Metaspace",
    "Replace",
    "Strip",
    "WordPiece",
}


def encodes_in_time(tokenizer: Any) -> bool:
    """Whether no text can hold a tokenizer up for long.

    A tokenizer written in Python is transformers' own code, and what cannot be told is its
    user's: a file has no such parts.
    """
    core = getattr(tokenizer, "backend_tokenizer", None)
    if core is None:
        return True
    return (
        _are_known(core.normalizer, _NORMALIZERS)
        and _are_known(core.pre_tokenizer, _PRE_TOKENIZERS)
        and _are_known(core.post_processor, _PROCESSORS)
        and getattr(core.model, "max_input_chars_per_word", 0) <= LONGEST_WORD
    )


def decodes_in_time(tokenizer: Any) -> bool:
    """The same of token ids that are turned into text."""
    core = getattr(tokenizer, "backend_tokenizer", None)
    return core is None or _are_known(core.decoder, _DECODERS)


def _are_known(part: Any, kinds: set[str]) -> bool:
    if part is None:
        return True
    try:
        state = json.loads(part.__getstate__())
    except Exception:  # a part that is a class of somebody's program, which no file can hold
        return True
    steps = list(_steps(state))
    return all(_is_known(step, kinds) for step in steps) and (
        math.prod(map(_growth, steps)) <= MOST_GROWTH
    )


def _steps(part: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The parts of a part, in a row."""
    if part["type"] != "Sequence":
        yield part
        return
    (inner,) = (value for value in part.values() if isinstance(value, list))
    for step in inner:
        yield from _steps(step)


def _is_known(step: Mapping[str, Any], kinds: set[str]) -> bool:
    if step["type"] not in kinds:
        return False
    if step["type"] == "TemplateProcessing":
        return _adds_little(step)
    pattern = step.get("pattern", {})
    return "Regex" not in pattern or pattern["Regex"] in PATTERNS


def _growth(step: Mapping[str, Any]) -> float:
    """How many times as long a text can become in one step."""
    if step["type"] == "Replace":
        found = step["pattern"].get("String")
        shortest = 1 if found is None else len(found)
        return max(1.0, len(step["content"]) / shortest) if shortest else math.inf
    return max(1.0, float(len(step.get("prepend", ""))))


def _adds_little(step: Mapping[str, Any]) -> bool:
    added = step["special_tokens"]
    pieces = [piece for piece in step["single"] if "SpecialToken" in piece]
    texts = len(step["single"]) - len(pieces)
    most = sum(len(added[piece["SpecialToken"]["id"]]["ids"]) for piece in pieces)
    return texts <= 1 and most <= MOST_ADDED
