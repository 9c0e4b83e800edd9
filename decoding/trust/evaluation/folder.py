"""The folder of an evaluation: each answer as soon as it is there, so that one can go on later."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from decoding.records.errors import DecodingError
from decoding.records.strict_json import RecordError, plain_record, read_record
from decoding.records.trace_file import write_file
from decoding.trust.evaluation.answering import JudgedAnswer
from decoding.trust.evaluation.charts import evaluation_html
from decoding.trust.evaluation.tables import evaluation_tables


class EvaluationFolder:
    """`settings.json` and `answers.jsonl` while it runs; the figures once it is done.

    Attributes:
        answers: those that are there so far.
    """

    def __init__(self, path: Path, settings: dict[str, Any]) -> None:
        """Takes up what the folder holds.

        Args:
            path: the folder; it is made where there is none.
            settings: all that the answers hang on.

        Raises:
            DecodingError: it holds answers that came about under other settings, or cannot be
                read or written.
        """
        self.path = path
        self._settings = settings
        self._answers_file = path / "answers.jsonl"
        try:
            path.mkdir(parents=True, exist_ok=True)
            self.answers = self._read()
        except (OSError, ValueError) as error:
            raise DecodingError(f"The folder {str(path)!r} cannot be used: {error}.") from error
        write_file(path / "settings.json", json.dumps(settings, indent=2, ensure_ascii=False))
        # Without what was left half written.
        write_file(self._answers_file, "".join(map(_line, self.answers)))

    def add(self, answer: JudgedAnswer) -> None:
        """Keeps one more answer, on the disk at once."""
        with self._answers_file.open("a", encoding="utf-8", newline="") as file:
            file.write(_line(answer))
            file.flush()
            os.fsync(file.fileno())
        self.answers.append(answer)

    def write(self, evaluation: dict[str, Any]) -> None:
        """Writes the figures as JSON, as tables and as charts."""
        text = json.dumps(evaluation, ensure_ascii=False, allow_nan=False, indent=1)
        write_file(self.path / "evaluation.json", text + "\n")
        write_file(self.path / "evaluation.md", evaluation_tables(evaluation))
        write_file(self.path / "evaluation.html", evaluation_html(evaluation, self.answers))

    def _read(self) -> list[JudgedAnswer]:
        if not has_answers(self.path):
            return []
        before = json.loads((self.path / "settings.json").read_text(encoding="utf-8"))
        other = [name for name in self._settings if before.get(name) != self._settings[name]]
        if other:
            raise ValueError(
                f"it was begun with another {other[0]} ({before.get(other[0])!r}, not "
                f"{self._settings[other[0]]!r}); name another folder with --out"
            )
        lines = self._answers_file.read_text(encoding="utf-8").split("\n")
        # What follows the last line's end is nothing, or what an interruption left of a line.
        return [_answer(number, line) for number, line in enumerate(lines[:-1], start=1)]


def has_answers(path: Path) -> bool:
    """Whether a folder holds answers of an evaluation."""
    file = path / "answers.jsonl"
    return file.exists() and file.stat().st_size > 0


def _line(answer: JudgedAnswer) -> str:
    return json.dumps(plain_record(answer), ensure_ascii=False, allow_nan=False) + "\n"


def _answer(number: int, line: str) -> JudgedAnswer:
    try:
        return read_record(JudgedAnswer, json.loads(line))
    except RecordError as error:
        raise ValueError(f"line {number} of answers.jsonl: {error}") from error
