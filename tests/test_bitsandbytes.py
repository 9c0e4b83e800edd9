"""8-bit and 4-bit weights really run: here on the CPU, with the real default model."""

from __future__ import annotations

import pytest

from decoding import LanguageModel, load_model

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
