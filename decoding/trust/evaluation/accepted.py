"""Whether an answer's first sentence holds what was to be said; it knows texts, not models."""

from __future__ import annotations

from collections.abc import Sequence

from decoding.trust.sentences import SPELLED_NUMBERS, plain_words, sentence_end


def is_accepted(question: str, answers: Sequence[str], text: str) -> bool:
    """Whether an accepted answer stands as whole words in the first sentence of a text.

    Compared casefolded, without accents, apostrophes and other punctuation; a hyphen parts
    words; an answer of one or two letters, such as a chemical symbol, keeps its case. A number
    is whole with its sign, separators and fraction ("20" is not in "120", "1,120", "-20" or
    "20.5"), and so is a spelled one ("three" is not in "twenty-three"). Digits and spelled
    numbers are two answers: the question lists both. Where the question itself holds the answer
    (the plural of "sheep"), repeating the question's words up to it is no answer.

    What the sentence says around it is not judged: "not Sydney but Canberra" holds "Sydney".
    """
    sentence = text[: sentence_end(text)]
    return any(_holds(sentence, answer, question) for answer in answers)


def accepted_words(answers: Sequence[str]) -> frozenset[str]:
    """All words of the accepted answers, as `plain_words` tells them."""
    return frozenset(word for answer in answers for word in plain_words(answer))


def _holds(sentence: str, answer: str, question: str) -> bool:
    keep_case = len(answer) <= 2 and answer.isalpha()
    words, wanted, asked = (
        plain_words(text, keep_case=keep_case) for text in (sentence, answer, question)
    )
    echoes = {asked[place - 1] for place in _places(asked, wanted) if place}
    return any(not place or words[place - 1] not in echoes for place in _places(words, wanted))


def _places(words: list[str], wanted: list[str]) -> list[int]:
    """Where a run of words stands, not as a part of a longer spelled number."""
    size = len(wanted)
    last = len(words) - size if wanted else -1
    places = [i for i in range(last + 1) if words[i : i + size] == wanted]
    if not SPELLED_NUMBERS.issuperset(wanted):
        return places
    around = ((i, words[max(0, i - 1) : i] + words[i + size : i + size + 1]) for i in places)
    return [i for i, beside in around if SPELLED_NUMBERS.isdisjoint(beside)]
