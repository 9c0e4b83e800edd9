"""Records -> the JSON that the page's scripts draw from; pure functions."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from itertools import groupby
from typing import Any

from decoding.records.errors import DecodingError
from decoding.records.model_facts import ModelFacts
from decoding.records.requests import ModelStatus, RunHead
from decoding.records.step import Candidate, DecodingStep, KVCacheSize, MemoryInUse

Message = dict[str, Any]

DIGITS = 5
REPLACEMENT = "\ufffd"


def to_json(value: object) -> str:
    """Compact JSON that any encoder can send on, half characters included."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text


def number(value: float) -> float | None:
    """A number for the wire, to five significant digits; `None` for what is no number."""
    rounded = float(f"{value:.{DIGITS}g}")
    return rounded if math.isfinite(rounded) else None


def step_fields(step: DecodingStep) -> dict[str, Any]:
    """One step as the page knows it, under short names."""
    cache = step.kv_cache
    fields = {
        "i": step.index,
        "ph": step.phase,
        "in": step.input_tokens,
        "id": step.token_id,
        "k": step.token,
        "t": shown_text(step),
        "sp": int(step.is_special),
        "lp": number(step.logprob),
        "p": number(step.probability),
        "r": step.rank,
        "q": number(step.sampling_probability),
        "H": number(step.entropy_bits),
        "V": number(step.varentropy_bits2),
        "tail": number(step.tail_probability),
        "kept": step.kept_tokens,
        "kv": None if cache is None else [cache.tokens, cache.bytes],
        "L": None if cache is None else cache_layer_groups(cache),
        "m": None if step.memory is None else _memory_fields(step.memory),
        "s": number(step.seconds),
        "fin": step.finish_reason,
        "c": [_candidate_fields(candidate) for candidate in step.candidates],
    }
    if step.phase == "score":
        fields["tb"] = step.text_bytes
    return {**fields, "f": 1} if step.is_forced else fields


def cache_layer_groups(cache: KVCacheSize) -> list[list[int | None]]:
    """`[layers, positions, bytes]` for each run of layers that hold the same, in order."""
    positions = cache.layer_tokens or (None,) * len(cache.layer_bytes)
    groups = groupby(zip(positions, cache.layer_bytes, strict=True))
    return [[len(list(same)), *layer] for layer, same in groups]


def _memory_fields(memory: MemoryInUse) -> list[int]:
    """Bytes in use and, where torch keeps a reserve, the reserved ones: a step is to be short."""
    reserved = memory.reserved_bytes
    return [memory.bytes] if reserved is None else [memory.bytes, reserved]


def shown_text(step: DecodingStep) -> str:
    """The step's text; a character that the run's end left incomplete is not shown as broken.

    The page shows a token without text by its bytes, which are the chosen candidate's text.
    """
    own = (c.text for c in step.candidates if c.token_id == step.token_id)
    is_literal = any(REPLACEMENT in text for text in own)
    return step.text if is_literal else step.text.replace(REPLACEMENT, "")


def _candidate_fields(candidate: Candidate) -> list[Any]:
    return [
        candidate.token_id,
        candidate.text,
        number(candidate.probability),
        number(candidate.sampling_probability),
    ]


def head_fields(head: RunHead) -> dict[str, Any]:
    """What the first frame of a run says besides its steps."""
    return {
        "prompt": [
            [token.token_id, token.text, int(token.is_special), *([token.piece] * (not token.text))]
            for token in head.prompt
        ],
        "model": model_fields(head.model),
        "config": head.config,
    }


def model_fields(facts: ModelFacts) -> dict[str, Any]:
    """The model's facts under their own names, and what its formula comes to."""
    fields = asdict(facts)
    if facts.kv is not None:
        fields["kv"]["bytes_per_token"] = facts.kv.bytes_per_token
    return fields


def message(key: str, **values: Any) -> Message:
    """An entry of the text files' `messages` and what fills its placeholders."""
    return {"key": key, "args": values}


def page_frame(
    state: str,
    *,
    message: Message | None = None,
    progress: tuple[int, int] | None = None,
    model: ModelFacts | None = None,
    switch: bool = False,
) -> str:
    """A frame that belongs to no run: it says what the page waits for, and resets nothing.

    Args:
        state: as the frames name it.
        message: an entry of the texts.
        progress: (done, total) of what is waited for.
        model: the one that is loaded now.
        switch: this visitor asked for another model, so that the frame is about that.
    """
    fields: dict[str, Any] = {"run": "", "state": state, "message": message, "progress": progress}
    if switch:
        fields["switch"] = True
    if model is not None:
        fields["model"] = model_fields(model)
    return to_json({**fields, "start": 0, "total": 0, "steps": []})


def model_frame(status: ModelStatus) -> str:
    """How far the model is."""
    if status.state == "error":
        return page_frame("error", message=error_message(status.error))
    if status.state == "ready":
        return page_frame("ready", model=status.facts)
    waiting_for = message(f"loading_{status.stage}")
    return page_frame("loading", message=waiting_for, progress=status.progress)


def error_message(error: BaseException | None) -> Message:
    """A `DecodingError` in the visitor's words or its own; of anything else, that it happened."""
    if not isinstance(error, DecodingError):
        return message("failed")
    if error.message_key is None:
        return message("error", text=str(error))
    return message(error.message_key, **error.message_values)
