"""One model after the other over the same tokens: numbers, order, memory."""

from __future__ import annotations

import gc
import math
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from tiny import byte_tokenizer, tiny_model

from decoding import GenerationConfigError, LanguageModel, LogitsError, ModelLoadError
from decoding.costs import precisions as precision_module
from decoding.costs.precisions import comparable_tokens, compare_precisions
from decoding.records.comparisons import PrecisionStart, PrecisionSummary, PrecisionToken

PROMPT = list(b"The same tokens ")
TOKENS = list(b"go through each.")
Load = Callable[[str | None], LanguageModel]


def rounded(model: Any, bits: int) -> Any:
    """Weights on a coarse grid, as quantization leaves them; without its package."""
    with torch.no_grad():
        for weight in model.parameters():
            step = weight.abs().amax() / 2 ** (bits - 1)
            if step > 0:
                weight.copy_((weight / step).round() * step)
    return model


def load(precision: str | None) -> LanguageModel:
    model = tiny_model("llama")
    if precision is not None:
        model = rounded(model, int(precision[0]))
    return LanguageModel(model, byte_tokenizer(), name="tiny")


def tokens_of(events: list[Any], precision: str | None) -> list[PrecisionToken]:
    return [e for e in events if isinstance(e, PrecisionToken) and e.precision == precision]


def summary_of(events: list[Any], precision: str | None) -> PrecisionSummary:
    return next(e for e in events if isinstance(e, PrecisionSummary) and e.precision == precision)


def test_the_numbers_are_those_of_plain_forward_passes() -> None:
    events = list(compare_precisions(load, PROMPT, TOKENS))
    rows = {}
    for precision in (None, "8bit", "4bit"):
        with torch.no_grad():
            logits = load(precision).model(torch.tensor([PROMPT + TOKENS])).logits[0]
        rows[precision] = logits[len(PROMPT) - 1 : -1].double().log_softmax(-1)
    reference = rows[None]
    for precision, got in rows.items():
        tokens = tokens_of(events, precision)
        assert [t.token_id for t in tokens] == TOKENS
        assert [t.index for t in tokens] == list(range(len(TOKENS)))
        expected = got[range(len(TOKENS)), TOKENS]
        assert [t.logprob for t in tokens] == pytest.approx(expected.tolist(), abs=1e-4)
        summary = summary_of(events, precision)
        assert summary.perplexity == pytest.approx(math.exp(-expected.mean().item()), rel=1e-4)
        assert summary.seconds_per_token == pytest.approx(
            sum(t.seconds for t in tokens[1:]) / (len(TOKENS) - 1)
        )
        if precision is None:
            assert {(t.kl_nats, t.same_favourite) for t in tokens} == {(None, None)}
            assert (summary.mean_kl_nats, summary.changed_favourites) == (None, None)
            continue
        kl = (reference.exp() * (reference - got)).sum(-1)
        assert [t.kl_nats for t in tokens] == pytest.approx(kl.tolist(), abs=1e-4)
        same = (reference.argmax(-1) == got.argmax(-1)).tolist()
        assert [t.same_favourite for t in tokens] == same
        assert summary.mean_kl_nats == pytest.approx(kl.mean().item(), abs=1e-4)
        assert summary.changed_favourites == same.count(False)
    assert summary_of(events, "4bit").mean_kl_nats > summary_of(events, "8bit").mean_kl_nats


def test_each_precision_starts_counts_and_ends() -> None:
    events = list(compare_precisions(load, PROMPT, TOKENS[:2]))
    one = [PrecisionStart, PrecisionToken, PrecisionToken, PrecisionSummary]
    assert [type(event) for event in events] == one * 3
    start, end = events[0], events[3]
    assert (start.precision, start.dtype, start.weight_bytes) == (None, "float32", end.weight_bytes)
    assert start.weight_bytes == load(None).weight_bytes


def test_a_single_token_has_no_time_of_its_own() -> None:
    events = list(compare_precisions(load, PROMPT, TOKENS[:1], precisions=(None,)))
    assert summary_of(events, None).seconds_per_token is None


def test_never_two_models_at_once() -> None:
    made: list[weakref.ref[Any]] = []
    alive: list[int] = []

    def watched(precision: str | None) -> LanguageModel:
        alive.append(sum(model() is not None for model in made))
        lm = load(precision)
        made.append(weakref.ref(lm.model))
        return lm

    assert len(list(compare_precisions(watched, PROMPT, TOKENS))) == 3 * (len(TOKENS) + 2)
    assert alive == [0, 0, 0]
    assert [model() for model in made] == [None] * 3


def test_closing_frees_the_model() -> None:
    made: list[weakref.ref[Any]] = []

    def watched(precision: str | None) -> LanguageModel:
        lm = load(precision)
        made.append(weakref.ref(lm.model))
        return lm

    events = compare_precisions(watched, PROMPT, TOKENS)
    for _ in range(3):
        next(events)
    assert made[0]() is not None
    events.close()
    gc.collect()
    assert made[0]() is None


def test_a_model_that_cannot_be_had_ends_the_comparison() -> None:
    def missing(precision: str | None) -> LanguageModel:
        if precision == "8bit":
            raise ModelLoadError("bitsandbytes is not installed.")
        return load(precision)

    events = compare_precisions(missing, PROMPT, TOKENS)
    seen = [next(events) for _ in range(len(TOKENS) + 2)]
    assert isinstance(seen[-1], PrecisionSummary)
    with pytest.raises(ModelLoadError, match="bitsandbytes"):
        next(events)


def test_more_than_can_be_kept_is_refused_with_the_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision_module, "REFERENCE_BYTES", 4 * 260 * 10)
    assert comparable_tokens(260) == 10
    assert len(list(compare_precisions(load, PROMPT, TOKENS[:10], (None,)))) == 12
    with pytest.raises(GenerationConfigError, match="at most 10 tokens"):
        next(compare_precisions(load, PROMPT, TOKENS[:11], (None,)))


def test_weights_that_give_no_distribution() -> None:
    def broken(precision: str | None) -> LanguageModel:
        lm = load(precision)
        if precision == "8bit":
            with torch.no_grad():
                lm.model.lm_head.weight.fill_(float("nan"))
        return lm

    with pytest.raises(LogitsError, match="Inference 1 "):
        list(compare_precisions(broken, PROMPT, TOKENS))
