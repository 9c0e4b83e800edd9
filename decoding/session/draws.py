"""The random numbers of a run: those of step i follow from the seed and from i alone."""

from __future__ import annotations

import torch
from torch import Tensor


class Draws:
    """The states of a random generator before each draw, worked out as far as they are asked for.

    A draw takes as many random numbers as the vocabulary has entries, whatever the
    distribution, so that a draw from any other one of that width brings the generator as far.

    Attributes:
        width: entries of a row of logits.
    """

    def __init__(self, seed: int, device: torch.device, width: int) -> None:
        self.width = width
        self._rng = torch.Generator(device).manual_seed(seed)
        self._states = [self._rng.get_state()]

    @property
    def held_bytes(self) -> int:
        """Of all states."""
        return sum(state.nbytes for state in self._states)

    def before(self, index: int) -> Tensor:
        """The state before draw `index`; to be left as it is."""
        while len(self._states) <= index:
            self._rng.set_state(self._states[-1])
            any_row = torch.ones(1, self.width, device=self._rng.device)
            torch.multinomial(any_row, 1, generator=self._rng)
            self._states.append(self._rng.get_state())
        return self._states[index]

    def generator(self, index: int, width: int) -> torch.Generator:
        """A generator that is about to make that draw from a row so wide."""
        self.width = width
        self._rng.set_state(self.before(index))
        return self._rng

    def drawn(self, index: int) -> None:
        """Spares working out the state after draw `index`, which was just made."""
        if len(self._states) == index + 1:
            self._states.append(self._rng.get_state())
