"""Token ids -> printable text, one step at a time; it knows tokenizers, not models."""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Sequence
from typing import Any
from weakref import WeakKeyDictionary

from transformers.convert_slow_tokenizer import bytes_to_unicode

from decoding.core.tokenize import tokenize
from decoding.records.errors import PromptError

REPLACEMENT = "\ufffd"
_MAX_PENDING = 16  # a character has at most 4 bytes: what stays broken longer is not incomplete
_BYTE_OF = {character: byte for byte, character in bytes_to_unicode().items()}
_anchors: WeakKeyDictionary[Any, list[int]] = WeakKeyDictionary()
_token_texts: WeakKeyDictionary[Any, dict[int, str]] = WeakKeyDictionary()


class Detokenizer:
    """Releases the text of a growing list of token ids.

    Each id goes in once and text comes out as soon as its characters are whole; the
    pieces, joined, are what the tokenizer makes of all ids at once. The work per token
    does not depend on how many came before.
    """

    def __init__(self, tokenizer: Any) -> None:
        """Nothing was added yet: the first id begins a text."""
        self._tokenizer = tokenizer
        self._ids: list[int] = []  # the last released piece's ids, then the pending ones
        self._released = 0  # how many of them were released

    @classmethod
    def after(
        cls, tokenizer: Any, prompt_ids: Sequence[int], added: Iterable[tuple[int, str]] = ()
    ) -> Detokenizer:
        """As it stands after a prompt and what came behind it.

        Many tokenizers leave the space before a word out where a text begins. What continues a
        prompt begins no text: its last ids stand before it.

        Args:
            tokenizer: that decodes.
            prompt_ids: bytes of a character that they leave incomplete are released later.
            added: the ids behind them, each with the text that it released.
        """
        detokenizer = cls(tokenizer)
        for token_id in prompt_ids[-_MAX_PENDING:]:
            detokenizer.add(token_id)
        released = detokenizer._released
        piece, pending = detokenizer._ids[:released], detokenizer._ids[released:]
        for token_id, text in added:
            pending.append(token_id)
            if text or len(pending) >= _MAX_PENDING:
                piece, pending = pending, []
        detokenizer._ids, detokenizer._released = piece + pending, len(piece)
        return detokenizer

    def add(self, token_id: int) -> str:
        """The text that this token released: `""` while a character is incomplete."""
        self._ids.append(token_id)
        pending = len(self._ids) - self._released
        text = self._pending_text()
        if text.endswith(REPLACEMENT) and pending < _MAX_PENDING:
            return ""
        return self._release(text)

    def flush(self) -> str:
        """The text of what never became whole; to be called after the last token."""
        return self._release(self._pending_text())

    def _pending_text(self) -> str:
        before = detokenize(self._tokenizer, self._ids[: self._released])
        return detokenize(self._tokenizer, self._ids)[len(before) :]

    def _release(self, text: str) -> str:
        pending = len(self._ids) - self._released
        if text or pending >= _MAX_PENDING:  # an id without text may get some later
            self._ids = self._ids[self._released :]
            self._released = len(self._ids)
        return text


def text_after(tokenizer: Any, prompt_ids: Sequence[int], token_ids: Sequence[int]) -> str:
    """The text of ids that continue a prompt, the space before their first word included."""
    detokenizer = Detokenizer.after(tokenizer, prompt_ids)
    return "".join([*map(detokenizer.add, token_ids), detokenizer.flush()])


def detokenize(tokenizer: Any, token_ids: list[int]) -> str:
    """The tokenizer's own text of these ids: special tokens shown, nothing cleaned up."""
    if not token_ids:
        return ""
    text: str = tokenizer.decode(
        token_ids, skip_special_tokens=False, clean_up_tokenization_spaces=False
    )
    return text


def token_piece(tokenizer: Any, token_id: int) -> str:
    """The vocabulary's own piece; `""` for an id that the tokenizer does not know."""
    piece = tokenizer.convert_ids_to_tokens(token_id)
    return "" if piece is None else str(piece)


def token_text(tokenizer: Any, token_id: int) -> str:
    """The printable text of one token on its own.

    Leading spaces are kept, and bytes that are no whole character read as `<0xE5>`.
    """
    texts = _token_texts.setdefault(tokenizer, {})
    if token_id not in texts:
        texts[token_id] = _token_text(tokenizer, token_id)
    return texts[token_id]


def _token_text(tokenizer: Any, token_id: int) -> str:
    anchor = anchor_id(tokenizer)
    before = detokenize(tokenizer, anchor)
    text = detokenize(tokenizer, [*anchor, token_id])
    # A decoder strips the space of a text's first token, so the token is given a neighbour.
    text = text[len(before) :] if text.startswith(before) else detokenize(tokenizer, [token_id])
    piece = token_piece(tokenizer, token_id)
    return _with_bytes_shown(piece) if REPLACEMENT in text and REPLACEMENT not in piece else text


def anchor_id(tokenizer: Any) -> list[int]:
    """The token of an ordinary letter, before which others are put; none where there is none."""
    if tokenizer not in _anchors:
        try:
            _anchors[tokenizer] = tokenize(tokenizer, "a", add_special_tokens=False)[-1:]
        except PromptError:
            _anchors[tokenizer] = []
    return _anchors[tokenizer]


def _with_bytes_shown(piece: str) -> str:
    """A byte-level piece as text; a byte-fallback piece is spelled that way already."""
    if not all(character in _BYTE_OF for character in piece) or piece.startswith("<0x"):
        return piece
    return bytes(_BYTE_OF[character] for character in piece).decode("utf-8", "decoding.hex")


def _hex(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    broken = error.object[error.start : error.end]
    return "".join(f"<0x{byte:02X}>" for byte in broken), error.end


codecs.register_error("decoding.hex", _hex)
