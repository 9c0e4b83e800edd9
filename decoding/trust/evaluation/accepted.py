"""Whether an answer's first sentence holds what was to be said; it knows texts, not models."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

# A number with its sign and all that is joined to it; a Chinese character or Japanese sign, each
# a word of its own, as no space parts them; or a run of other letters, with the number that a
# hyphen joins to it ("Pu-24").
_IDEOGRAPHS = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
_WORD = re.compile(
    rf"(?<!\w)[-−]?\d+(?:[.,:/]\d+)*[^\W_]*|[{_IDEOGRAPHS}]|[^\W_{_IDEOGRAPHS}]+(?:-\d+)?"
)
_ACCENTS = re.compile("[\u0300-\u036f]")
_APOSTROPHE = "['’ʼʻ`]"
_POSSESSIVE = re.compile(rf"(?<=[\w.]){_APOSTROPHE}[sS]\b")
_INNER_APOSTROPHE = re.compile(rf"(?<=\w){_APOSTROPHE}(?=\w)")
_INITIALS = re.compile(r"(?<!\w)[^\W\d_](?:\.\s?[^\W\d_])+(?!\w)\.?")
_END = re.compile(r"[.!?]+(?=[\"'”’)\]*_]*(?:\s|$))|[。！？\n]")
_NEXT_WORD = re.compile(r"\W*(\w+)")
_LAST_WORD = re.compile(r"(\w+)\W*$")
_TOLD_LETTER = re.compile(r"\b(?:is|symbol)\W+\w$")
_ABBREVIATION = re.compile("st|mt|ft|dr|mr|mrs|ms|jr|sr|prof|vs")
_OPENER = re.compile("an?|and|but|he|however|i|in|its?|she|so|that|the|there|they|this")
_NUMBER = re.compile(
    "zero|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|(?:thir|four|fif|six|"
    "seven|eigh|nine)teen|(?:twen|thir|for|fif|six|seven|eigh|nine)ty|hundred|thousand|million"
)


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
    sentence = text[: first_sentence_end(text)]
    return any(_holds(sentence, answer, question) for answer in answers)


def first_sentence_end(text: str) -> int:
    """How many characters the first sentence of a text takes.

    It ends with a period, a question or exclamation mark before white space, with a Chinese full
    stop or with a line, except the line ends in a colon. The period of an abbreviation, of an
    initial or of a list's number, and one before a small letter, ends nothing.
    """
    start = len(text) - len(text.lstrip())
    for found in _END.finditer(text, start):
        if _is_end(text[start : found.start()], found[0], text[found.end() :]):
            return found.end()
    return len(text)


def accepted_words(answers: Sequence[str]) -> frozenset[str]:
    """All words of the accepted answers, as `plain_words` tells them."""
    return frozenset(word for answer in answers for word in plain_words(answer))


def plain_words(text: str, *, keep_case: bool = False) -> list[str]:
    """The words of a text without accents, apostrophes and punctuation, casefolded if not told."""
    decomposed = unicodedata.normalize("NFD", text)
    plain = unicodedata.normalize("NFC", _ACCENTS.sub("", decomposed))
    plain = _INNER_APOSTROPHE.sub("", _POSSESSIVE.sub("", plain))
    plain = _INITIALS.sub(lambda found: re.sub(r"\W", "", found[0]) + " ", plain)
    words = [_plain_number(word) for word in _WORD.findall(plain)]
    return words if keep_case else [word.casefold() for word in words]


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
    if not all(map(_NUMBER.fullmatch, wanted)):
        return places
    around = ((i, words[max(0, i - 1) : i] + words[i + size : i + size + 1]) for i in places)
    return [i for i, beside in around if not any(map(_NUMBER.fullmatch, beside))]


def _plain_number(word: str) -> str:
    is_number = word[-1].isdigit() and not word[0].isalpha()
    return re.sub(r",(?=\d{3}(?!\d))", "", word).replace("−", "-") if is_number else word


def _is_end(before: str, mark: str, after: str) -> bool:
    if mark == "\n":
        return not before.rstrip().endswith((":", "："))
    if mark != "." or not after.strip() or "\n" in after[: len(after) - len(after.lstrip())]:
        return True
    last, following = _LAST_WORD.search(before), _NEXT_WORD.match(after)
    if last is None or following is None:
        return True
    return not _goes_on(before, last[1], following[1])


def _goes_on(before: str, last: str, following: str) -> bool:
    """Whether a period between these two words ends no sentence."""
    if following[0].islower() or _ABBREVIATION.fullmatch(last.casefold()):
        return True
    if last.isdigit():  # the number of a list's item
        return before.splitlines()[-1].strip() == last
    # A letter is an initial where the next word does not look like a beginning, as the subject
    # does that comes again: "The symbol for uranium is U. Uranium …"
    is_told = len(following) > 1 and _TOLD_LETTER.search(before)
    is_again = is_told and following.casefold() in plain_words(before)
    opens = is_again or _OPENER.fullmatch(following.casefold())
    return len(last) == 1 and last.isupper() and not opens
