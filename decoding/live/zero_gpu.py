"""Runs where an accelerator is lent for the time of a call: in another process, and not kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from decoding.live.orders import decode_arguments
from decoding.records.errors import DecodingError
from decoding.records.requests import RunRequest, ScoreRequest
from decoding.records.step import DecodingStep
from decoding.records.tree import RunStep

if TYPE_CHECKING:
    from decoding.core.language_model import LanguageModel

StepOrError = DecodingStep | DecodingError
Steps = Callable[[list[int], RunRequest | ScoreRequest], Iterator[StepOrError]]


def lent_steps(loaded: Callable[[], LanguageModel]) -> Steps:
    """What is to be wrapped by whoever lends the accelerator: the steps of a run or of a text.

    Args:
        loaded: the model, as it is called in that process.
    """

    def steps(ids: list[int], request: RunRequest | ScoreRequest) -> Iterator[StepOrError]:
        # Only the class name of an error would come back from that process.
        try:
            yield from _steps(loaded(), ids, request)
        except DecodingError as error:
            yield error

    return steps


def returned_steps(steps: Iterator[StepOrError]) -> Iterator[RunStep]:
    """The steps that came back; an error among them is raised here."""
    try:
        for step in steps:
            if isinstance(step, DecodingError):
                raise step
            yield RunStep(step)
    finally:
        steps.close()  # type: ignore[attr-defined]


def _steps(
    lm: LanguageModel, ids: list[int], request: RunRequest | ScoreRequest
) -> Iterator[DecodingStep]:
    if isinstance(request, ScoreRequest):
        from decoding.strategies.scoring import score

        return score(lm, ids, top_candidates=request.top_candidates)
    from decoding.core.decoder import decode

    return decode(lm, ids, **decode_arguments(lm, request))
