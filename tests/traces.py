"""Traces made by hand, for the tests that need no model."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from decoding.records.model_facts import ModelFacts
from decoding.records.requests import PromptToken
from decoding.records.step import Candidate, DecodingStep, KVCacheSize, MemoryInUse
from decoding.records.trace import DecodingTrace
from decoding.records.tree import Branch, Restoration, SettingsChange

FACTS = ModelFacts(
    name="tiny",
    device="cpu",
    dtype="float32",
    quantization=None,
    vocab_size=100,
    context_length=256,
    weight_bytes=1234,
    kv=None,
    kv_note="sliding",
)


def made_step(index: int, token_id: int = 5, text: str = " a", **fields: Any) -> DecodingStep:
    """A step whose numbers fit together: the chosen token and another one."""
    step = DecodingStep(
        index=index,
        phase="decode" if index else "prefill",
        input_tokens=1 if index else 2,
        token_id=token_id,
        token=text,
        text=text,
        is_special=False,
        logprob=math.log(1 / 3),
        probability=1 / 3,
        rank=2,
        sampling_probability=0.1 + 0.2,
        entropy_bits=1.5,
        varentropy_bits2=0.25,
        candidates=(
            Candidate(7, "x", "x", 0.5, 0.7),
            Candidate(token_id, text, text, 1 / 3, 0.1 + 0.2),
        ),
        tail_probability=1 / 6,
        kept_tokens=2,
        kv_cache=KVCacheSize(2 + index, 64 * (2 + index), (64 * (2 + index),), (None,)),
        seconds=0.0123456789,
        finish_reason=None,
        memory=MemoryInUse("process", 10**9, None),
    )
    return replace(step, **fields)


def made_trace(text: str = " a") -> DecodingTrace:
    """Three steps, and a branch that leaves at the second one with a token that was cut."""
    first = Branch(
        0,
        None,
        0,
        [made_step(0, text=text), made_step(1, text=text), made_step(2, finish_reason="length")],
        [SettingsChange(0, {"do_sample": True, "stop_strings": [text], "top_p": 0.9})],
    )
    forced = made_step(
        1,
        9,
        text,
        is_forced=True,
        logprob=-math.inf,
        probability=0.0,
        candidates=(Candidate(9, text, text, 0.0, 0.0),),
        tail_probability=1.0,
    )
    second = Branch(
        1, 0, 1, [forced], [SettingsChange(2, {"seed": 3})], [Restoration(1, 2, 0, 0.001, None)]
    )
    return DecodingTrace(
        created="2026-01-02T03:04:05+00:00",
        prompt=[{"role": "user", "content": text}],
        prompt_tokens=(PromptToken(1, text, False), PromptToken(2, "", True, text)),
        model=replace(FACTS, name=text),
        revision=None,
        versions={"python": "3.11"},
        seed=2**63 + 1,
        use_cache=True,
        top_candidates=2,
        branches=(first, second),
    )
