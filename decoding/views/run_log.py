"""What runs have produced: each step encoded once, to be sent and sent again."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock
from typing import Generic, Protocol, TypeVar

from decoding.facts import ModelFacts
from decoding.run import RunHead
from decoding.step import DecodingStep
from decoding.views.frames import Message, head_fields, shown_text, step_fields, to_json

LOGS_KEPT = 8


@dataclass(frozen=True, slots=True)
class RunTokens:
    """A run as later comparisons need it.

    Attributes:
        prompt_ids: the prompt as it was fed.
        tokens: (token id, printable text) of each new token.
        model: name of the model that made them.
        dtype: its number format.
        vocab_size: entries of its vocabulary.
    """

    prompt_ids: list[int]
    tokens: list[tuple[int, str]]
    model: str
    dtype: str
    vocab_size: int


class RunLog:
    """What one run has produced so far, each step encoded once.

    Attributes:
        log_id: cannot be guessed, so that knowing it is the right to read the run.
        state: of the run, as the frames name it.
        progress: (tokens fed, prompt tokens) while the prompt is read.
    """

    def __init__(self) -> None:
        self.log_id = secrets.token_urlsafe(12)
        self.state = "prefill"
        self.progress: tuple[int, int] | None = None
        self._head: str | None = None
        self._model: ModelFacts | None = None
        self._prompt_ids: list[int] = []
        self._tokens: list[tuple[int, str]] = []
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
            self._model = event.model
            self._prompt_ids = [token.token_id for token in event.prompt]
            return
        self._tokens.append((event.token_id, _printable(event)))
        self._steps.append(to_json(step_fields(event)))
        self.state = "finished" if event.finish_reason else "decoding"

    @property
    def tokens(self) -> RunTokens:
        """The prompt's and the new tokens so far."""
        made = self._model
        facts = ("", "", 0) if made is None else (made.name, made.dtype, made.vocab_size)
        return RunTokens(list(self._prompt_ids), list(self._tokens), *facts)

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
            "run": self.log_id,
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


class Log(Protocol):
    """What is kept of a run or of a longer job."""

    log_id: str

    @property
    def total(self) -> int:
        """Steps or rows so far."""

    def frame_from(self, start: int) -> str:
        """A frame with all of them from `start` on."""


L = TypeVar("L", bound=Log)


class LastLogs(Generic[L]):
    """The last logs, for a browser that missed some frames."""

    def __init__(self, kept: int = LOGS_KEPT) -> None:
        self._kept = kept
        self._logs: OrderedDict[str, L] = OrderedDict()
        self._lock = Lock()

    def keep(self, log: L) -> None:
        """Remembers a log; the oldest beyond the bound are forgotten."""
        with self._lock:
            self._logs[log.log_id] = log
            while len(self._logs) > self._kept:
                self._logs.popitem(last=False)

    def find(self, log_id: str) -> L | None:
        """The log; `None` for one that is not known (any more)."""
        with self._lock:
            return self._logs.get(log_id)

    def frame_from(self, log_id: str, start: int) -> str | None:
        """A frame with what came from `start` on; `None` for a log that is not known."""
        log = self.find(log_id)
        return None if log is None else log.frame_from(min(max(0, start), log.total))


def _printable(step: DecodingStep) -> str:
    """The text it released; of an incomplete character, its bytes as the candidates spell them."""
    own = (c.text for c in step.candidates if c.token_id == step.token_id)
    return shown_text(step) or next(own, "")
