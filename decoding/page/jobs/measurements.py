"""The three longer jobs: what each asks of the engine, and its records as rows and summary.

The engine is imported by the functions that the worker's thread calls: torch lives there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from decoding.live.shared_model import LoadAs, SharedModel
from decoding.live.stream import IsStopped, Stream
from decoding.page.jobs.job import (
    bounded,
    check_model,
    measured_model,
    stopping,
)
from decoding.page.requests.readers import read_choice
from decoding.page.requests.settings import CACHE_KINDS, PLAIN_CACHE
from decoding.page.wire.frames import Message, number
from decoding.page.wire.job_log import Row
from decoding.page.wire.run_log import RunTokens
from decoding.records.choices import QUANTIZATIONS
from decoding.records.comparisons import (
    ComparedStep,
    PrecisionEvent,
    PrecisionSummary,
    PrecisionToken,
    Roofline,
    RooflinePoint,
)

if TYPE_CHECKING:
    from decoding.core.language_model import LanguageModel

Measured = tuple[Roofline, tuple[RooflinePoint, ...]]

UNCACHED = "none"
OTHER_CACHES = (UNCACHED, *(kind for kind in CACHE_KINDS if kind != PLAIN_CACHE))
PRECISIONS: tuple[str | None, ...] = (None, *QUANTIZATIONS)
ROOFLINE_PROMPT_TOKENS = 128


def _known(value: float | None) -> float | None:
    return None if value is None else number(value)


def _mean(values: list[float]) -> float | None:
    return number(sum(values) / len(values)) if values else None


class CachingJob:
    """The same tokens with the plain cache and with another one, or with none."""

    kind = "caching"

    def __init__(self, run: RunTokens, other: object) -> None:
        self._other = read_choice("other", other, OTHER_CACHES)
        self._run = run
        self._tokens, self.note = bounded(run)
        self.total: int | None = len(self._tokens)
        self.head: dict[str, Any] = {
            "other": self._other,
            "tokens": self._tokens,
            "prompt_tokens": len(run.prompt_ids),
            "model": run.model,
        }
        self._steps: list[ComparedStep] = []
        self._measured_on: dict[str, Any] | None = None

    @property
    def is_complete(self) -> bool:
        """Whether every token was compared."""
        return len(self._steps) == self.total

    def start(self, model: SharedModel) -> Stream[ComparedStep]:
        """The comparison, once its turn has come."""

        def make(lm: LanguageModel, is_stopped: IsStopped) -> Iterator[ComparedStep]:
            from decoding.costs.caches import compare_caches

            check_model(lm, self._run)
            self._measured_on = measured_model(lm)
            ids = [token_id for token_id, _text in self._tokens]
            prompt_ids = self._run.prompt_ids
            return compare_caches(lm, prompt_ids, ids, self._other, stopping(is_stopped))

        return model.use(make)

    def take(self, event: ComparedStep) -> Row:
        """Both sides of one inference."""
        self._steps.append(event)
        plain, other = event.plain, event.other
        return [
            event.index,
            event.positions,
            number(plain.seconds),
            number(other.seconds),
            plain.input_tokens,
            other.input_tokens,
            plain.kv_bytes,
            other.kv_bytes,
            number(event.largest_logit_difference),
            number(event.kl_nats),
            int(event.same_favourite),
        ]

    @property
    def summary(self) -> dict[str, Any] | None:
        """What the inferences so far come to; bytes are those of the last one."""
        steps = self._steps
        if not steps:
            return None
        return {
            "measured_on": self._measured_on,
            "plain_seconds": number(sum(step.plain.seconds for step in steps)),
            "other_seconds": number(sum(step.other.seconds for step in steps)),
            "largest_logit_difference": number(
                max(step.largest_logit_difference for step in steps)
            ),
            "mean_kl_nats": _mean([step.kl_nats for step in steps]),
            "changed": sum(not step.same_favourite for step in steps),
            "plain_bytes": steps[-1].plain.kv_bytes,
            "other_bytes": steps[-1].other.kv_bytes,
        }


class PrecisionJob:
    """The same tokens under the model's own number format, in 8 and in 4 bits."""

    kind = "precision"

    def __init__(self, run: RunTokens) -> None:
        self._run = run
        self._tokens, self.note = bounded(run)
        self.total: int | None = len(self._tokens) * len(PRECISIONS)
        self.head: dict[str, Any] = {
            "tokens": self._tokens,
            "precisions": [precision or run.dtype for precision in PRECISIONS],
            "model": run.model,
        }
        self._models: list[dict[str, Any]] = []

    @property
    def is_complete(self) -> bool:
        """Whether the last model came to its end."""
        return len(self._models) == len(PRECISIONS)

    @property
    def summary(self) -> dict[str, Any] | None:
        """One entry for each model that came to its end."""
        return {"models": list(self._models)} if self._models else None

    def start(self, model: SharedModel) -> Stream[PrecisionEvent]:
        """The models one after the other, once the turn has come."""

        def make(load: LoadAs, is_stopped: IsStopped) -> Iterator[PrecisionEvent]:
            from decoding.costs.precisions import compare_precisions

            def load_the_same(precision: str | None) -> LanguageModel:
                lm = load(precision)
                check_model(lm, self._run)
                return lm

            ids = [token_id for token_id, _text in self._tokens]
            prompt_ids = self._run.prompt_ids
            return compare_precisions(
                load_the_same, prompt_ids, ids, PRECISIONS, stopping(is_stopped)
            )

        return model.use_alone(make)

    def take(self, event: PrecisionEvent) -> Row | None:
        """One token under one precision, or a model's end."""
        if isinstance(event, PrecisionSummary):
            self._models.append(self._model_fields(event))
        if not isinstance(event, PrecisionToken):
            return None
        return [
            PRECISIONS.index(event.precision),
            event.index,
            number(event.logprob),
            _known(event.kl_nats),
            None if event.same_favourite is None else int(event.same_favourite),
            number(event.seconds),
        ]

    def _model_fields(self, event: PrecisionSummary) -> dict[str, Any]:
        return {
            "precision": event.precision or event.dtype,
            "dtype": event.dtype,
            "weight_bytes": event.weight_bytes,
            "perplexity": number(event.perplexity),
            "seconds_per_token": _known(event.seconds_per_token),
            "mean_kl_nats": _known(event.mean_kl_nats),
            "changed": event.changed_favourites,
        }


class RooflineJob:
    """What this machine can do at best, and where prefill and decode stand below it."""

    kind = "roofline"
    total: int | None = None
    note: Message | None = None

    def __init__(self) -> None:
        self.head: dict[str, Any] = {"prompt_tokens": ROOFLINE_PROMPT_TOKENS}
        self.summary: dict[str, Any] | None = None
        self._measured_on: dict[str, Any] | None = None

    @property
    def is_complete(self) -> bool:
        """Whether the measurement came to its end."""
        return self.summary is not None

    def start(self, model: SharedModel) -> Stream[Measured]:
        """One record: the peaks and the points, once the turn has come."""

        def make(lm: LanguageModel, is_stopped: IsStopped) -> Iterator[Measured]:
            from decoding.costs.roofline import measure_roofline, roofline_points

            self._measured_on = measured_model(lm)
            # What the text says changes neither the arithmetic nor the bytes.
            prompt_ids = [i % lm.vocab_size for i in range(ROOFLINE_PROMPT_TOKENS)]
            roofline = measure_roofline(lm.device, lm.dtype)
            yield roofline, roofline_points(lm, prompt_ids, stopping(is_stopped))

        return model.use(make)

    def take(self, event: Measured) -> None:
        """The record becomes the summary."""
        roofline, points = event
        self.summary = {
            "measured_on": self._measured_on,
            "flops_per_second": number(roofline.flops_per_second),
            "bytes_per_second": number(roofline.bytes_per_second),
            "device": roofline.device,
            "dtype": roofline.dtype,
            "points": [
                {
                    "phase": point.phase,
                    "tokens": point.tokens,
                    "flops": number(point.flops),
                    "bytes": number(point.bytes),
                    "seconds": number(point.seconds),
                }
                for point in points
            ],
        }
