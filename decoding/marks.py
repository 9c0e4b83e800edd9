"""Words that may be made up, marked as they are written; it knows steps and words."""

from __future__ import annotations

from decoding.confidence import word_confidence
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
        self._word: list[DecodingStep] = []

    def add(self, step: DecodingStep) -> tuple[int, float | None]:
        """Reads one more step.

        Returns:
            Index of the first step of the word it is in; and that word's doubt so far,
            1 − `word_confidence`, `None` where it claims nothing.
        """
        before = self._words.start
        kind = self._words.add(step)
        if self._words.start != before:
            self._word = []
        self._word.append(step)
        return self._words.start, 1.0 - word_confidence(self._word) if kind == "claim" else None
