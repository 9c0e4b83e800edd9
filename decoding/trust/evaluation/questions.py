"""Questions whose answers are certain: read from a file, told right from wrong, cut in halves."""

from __future__ import annotations

import os
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Literal

from decoding.records.errors import DecodingError
from decoding.records.json_text import file_content, parsed
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
    content = file_content(file, LARGEST_BYTES, f"question file {file.name!r}", DecodingError)
    try:
        if len(content) > LARGEST_BYTES:
            raise RecordError(f"it is larger than {LARGEST_BYTES:,} bytes")
        questions = list(read_record(_Questions, {"questions": parsed(content)}).questions)
        _check(questions)
    except RecordError as error:
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
