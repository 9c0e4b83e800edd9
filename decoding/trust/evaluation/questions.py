"""Questions whose answers are certain: read from a file, told right from wrong, cut in halves."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

from decoding.records.errors import DecodingError
from decoding.records.strict_json import RecordError, read_record, told
from decoding.trust.evaluation.accepted import is_accepted
from decoding.trust.sentences import plain_words

Half = Literal["selection", "reported"]
LARGEST_BYTES = 10_000_000
OWN_QUESTIONS = Path(__file__).with_name("questions.json")


@dataclass(frozen=True, slots=True)
class Question:
    """A question and what is accepted as its answer.

    Attributes:
        question: as the model is asked.
        answers: each of them is right; a number stands there in digits and in words.
        topic: what it is counted under.
        source: where the answers come from.
    """

    question: str
    answers: tuple[str, ...]
    topic: str
    source: str


@dataclass(frozen=True, slots=True)
class _Questions:
    """All of a file: a record, so that errors tell their places."""

    questions: tuple[Question, ...]


def read_questions(path: str | os.PathLike[str]) -> list[Question]:
    """The questions of a JSON file: a list of objects with the fields of `Question`.

    Raises:
        DecodingError: one sentence with the place of what is wrong.
    """
    file = Path(path)
    try:
        value = json.loads(_content(file), object_pairs_hook=_distinct)
        questions = list(read_record(_Questions, {"questions": value}).questions)
        _check(questions)
    except (json.JSONDecodeError, RecursionError) as error:
        where = f": {error}" if isinstance(error, json.JSONDecodeError) else ", or nested too deep"
        raise DecodingError(f"The question file {file.name!r} is no JSON{where}.") from error
    except (RecordError, ValueError) as error:
        raise DecodingError(f"The question file {file.name!r} cannot be used: {error}.") from error
    return questions


def is_right(question: Question, text: str) -> bool:
    """Whether an accepted answer stands in the first sentence of a text; see `is_accepted`."""
    return is_accepted(question.question, question.answers, text)


def half_of(question: str) -> Half:
    """The half that a question belongs to, by the SHA-256 of its text alone.

    What is chosen (a threshold, the best signal, a temperature) is chosen on "selection" and
    measured on "reported". More questions, or another order, move none of them.
    """
    return "reported" if sha256(question.encode()).digest()[0] % 2 else "selection"


def _content(file: Path) -> str:
    if not file.is_file():  # a device or a pipe could go on for ever
        raise DecodingError(f"There is no question file {str(file)!r}.")
    try:
        with file.open("rb") as opened:
            content = opened.read(LARGEST_BYTES + 1)
    except OSError as error:
        raise DecodingError(
            f"The question file {file.name!r} cannot be read: {error.strerror}."
        ) from error
    if len(content) > LARGEST_BYTES:
        raise ValueError(f"it is larger than {LARGEST_BYTES:,} bytes")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"its byte {error.start} is not UTF-8") from error


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) < len(pairs):
        raise RecordError(f"a field stands twice in the object {told(str(dict(pairs)))}")
    return dict(pairs)


def _check(questions: list[Question]) -> None:
    """What the fields' types do not tell; each place as `read_record` names it."""
    if not questions:
        raise RecordError("it holds no questions")
    seen: set[str] = set()
    for index, one in enumerate(questions):
        place = f"questions[{index}]"
        if not one.answers or not one.question.strip() or not one.topic.strip():
            raise RecordError("lacks a question, an answer or a topic", place)
        empty = next((answer for answer in one.answers if not plain_words(answer)), None)
        if empty is not None:
            raise RecordError(f"has an answer without a word, {told(empty)}", place)
        if one.question in seen:
            raise RecordError(f"is there already: {told(one.question)}", place)
        seen.add(one.question)
