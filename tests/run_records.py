"""The records of a run as the page gets them, made by hand."""

from __future__ import annotations

from decoding.records.model_facts import ModelFacts
from decoding.records.requests import PromptToken, RunHead
from decoding.records.step import Candidate, DecodingStep, KVCacheSize
from decoding.records.trace import DecodingTrace

FACTS = ModelFacts("m", "cpu", "float32", None, 49_152, 8_192, 538_000_000, None)
HEAD = RunHead((PromptToken(1, "<|im_start|>", True),), FACTS, {"do_sample": True, "seed": 7})


def make_step(index=0, text=" southeastern", candidates=20, finish_reason=None, **changes):
    values = {
        "index": index,
        "phase": "decode" if index else "prefill",
        "input_tokens": 1,
        "token_id": 49_151,
        "token": "Ġsoutheastern",
        "text": text,
        "is_special": False,
        "logprob": -2.933812345678,
        "probability": 0.0531912345678,
        "rank": 5,
        "sampling_probability": 0.0561234567,
        "entropy_bits": 4.6412345678,
        "varentropy_bits2": 9.1234567891,
        "candidates": tuple(
            Candidate(40_000 + i, text, text, 0.012345678 / (i + 1), 0.0234567 / (i + 1))
            for i in range(candidates)
        ),
        "tail_probability": 0.26123456789,
        "kept_tokens": 13,
        "kv_cache": KVCacheSize(2_061, 94_970_880, (94_970_880,)),
        "seconds": 0.0741234567,
        "finish_reason": finish_reason,
    }
    return DecodingStep(**{**values, **changes})


def make_trace(*branches):
    return DecodingTrace(
        created="2026-11-22T18:00:00+00:00",
        prompt="a",
        prompt_tokens=HEAD.prompt,
        model=FACTS,
        revision=None,
        versions={},
        seed=7,
        use_cache=True,
        top_candidates=20,
        branches=branches,
    )
