"""Steps -> the JSON frames that the page's scripts draw from; pure functions and two records."""

from __future__ import annotations

import json
import math
import secrets
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import asdict
from threading import Lock
from typing import Any

from decoding.errors import DecodingError
from decoding.facts import ModelFacts
from decoding.run import ModelStatus, RunHead
from decoding.step import Candidate, DecodingStep

Message = dict[str, Any]

DIGITS = 5
REPLACEMENT = "\ufffd"
RUNS_KEPT = 8


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
    return {
        "i": step.index,
        "ph": step.phase,
        "in": step.input_tokens,
        "id": step.token_id,
        "k": step.token,
        "t": _shown_text(step),
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
        "s": number(step.seconds),
        "fin": step.finish_reason,
        "c": [_candidate_fields(candidate) for candidate in step.candidates],
    }


def _shown_text(step: DecodingStep) -> str:
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


def say(key: str, **values: Any) -> Message:
    """An entry of the text files' `messages` and what fills its placeholders."""
    return {"key": key, "args": values}


def page_frame(
    state: str,
    *,
    message: Message | None = None,
    progress: tuple[int, int] | None = None,
    model: ModelFacts | None = None,
) -> str:
    """A frame that belongs to no run: it says what the page waits for, and resets nothing."""
    fields: dict[str, Any] = {"run": "", "state": state, "message": message, "progress": progress}
    if model is not None:
        fields["model"] = model_fields(model)
    return to_json({**fields, "start": 0, "total": 0, "steps": []})


def model_frame(status: ModelStatus) -> str:
    """How far the model is."""
    if status.state == "error":
        return page_frame("error", message=error_message(status.error))
    if status.state == "ready":
        return page_frame("ready", model=status.facts)
    waiting_for = say(f"loading_{status.stage}")
    return page_frame("loading", message=waiting_for, progress=status.progress)


def error_message(error: BaseException | None) -> Message:
    """A `DecodingError` in its own words; of anything else, that it happened."""
    key: str = getattr(error, "message_key", "error")
    if not isinstance(error, DecodingError):
        return say("failed")
    values: Mapping[str, Any] = getattr(error, "message_values", {"text": str(error)})
    return say(key, **values)


class RunLog:
    """What one run has produced so far, each step encoded once.

    Attributes:
        run_id: cannot be guessed, so that knowing it is the right to read the run.
        state: of the run, as the frames name it.
        progress: (tokens fed, prompt tokens) while the prompt is read.
    """

    def __init__(self) -> None:
        self.run_id = secrets.token_urlsafe(12)
        self.state = "prefill"
        self.progress: tuple[int, int] | None = None
        self._head: str | None = None
        self._steps: list[str] = []
        self._sent = 0
        self._head_sent = False

    @property
    def total(self) -> int:
        """Steps so far."""
        return len(self._steps)

    @property
    def has_head(self) -> bool:
        """Whether the prompt is known in tokens."""
        return self._head is not None

    def add(self, event: RunHead | DecodingStep) -> None:
        """Takes the head or the next step."""
        if isinstance(event, RunHead):
            self._head = to_json(head_fields(event))
            return
        self._steps.append(to_json(step_fields(event)))
        self.state = "finished" if event.finish_reason else "decoding"

    def next_frame(self, message: Message | None = None) -> str:
        """What no frame has carried yet: the head, once, and the newest steps."""
        start, self._sent = self._sent, self.total
        with_head, self._head_sent = not self._head_sent, self.has_head
        return self._frame(start, with_head, message)

    def frame_from(self, start: int) -> str:
        """The steps from `start` on, with the head when they begin with the first."""
        return self._frame(start, start == 0)

    def _frame(self, start: int, with_head: bool, message: Message | None = None) -> str:
        known = {
            "run": self.run_id,
            "state": self.state,
            "message": message,
            "progress": self.progress if self.state == "prefill" else None,
        }
        head = f',"head":{self._head}' if with_head and self._head else ""
        steps = self._steps[start:]
        return (
            f'{to_json(known)[:-1]}{head},"start":{start},"total":{start + len(steps)},'
            f'"steps":[{",".join(steps)}]}}'
        )


class LastRuns:
    """The logs of the last runs, for a browser that missed some frames."""

    def __init__(self, kept: int = RUNS_KEPT) -> None:
        self._kept = kept
        self._logs: OrderedDict[str, RunLog] = OrderedDict()
        self._lock = Lock()

    def keep(self, log: RunLog) -> None:
        """Remembers a run; the oldest beyond the bound are forgotten."""
        with self._lock:
            self._logs[log.run_id] = log
            while len(self._logs) > self._kept:
                self._logs.popitem(last=False)

    def steps_from(self, run_id: str, start: int) -> str | None:
        """A frame with the steps from `start` on; `None` for a run that is not known (any more)."""
        with self._lock:
            log = self._logs.get(run_id)
        return None if log is None else log.frame_from(min(max(0, start), log.total))
