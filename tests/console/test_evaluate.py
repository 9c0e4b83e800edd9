"""`python -m decoding evaluate`: judged words, the folder, going on, and what is written."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from judged_answers import made
from steps import step_of, steps_of
from tiny import byte_tokenizer

from decoding import LanguageModel, decode
from decoding.console.main import main
from decoding.trust.evaluation.answering import (
    Sampling,
    answer_question,
    judged_words,
    live_signals,
)
from decoding.trust.evaluation.charts import evaluation_html
from decoding.trust.evaluation.figures import evaluation_of
from decoding.trust.evaluation.folder import EvaluationFolder
from decoding.trust.evaluation.questions import Question, is_right
from decoding.trust.evaluation.tables import evaluation_tables

ARMENIA = Question("What is the capital of Armenia?", ("Yerevan",), "capital", "by hand")
ABOUT = {
    "model": "made",
    "dtype": "float32",
    "created": "2030-01-01T00:00:00+00:00",
    "versions": {"python": "3"},
    "max_new_tokens": 8,
    "samples": 1,
    "sampling_temperature": 0.5,
}
HOSTILE = "</script><script>alert(1)</script> | <img src=x onerror=alert(1)> `x` [y](javascript:z)"
QUESTIONS = [
    {"question": f"Say {word}", "answers": [word], "topic": "say", "source": "test"}
    for word in ("a", "b", "c", "d")
]


@pytest.fixture(autouse=True)
def model(tiny_lm: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("decoding.models.loading.load_model", lambda _name, **_options: tiny_lm)


@pytest.fixture
def options(tmp_path: Path) -> list[str]:
    (tmp_path / "q.json").write_text(json.dumps(QUESTIONS))
    settings = ["--max-new-tokens", "6", "--samples", "2", "--out", str(tmp_path / "out")]
    return ["evaluate", "--questions", str(tmp_path / "q.json"), *settings]


def judged(pieces: list[str], probabilities: list[float]) -> list[tuple[str, Any, bool]]:
    words = judged_words(ARMENIA, steps_of(pieces, probabilities))
    return [(word.text, word.doubt, word.is_wrong) for word in words]


def test_in_a_wrong_answer_the_claims_are_wrong() -> None:
    pieces = ["Armenia", "'s", " capital", " is", " Y", "ere", "kad", ".", " It", " is", " Rome"]
    words = judged(pieces, [0.9, 0.9, 0.9, 0.9, 0.9, 0.5, 0.4])
    assert [text for text, _, _ in words] == ["Armenia's", " capital", " is", " Yerekad", "."]
    assert [wrong for _, _, wrong in words] == [False, False, False, True, False]
    assert [doubt for _, doubt, _ in words][:3] == [None] * 3
    assert 0 < words[3][1] <= 1


def test_in_a_right_answer_no_word_is_wrong_and_an_accepted_word_never() -> None:
    assert not any(wrong for _, _, wrong in judged(["Lovely", " Yere", "van", "."], []))
    assert judged(["Not", " Rome", "\n", "Yerevan"], [])[1][2]  # the first line alone counts
    port = replace(ARMENIA, answers=("Port Louis",))
    words = judged_words(port, steps_of(["Port", " Royal"]))
    assert [(word.text, word.is_wrong) for word in words] == [("Port", False), (" Royal", True)]


def test_what_ended_the_answer_is_no_word() -> None:
    words = judged_words(ARMENIA, steps_of(["Rome", "<|end|>"]))
    assert [word.text for word in words] == ["Rome"]


def test_an_answer_without_a_word_has_the_signals_that_it_can_have() -> None:
    found = live_signals(steps_of(["<|end|>"], [0.25]))
    assert found["min_probability"] == 0.25
    assert found["claim_mean_logprob"] is None
    assert found.keys() == live_signals(steps_of(["Rome"])).keys()
    assert live_signals([step_of("x", 0.0)])["sequence_logprob"] is None  # not -inf


def test_an_answer_is_greedy_and_carries_every_signal(tiny_lm: LanguageModel) -> None:
    from decoding.trust.signals import SIGNALS

    question = Question(**{**QUESTIONS[0], "answers": ("a",)})
    answer = answer_question(tiny_lm, question, 6, Sampling(samples=2))
    chat = [{"role": "user", "content": "Say a"}]
    steps = list(decode(tiny_lm, chat, do_sample=False, max_new_tokens=6))
    assert answer.answer == "".join(step.text for step in steps if not step.is_special)
    assert answer.signals == {name: signal(steps) for name, signal in SIGNALS.items()}
    assert answer.right == is_right(question, answer.answer)
    assert len(answer.samples) == 2
    assert 0 <= answer.sampled["agreement"] <= 1  # type: ignore[operator]
    assert 0 <= answer.sampled["p_true"] <= 1  # type: ignore[operator]
    assert answer.sampled["semantic_entropy"] <= 0  # type: ignore[operator]
    assert answer == answer_question(tiny_lm, question, 6, Sampling(samples=2))
    assert answer.samples != answer_question(tiny_lm, question, 6, Sampling(2, seed=1)).samples
    assert answer_question(tiny_lm, question, 6, Sampling(0)).sampled == {}


def test_all_files_are_written(
    options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(options) == 0
    told, errors = capsys.readouterr()
    out = tmp_path / "out"
    names = {path.name for path in out.iterdir()}
    assert names == {"answers.jsonl", "settings.json"} | {
        f"evaluation.{kind}" for kind in ("json", "md", "html")
    }
    found = json.loads((out / "evaluation.json").read_text())
    assert (found["model"], found["questions"]) == ("tiny-llama", 4)
    assert (found["samples"], found["sampling_temperature"], found["seed"]) == (2, 0.5, 0)
    assert len(found["marks"]) == 41
    answers = [json.loads(line) for line in (out / "answers.jsonl").read_text().splitlines()]
    assert [answer["question"] for answer in answers] == [q["question"] for q in QUESTIONS]
    assert "# What tiny-llama knows" in told
    assert "4 questions to ask, at most 13 inferences each\n" in errors
    assert re.search(r"4 of 4 questions, \d right, 0 min 00 s left\n", errors)


def test_on_a_terminal_the_progress_is_one_line(
    options: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert main([*options, "--samples", "0"]) == 0
    first, *lines = capsys.readouterr().err.split("\r")
    assert first == "4 questions to ask, at most 6 inferences each\n"
    assert [line.split(",")[0] for line in lines] == [f"{i} of 4 questions" for i in range(1, 5)]
    assert lines[-1].endswith("\n")


def test_an_interrupted_evaluation_goes_on(
    options: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    main([*options[:-1], str(tmp_path / "whole")])
    asked: list[str] = []

    def ask(lm: Any, question: Question, *rest: Any) -> Any:
        if len(asked) == 2:
            raise KeyboardInterrupt
        asked.append(question.question)
        return answer_question(lm, question, *rest)

    monkeypatch.setattr("decoding.trust.evaluation.answering.answer_question", ask)
    assert main(options) == 130
    assert "2 of 4 answers are in" in capsys.readouterr().err
    monkeypatch.undo()
    monkeypatch.setattr(
        "decoding.models.loading.load_model", lambda _name, **_options: pytest.fail("loaded")
    )
    assert main(options) == 1
    assert "go on with it with --resume" in capsys.readouterr().err


def test_what_is_resumed_ends_as_if_never_interrupted(
    options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main([*options[:-1], str(tmp_path / "whole")])
    whole = (tmp_path / "whole" / "answers.jsonl").read_text()
    out = tmp_path / "out"
    out.mkdir()
    (out / "settings.json").write_bytes((tmp_path / "whole" / "settings.json").read_bytes())
    first, second, *_ = whole.splitlines(keepends=True)
    (out / "answers.jsonl").write_text(first + second[:40])  # killed while it wrote
    capsys.readouterr()
    assert main([*options, "--resume"]) == 0
    assert (out / "answers.jsonl").read_text() == whole
    assert "3 questions to ask" in capsys.readouterr().err
    before = json.loads((tmp_path / "whole" / "evaluation.json").read_text())
    after = json.loads((out / "evaluation.json").read_text())
    assert {**after, "created": ""} == {**before, "created": ""}


def test_nothing_is_mixed_that_was_measured_otherwise(
    options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(options)
    capsys.readouterr()
    assert main([*options, "--resume", "--samples", "3"]) == 1
    told = capsys.readouterr().err
    assert "begun with another samples (2, not 3)" in told
    assert told.count("\n") == 1
    answers = tmp_path / "out" / "answers.jsonl"
    answers.write_text(answers.read_text().replace('"right": ', '"right": 3, "wrong": ', 1))
    assert main([*options, "--resume"]) == 1
    assert "line 1 of answers.jsonl: right must be true or false, not 3" in capsys.readouterr().err


def test_a_model_without_a_chat_leaves_no_evaluation_behind(
    options: list[str],
    tiny_lm: LanguageModel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    bare = LanguageModel(tiny_lm.model, byte_tokenizer(chat=False), name="bare")
    with monkeypatch.context() as changed:
        changed.setattr("decoding.models.loading.load_model", lambda _name, **_options: bare)
        assert main(options) == 1
    assert "no chat template" in capsys.readouterr().err
    assert main(options) == 0
    found = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert found["model"] == "tiny-llama"


def test_a_folder_that_is_none(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    place = Path(options[-1])
    place.write_text("a file")
    assert main(options) == 1
    told = capsys.readouterr().err
    assert "out' cannot be used" in told
    assert told.count("\n") == 1


@pytest.mark.parametrize(
    "wrong",
    [
        ["--samples", "-1"],
        ["--max-new-tokens", "0"],
        ["--temperature", "0"],
        ["--temperature", "nan"],
        ["--seed", "x"],
    ],
)
def test_wrong_options(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["evaluate", *wrong])
    assert stopped.value.code == 2
    assert wrong[0] in capsys.readouterr().err


class Tags(HTMLParser):
    """The elements of a page, and whether each was closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.seen.add(tag)
        assert not any(name.startswith("on") or name in ("src", "href") for name, _ in attrs)
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self.open:
            assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        self.seen.add(tag)


def test_what_a_model_wrote_stays_text(tmp_path: Path) -> None:
    answers = [replace(one, answer=HOSTILE, topic=HOSTILE, question=one.question) for one in made()]
    about = {**ABOUT, "model": HOSTILE}
    found = evaluation_of(answers, about)
    page = evaluation_html(found, answers)
    tags = Tags(page)
    assert tags.open == []
    assert not tags.seen & {"script", "img", "a", "link", "iframe"}
    assert page.count("<svg") == 4
    assert not re.search(r"https?:", page)
    tables = evaluation_tables(found)
    assert not re.search(r"(?<!\\)[<`]", tables)
    widths = {line.count(" | ") for line in tables.split("## Topics")[1].splitlines()[2:5]}
    assert widths == {6}
    folder = EvaluationFolder(tmp_path / "deep" / "out", {"model": HOSTILE})
    folder.add(answers[0])
    assert EvaluationFolder(tmp_path / "deep" / "out", {"model": HOSTILE}).answers == answers[:1]


def test_the_charts_and_tables_show_the_figures() -> None:
    answers = made() * 3
    found = evaluation_of(answers, ABOUT)
    page, tables = evaluation_html(found, answers), evaluation_tables(found)
    assert "agreement (sampled), area 1.000" in page
    assert "chosen: 0.8" in page
    assert page.count("<circle") == sum(one["accuracy"] is not None for one in found["reliability"])
    assert page.count("<circle") > 0
    assert "| b | live | 1.000 | 1.000 | 1.000 | 0.500 |" in tables
    assert "| 0.800 | 60 | 60 | 1.000 | 1.000 | 0.000 |" in tables
    assert "| 30% | 0.952 | 0.952 |" in tables


def test_without_sampled_signals(options: list[str], tmp_path: Path) -> None:
    assert main([*options, "--samples", "0"]) == 0
    found = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert {one["kind"] for one in found["signals"]} == {"live"}
    assert found["retained_sampled"] == []
    assert found["best"]["sampled"] is None
