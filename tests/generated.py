"""Token ids of `decode` and of `model.generate`, and the settings to compare them in."""

from __future__ import annotations

import json
from typing import Any

import torch

from decoding import LanguageModel, decode

PROMPT = "Hello 世界, go on"
NEW_TOKENS = 24
TWO_SETTINGS: dict[str, dict[str, Any]] = {
    "greedy": {"suppress_tokens": [256]},
    "sampled": {"do_sample": True, "temperature": 1.2, "top_p": 0.9, "suppress_tokens": [256]},
}
_FOUND: dict[tuple[str, str], tuple[list[int], list[int]]] = {}


def generate_ids(lm: LanguageModel, ids: list[int], seed: int = 3, **kwargs: Any) -> list[int]:
    x = torch.tensor([ids])
    torch.manual_seed(seed)
    if "stop_strings" in kwargs:
        kwargs["tokenizer"] = lm.tokenizer
    out = lm.model.generate(x, attention_mask=torch.ones_like(x), **kwargs)
    return out[0, len(ids) :].tolist()


def decode_ids(lm: LanguageModel, ids: list[int], **kwargs: Any) -> list[int]:
    return [step.token_id for step in decode(lm, ids, seed=3, **kwargs)]


def both_ids(lm: LanguageModel, **settings: Any) -> tuple[list[int], list[int]]:
    """What `decode` and what `generate` writes after the prompt; once for each tiny model.

    Args:
        lm: One of `tiny_lm`, which its name tells from others.
        settings: Those of both, but for the length.
    """
    key = (lm.name, json.dumps(settings, sort_keys=True))
    if key not in _FOUND:
        ids, length = lm.tokenizer(PROMPT)["input_ids"], {"max_new_tokens": NEW_TOKENS}
        written = decode_ids(lm, ids, **length, **settings)
        _FOUND[key] = written, generate_ids(lm, ids, **length, **settings)
    return _FOUND[key]
