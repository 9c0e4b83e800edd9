"""Steps -> words, and which of them carry a claim; it knows texts, and nothing of models."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Literal

from decoding.records.step import DecodingStep

Kind = Literal["claim", "phrasing", "repeated"]

# Words of closed classes: they join what is said and say nothing that could be made up.
FUNCTION_WORDS = frozenset(
    (files("decoding.trust") / "function_words.txt").read_text(encoding="utf-8").split()
)
# Characters of a word; what goes on beyond them is cut, as each token reads its word anew.
LONGEST_WORD = 100
_JOINERS = "'’-‐‑_"
_PUNCTUATION = re.compile(r"^[\W_]+|[\W_]+$")
_SENTENCE_END = re.compile(r"[.!?](?=\W|$)|[。！？\n]")


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
    """

    def __init__(self, prompt: str = "") -> None:
        """Nothing is read yet.

        Args:
            prompt: whose words are repeated ones where they come again.
        """
        self.start = 0
        self.text = ""
        self._count = 0
        self._prompt = prompt
        self._seen = set(plain_words(prompt))
        self._is_special = False

    def add(self, step: DecodingStep) -> Kind:
        """Reads one more step; returns the kind of the word so far."""
        if self._begins(step):
            self._seen.add(plain_word(self.text))
            self.start, self.text = self._count, ""
        self._is_special = step.is_special
        self.text += step.text
        self._count += 1
        return self._kind()

    @property
    def is_first(self) -> bool:
        """Whether the step that was read last is the first of its word."""
        return self.start == self._count - 1

    @property
    def ends_sentence(self) -> bool:
        """Whether the word so far has a sentence's end in it."""
        return bool(_SENTENCE_END.search(self.text))

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
        return not (_joins(first) and _joins(last)) or _is_alone(first) or _is_alone(last)

    def _kind(self) -> Kind:
        word = plain_word(self.text)
        if self._is_special or not word or word in FUNCTION_WORDS:
            return "phrasing"
        is_repeated = word in self._seen or (_is_alone(word[0]) and word in self._prompt)
        return "repeated" if is_repeated else "claim"


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
    """The steps up to the end of the first sentence that has a word in it."""
    text = ""
    for index, step in enumerate(steps):
        end = _SENTENCE_END.search(step.text)
        if end is not None:
            before = text + step.text[: end.start()]
            goes_on = index + 1 < len(steps) and steps[index + 1].text[:1].isalnum()
            if (
                plain_words(before)
                and not _is_abbreviated(before)
                and not (goes_on and end[0] == ".")
            ):
                return steps[: index + 1]
        text += step.text
    return steps


def plain_words(text: str) -> list[str]:
    """The words of a text as they are compared."""
    return [word for part in re.split(r"\s+", text) if (word := plain_word(part))]


def plain_word(text: str) -> str:
    """A word as it is compared: no case, no accents, no possessive s, no punctuation around it."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    bare = "".join(c for c in decomposed if not unicodedata.combining(c)).replace("’", "'")
    return _PUNCTUATION.sub("", bare).removesuffix("'s")


def _is_abbreviated(text: str) -> bool:
    """Whether the period after this text is that of an initial or of a title."""
    last = re.split(r"\s+", text)[-1]
    return bool(re.fullmatch(r"(\W*[A-Z](\.[A-Z])*|St|Mr|Mrs|Ms|Dr|Mt|vs)", last))


def _joins(character: str) -> bool:
    return character.isalnum() or character in _JOINERS or unicodedata.combining(character) > 0


def _is_alone(character: str) -> bool:
    """Whether it is of a script that writes no spaces between words."""
    return unicodedata.east_asian_width(character) in "WF" and character.isalpha()
