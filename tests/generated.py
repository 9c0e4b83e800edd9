"""Token ids of `decode` and of `model.generate`, and the settings to compare them in."""

from __future__ import annotations

from typing import Any

import torch

from decoding import LanguageModel, decode

PROMPT = "Hello 世界, go on"
NEW_TOKENS = 24
TWO_SETTINGS: dict[str, dict[str, Any]] = {
    "greedy": {"suppress_tokens": [256]},
    "sampled": {"do_sample": True, "temperature": 1.2, "top_p": 0.9, "suppress_tokens": [256]},
}


def generate_ids(lm: LanguageModel, ids: list[int], seed: int = 3, **kwargs: Any) -> list[int]:
    x = torch.tensor([ids])
    torch.manual_seed(seed)
    if "stop_strings" in kwargs:
        kwargs["tokenizer"] = lm.tokenizer
    out = lm.model.generate(x, attention_mask=torch.ones_like(x), **kwargs)
    return out[0, len(ids) :].tolist()


def decode_ids(lm: LanguageModel, ids: list[int], **kwargs: Any) -> list[int]:
    return [step.token_id for step in decode(lm, ids, seed=3, **kwargs)]
