"""The model that all visitors share: loaded, lent and replaced on the worker's thread alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from decoding.live.loaded_models import LoadedModels, forget_frames
from decoding.live.model_source import OWN, ModelSource
from decoding.live.stream import IsStopped, Stopped, Stream, Task
from decoding.live.worker import Worker
from decoding.models.progress import Progress, Stage
from decoding.records.errors import ModelLoadError
from decoding.records.requests import ModelChoice, ModelStatus

if TYPE_CHECKING:
    from decoding.core.inference import OnPrefill
    from decoding.core.language_model import LanguageModel

T = TypeVar("T")
LoadAs = Callable[[str | None], "LanguageModel"]


class SharedModel:
    """Loads a model as soon as it is made; others take its place, or all of the memory."""

    def __init__(
        self,
        source: ModelSource,
        budget: int | None = None,
        *,
        before_leaving: Callable[[LanguageModel], None],
        periodic: Task,
        is_lent: bool = False,
    ) -> None:
        """Starts loading and returns at once.

        Args:
            source: loads them, on the worker's thread.
            budget: bytes of weights that may be in memory together; without it one model.
            before_leaving: called with each model before its memory is given back.
            periodic: what the worker does from time to time.
            is_lent: whether an accelerator is lent for the time of a call only.
        """
        self.status = ModelStatus()
        self._is_lent = is_lent
        self._models = LoadedModels(source, budget, before_leaving)
        self._choice = OWN
        self.worker = Worker(periodic=periodic)
        self._loading = self.worker.submit(self._try_to_load)

    @property
    def is_in_memory(self) -> bool:
        """Whether the model is there just now."""
        return self._models.holds(self._choice)

    def wait(self) -> None:
        """Returns when the first attempt at loading has ended."""
        self._loading.result()

    def use(self, make: Callable[[LanguageModel, IsStopped], Iterator[T]]) -> Stream[T]:
        """The items of an iterator over the loaded model, which takes its place in the queue.

        Args:
            make: called on the worker's thread as `make(lm, is_stopped)`.
        """

        def start(is_stopped: IsStopped) -> Iterator[T]:
            self.refuse_where_lent()
            return make(self.loaded(), is_stopped)

        return self.worker.stream(start)

    def use_alone(self, make: Callable[[LoadAs, IsStopped], Iterator[T]]) -> Stream[T]:
        """The same for who loads the model itself, as often and in whatever form.

        Nothing else is in memory meanwhile, and the model comes back before the stream ends,
        also when that failed or was stopped.

        Args:
            make: called on the worker's thread as `make(load, is_stopped)`, where
                `load(quantization)` loads the model that was there, quantized so.
        """
        return self.worker.stream(lambda is_stopped: self._alone(make, is_stopped), is_alone=True)

    def switch(self, choice: ModelChoice) -> Stream[ModelStatus]:
        """Another model in the place of this one, once that has passed all its checks.

        Where it is refused or fails, the earlier model is there again when the stream raises
        the reason; where it is stopped, too.
        """
        return self.worker.stream(
            lambda is_stopped: self._switch(choice, is_stopped), is_alone=True
        )

    def _switch(self, choice: ModelChoice, is_stopped: IsStopped) -> Iterator[ModelStatus]:
        self.refuse_where_lent()
        choice_before, status_before = self._choice, self.status
        try:
            self.status = ModelStatus()
            yield self.status
            self._take(choice, self._until(is_stopped))
        except BaseException as error:
            forget_frames(error)  # they hold what was loaded of the other model
            self._bring_back(choice_before, status_before)
            raise
        yield self.status

    def _alone(
        self, make: Callable[[LoadAs, IsStopped], Iterator[T]], is_stopped: IsStopped
    ) -> Iterator[T]:
        self.refuse_where_lent()
        self.loaded()
        choice_before, status_before = self._choice, self.status
        progress = self._until(is_stopped)
        self._models.free()

        def load(quantization: str | None) -> LanguageModel:
            self.status = ModelStatus()
            lm = self._models.load_apart(choice_before, quantization, progress)
            self.status = status_before  # nothing loads while it is used
            return lm

        try:
            yield from make(load, is_stopped)
        except BaseException as error:
            forget_frames(error)
            raise
        finally:
            self._bring_back(choice_before, status_before)

    def refuse_where_lent(self) -> None:
        """Raises ModelLoadError where an accelerator is lent for the time of a call only."""
        if self._is_lent:
            raise ModelLoadError(
                "On this machine an accelerator is lent for one run at a time: there is no other "
                "model to choose and nothing to compare here; start the program on a machine of "
                "your own."
            )

    def _until(self, is_stopped: IsStopped) -> Progress:
        """A progress that ends the loading once the visitor has gone."""

        def report(stage: Stage, done: int, total: int) -> None:
            if is_stopped():
                raise Stopped
            self._report(stage, done, total)

        return report

    def loaded(self) -> LanguageModel:
        """The model; tries once more when an earlier attempt failed."""
        if not self.is_in_memory:
            self._try_to_load()
        if not self.is_in_memory:
            raise self.status.error or RuntimeError("the model is not loaded")
        return self._models.get(self._choice, self._report)

    def _try_to_load(self) -> None:
        self.status = ModelStatus()
        try:
            self._take(self._choice, self._report)
        except Exception as error:  # kept for whoever asks for the model: see `loaded`
            forget_frames(error)
            self.status = ModelStatus(state="error", error=error)

    def _take(self, choice: ModelChoice, progress: Progress) -> None:
        """The model, ready to run and described; the others are as before where that fails."""
        from decoding.core.description import model_facts

        was_here = self._models.holds(choice)
        lm = self._models.get(choice, progress)
        try:
            if not self._is_lent and not was_here:
                _warm_up(lm, lambda done, total: progress("load", 0, 0))
            facts = model_facts(lm)
            progress("load", 0, 0)
        except BaseException:
            del lm
            if not was_here:
                self._models.free(choice)
            raise
        self._choice = choice
        self.status = ModelStatus(state="ready", facts=facts)

    def _bring_back(self, choice: ModelChoice, status: ModelStatus) -> None:
        """What was there and was shown before, loaded again where it had to make way."""
        if status.state == "ready" and not self._models.holds(choice):
            self._try_to_load()
        else:
            self.status = status

    def _report(self, stage: Stage, done: int, total: int) -> None:
        self.status = replace(self.status, stage=stage, progress=(done, total) if total else None)


def _warm_up(lm: LanguageModel, on_prefill: OnPrefill) -> None:
    """One inference for nobody: the first one reads the weights from the disk.

    Without it that time would be shown as the first visitor's prefill.
    """
    from decoding.core.decoder import decode

    list(decode(lm, [0], max_new_tokens=1, on_prefill=on_prefill))
