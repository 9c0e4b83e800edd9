"""What a longer job is, what it asks of the shared model, and the text it is made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from decoding.live.shared_model import SharedModel
from decoding.live.stream import IsStopped, Stopped, Stream
from decoding.page.requests.refusals import RequestError
from decoding.page.wire.frames import Message, message
from decoding.page.wire.job_log import Row
from decoding.page.wire.last_logs import LastLogs
from decoding.page.wire.run_log import RunLog, RunTokens

if TYPE_CHECKING:
    from decoding.core.language_model import LanguageModel


# What reads the same text two or three times, or grows with the square of its length, ends here.
MAX_TOKENS = 256
MAX_POSITIONS = 2_048


class Job(Protocol):
    """One job: how it starts, and what its records come to.

    Attributes:
        head: what is known before the first row.
        total: rows that will come; `None` where nobody knows.
        note: what the page should say beside the rows.
    """

    kind: str
    head: dict[str, Any]
    total: int | None
    note: Message | None

    @property
    def summary(self) -> dict[str, Any] | None:
        """What the records so far come to."""

    @property
    def is_complete(self) -> bool:
        """Whether the last record came."""

    def start(self, model: SharedModel) -> Stream[Any]:
        """The job's records, once its turn has come."""

    def take(self, event: Any) -> Row | None:
        """One record as a row; `None` for one that only changes the summary."""


def tokens_of(runs: LastLogs[RunLog], run_id: object) -> RunTokens:
    """The tokens of the run that the page shows.

    Raises:
        RequestError: a run that is not known any more, or without a token.
    """
    log = runs.find(str(run_id))
    if log is None or not log.tokens.tokens:
        raise RequestError(
            "Generate a text first: a comparison feeds its tokens again.", "work_without_run"
        )
    return log.tokens


def bounded(run: RunTokens) -> tuple[list[tuple[int, str]], Message | None]:
    """As many tokens as are compared, and a note where these are not all."""
    kept = min(len(run.tokens), MAX_TOKENS, MAX_POSITIONS - len(run.prompt_ids))
    if kept < 1:
        raise RequestError(
            f"The prompt has {len(run.prompt_ids):,} tokens: this comparison reads at most "
            f"{MAX_POSITIONS:,} positions.",
            "work_prompt_too_long",
            length=len(run.prompt_ids),
            limit=MAX_POSITIONS,
        )
    is_cut = kept < len(run.tokens)
    note = message("work_cut", kept=kept, total=len(run.tokens)) if is_cut else None
    return run.tokens[:kept], note


def check_model(lm: LanguageModel, run: RunTokens) -> None:
    """Token ids mean something to the model that made them only."""
    name = lm.name or type(lm.model).__name__
    if (name, lm.vocab_size) != (run.model, run.vocab_size):
        raise RequestError(
            f"This text was written by {run.model}, and now {name} is loaded: generate it anew.",
            "work_other_model",
            before=run.model,
            now=name,
        )


def measured_model(lm: LanguageModel) -> dict[str, Any]:
    """What stands beside the numbers: the model they were measured on."""
    return {
        "name": lm.name or type(lm.model).__name__,
        "format": lm.quantization or str(lm.dtype).removeprefix("torch."),
    }


def stopping(is_stopped: IsStopped) -> Callable[[int, int], None]:
    """What the engine calls between the chunks of a prompt: ends the job that was stopped."""

    def look_up(_done: int, _total: int) -> None:
        if is_stopped():
            raise Stopped

    return look_up
