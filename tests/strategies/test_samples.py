"""Answers drawn in one batch: the same distributions as one by one, and what they cost."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest
import torch
from tiny import byte_tokenizer, tiny_model
from torch import Tensor

from decoding import (
    ContextLengthError,
    GenerationConfigError,
    LanguageModel,
    LogitsError,
    PromptError,
    decode,
    sample_answers,
    sampled_cost,
)
from decoding.strategies import samples as room
from decoding.strategies.forced import ForcedRun

PROMPT = list(b"A prompt of some tokens")
PLAIN = {"do_sample": True, "top_k": 0, "top_p": 1.0}
READS = {
    "llama": "repeated",
    "mistral": "repeated",
    "gemma3n_text": "repeated",
    "qwen3_next": "repeated",
    "mamba": "repeated",
    "falcon_h1": "repeated",
    "deepseek_v32": "repeated",
    "minimax": "read_again",
    "recurrent_gemma": "read_again",
    "xlstm": "read_again",
    "rwkv": "none",
    "openai-gpt": "none",
}


@pytest.fixture
def early_lm() -> LanguageModel:
    """A model whose texts end soon: every third token ends them."""
    model = tiny_model("llama")
    model.generation_config.eos_token_id = list(range(0, 256, 3))
    return LanguageModel(model, byte_tokenizer(), name="early")


@pytest.mark.parametrize("temperature", [1.0, 0.6])
@pytest.mark.parametrize("family", ["llama", "mamba", "recurrent_gemma"])
def test_one_answer_is_what_decode_draws(
    tiny_lms: Callable[[str], LanguageModel], family: str, temperature: float
) -> None:
    lm = tiny_lms(family)
    steps = list(decode(lm, PROMPT, seed=5, temperature=temperature, max_new_tokens=9, **PLAIN))
    (answer,) = sample_answers(lm, PROMPT, 1, 9, temperature, seed=5)
    assert list(answer.token_ids) == [step.token_id for step in steps]
    assert answer.logprob == pytest.approx(sum(step.logprob for step in steps), abs=1e-4)
    assert answer.finish_reason == steps[-1].finish_reason


@pytest.mark.parametrize("family", READS)
def test_each_row_has_the_distributions_of_a_run_of_its_own(
    tiny_lms: Callable[[str], LanguageModel], family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lm, seen = tiny_lms(family), list[Tensor]()
    choose = room._choose

    def watched(logits: Tensor, *others: Any) -> Tensor:
        seen.append(logits.clone())
        return choose(logits, *others)

    monkeypatch.setattr(room, "_choose", watched)
    answers = sorted(sample_answers(lm, PROMPT, 10, 4, seed=7), key=lambda a: a.index)
    assert [answer.index for answer in answers] == list(range(10))
    assert {answer.cache_use for answer in answers} == {READS[family]}
    assert len({answer.token_ids for answer in answers}) > 5
    for answer in answers[::4]:
        run = ForcedRun(lm, PROMPT, answer.token_ids)
        for index in range(len(answer.token_ids)):
            expected = torch.softmax(run.infer(index)[0][0], -1)
            found = torch.softmax(seen[index][answer.index], -1)
            torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("family", "prompt_tokens"),
    [
        ("llama", len(PROMPT)),
        ("xlstm", 4 * len(PROMPT)),
        ("rwkv", 3 * 4 * len(PROMPT)),
        ("openai-gpt", (1 + 2 * 4) * len(PROMPT)),
    ],
)
def test_the_cost_is_what_was_fed(
    tiny_lms: Callable[[str], LanguageModel],
    family: str,
    prompt_tokens: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lm, fed = tiny_lms(family), []
    forward = lm.model.forward

    def counting(*args: Any, **kwargs: Any) -> Any:
        fed.append(kwargs["input_ids"].numel())
        return forward(*args, **kwargs)

    counting.__signature__ = inspect.signature(forward)  # type: ignore[attr-defined]
    monkeypatch.setattr(lm.model, "forward", counting)
    answers = list(sample_answers(lm, PROMPT, 4, 3, seed=1))
    last = answers[-1]
    assert last.inferences == len(fed) == sampled_cost(4, 3)
    assert last.prompt_tokens == prompt_tokens
    # Beside the prompt, each inference was fed what was drawn and not cached.
    drawn = 4 * (1 + 2) if last.cache_use == "none" else 4 * 2
    assert sum(fed) == prompt_tokens + drawn


def test_answers_come_as_they_end_and_padding_is_no_text(early_lm: LanguageModel) -> None:
    answers = list(sample_answers(early_lm, PROMPT, 10, 6, seed=2))
    assert {answer.finish_reason for answer in answers} == {"eos", "length"}
    ends = [answer.inferences for answer in answers]
    assert ends == sorted(ends)
    assert ends[0] < ends[-1]
    for answer in answers:
        has_ended = answer.finish_reason == "eos"
        assert len(answer.token_ids) == answer.inferences
        assert all(i % 3 for i in answer.token_ids[:-1])
        assert (answer.token_ids[-1] % 3 == 0) == has_ended
        shown = answer.token_ids[:-1] if has_ended else answer.token_ids
        assert answer.text == early_lm.tokenizer.decode(
            list(shown), clean_up_tokenization_spaces=False
        )


def test_the_logprob_is_that_of_all_tokens_the_end_included(early_lm: LanguageModel) -> None:
    answer = next(sample_answers(early_lm, PROMPT, 3, 6, seed=2))
    run = ForcedRun(early_lm, PROMPT, answer.token_ids)
    logprobs = [
        float(torch.log_softmax(run.infer(i)[0][0], -1)[token])
        for i, token in enumerate(answer.token_ids)
    ]
    assert answer.finish_reason == "eos"
    assert answer.logprob == pytest.approx(sum(logprobs), abs=1e-4)


def test_no_inference_follows_the_last_end(early_lm: LanguageModel) -> None:
    answers = list(sample_answers(early_lm, PROMPT, 3, 200, seed=4))
    assert {answer.finish_reason for answer in answers} == {"eos"}
    assert answers[-1].inferences < 100 < sampled_cost(3, 200)


def test_a_seed_is_private_and_repeats(tiny_lm: LanguageModel) -> None:
    state = torch.get_rng_state()
    first = list(sample_answers(tiny_lm, PROMPT, 4, 6, seed=3))
    assert list(sample_answers(tiny_lm, PROMPT, 4, 6, seed=3)) == first
    assert list(sample_answers(tiny_lm, PROMPT, 4, 6, seed=4)) != first
    assert torch.equal(torch.get_rng_state(), state)


def test_the_models_own_settings_do_not_apply() -> None:
    lm = LanguageModel(tiny_model("llama"), byte_tokenizer())
    plain = list(sample_answers(lm, PROMPT, 3, 6, seed=3))
    lm.model.generation_config.update(
        do_sample=True, top_k=1, repetition_penalty=1.5, cache_implementation="static"
    )
    assert list(sample_answers(lm, PROMPT, 3, 6, seed=3)) == plain


@pytest.mark.parametrize("stop_at", [0, 1, 3])
def test_it_can_be_stopped_between_inferences(
    tiny_lm: LanguageModel, stop_at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    inferences = []
    infer = room.infer

    def counting(*args: Any) -> Any:
        inferences.append(args)
        return infer(*args)

    def stop(done: int, most: int) -> None:
        assert most == 6
        if done == stop_at:
            raise KeyboardInterrupt

    monkeypatch.setattr(room, "infer", counting)
    with pytest.raises(KeyboardInterrupt):
        list(sample_answers(tiny_lm, PROMPT, 3, 6, seed=1, on_progress=stop))
    assert len(inferences) == max(1, stop_at)


def test_what_cannot_be_drawn_raises_at_the_call(tiny_lm: LanguageModel) -> None:
    with pytest.raises(GenerationConfigError, match="n must be 1 or more, got 0"):
        sample_answers(tiny_lm, PROMPT, 0)
    with pytest.raises(GenerationConfigError, match=r"temperature must be above 0, got 0\.0"):
        sample_answers(tiny_lm, PROMPT, temperature=0.0)
    with pytest.raises(PromptError, match="empty"):
        sample_answers(tiny_lm, [])
    with pytest.raises(ContextLengthError, match="at most"):
        sample_answers(tiny_lm, PROMPT, max_new_tokens=1000)


def test_no_distribution_is_told(tiny_lm: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: Any) -> tuple[Tensor, int]:
        return torch.full((1, tiny_lm.vocab_size), float("nan")), len(PROMPT)

    monkeypatch.setattr(room, "infer", broken)
    with pytest.raises(LogitsError, match=r"Inference 1 .* float32"):
        list(sample_answers(tiny_lm, PROMPT, 2, 4, seed=1))
