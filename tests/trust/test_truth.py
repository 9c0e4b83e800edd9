"""Whether a model believes an answer: the probability of True against False, and the wording."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tiny import byte_tokenizer, tiny_model

from decoding import (
    GenerationConfigError,
    LanguageModel,
    LogitsError,
    p_true,
    prompt_token_ids,
    question_of,
)
from decoding.trust import truth as room
from decoding.trust.truth import truth_prompt

QUESTION = "What is the capital of Armenia?"


def next_probabilities(lm: LanguageModel, ids: list[int]) -> torch.Tensor:
    with torch.inference_mode():
        return torch.softmax(lm.model(torch.tensor([ids])).logits[0, -1].float(), -1)


def test_the_wording() -> None:
    assert truth_prompt(" Who? ", " Me.\n", ["You", " they "]) == (
        "Question: Who?\n"
        "Some answers that were given:\n- You\n- they\n"
        "Proposed answer: Me.\n"
        "Is the proposed answer true or false? Answer with one word: True or False."
    )
    assert "given" not in truth_prompt("Who?", "Me.")


@pytest.mark.parametrize("chat", [True, False])
def test_it_is_the_probability_of_true_among_the_two(chat: bool) -> None:
    lm = LanguageModel(tiny_model("llama"), byte_tokenizer(chat=chat))
    text = truth_prompt(QUESTION, "Yerevan", ["Baku"])
    ids = prompt_token_ids(
        lm, [{"role": "user", "content": text}] if chat else text + "\nThe proposed answer is"
    )
    p = next_probabilities(lm, ids)
    # Its tokens are bytes, and a space begins either word.
    true, false = (float(p[[ord(c) for c in letters]].sum()) for letters in ("Tt", "Ff"))
    opinion = p_true(lm, QUESTION, "Yerevan", ["Baku"])
    assert opinion.probability == pytest.approx(true / (true + false), abs=1e-5)
    assert opinion.mass == pytest.approx(true + false, abs=1e-5)
    assert opinion.prompt_tokens == len(ids)


def test_whole_words_count_in_all_their_spellings() -> None:
    words = (" True", "True", " false", "FALSE")
    model = tiny_model("llama", vocab_size=264)
    lm = LanguageModel(model, byte_tokenizer(words))
    ids = lm.tokenizer.convert_tokens_to_ids(list(words))
    text = truth_prompt(QUESTION, "Yerevan")
    p = next_probabilities(lm, prompt_token_ids(lm, [{"role": "user", "content": text}]))
    # "true", "TRUE", "False" and "false" are left to their first bytes.
    true = float(p[[ids[0], ids[1], ord("t"), ord("T")]].sum())
    false = float(p[[ids[2], ids[3], ord("f"), ord("F")]].sum())
    assert p_true(lm, QUESTION, "Yerevan").mass == pytest.approx(true + false, abs=1e-5)


def test_a_tokenizer_that_cannot_tell_them_apart(
    tiny_lm: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "_first_ids", lambda _lm, _spellings: {1})
    with pytest.raises(GenerationConfigError, match=r"P\(True\) cannot be read off"):
        p_true(tiny_lm, QUESTION, "Yerevan")


def test_no_distribution_is_told(tiny_lm: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: Any) -> tuple[torch.Tensor, int]:
        return torch.full((1, tiny_lm.vocab_size), float("nan")), 9

    monkeypatch.setattr(room, "infer", broken)
    with pytest.raises(LogitsError, match="float32"):
        p_true(tiny_lm, QUESTION, "Yerevan")


def test_it_can_be_stopped_while_it_reads(tiny_lm: LanguageModel) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        p_true(tiny_lm, QUESTION, "Yerevan", on_prefill=stop)


def test_the_question_of_a_prompt(tiny_lm: LanguageModel) -> None:
    turns = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hello!"},
        {"role": "assistant", "content": "Hi."},
        {"role": "user", "content": f"{QUESTION}\nIn one word."},
    ]
    for messages in (turns, turns[1:2], turns[3:]):
        ids = prompt_token_ids(tiny_lm, messages)
        assert question_of(tiny_lm, ids) == messages[-1]["content"]
    bos = [tiny_lm.tokenizer.bos_token_id]
    assert question_of(tiny_lm, bos + prompt_token_ids(tiny_lm, QUESTION)) == QUESTION
    plain = LanguageModel(tiny_lm.model, byte_tokenizer(chat=False))
    assert question_of(plain, prompt_token_ids(plain, QUESTION)) == QUESTION


@pytest.mark.default_model
def test_the_default_model_believes_what_it_knows(default_lm: LanguageModel) -> None:
    messages = [{"role": "user", "content": "What is the capital of France?"}]
    question = question_of(default_lm, prompt_token_ids(default_lm, messages))
    assert question == messages[0]["content"]
    right, wrong = (p_true(default_lm, question, city) for city in ("Paris", "Banana"))
    assert right.mass > 0.5
    assert right.probability > wrong.probability
