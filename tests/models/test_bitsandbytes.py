"""8-bit and 4-bit weights really run: here on the CPU, with the real default model."""

from __future__ import annotations

import math

import pytest
import torch

from decoding import LanguageModel, load_model
from decoding.costs.precisions import compare_precisions
from decoding.records.comparisons import PrecisionSummary, PrecisionToken

pytestmark = pytest.mark.default_model

PROMPT = "The capital of France is"


@pytest.mark.parametrize(("quantization", "largest_share"), [("8bit", 0.45), ("4bit", 0.35)])
def test_quantized_weights_decode_and_are_smaller(
    quantization: str, largest_share: float, default_lm: LanguageModel
) -> None:
    lm = load_model(device="cpu", quantization=quantization)
    assert lm.quantization == quantization
    assert lm.weight_bytes < largest_share * default_lm.weight_bytes
    assert lm.vocab_size == default_lm.vocab_size
    assert lm.eos_token_ids == default_lm.eos_token_ids
    inputs = lm.tokenizer(PROMPT, return_tensors="pt")
    ids = lm.model.generate(**inputs, max_new_tokens=8, do_sample=False)
    assert ids.shape[1] == inputs["input_ids"].shape[1] + 8
    assert "Paris" in lm.tokenizer.decode(ids[0])
    cache = lm.model(**inputs, use_cache=True).past_key_values
    assert cache.layers[0].keys.dtype == lm.dtype


def test_what_quantization_does_to_a_text(default_lm: LanguageModel) -> None:
    prompt = default_lm.tokenizer(PROMPT)["input_ids"]
    text = " Paris. It lies on the Seine, and it is the largest city of the country by far."
    tokens = default_lm.tokenizer(text)["input_ids"][:24]
    with torch.no_grad():
        logits = default_lm.model(torch.tensor([prompt + tokens])).logits[0, len(prompt) - 1 : -1]
    logprobs = logits.log_softmax(-1)[range(len(tokens)), tokens]

    def load(precision: str | None) -> LanguageModel:
        return load_model(device="cpu", quantization=precision)

    events = list(compare_precisions(load, prompt, tokens))
    exact, eight, four = [e for e in events if isinstance(e, PrecisionSummary)]
    assert [s.precision for s in (exact, eight, four)] == [None, "8bit", "4bit"]
    assert exact.weight_bytes > eight.weight_bytes > four.weight_bytes
    assert exact.perplexity == pytest.approx(math.exp(-logprobs.mean().item()), rel=1e-3)
    assert exact.mean_kl_nats is None
    assert eight.mean_kl_nats is not None
    assert four.mean_kl_nats is not None
    assert 0 < eight.mean_kl_nats < four.mean_kl_nats < 1
    assert eight.perplexity == pytest.approx(exact.perplexity, rel=0.2)
    for precision, summary in (("8bit", eight), ("4bit", four)):
        rows = [e for e in events if isinstance(e, PrecisionToken) and e.precision == precision]
        assert [row.token_id for row in rows] == tokens
        assert summary.changed_favourites == sum(not row.same_favourite for row in rows)
