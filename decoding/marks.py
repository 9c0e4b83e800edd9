"""Words that may be made up, marked as they are written; it knows steps and words."""

from __future__ import annotations

from decoding.step import DecodingStep
from decoding.words import WordReader


class WordMarker:
    """Says of each token in which word it is, and how much that word is in doubt so far."""

    def __init__(self, prompt: str = "") -> None:
        """Nothing is read yet.

        Args:
            prompt: the text before the first token.
        """
        self._words = WordReader(prompt)
        self._start = 0
        self._least = 1.0

    def add(self, step: DecodingStep) -> tuple[int, float | None]:
        """Reads one more step.

        Returns:
            Index of the first step of the word it is in; and that word's doubt so far, 1 − the
            probability of its least likely token, `None` where it claims nothing.
        """
        kind = self._words.add(step)
        if self._words.start != self._start:
            self._start, self._least = self._words.start, 1.0
        self._least = min(self._least, step.probability)
        return self._start, 1.0 - self._least if kind == "claim" else None
