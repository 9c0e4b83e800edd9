from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from families import FAMILIES
from steps import step_of
from tiny import byte_tokenizer
from transformers import AutoConfig, AutoModelForCausalLM

from decoding import DecodingSession, LanguageModel
from decoding.core.detokenizer import detokenize
from decoding.core.distribution import measure, measure_rows
from decoding.records.errors import GenerationConfigError, LogitsError, PromptError
from decoding.strategies import windows as text_passes
from decoding.strategies.scoring import score, scored_ids, temperature_losses, text_score

GetLM = Callable[[str], LanguageModel]
TEXT = "Hello 世界: a text of some length, read once. " * 2
# These compute one step in another way than many, in transformers itself.
APART = {"nemotron_h", "zamba2"}


def plain_logits(lm: LanguageModel, ids: list[int]) -> torch.Tensor:
    """(tokens, vocab_size) of one forward pass over all of them."""
    with torch.inference_mode():
        outputs = lm.model(input_ids=torch.tensor([ids]), use_cache=False)
    logits: torch.Tensor = outputs.logits[0].float()
    return logits


def plain_logprobs(lm: LanguageModel, ids: list[int]) -> list[float]:
    """Of each token after the first."""
    logprobs = torch.log_softmax(plain_logits(lm, ids)[:-1], -1)
    own: list[float] = logprobs.gather(1, torch.tensor(ids[1:])[:, None])[:, 0].tolist()
    return own


@pytest.mark.parametrize("family", sorted(set(FAMILIES) - APART))
def test_scores_are_those_of_a_plain_forward_pass(family: str, tiny_lms: GetLM) -> None:
    lm = tiny_lms(family)
    ids = scored_ids(lm, TEXT)
    steps = list(score(lm, ids))
    assert [step.token_id for step in steps] == ids[1:]
    expected = plain_logprobs(lm, ids)
    assert [step.logprob for step in steps] == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("family", ["llama", "gemma2", "gpt2", "deepseek_v3", "mamba", "jamba"])
def test_the_same_in_small_passes_and_blocks(
    family: str, tiny_lms: GetLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    lm = tiny_lms(family)
    monkeypatch.setattr(text_passes, "MOST_LOGITS", 7 * lm.vocab_size)
    monkeypatch.setattr(text_passes, "BLOCK_LOGITS", 3 * lm.vocab_size)
    ids, told = scored_ids(lm, TEXT), []
    steps = list(score(lm, ids, on_progress=lambda done, total: told.append((done, total))))
    assert [step.logprob for step in steps] == pytest.approx(plain_logprobs(lm, ids), abs=1e-4)
    fed = 1 if family in ("mamba", "jamba") else 7
    assert steps[0].input_tokens == fed
    assert told[0] == (fed + 1, len(ids))
    assert told[-1] == (len(ids), len(ids))


def test_a_model_that_looks_ahead_does_not_see_the_token_it_scores() -> None:
    torch.manual_seed(0)
    config = AutoConfig.for_model(
        "bert", vocab_size=260, hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
        intermediate_size=48, eos_token_id=256, pad_token_id=256, bos_token_id=257,
        initializer_range=0.3,
    )  # fmt: skip
    model = AutoModelForCausalLM.from_config(config).eval()
    lm = LanguageModel(model, byte_tokenizer(), name="tiny-bert")
    ids = scored_ids(lm, TEXT)[:12]
    session = DecodingSession(lm, ids[:1], max_new_tokens=len(ids) - 1)
    expected = [session.step(token_id).logprob for token_id in ids[1:]]
    assert [step.logprob for step in score(lm, ids)] == pytest.approx(expected, abs=1e-4)


def test_every_number_of_a_step_is_that_of_its_row(tiny_lm: LanguageModel) -> None:
    ids = scored_ids(tiny_lm, TEXT)
    logits = plain_logits(tiny_lm, ids)
    steps = list(score(tiny_lm, ids, top_candidates=5))
    assert "".join(step.text for step in steps) == detokenize(tiny_lm.tokenizer, ids)[1:]
    for step, row in zip(steps, logits, strict=False):
        token = torch.tensor([step.token_id])
        expected = measure(row, torch.softmax(row, -1), token, 5, [])
        assert [c.token_id for c in step.candidates] == [c[0] for c in expected.candidates]
        assert step.rank == expected.rank
        assert step.entropy_bits == pytest.approx(expected.entropy_bits, abs=1e-4)
        assert step.varentropy_bits2 == pytest.approx(expected.varentropy_bits2, abs=1e-3)
        assert step.probability == pytest.approx(expected.chosen[1], abs=1e-5)
        assert step.sampling_probability == step.probability
        assert (step.phase, step.kept_tokens, step.kv_cache) == ("score", tiny_lm.vocab_size, None)
        assert step.tail_probability == pytest.approx(expected.tail_probability, abs=1e-5)
    assert [step.finish_reason for step in steps[:-1]] == [None] * (len(steps) - 1)
    assert steps[-1].finish_reason == "length"


@pytest.mark.parametrize("size", [6, 64, 65, 1_000, 5_003])
def test_the_favourites_are_the_largest_of_all(size: int) -> None:
    torch.manual_seed(size)
    logits = torch.randn(4, size)
    logits[1, 3] = -math.inf
    tokens = torch.tensor([0, 3, size - 1, 2])
    for row, token, measured in zip(
        logits, tokens, measure_rows(logits.clone(), tokens, 5), strict=True
    ):
        expected = measure(row, torch.softmax(row, -1), token[None], 5, [])
        assert [c[0] for c in measured.candidates] == [c[0] for c in expected.candidates]
        assert measured.rank == expected.rank
        assert measured.valid
        assert measured.logprob == pytest.approx(expected.logprob, abs=1e-5)
        assert measured.entropy_bits == pytest.approx(expected.entropy_bits, rel=1e-5)


@pytest.mark.parametrize(("overlap", "starts"), [(None, [0, 16, 32, 48]), (8, [0, 24, 48])])
def test_windows_read_what_a_plain_pass_over_each_reads(
    overlap: int | None, starts: list[int], tiny_lms: GetLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    lm = tiny_lms("llama")
    monkeypatch.setattr(lm, "context_length", 32)
    ids = scored_ids(lm, TEXT)[:70]
    steps = list(score(lm, ids, overlap=overlap))
    expected, done = [], 1
    for start in starts:
        window = plain_logprobs(lm, ids[start : start + 32])
        expected += window[done - start - 1 :]
        done = start + len(window) + 1
    assert done == len(ids)
    assert [step.token_id for step in steps] == ids[1:]
    assert [step.logprob for step in steps] == pytest.approx(expected, abs=1e-4)


def test_the_opening_token_stands_before_each_window(
    tiny_lms: GetLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    lm = tiny_lms("llama")
    monkeypatch.setattr(lm, "context_length", 32)
    opening = lm.tokenizer.bos_token_id
    ids = [opening, *scored_ids(lm, TEXT)[:40]]
    steps = list(score(lm, ids, overlap=10))
    last = plain_logprobs(lm, [opening, *ids[22:]])
    assert [step.logprob for step in steps[31:]] == pytest.approx(last[10:], abs=1e-4)


@pytest.mark.default_model
def test_the_default_model(default_lm: LanguageModel) -> None:
    ids = scored_ids(default_lm, "The capital of France is Paris, 台北 that of Taiwan. " * 4)
    steps = list(score(default_lm, ids))
    expected = plain_logprobs(default_lm, ids)
    assert [step.logprob for step in steps] == pytest.approx(expected, abs=1e-4)
    found = temperature_losses(default_lm, ids, [1.0, 2.0])
    assert found[0] == pytest.approx(-sum(expected) / len(expected), abs=1e-5)
    rows = plain_logits(default_lm, ids)[:-1] / 2
    own = torch.log_softmax(rows, -1).gather(1, torch.tensor(ids[1:])[:, None])
    assert found[1] == pytest.approx(-float(own.mean()), abs=1e-4)


def test_what_a_text_comes_to() -> None:
    steps = [step_of("a", 0.5), step_of("世", 0.25, index=1)]
    found = text_score(steps)
    assert (found.tokens, found.bytes) == (2, 4)
    assert found.logprob == pytest.approx(math.log(1 / 8))
    assert found.perplexity == pytest.approx(8**0.5)
    assert found.bits_per_byte == pytest.approx(0.75)
    assert text_score([step_of("", 0.5)]).bits_per_byte is None
    assert text_score([step_of("a", 0.0)]).perplexity == math.inf
    with pytest.raises(ValueError, match="one step"):
        text_score([])


@pytest.mark.parametrize("text", ["", "x", [5], "\ud800", [5, 99_999]])
def test_what_cannot_be_scored_is_refused_at_the_call(text: str, tiny_lm: LanguageModel) -> None:
    with pytest.raises(PromptError):
        score(tiny_lm, text)


@pytest.mark.parametrize("overlap", [0, 32, -1])
def test_windows_that_do_not_go_on_are_refused(
    overlap: int, tiny_lm: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiny_lm, "context_length", 32)
    with pytest.raises(GenerationConfigError, match="overlap must be 1 to 31"):
        score(tiny_lm, TEXT, overlap=overlap)
    with pytest.raises(GenerationConfigError, match="top_candidates"):
        score(tiny_lm, TEXT, top_candidates=0)


def test_a_model_without_a_distribution_is_told(
    tiny_lm: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    with torch.no_grad():
        weight = tiny_lm.model.lm_head.weight
        kept = weight[3].clone()
        weight[3] = math.nan
        try:
            with pytest.raises(LogitsError, match="Inference 1 "):
                list(score(tiny_lm, TEXT))
        finally:
            weight[3] = kept


def test_it_ends_where_it_is_told_to(
    tiny_lm: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_passes, "MOST_LOGITS", 7 * tiny_lm.vocab_size)

    def stop(done: int, _total: int) -> None:
        if done > 10:
            raise KeyboardInterrupt

    steps = score(tiny_lm, TEXT, on_progress=stop)
    taken = []
    with pytest.raises(KeyboardInterrupt):
        taken.extend(steps)
    assert next(steps, None) is None
