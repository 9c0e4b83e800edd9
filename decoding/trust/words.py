"""Steps -> words, and which of them carry a claim; it knows texts, and nothing of models."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from itertools import accumulate
from typing import Literal

from decoding.records.step import DecodingStep
from decoding.trust.sentences import plain_words, sentence_end, stands_alone

Kind = Literal["claim", "phrasing", "repeated"]

# Words of closed classes: they join what is said and say nothing that could be made up.
# As `plain_words` tells them, so that a Chinese one of two characters is two in a row.
FUNCTION_WORDS = frozenset(
    " ".join(plain_words(word))
    for word in (files("decoding.trust") / "function_words.txt").read_text(encoding="utf-8").split()
)
# Characters of a word; what goes on beyond them is cut, as each token reads its word anew.
LONGEST_WORD = 100
_JOINERS = "'’-‐‑_"


@dataclass(frozen=True, slots=True)
class Word:
    """Neighbouring steps whose texts make one word.

    Attributes:
        start: index of its first step among those it was made of.
        end: index behind its last one.
        text: of these steps, joined.
        kind: `"claim"`: it says something; `"repeated"`: it stands in the prompt, or earlier in
            the text; `"phrasing"`: a function word, punctuation, a special token.
    """

    start: int
    end: int
    text: str
    kind: Kind


class WordReader:
    """Follows a text token by token, and says of each in which word it is.

    Scripts without spaces have a word for each token that releases text; what has no end is cut.

    Attributes:
        start: index of the word's first step.
        text: of the word so far.
        opened: whether the word before this one was the first of the text or of a sentence.
    """

    def __init__(self, prompt: str = "") -> None:
        """Nothing is read yet.

        Args:
            prompt: whose words are repeated ones where they come again.
        """
        self.start = 0
        self.text = ""
        self.opened = False
        self._count = 0
        self._is_special = False
        said = plain_words(prompt)
        self._seen = set(said)
        self._said = f" {' '.join(said)} "
        self._sentence = ""  # up to this word
        self._searched = 0  # characters of it whose marks are known to end nothing

    def add(self, step: DecodingStep) -> Kind:
        """Reads one more step; returns the kind of the word so far."""
        if self._begins(step):
            self._finish()
        self._is_special = step.is_special
        self.text += step.text
        self._count += 1
        return self._kind()

    @property
    def is_first(self) -> bool:
        """Whether the step that was read last is the first of its word."""
        return self.start == self._count - 1

    def _finish(self) -> None:
        """Takes the word, which is whole now, for said."""
        text = "" if self._is_special else self.text
        words = plain_words(text)
        self.opened = self._opens(text, words) or self.start == 0
        if words:
            self._seen.update(words)
            self._said += " ".join(words) + " "
        self.start, self.text = self._count, ""

    def _opens(self, text: str, words: list[str]) -> bool:
        """Whether a sentence ended before this word, which tells more of that than its mark."""
        before = len(self._sentence)
        self._sentence += text
        if not words:
            return False
        end = sentence_end(self._sentence, self._searched)
        if end is None or end > before:
            self._searched = before
            return False
        self._sentence, self._searched = self._sentence[end:], 0
        return True

    def _begins(self, step: DecodingStep) -> bool:
        if self._count == 0:
            return False
        if step.is_special or self._is_special or len(self.text) > LONGEST_WORD:
            return True
        if not step.text:  # of an incomplete character: it belongs to what completes it
            return not self.text.strip() or not _joins(self.text[-1])
        first, last = step.text[0], self.text[-1:]
        if not last:
            return False
        return not (_joins(first) and _joins(last)) or stands_alone(first) or stands_alone(last)

    def _kind(self) -> Kind:
        words = [] if self._is_special else plain_words(self.text)
        if FUNCTION_WORDS.issuperset(words) or " ".join(words) in FUNCTION_WORDS:
            return "phrasing"
        return "repeated" if self._is_said(words) else "claim"

    def _is_said(self, words: list[str]) -> bool:
        """Whether these words, in a row where they are several, stand in what came before."""
        if not self._seen.issuperset(words):
            return False
        return len(words) == 1 or f" {' '.join(words)} " in self._said


def words_of(steps: Iterable[DecodingStep], prompt: str = "") -> list[Word]:
    """The words of a text, with what each is for.

    Args:
        steps: of a text from its beginning.
        prompt: the text before them.
    """
    reader, words = WordReader(prompt), list[Word]()
    for index, step in enumerate(steps):
        kind = reader.add(step)
        word = Word(reader.start, index + 1, reader.text, kind)
        if words and words[-1].start == word.start:
            words[-1] = word
        else:
            words.append(word)
    return words


def claim_steps(steps: Sequence[DecodingStep], prompt: str = "") -> list[DecodingStep]:
    """The steps of the first sentence's claim words: the span that carries the answer.

    All steps but special tokens where no word claims anything.
    """
    sentence = first_sentence(steps)
    words = [word for word in words_of(sentence, prompt) if word.kind == "claim"]
    found = [step for word in words for step in sentence[word.start : word.end]]
    return found or [step for step in steps if not step.is_special]


def first_sentence(steps: Sequence[DecodingStep]) -> Sequence[DecodingStep]:
    """The steps up to the end of the first sentence, see `sentence_end`; all where it has none."""
    texts = ["" if step.is_special else step.text for step in steps]
    end = sentence_end("".join(texts))
    if end is None:
        return steps
    return steps[: 1 + sum(length < end for length in accumulate(map(len, texts)))]


def _joins(character: str) -> bool:
    return character.isalnum() or character in _JOINERS or unicodedata.combining(character) > 0
