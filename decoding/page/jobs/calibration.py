"""The longer job that asks whether probabilities hold what they say, over a scored text.

The engine is imported by the function that the worker's thread calls: torch lives there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from decoding.live.shared_model import SharedModel
from decoding.live.stream import IsStopped, Stopped, Stream
from decoding.page.jobs.job import measured_model
from decoding.page.requests.refusals import RequestError
from decoding.page.wire.frames import Message, message, number
from decoding.page.wire.run_log import RunTokens
from decoding.records.step import DecodingStep
from decoding.records.tree import DecodingTree, given_tokens
from decoding.trust.calibration import (
    LEAST_PAIRS,
    CalibratingTemperature,
    Reliability,
    calibrating_temperature,
    reliability,
)

if TYPE_CHECKING:
    from decoding.core.language_model import LanguageModel

# `calibrating_temperature` asks twice for losses: each time the text is read.
READINGS = 2
# Between the loss that is measured now and the one of the steps, in nats: what rounding in another
# order comes to, and less than another format of the weights.
SAME_LOSS = 0.005
SHOWN_CHARS, SHOWN_TOKENS = 60, 200


class CalibrationJob:
    """The reliability of a scored text's probabilities, and what temperature would mend it."""

    kind = "calibration"
    total: int | None = None
    note: Message | None = None

    def __init__(self, run: RunTokens | None, tree: DecodingTree | None) -> None:
        """Takes the steps as they are; of a text with branches, the one that was scored.

        Args:
            run: what the page shows.
            tree: its steps; `None` where they are not kept.

        Raises:
            RequestError: it has none, or a model wrote it.
        """
        if run is None or tree is None:
            raise RequestError(
                "Score a text first; one from a file, or that is not kept any more, has to be "
                "scored again.",
                "calibration_without_text",
            )
        self._run = run
        steps = tree.branches[0].steps
        self._steps = steps[: given_tokens(steps)]
        if not self._steps:
            raise RequestError(
                "The tokens of this text were chosen by the model itself, so they cannot test it: "
                "score a text that somebody else wrote.",
                "calibration_of_own_text",
            )
        text = " ".join("".join(step.text for step in self._steps[:SHOWN_TOKENS]).split())
        self.head: dict[str, Any] = {"model": run.model, "text": text[:SHOWN_CHARS]}
        self._reliability = reliability(map(_favourite_and_truth, self._steps))
        self._temperature: CalibratingTemperature | None = None
        self._measured_on: dict[str, Any] | None = None
        self.is_complete = False

    @property
    def summary(self) -> dict[str, Any]:
        """The diagram, known from the start, and the temperature once it is found."""
        return {
            **reliability_fields(self._reliability),
            "measured_on": self._measured_on,
            "least": LEAST_PAIRS,
            "searched": self.is_complete,
            "fit": None if self._temperature is None else _fit_fields(self._temperature),
        }

    def start(self, model: SharedModel) -> Stream[CalibratingTemperature | None]:
        """One record, once the turn has come: the temperature, or that there is none."""

        def make(
            lm: LanguageModel, is_stopped: IsStopped
        ) -> Iterator[CalibratingTemperature | None]:
            self._measured_on = self._checked(measured_model(lm), lm.vocab_size)
            yield calibrating_temperature(self._losses(lm, is_stopped), len(self._steps))

        return model.use(make)

    def take(self, event: CalibratingTemperature | None) -> None:
        """The record becomes part of the summary."""
        self._temperature, self.is_complete = event, True

    def _checked(self, now: dict[str, Any], vocab_size: int) -> dict[str, Any]:
        """What is loaded now, which has to be what the text was scored with."""
        if (now["name"], vocab_size) != (self._run.model, self._run.vocab_size):
            raise RequestError(
                f"This text was scored with {self._run.model}, and now {now['name']} is loaded: "
                "score it again.",
                "calibration_other_model",
                before=self._run.model,
                now=now["name"],
            )
        return now

    def _losses(
        self, lm: LanguageModel, is_stopped: IsStopped
    ) -> Callable[[Sequence[float]], list[float]]:
        from decoding.strategies.scoring import temperature_losses

        ids = [*self._run.prompt_ids, *(step.token_id for step in self._steps)]
        readings = iter(range(READINGS))

        def losses(temperatures: Sequence[float]) -> list[float]:
            reading = next(readings)

            def on_progress(done: int, total: int) -> None:
                if is_stopped():
                    raise Stopped
                self.note = message(
                    "calibration_reading", done=reading * total + done, total=READINGS * total
                )

            try:
                found = temperature_losses(lm, ids, temperatures, on_progress)
            finally:
                self.note = None
            self._check_loss(dict(zip(temperatures, found, strict=True)).get(1.0))
            return found

        return losses

    def _check_loss(self, loss: float | None) -> None:
        """Another format of the same weights has other probabilities than those of the steps."""
        own = -math.fsum(step.logprob for step in self._steps) / len(self._steps)
        if loss is not None and abs(loss - own) > SAME_LOSS:
            raise RequestError(
                f"The model loaded now gives this text a loss of {loss:.3f} nats a token, and it "
                f"had {own:.3f} when it was scored: score it again.",
                "calibration_other_weights",
                before=f"{own:.3f}",
                now=f"{loss:.3f}",
            )


def reliability_fields(found: Reliability) -> dict[str, Any]:
    """A reliability as the page's diagram takes it."""
    return {
        "tokens": found.count,
        "bins": [_rounded(asdict(own)) for own in found.bins],
        "ece": None if found.ece is None else number(found.ece),
        "chance_ece": None if found.chance_ece is None else number(found.chance_ece),
    }


def _fit_fields(found: CalibratingTemperature) -> dict[str, Any]:
    return {**_rounded(asdict(found)), "differs": found.differs_from_one}


def _rounded(fields: dict[str, Any]) -> dict[str, Any]:
    return {
        name: number(value) if type(value) is float else value for name, value in fields.items()
    }


def _favourite_and_truth(step: DecodingStep) -> tuple[float, bool]:
    """The probability of the model's favourite, and whether it is what the text says."""
    favourite = step.candidates[0]
    return min(1.0, favourite.probability), favourite.token_id == step.token_id
