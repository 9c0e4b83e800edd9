"""Which model a visitor may load, and how a choice is checked."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, replace

from decoding.models.catalogue import CatalogueEntry, catalogue
from decoding.page.requests.readers import read_choice
from decoding.page.requests.refusals import RequestError
from decoding.records import choices
from decoding.records.requests import ModelChoice

OWN = "own"
DEFAULT = "default"
UNQUANTIZED = "none"
QUANTIZATIONS = (UNQUANTIZED, *choices.QUANTIZATIONS)
DTYPES = ("auto", *choices.DTYPES)
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
