"""Questions from a file, the halves, and what counts as right: cases made by hand."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from decoding.records.errors import DecodingError
from decoding.trust.evaluation.accepted import accepted_words, is_accepted
from decoding.trust.evaluation.questions import (
    OWN_QUESTIONS,
    Question,
    half_of,
    is_right,
    read_questions,
)
from decoding.trust.sentences import plain_words, sentence_end

ENTRY: dict[str, Any] = {
    "question": "What is 2 plus 3?",
    "answers": ["5", "five"],
    "topic": "arithmetic",
    "source": "computed",
}

RIGHT = [
    ("Paris", "Paris"),
    ("Paris", "The capital of France is **Paris**."),
    ("Paris", "\n\n  It's PARIS, of course!"),
    ("Paris", "The capital is:\n\n1. Paris\n2. Lyon"),
    ("Delhi", "It is New Delhi."),
    ("Brontë", "Emily Bronte wrote it."),
    ("Chisinau", "Chişinău is the capital."),
    ("N'Djamena", "It is N’Djaména."),
    ("Sanaa", "The capital is Sana'a."),
    ("Shakespeare", "Hamlet is Shakespeare's best play."),
    ("St. John's", "The capital is St. John's. It is cold."),
    ("Washington, D.C.", "It is Washington, D.C. The city is large."),
    ("Washington, DC", "It is Washington, D.C."),
    ("Fitzgerald", "The author is F. Scott Fitzgerald. He drank."),
    ("J.R.R. Tolkien", "It was J. R. R. Tolkien. He taught."),
    ("Port-au-Prince", "_Port au Prince_"),
    ("Saint-Exupéry", "Antoine de Saint-Exupery"),
    ("20", "4 × 5 = 20."),
    ("7", "10-3=7"),
    ("1200", "There are 1,200 of them."),
    ("3.14", "It is about 3.14. That is pi."),
    ("twenty-three", "It is twenty three."),
    ("three", "It has three, and no more."),
    ("U", "The symbol for uranium is U. Uranium is heavy."),
    ("Smith", "The Great Gatsby by F. Scott Fitzgerald is about F. Scott Smith."),
    ("Abrams", "The director is J. J. Abrams."),
    ("Na", "Sodium (Na) is a metal."),
    ("巴黎", "法國的首都是巴黎。"),
    ("Sucre", "There are two: Sucre and La Paz."),
    ("Paris", "**Answer:**\n\nParis"),
    ("Paris", "It is... Paris."),
    ("20", "有20個。"),
    ("1000", "共1,000元"),
]
WRONG = [
    ("Paris", ""),
    ("Paris", "It is Lyon. Paris is larger."),
    ("Paris", "It is Lyon.\nParis is larger."),
    ("Paris", "It is Lyon? Paris!"),
    ("Paris", "Parisian bread."),
    ("Paris", "The capital is:\n1. Lyon\n2. Paris"),
    ("New Delhi", "It is Delhi, new and old."),
    ("20", "It is 120."),
    ("20", "It is 1,120."),
    ("20", "It is -20."),
    ("20", "It is −20."),
    ("20", "It is 20.5."),
    ("20", "It is 20/3."),
    ("31", "On the 31st."),
    ("7", "It is seven."),
    ("three", "It has twenty-three sides."),
    ("three", "It has three hundred sides."),
    ("C", "It is c."),
    ("H", "It is H2O."),
    ("Co", "CO is a gas."),
    ("Pu", "The symbol is Pu-24."),
    ("Scott", "The Great Gatsby is by F. It is not Scott's."),
    ("C", "The symbol for iron is Fe. C is carbon."),
    ("W", "It is T. It is not W."),
    ("巴黎", "法國的首都是里昂。巴黎很大。"),
    ("巴黎", "法國的首都是里昂.巴黎很大."),
    ("20", "有120個。"),
    ("Paris", "Lyon... It is near Paris."),
]


@pytest.mark.parametrize(("accepted", "text"), RIGHT)
def test_right(accepted: str, text: str) -> None:
    assert is_accepted("", ["nothing", accepted], text)


@pytest.mark.parametrize(("accepted", "text"), WRONG)
def test_wrong(accepted: str, text: str) -> None:
    assert not is_accepted("", [accepted, "nothing"], text)


def test_to_repeat_the_question_is_no_answer() -> None:
    question = Question("What is the plural of sheep?", ("sheep",), "plural", "")
    for text in ("Sheep.", "The plural of sheep is sheep.", "Sheep is the plural of sheep."):
        assert is_right(question, text)
    assert not is_right(question, "The plural of sheep is sheeps.")


def test_words_without_what_is_not_compared() -> None:
    assert plain_words("Crème-Brûlée, the U.S.A.'s 1,000 “best”!") == [
        *("creme", "brulee", "the", "usa", "1000", "best")
    ]
    assert plain_words("が 한국") == ["が", "한국"]  # their marks are letters, not accents
    assert accepted_words(["La Paz", "Sucre"]) == {"la", "paz", "sucre"}
    assert not is_accepted("", ["—", ""], "—")


@pytest.mark.parametrize(
    ("first", "rest"),
    [
        ("It is 3.5 km.", " Yes."),
        ('He said "No."', " Then he left."),
        ("Dr. Smith and Mt. Etna!", " Yes."),
        ("a. b", ""),
        ("\n  It is.", "\nYes"),
        ("是的。", "好"),
        ("What?!", " Yes"),
    ],
)
def test_where_the_first_sentence_ends(first: str, rest: str) -> None:
    end = sentence_end(first + rest)
    assert (first + rest)[:end].rstrip('"') == first.rstrip('"')


def test_the_projects_own_questions() -> None:
    questions = read_questions(OWN_QUESTIONS)
    assert len(questions) >= 300
    assert sum(one.topic == "capital" for one in questions) == 81
    for one in questions:
        assert all(is_right(one, f"The answer is {answer}.") for answer in one.answers), one
        assert not is_right(one, one.question), one
        assert one.source
    halves = [half_of(one.question) for one in questions]
    assert 0.4 < halves.count("reported") / len(halves) < 0.6


def test_the_halves_hang_on_the_text_alone() -> None:
    for question in ("a", "b", "What is 2 plus 3?", "首都?"):
        is_odd = int(sha256(question.encode()).hexdigest()[:2], 16) % 2
        assert half_of(question) == ("reported" if is_odd else "selection")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{", "is no JSON: Expecting property name"),
        ("[" * 100_000, "is no JSON"),
        ("{}", "questions must be a list, not an object"),
        ("[]", "it holds no questions"),
        ('[{"question": "a", "question": "b"}]', "the field 'question' stands twice in one object"),
        ([3], "questions[0] must be an object, not 3"),
        ([{**ENTRY, "answers": "5"}], "questions[0].answers must be a list, not '5'"),
        ([{**ENTRY, "answers": [5]}], "questions[0].answers[0] must be a text, not 5"),
        ([{**ENTRY, "answers": []}], "questions[0] lacks a question, an answer or a topic"),
        ([{**ENTRY, "answers": ["…"]}], "questions[0] has an answer without a word, '…'"),
        ([{**ENTRY, "hint": "x"}], "questions[0] has a field 'hint', which is not known"),
        ([{"question": "a"}], "questions[0] lacks 'answers'"),
        ([ENTRY, ENTRY], "questions[1] is there already: 'What is 2 plus 3?'"),
        (b"\xff", "its byte 0 is not UTF-8"),
        (b"[" + b" " * 10_000_001, "it is larger than 10,000,000 bytes"),
    ],
    ids=range(15),
)
def test_one_sentence_on_what_is_wrong(tmp_path: Path, content: Any, told: str) -> None:
    file = tmp_path / "q.json"
    if isinstance(content, bytes):
        file.write_bytes(content)
    else:
        file.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(DecodingError) as caught:
        read_questions(file)
    assert told in str(caught.value)
    assert "'q.json'" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_file(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.json"):
        with pytest.raises(DecodingError, match="There is no question file"):
            read_questions(path)
