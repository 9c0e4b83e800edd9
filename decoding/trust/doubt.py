"""Words that may be made up, marked as they are written; it knows steps and words."""

from __future__ import annotations

import math
from dataclasses import dataclass

from decoding.records.step import DecodingStep
from decoding.trust.signals import FIRST_WEIGHT
from decoding.trust.words import WordReader

# What part of the doubt of the words before it a word takes over.
FADING = 0.8


@dataclass(frozen=True, slots=True)
class Doubt:
    """How much one word is in doubt, as far as it is written.

    Attributes:
        start: index of the word's first step.
        value: in [0, 1], the word's own doubt and what is left of that of the words before it;
            `None` where the word claims nothing.
        own: 1 − `word_confidence`; `None` likewise.
    """

    start: int
    value: float | None
    own: float | None


class WordMarker:
    """Says of each token how much the word that it is in is in doubt so far.

    A sentence that has gone astray does not find back: so a word takes over the doubt of the
    words before it, less with each word. All of them count as in `answer_confidence`: claim
    words with little weight on their first token, the others wholly, the word that opens a
    sentence not at all.
    """

    def __init__(self, prompt: str = "") -> None:
        """Nothing is read yet.

        Args:
            prompt: the text before the first token.
        """
        self._reader = WordReader(prompt)
        self._first = self._rest = self._before = 0.0  # in nats
        self._weight = FIRST_WEIGHT

    def add(self, step: DecodingStep) -> Doubt:
        """Reads one more step."""
        start = self._reader.start
        kind = self._reader.add(step)
        if self._reader.start != start:
            own = 0.0 if self._reader.opened else self._weight * self._first + self._rest
            self._before = FADING * self._before + own
            self._first, self._rest = step.logprob, 0.0
        elif self._reader.is_first:
            self._first = step.logprob
        else:
            self._rest += step.logprob
        self._weight = FIRST_WEIGHT if kind == "claim" else 1.0
        if kind != "claim":
            return Doubt(self._reader.start, None, None)
        own = FIRST_WEIGHT * self._first + self._rest
        doubt = 1.0 - math.exp(own + FADING * self._before)
        return Doubt(self._reader.start, doubt, 1.0 - math.exp(own))
