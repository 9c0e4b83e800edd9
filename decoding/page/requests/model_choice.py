"""Which model a visitor may load, how a choice is checked, and the frames while it loads."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Protocol

from decoding.live.worker import Stream
from decoding.models.catalogue import CatalogueEntry, catalogue
from decoding.page.requests.settings import RequestError, read_choice
from decoding.page.visitors.queue import Line, paced, told
from decoding.page.wire.frames import Message, error_message, page_frame, say
from decoding.records.requests import ModelChoice, ModelStatus

OWN = "own"
DEFAULT = "default"
UNQUANTIZED = "none"
QUANTIZATIONS = (UNQUANTIZED, "8bit", "4bit")
DTYPES = ("auto", "float32", "bfloat16", "float16")
MAX_NAME_CHARS = 1_000


@dataclass(frozen=True, slots=True)
class Offer:
    """What the operator lets visitors load.

    Attributes:
        own: name of the model the page was started with; `None` for the default model.
        quantization, dtype: those it was started with.
        any_model: whether a Hub id, a folder or a GGUF file may be typed in.
        memory_budget: bytes that models may hold together; `None`: one model at a time.
    """

    own: str | None = None
    quantization: str | None = None
    dtype: str = "auto"
    any_model: bool = True
    memory_budget: int | None = None

    def entries(self) -> list[tuple[str, str]]:
        """(label, value) of each entry of the list, the operator's own model first."""
        own = [] if self.own is None else [(self.own, OWN)]
        return own + [(_label(entry), entry.id or DEFAULT) for entry in catalogue()]


DEFAULT_OFFER = Offer()


def _label(entry: CatalogueEntry) -> str:
    size = f"{entry.bytes['bfloat16'] / 1e9:.2g} GB bfloat16"
    parts = [entry.name, size, entry.licence, *(["gated"] if entry.gated else [])]
    return " · ".join(parts)


def read_model_choice(
    entry: object, typed: object, quantization: object, dtype: object, offer: Offer
) -> ModelChoice:
    """A choice that this operator allows.

    Args:
        entry: a value of the list.
        typed: a Hub id, folder or GGUF file, which comes before the entry; may be empty.
        quantization: one of `QUANTIZATIONS`.
        dtype: one of `DTYPES`.
        offer: the operator's.

    Raises:
        RequestError: a name that is not allowed here or cannot be one.
        GenerationConfigError: another value that is no choice.
    """
    wanted = read_choice("quantization", quantization, QUANTIZATIONS)
    form = (None if wanted == UNQUANTIZED else wanted, read_choice("dtype", dtype, DTYPES))
    name = _read_typed(typed, offer) or _read_entry(entry, offer)
    if name is None and form == (offer.quantization, offer.dtype):
        return ModelChoice()
    choice = ModelChoice(name, *form)
    # That record stands for the model in the operator's form: another form is told by name.
    return choice if choice != ModelChoice() else replace(choice, name=offer.own or "")


def _read_typed(typed: object, offer: Offer) -> str | None:
    name = typed.strip() if isinstance(typed, str) else typed
    if name is None or name == "":
        return None
    if not offer.any_model:
        raise RequestError("Only the models of the list can be loaded here.", "model_not_offered")
    is_name = isinstance(name, str) and len(name) <= MAX_NAME_CHARS
    # Controls, half characters, and signs that turn the direction of what is read.
    if not is_name or any(unicodedata.category(sign)[0] == "C" for sign in str(name)):
        raise RequestError(
            f"A model's name has at most {MAX_NAME_CHARS:,} characters and no invisible ones.",
            "model_name_unusable",
            limit=MAX_NAME_CHARS,
        )
    return str(name)


def _read_entry(entry: object, offer: Offer) -> str | None:
    """`None` stands for the operator's own model, and `""` for the default one."""
    if entry not in [value for _label, value in offer.entries()]:
        raise RequestError("Only the models of the list can be loaded here.", "model_not_offered")
    if entry == OWN or (entry == DEFAULT and offer.own is None):
        return None
    return "" if entry == DEFAULT else str(entry)


class Model(Protocol):
    """What is asked of the model that all visitors share."""

    status: ModelStatus

    def switch(self, choice: ModelChoice) -> Stream[ModelStatus]:
        """Loads another model in the place of this one, when its turn comes."""


class Switches:
    """Visitors who have another model loaded, for everybody."""

    def __init__(self, model: Model, line: Line) -> None:
        self.model = model
        self.line = line
        self._newest: dict[str, Stream[ModelStatus]] = {}

    def frames(self, visitor: str, read: Callable[[], ModelChoice]) -> Iterator[str]:
        """What the page shows from the click until the model is there, or is refused."""
        yield from told(
            lambda: self._frames(visitor, read()),
            lambda error: self._frame("error", error_message(error)),
        )

    def stop(self, visitor: str) -> None:
        """Gives a switch up; the model that was there comes back."""
        self.line.stop(("switch", visitor))

    def _frames(self, visitor: str, choice: ModelChoice) -> Iterator[str]:
        self.stop(visitor)
        stream = self.line.open(("switch", visitor), lambda: self.model.switch(choice))
        self._newest[visitor] = stream
        is_loaded = False
        try:
            for statuses in paced(stream):
                is_loaded |= any(status.state == "ready" for status in statuses)
                if self._newest.get(visitor) is not stream:
                    break
                if not stream.done:
                    yield self._waiting_frame(stream)
            # One that a newer choice replaced says no more: it would come after that one.
            if self._newest.get(visitor) is not stream:
                return
            kept = say("model_kept")
            yield self._frame("ready") if is_loaded else self._frame("stopped", kept)
        finally:
            self.line.close(stream)
            if self._newest.get(visitor) is stream:
                del self._newest[visitor]

    def _waiting_frame(self, stream: Stream[ModelStatus]) -> str:
        status = self.model.status
        if not stream.started:
            return self._frame("queued", say("queue_position", position=stream.position))
        stage = say(f"loading_{status.stage}")
        return self._frame("loading", stage, status.progress)

    def _frame(
        self,
        state: str,
        message: Message | None = None,
        progress: tuple[int, int] | None = None,
    ) -> str:
        is_known = state not in ("queued", "loading")
        facts = self.model.status.facts if is_known else None
        return page_frame(state, message=message, progress=progress, model=facts, switch=True)
