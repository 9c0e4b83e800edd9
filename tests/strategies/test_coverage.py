"""The bytes of a given text are shared out among its tokens, whatever a tokenizer makes of it."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import byte_tokenizer, tiny_model
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from decoding import LanguageModel, score, text_score
from decoding.strategies.coverage import covered_bytes

BYTES = byte_tokenizer()


def bert_like() -> PreTrainedTokenizerFast:
    """Lower-cases, takes accents off, knows few words, and puts a token before and behind."""
    words = ["[UNK]", "[CLS]", "[SEP]", "we", "won", "'", "t", ",", "it", "is", "!", "cafe", "the"]
    core = Tokenizer(models.WordPiece({w: i for i, w in enumerate(words)}, unk_token="[UNK]"))
    core.normalizer = normalizers.BertNormalizer(lowercase=True)
    core.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    core.decoder = decoders.WordPiece(cleanup=False)
    core.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=core, unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    )


BERT = bert_like()


def test_by_hand() -> None:
    ids = BERT("The café is  東! ")["input_ids"]
    assert covered_bytes(BERT, "The café is  東! ", ids) == [0, 3, 6, 3, 5, 2, 0]
    assert covered_bytes(BYTES, "a東", [*"a東".encode()]) == [1, 3, 0, 0]
    assert covered_bytes(BYTES, [*"a東".encode()], [*"a東".encode()]) == [1, 0, 0, 3]


@given(st.text(min_size=1, max_size=40))
def test_together_they_are_all_of_it(text: str) -> None:
    for tokenizer in (BERT, BYTES):
        ids = tokenizer(text)["input_ids"]
        sizes = covered_bytes(tokenizer, text, ids)
        assert sizes is not None
        assert len(sizes) == len(ids)
        assert min(sizes) >= 0
        assert sum(sizes) == len(text.encode()) or not any(sizes)


@pytest.mark.parametrize("text", ["We won't, it is!", "The café is the 東京!", "WE WE WE"])
def test_a_score_divides_by_the_bytes_of_the_text(text: str) -> None:
    lm = LanguageModel(tiny_model("llama"), BERT)
    found = text_score(list(score(lm, text)))
    assert found.bytes == len(text.encode())
    assert found.bits_per_byte == pytest.approx(-found.logprob / math.log(2) / len(text.encode()))


def test_the_bytes_of_the_first_token_are_not_scored(tiny_lm: LanguageModel) -> None:
    assert text_score(list(score(tiny_lm, "abc"))).bytes == 2
    assert text_score(list(score(tiny_lm, [97, 98, 99]))).bytes == 2


def test_where_a_tokenizer_does_not_tell_there_is_no_number() -> None:
    class Slow:
        """A tokenizer without offsets."""

        is_fast = False

    assert covered_bytes(Slow(), "abc", [1, 2, 3]) is None
