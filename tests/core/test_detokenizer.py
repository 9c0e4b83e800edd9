"""Text comes out whole, as soon as it is whole, and joined it is the tokenizer's own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import byte_tokenizer
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from decoding.core.detokenizer import (
    Detokenizer,
    detokenize,
    text_after,
    token_piece,
    token_text,
)

HOSTILE = json.loads((Path(__file__).parents[1] / "data" / "hostile_text.json").read_text())
TOKENIZER = byte_tokenizer()


def sentencepiece_like() -> PreTrainedTokenizerFast:
    """Metaspace words with byte fallback, as Llama and Gemma tokenizers have."""
    words = ["<unk>", "▁", "▁the", "▁cat", "s", "a", "▁a", "大"]
    vocab = {w: i for i, w in enumerate([*words, *(f"<0x{b:02X}>" for b in range(256))])}
    core = Tokenizer(models.BPE(vocab, merges=[], unk_token="<unk>", byte_fallback=True))
    core.pre_tokenizer = pre_tokenizers.Metaspace()
    core.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    return PreTrainedTokenizerFast(tokenizer_object=core, unk_token="<unk>")


def pieces(tokenizer: PreTrainedTokenizerFast, ids: list[int]) -> list[str]:
    detokenizer = Detokenizer(tokenizer)
    return [*(detokenizer.add(i) for i in ids), detokenizer.flush()]


def test_a_character_is_held_until_it_is_whole() -> None:
    assert pieces(TOKENIZER, list("大a".encode())) == ["", "", "大", "a", ""]
    assert pieces(TOKENIZER, list("👩".encode())) == ["", "", "", "👩", ""]


def test_a_character_that_never_gets_whole_comes_out_last() -> None:
    assert pieces(TOKENIZER, [ord("a"), 0xE5, 0xA4]) == ["a", "", "", "\ufffd"]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_comes_out_verbatim(text: str) -> None:
    ids = TOKENIZER(text)["input_ids"]
    assert "".join(pieces(TOKENIZER, ids)) == text == detokenize(TOKENIZER, ids)


@settings(max_examples=150)
@given(st.lists(st.integers(0, 259), max_size=60))
def test_any_bytes_join_to_the_tokenizers_text(ids: list[int]) -> None:
    assert "".join(pieces(TOKENIZER, ids)) == detokenize(TOKENIZER, ids)


def test_leading_spaces_of_a_sentencepiece_vocabulary() -> None:
    tokenizer = sentencepiece_like()
    ids = tokenizer.convert_tokens_to_ids(["▁the", "▁cat", "s", "<0xE5>", "<0xA4>", "<0xA7>", "▁a"])
    assert pieces(tokenizer, ids) == ["the", " cat", "s", "", "", "大", " a", ""]
    assert token_text(tokenizer, ids[0]) == " the"
    assert token_text(tokenizer, ids[2]) == "s"
    assert token_text(tokenizer, ids[3]) == "<0xE5>"


def test_one_tokens_text() -> None:
    assert token_text(TOKENIZER, ord("a")) == "a"
    assert token_text(TOKENIZER, ord(" ")) == " "
    assert token_text(TOKENIZER, 0xE5) == "<0xE5>"
    assert token_text(TOKENIZER, 256) == "<eos>"
    assert token_piece(TOKENIZER, ord(" ")) == "Ġ"
    assert token_piece(TOKENIZER, 9999) == "" == token_text(TOKENIZER, 9999)


def test_mixed_pieces_show_only_the_broken_bytes() -> None:
    core = Tokenizer(models.BPE({"Ġå": 0, "a": 1}, merges=[]))
    core.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core)
    assert token_text(tokenizer, 0) == " <0xE5>"


def test_the_window_stays_small() -> None:
    detokenizer = Detokenizer(TOKENIZER)
    for byte in [*b"some words", *([0xFF] * 200), *([9999] * 200)]:
        detokenizer.add(byte)
        assert len(detokenizer._ids) <= 40


@given(st.binary(max_size=40), st.integers(0, 40))
def test_it_can_be_taken_up_anywhere(data: bytes, at: int) -> None:
    whole = Detokenizer(TOKENIZER)
    texts = [whole.add(byte) for byte in data]
    again = Detokenizer.after(TOKENIZER, [], list(zip(data, texts, strict=True))[:at])
    assert [again.add(byte) for byte in data[at:]] == texts[at:]
    assert again.flush() == whole.flush()


@settings(max_examples=150)
@given(st.lists(st.integers(0, 7), min_size=1, max_size=40), st.integers(1, 40), st.booleans())
def test_a_continuation_joins_the_prompts_text(ids: list[int], at: int, is_bytes: bool) -> None:
    """The space before a word is there too, and a character that the prompt leaves incomplete."""
    tokenizer = TOKENIZER if is_bytes else sentencepiece_like()
    if is_bytes:
        ids = [*"大é👩a 世".encode()][: len(ids)]
    begun = Detokenizer(tokenizer)
    prompt = "".join(map(begun.add, ids[:at]))
    assert prompt + text_after(tokenizer, ids[:at], ids[at:]) == detokenize(tokenizer, ids)


def test_a_word_that_continues_keeps_its_space() -> None:
    tokenizer = sentencepiece_like()
    the, cat = tokenizer.convert_tokens_to_ids(["▁the", "▁cat"])
    assert text_after(tokenizer, [the], [cat]) == " cat"
    assert text_after(tokenizer, [], [cat]) == "cat"
