"""Where a sentence ends, and its words as they are compared; it knows texts alone."""

from __future__ import annotations

import re
import unicodedata

# Characters of scripts that write no spaces between words: each is a word of its own. Chinese
# characters, the signs of Japanese and of Bopomofo.
_ALONE = (
    "\u3005-\u3007\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u3105-\u312f"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
_LETTER = rf"[^\W_{_ALONE}]"
# A number with its sign and all that is joined to it; a character of such a script; or a run of
# other letters, with the number that a hyphen joins to it ("Pu-24").
_WORD = re.compile(
    rf"(?<!{_LETTER})[-−]?\d+(?:[.,:/]\d+)*{_LETTER}*|[{_ALONE}]|{_LETTER}+(?:-\d+)?"
)
_IDEOGRAPH = re.compile(f"[{_ALONE}]")
_ACCENTS = re.compile("[\u0300-\u036f]")
_NARROW = {wide: wide - 0xFEE0 for wide in range(0xFF01, 0xFF5F)}
_APOSTROPHE = "['’ʼʻ`]"
_POSSESSIVE = re.compile(rf"(?<=[\w.]){_APOSTROPHE}[sS]\b")
_INNER_APOSTROPHE = re.compile(rf"(?<=\w){_APOSTROPHE}(?=\w)")
_INITIALS = re.compile(r"(?<!\w)[^\W\d_](?:\.\s?[^\W\d_])+(?!\w)\.?")

# A mark of a Latin script, or of another, with the quotes, brackets and emphasis that it closes.
_END = re.compile(rf"([.!?…]+)[\"'”’»)\]*_]*(?=\s|$|[{_ALONE}])|[。！？｡][」』\"'”’）)*_]*|\n")
_BEGUN = re.compile(r"[^\W_]")
_NEXT_WORD = re.compile(rf"([\W_]*)({_LETTER}+|[{_ALONE}])")
_LAST_WORD = re.compile(rf"({_LETTER}+|[{_ALONE}])[\W_]*$")
_LAST = 100  # characters that tell what a mark stands behind
_LISTED = re.compile(r"[\s*_#>]*\d{1,3}")
_ABBREVIATED = re.compile(rf"(?<!{_LETTER})(?:St|Mt|Ft|Dr|Mr|Mrs|Ms|Prof|vs|e\.g|i\.e)$")
_TOLD_LETTER = re.compile(r"\b(?:is|symbol)[\W_]+\w[\W_]*$")
_OPENER = re.compile("an?|and|but|he|however|i|in|its?|she|so|that|the|there|they|this")

_UNITS = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
    *("ten", "eleven", "twelve", "thirteen", "fourteen"),
    *("fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_NUMBERS = {word: i for i, word in enumerate(_UNITS)}
_NUMBERS |= {word: 10 * i for i, word in enumerate(_TENS, start=2)}
SPELLED_NUMBERS = frozenset({*_NUMBERS, "hundred", "thousand", "million"})


def stands_alone(character: str) -> bool:
    """Whether it is of a script that writes no spaces between words."""
    return _IDEOGRAPH.fullmatch(character) is not None


def sentence_end(text: str, searched_from: int = 0) -> int | None:
    """How many characters the first sentence of a text takes; `None` where it does not end.

    It ends, once it has a word, with a period, a question or exclamation mark before white
    space, with a Chinese one anywhere, or with a line that does not end in a colon; what the mark
    closes (a quote, a bracket, emphasis) belongs to it. Before a small letter no mark ends it, nor
    does the period of an abbreviation, of an initial or of a list's number; that of a single
    letter, of "Jr." or of an ellipsis ends it where the next word looks like a beginning.

    Args:
        text: begins with the sentence.
        searched_from: marks before this character are known to end nothing.
    """
    begun = _BEGUN.search(text)
    if begun is None:
        return None
    for found in _END.finditer(text, max(searched_from, begun.start())):
        if _is_end(text[: found.start()], found, text[found.end() :]):
            return found.end()
    return None


def plain_words(text: str, *, keep_case: bool = False) -> list[str]:
    """The words of a text as they are compared.

    Without accents, apostrophes, possessive s and punctuation, casefolded if not told. A hyphen
    parts words, initials make one ("U.S." is "us"), a number keeps sign, fraction and unit, and
    not the commas of its thousands.
    """
    decomposed = unicodedata.normalize("NFD", text.translate(_NARROW))
    plain = unicodedata.normalize("NFC", _ACCENTS.sub("", decomposed))
    plain = _INNER_APOSTROPHE.sub("", _POSSESSIVE.sub("", plain))
    plain = _INITIALS.sub(lambda found: re.sub(r"\W", "", found[0]) + " ", plain)
    words = [_plain_number(word) for word in _WORD.findall(plain)]
    return words if keep_case else [word.casefold() for word in words]


def with_digits(words: list[str]) -> list[str]:
    """Spelled numbers up to 99 as digits, "twenty", "one" as one of them; "one of" is no number.

    Args:
        words: see `plain_words`.
    """
    told: list[str] = []
    tens = 0
    for i, word in enumerate(words):
        value = None if words[i : i + 2] == ["one", "of"] else _NUMBERS.get(word)
        if tens and value is not None and 0 < value < 10:
            told[-1] = str(tens + value)
            tens = 0
            continue
        told.append(word if value is None else str(value))
        tens = value if value is not None and word in _TENS else 0
    return told


def _plain_number(word: str) -> str:
    is_number = word[-1].isdigit() and not word[0].isalpha()
    return re.sub(r",(?=\d{3}(?!\d))", "", word).replace("−", "-") if is_number else word


def _is_end(before: str, mark: re.Match[str], after: str) -> bool:
    if mark[0] == "\n":
        return not before.rstrip("*_ \t\r\n").endswith((":", "："))
    following = _NEXT_WORD.match(after)
    if mark[1] is None or following is None or "\n" in following[1]:
        return True
    if following[2][0].islower():
        return False
    return "!" in mark[1] or "?" in mark[1] or not _goes_on(before, mark[1], following[2])


def _goes_on(before: str, mark: str, following: str) -> bool:
    """Whether periods between these two end no sentence."""
    last = _LAST_WORD.search(before[-_LAST:])
    if last is None or mark != ".":
        return not _opens(following)
    if _ABBREVIATED.search(before[-_LAST:]) or _LISTED.fullmatch(before.rpartition("\n")[2]):
        return True
    if last[1] in ("Jr", "Sr"):
        return not _opens(following)
    # A letter is an initial where the next word does not look like a beginning, as the subject
    # does that comes again: "The symbol for uranium is U. Uranium …"
    is_told = len(following) > 1 and _TOLD_LETTER.search(before[-_LAST:])
    is_again = is_told and following.casefold() in plain_words(before)
    return len(last[1]) == 1 and last[1].isupper() and not is_again and not _opens(following)


def _opens(word: str) -> bool:
    return _OPENER.fullmatch(word.casefold()) is not None
