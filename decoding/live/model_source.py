"""Where the models of one program come from: the operator's own, and what visitors choose."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from decoding.models.progress import Progress
from decoding.records.errors import ModelLoadError
from decoding.records.requests import ModelChoice

if TYPE_CHECKING:
    from decoding.core.language_model import LanguageModel
    from decoding.models.fit import Room

Load = Callable[[Progress], "LanguageModel"]

OWN = ModelChoice()  # the operator's own model in the operator's form


class ModelSource:
    """Loads the operator's own model, and any other one by its name."""

    def __init__(
        self,
        name: str | None = None,
        *,
        device: str = "auto",
        dtype: str = "auto",
        quantization: str | None = None,
    ) -> None:
        """Nothing is loaded yet; the arguments are those of `load_model` for the own model."""
        self._own = ModelChoice(name or "", quantization, dtype)
        self._device = device

    def load(self, choice: ModelChoice, progress: Progress, room: Room) -> LanguageModel:
        """A model in memory, ready to decode; called on the thread that will run it.

        Args:
            choice: which; `OWN` as the operator started the program.
            progress: as `load_model` takes it.
            room: as `load_model` takes it.

        Raises:
            ModelLoadError: there is none of this name or form, or no room for it.
        """
        from decoding.models.loading import load_model  # torch, for that thread alone

        wanted = self._own if choice == OWN else choice
        return load_model(
            (self._own.name if wanted.name is None else wanted.name) or None,
            device=self._device,
            dtype=wanted.dtype,
            quantization=wanted.quantization,
            progress=progress,
            room=room,
        )

    def in_precision(self, choice: ModelChoice, quantization: str | None) -> ModelChoice:
        """The same model quantized so, or with `None` not at all."""
        return replace(self._own if choice == OWN else choice, quantization=quantization)


class GivenModel(ModelSource):
    """A model that came from elsewhere is there as it is only; others load by their names.

    Attributes:
        name: of the given one.
    """

    def __init__(self, given: LanguageModel | Load) -> None:
        """Nothing is loaded yet.

        Args:
            given: in memory, or what loads it.
        """
        super().__init__()
        self.name: str = getattr(given, "name", None) or "as started"
        self._given: Load = given if callable(given) else lambda _progress: given

    def load(self, choice: ModelChoice, progress: Progress, room: Room) -> LanguageModel:
        """As any source, but that the given model has one form.

        Raises:
            ModelLoadError: it is wanted in another one.
        """
        if choice.name is not None:
            return super().load(choice, progress, room)
        if choice != OWN:
            raise ModelLoadError(
                "The page was started with a model in memory, which cannot be had in another "
                "number format: choose one of the list."
            )
        room.make(0)  # how much it needs, only its own function knows
        return self._given(progress)

    def in_precision(self, choice: ModelChoice, quantization: str | None) -> ModelChoice:
        """The same model quantized so, which the given one cannot be."""
        return replace(choice, quantization=quantization)


def source_of(model: LanguageModel | Load | ModelSource | None) -> ModelSource:
    """The source of a model in memory, or of one that a function loads; by default its own."""
    if model is None:
        return ModelSource()
    return model if isinstance(model, ModelSource) else GivenModel(model)
