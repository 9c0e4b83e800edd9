"""The models in memory: loaded, kept while the budget allows, freed; it knows no visitors."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING

from decoding.live.model_source import OWN, ModelSource
from decoding.models.progress import Progress
from decoding.records.requests import ModelChoice

if TYPE_CHECKING:
    from decoding.core.language_model import LanguageModel


class LoadedModels:
    """One model, or as many as the operator's budget holds, the latest used last."""

    def __init__(
        self,
        source: ModelSource,
        budget: int | None,
        before_leaving: Callable[[LanguageModel], None],
    ) -> None:
        """Nothing is loaded yet.

        Args:
            source: loads them.
            budget: bytes of weights that may be in memory together; `None` for one model.
            before_leaving: called with each model that is freed, so that nobody holds it then.
        """
        self._source = source
        self._budget = budget
        self._before_leaving = before_leaving
        self._models: dict[ModelChoice, LanguageModel] = {}

    def holds(self, choice: ModelChoice) -> bool:
        """Whether this model is in memory."""
        return choice in self._models

    def get(self, choice: ModelChoice, progress: Progress) -> LanguageModel:
        """The model, loaded where it is not here yet.

        The others make way when it has passed all its checks, and not before.
        """
        lm = self._models.pop(choice, None) or self._load(choice, progress)
        self._models[choice] = lm
        self._keep_to_the_budget()
        return lm

    def load_apart(
        self, choice: ModelChoice, quantization: str | None, progress: Progress
    ) -> LanguageModel:
        """A model quantized so that is not kept here: whoever asked for it frees it."""
        from decoding.models.fit import Room

        wanted = self._source.in_precision(choice, quantization)
        return self._source.load(wanted, progress, Room(self._budget))

    def free(self, choice: ModelChoice | None = None) -> None:
        """Forgets one model, or all, and gives their memory back."""
        for leaving in [choice] if choice is not None else list(self._models):
            self._drop(leaving)
        _release()

    def _load(self, choice: ModelChoice, progress: Progress) -> LanguageModel:
        from decoding.models.fit import Room

        # The operator's own model may be larger than what visitors are allowed.
        limit = None if choice == OWN else self._budget
        held = sum(lm.weight_bytes for lm in self._models.values())
        return self._source.load(choice, progress, Room(limit, held, self._make_way))

    def _make_way(self, needed_bytes: int) -> None:
        """Frees what was not used for longest until so many bytes fit beside the rest."""
        while self._models and not self._fits_beside(needed_bytes):
            self._drop(next(iter(self._models)))
            _release()

    def _drop(self, choice: ModelChoice) -> None:
        lm = self._models.pop(choice, None)
        if lm is not None:
            self._before_leaving(lm)

    def _fits_beside(self, needed_bytes: int) -> bool:
        from decoding.memory.allocator import free_memory
        from decoding.models.fit import ROOM_TO_COMPUTE_BYTES

        if self._budget is None:
            return False
        held = sum(lm.weight_bytes for lm in self._models.values())
        devices = next(iter(self._models.values())).computing_devices
        is_free = needed_bytes + ROOM_TO_COMPUTE_BYTES <= free_memory(*devices)
        return is_free and held + needed_bytes <= self._budget

    def _keep_to_the_budget(self) -> None:
        """Frees older models where the newest is larger than it was thought to be."""
        limit = self._budget or 0
        while len(self._models) > 1:
            if sum(lm.weight_bytes for lm in self._models.values()) <= limit:
                return
            self._drop(next(iter(self._models)))
            _release()


def forget_frames(error: BaseException) -> None:
    """Clears what the frames of an error and of its causes hold: half a model, often."""
    seen: set[int] = set()
    following: BaseException | None = error
    while following is not None and id(following) not in seen:
        seen.add(id(following))
        traceback.clear_frames(following.__traceback__)
        following = following.__cause__ or following.__context__


def _release() -> None:
    from decoding.memory.allocator import release_memory

    release_memory()
