"""Any place of a session's tree: its ids, its raw logits, its draw; the cursor stays."""

from __future__ import annotations

import torch
from torch import Tensor

from decoding.core.context import refuse_place_beyond
from decoding.core.inference import OnPrefill
from decoding.records.errors import SessionError
from decoding.records.tree import Restoration, given_tokens
from decoding.session.cursor import Cursor
from decoding.session.draws import Draws
from decoding.session.kept_logits import KeptLogits
from decoding.session.reader import Reader


class Places:
    """Has the model read up to a place, and keeps what it said there.

    Attributes:
        logits: raw, of the latest places that were read.
        draws: the random numbers of every step.
    """

    def __init__(self, prompt_ids: list[int], cursor: Cursor, draws: Draws) -> None:
        """Nothing is read, and there is no model yet."""
        self.logits = KeptLogits()
        self.draws = draws
        self._prompt_ids = prompt_ids
        self._cursor = cursor
        self._reader: Reader | None = None

    @property
    def reader(self) -> Reader:
        """What reads; it goes with the model.

        Raises:
            SessionError: there is no model here.
        """
        if self._reader is None:
            raise SessionError("This session has let its model go: attach it again first.")
        return self._reader

    @property
    def has_reader(self) -> bool:
        """Whether there is a model here."""
        return self._reader is not None

    @property
    def held_bytes(self) -> int:
        """In memory for the live cache, parked positions, kept logits and draws."""
        live = 0 if self._reader is None else self._reader.cache.held_bytes
        return live + self.logits.held_bytes + self.draws.held_bytes

    def attach(self, reader: Reader) -> None:
        """Has this one read from now on."""
        self._reader = reader

    def free(self) -> None:
        """Drops the cache and the logits."""
        if self._reader is not None:
            self._reader.cache.drop()
        self.logits.clear()

    def detach(self) -> None:
        """Lets the model go, with all that holds on to it."""
        self.free()
        self._reader = None

    @torch.inference_mode()
    def logits_at(
        self, branch: int, index: int, on_prefill: OnPrefill | None = None
    ) -> tuple[Tensor, Restoration | None]:
        """The raw logits that a step's token was chosen from.

        The live cache stays, where it was not freed; where it was, what is read now is kept as it.

        Args:
            branch: of the tree.
            index: of the step; the branch's length means the one that would come next.
            on_prefill: called with (tokens fed, tokens to be fed) where it has to be read again;
                what it raises ends that.

        Returns:
            (vocab_size,) float32, not to be written to; and what it took to have them again,
            that inference included, `None` where they were kept.

        Raises:
            SessionError: there is no such place.
        """
        ids, key = self._ids_before(branch, index), self._key(branch, index)
        row = self.logits.get(key)
        if row is not None:
            return row, None
        row, restoration = self.reader.aside(ids, on_prefill)
        self.logits.keep(key, row)
        return row, restoration

    def keep(self, branch: int, index: int, row: Tensor) -> None:
        """Keeps the logits of a step that is being taken there."""
        self.logits.keep(self._key(branch, index), row)

    def draw_state(self, branch: int, index: int) -> Tensor:
        """Of the random generator before that step's draw, known also where none was made.

        Raises:
            SessionError: there is no such place.
        """
        self._cursor.check(branch, index)
        return self.draws.before(index - given_tokens(self._cursor.tree.path(branch, index)))

    def ids_before(self, branch: int, index: int) -> Tensor:
        """(1, tokens) what the processors of that step see.

        Raises:
            SessionError: there is no such place.
        """
        return self.reader.tensor(self._ids_before(branch, index))

    def _key(self, branch: int, index: int) -> tuple[int, int]:
        """The same for all branches that leave at a place: they choose from one distribution."""
        return self._cursor.tree.owner(branch, index), index

    def _ids_before(self, branch: int, index: int) -> list[int]:
        self._cursor.check(branch, index)
        refuse_place_beyond(self.reader.lm, len(self._prompt_ids) + index)
        path = self._cursor.tree.path(branch, index)
        return self._prompt_ids + [step.token_id for step in path]
