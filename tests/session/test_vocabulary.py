"""The texts of all tokens are those of the candidates, and a search finds the best first."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import byte_tokenizer
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from decoding import LanguageModel
from decoding.core.detokenizer import token_text
from decoding.session.vocabulary import Vocabulary, vocabulary_of

WORDS = ["cat", " cat", "Cat", " CAT", "category", " Cats", "education", "duCAT", "dog", "", " "]


def found(query: str, texts: list[str] = WORDS) -> list[list[str]]:
    return [[texts[i] for i in group] for group in Vocabulary(texts).search(query)]


def test_the_better_matches_come_first() -> None:
    assert found("cat") == [
        ["cat"],
        [" cat"],
        ["Cat", " CAT"],
        ["category"],
        [" Cats"],
        ["education"],
        ["duCAT"],
    ]


def test_white_space_in_the_query_counts() -> None:
    assert found(" cat") == [[" cat"], [" CAT"], [" Cats"]]
    assert found(" ") == [[" "], [" cat", " CAT", " Cats"]]


def test_an_id_is_found_by_its_number() -> None:
    texts = ["a", "#1", "c#1", "d"]
    assert Vocabulary(texts).search("#3") == [[3]]
    assert Vocabulary(texts).search("#1") == [[1], [2]], "an id and a text, none twice"
    assert Vocabulary(texts).search("#4") == []
    assert Vocabulary(texts).search("#" + "9" * 5000) == []
    assert Vocabulary(texts).search("#²") == []


def test_nothing_to_search_for_finds_nothing() -> None:
    assert found("") == []
    assert found("zebra") == []
    assert found("x" * 100_000) == []


def test_other_scripts_are_folded_too() -> None:
    assert found("straße", ["STRASSE", "straße"]) == [["straße"], ["STRASSE"]]
    assert found("貓", ["小貓", "貓", "狗"]) == [["貓"], ["小貓"]]


@given(
    st.lists(st.text("aAbB ", max_size=4), max_size=30), st.text("aAbB ", min_size=1, max_size=3)
)
def test_the_search_finds_what_holds_the_query_and_nothing_else(
    texts: list[str], query: str
) -> None:
    groups = Vocabulary(texts).search(query)
    ids = [token_id for group in groups for token_id in group]
    assert sorted(ids) == [i for i, text in enumerate(texts) if query.lower() in text.lower()]
    assert all(groups)
    exact = [i for i, text in enumerate(texts) if text == query]
    assert not exact or groups[0] == exact


def test_the_texts_are_the_candidates_own() -> None:
    tokenizer = byte_tokenizer(("貓", " ünï", "\ufffd"))
    size = len(tokenizer) + 7  # rows of the model that no token stands for
    texts = vocabulary_of(tokenizer, size).texts
    assert texts == [token_text(tokenizer, token_id) for token_id in range(size)]
    assert texts[0xE5] == "<0xE5>"
    assert texts[-7:] == [""] * 7


def test_a_first_space_is_kept() -> None:
    core = Tokenizer(models.BPE({"▁": 0, "a": 1, "▁a": 2, "<0xE5>": 3}, [("▁", "a")]))
    core.pre_tokenizer = pre_tokenizers.Metaspace()
    core.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1),
        ]
    )
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core)
    assert vocabulary_of(tokenizer, 4).texts == [" ", "a", " a", "<0xE5>"]


def test_a_tokenizer_with_a_way_of_its_own_is_asked_itself() -> None:
    class Shouting(PreTrainedTokenizerFast):
        def decode(self, token_ids: Any, **options: Any) -> str:
            return str(super().decode(token_ids, **options)).upper()

    plain = byte_tokenizer()
    tokenizer = Shouting(tokenizer_object=plain.backend_tokenizer)
    assert vocabulary_of(tokenizer, 256).texts[ord("b")] == "B"


def test_it_is_made_once_and_goes_with_the_tokenizer() -> None:
    tokenizer = byte_tokenizer()
    vocabulary = vocabulary_of(tokenizer, 260)
    assert vocabulary_of(tokenizer, 260) is vocabulary
    assert len(vocabulary_of(tokenizer, 261).texts) == 261
    gone = weakref.ref(vocabulary_of(tokenizer, 261))
    del tokenizer
    gc.collect()
    assert gone() is None


def test_the_last_search_is_remembered() -> None:
    vocabulary = Vocabulary(WORDS)
    first = vocabulary.search("cat")
    assert vocabulary.search("cat") is first
    assert vocabulary.search("dog") == [[8]]


@pytest.mark.default_model
def test_every_token_of_the_default_model(default_lm: LanguageModel) -> None:
    tokenizer = default_lm.tokenizer
    texts = vocabulary_of(tokenizer, default_lm.vocab_size).texts
    assert texts == [token_text(tokenizer, i) for i in range(default_lm.vocab_size)]
