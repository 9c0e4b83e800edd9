"""The texts of all tokens, searched; it knows tokenizers, and nothing of models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

from transformers import PreTrainedTokenizerFast

from decoding.core.detokenizer import REPLACEMENT, anchor_id, token_text

_BATCH = 16_384  # sequences that are detokenized at once
_GRADES = 7
_vocabularies: WeakKeyDictionary[Any, Vocabulary] = WeakKeyDictionary()


class Vocabulary:
    """The printable text of every token, as `token_text` has it.

    Attributes:
        texts: by token id; `""` for an id that the tokenizer does not know.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self.texts = list(texts)
        # Most texts are folded as they stand: those are held once.
        folded = (text.casefold() for text in self.texts)
        self._folded = [a if a == b else b for a, b in zip(self.texts, folded, strict=True)]
        self._last: tuple[str, list[list[int]]] = ("", [])

    def search(self, query: str) -> list[list[int]]:
        """The tokens whose text holds the query, the better matches first.

        Args:
            query: text; or `#` and a token id.

        Returns:
            Groups of token ids, none twice: the id that was asked for; the text that is the
            query; texts that are it but for white space around them, that begin with it, that
            hold it, each in the query's letter case first and then in any.
        """
        if not query:
            return []
        if query != self._last[0]:
            self._last = (query, self._search(query))
        return self._last[1]

    def _search(self, query: str) -> list[list[int]]:
        folded = query.casefold()
        numbered = self._numbered(query)
        groups: list[list[int]] = [[] for _ in range(_GRADES)]
        for token_id, text in enumerate(self._folded):
            if folded in text and token_id != numbered:
                grade = _grade(self.texts[token_id], text, query, folded)
                groups[grade].append(token_id)
        if numbered is not None:
            groups.insert(0, [numbered])
        return [group for group in groups if group]

    def _numbered(self, query: str) -> int | None:
        digits = query[1:]
        is_number = query.startswith("#") and digits.isascii() and digits.isdigit()
        if not is_number or len(digits) > 9 or int(digits) >= len(self.texts):
            return None
        return int(digits)


def vocabulary_of(tokenizer: Any, size: int) -> Vocabulary:
    """The tokenizer's vocabulary, made on first use and kept as long as the tokenizer.

    Args:
        tokenizer: a transformers tokenizer.
        size: of the model's vocabulary; a model may have rows that no token stands for.
    """
    known = _vocabularies.get(tokenizer)
    if known is None or len(known.texts) != size:
        known = _vocabularies[tokenizer] = Vocabulary(_texts(tokenizer, size))
    return known


def _grade(text: str, folded_text: str, query: str, folded: str) -> int:
    """How good a match is, 0 the best; the text holds the query in some letter case."""
    if not _begins(folded_text, folded):
        return _GRADES - 2 if query in text else _GRADES - 1
    if text == query:
        return 0
    if folded_text.strip() == folded.strip():
        return 1 if text.strip() == query.strip() else 2
    return 3 if _begins(text, query) else 4


def _begins(text: str, start: str) -> bool:
    return text.startswith(start) or text.lstrip().startswith(start)


def _texts(tokenizer: Any, size: int) -> list[str]:
    """Most texts in large batches: one by one a large vocabulary takes many seconds."""
    if not _decodes_by_its_core(tokenizer):
        return [token_text(tokenizer, token_id) for token_id in range(size)]
    core = tokenizer.backend_tokenizer
    # A neighbour as in `token_text`, because a decoder strips a text's first space.
    neighbour = anchor_id(tokenizer)
    before = core.decode(neighbour, skip_special_tokens=False)
    texts: list[str] = []
    for start in range(0, size, _BATCH):
        ids = range(start, min(start + _BATCH, size))
        pairs = core.decode_batch([[*neighbour, i] for i in ids], skip_special_tokens=False)
        texts += [
            text[len(before) :]
            if text.startswith(before) and REPLACEMENT not in text
            else token_text(tokenizer, token_id)
            for token_id, text in zip(ids, pairs, strict=True)
        ]
    return texts


def _decodes_by_its_core(tokenizer: Any) -> bool:
    """Not a tokenizer in Python, nor one that changes its texts in a method of its own."""
    own, plain = type(tokenizer), PreTrainedTokenizerFast
    return isinstance(tokenizer, plain) and all(
        getattr(own, name) is getattr(plain, name) for name in ("decode", "_decode")
    )
