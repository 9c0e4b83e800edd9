"""What the page asks of the model that all visitors share."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Protocol

from decoding.live.worker import Stream
from decoding.page.visitors.queue import RunStream
from decoding.records.requests import (
    ContinueOrder,
    InspectRequest,
    ModelStatus,
    RunRequest,
    ScoreRequest,
)
from decoding.records.tree import DecodingTree, RunStep

if TYPE_CHECKING:
    from decoding.records.trace import DecodingTrace
    from decoding.session.inspection import Inspection

OnPrefill = Callable[[int, int], None]


class Model(Protocol):
    """What is asked of the model that all visitors share; a key is a run's id."""

    status: ModelStatus

    @property
    def keeps_sessions(self) -> bool:
        """Whether a run can go on after a pause."""

    def stream(
        self, key: str, request: RunRequest, on_prefill: OnPrefill, steps: int | None = None
    ) -> RunStream:
        """The head and then the steps of a run that takes its place in line."""

    def score(self, key: str, request: ScoreRequest, on_prefill: OnPrefill) -> RunStream:
        """The head and then the tokens of a text that was given, each measured."""

    def resume(self, key: str, order: ContinueOrder, on_prefill: OnPrefill) -> Stream[RunStep]:
        """More steps of a run that is there."""

    def pause(self, key: str) -> None:
        """Ends what runs or waits of this run, after the inference under way."""

    def inspect(self, key: str, request: InspectRequest) -> Future[Inspection]:
        """What there is to know of one step."""

    def tree(self, key: str) -> DecodingTree | None:
        """What a run has come to; `None` for one that is not kept."""

    def trace(self, key: str) -> DecodingTrace | None:
        """A run as it would be written to a file; `None` for one that is not kept."""

    def forget(self, key: str) -> None:
        """Ends a run and frees what is kept of it."""
