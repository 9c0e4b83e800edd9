"""`python -m decoding score`: a given text on the terminal."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from decoding import LanguageModel, score, text_score
from decoding.console.main import main
from decoding.records.strict_json import plain_record

TEXT = "Hello 世界, once and again.\nA second line\x1b[31m.\n"


@pytest.fixture(autouse=True)
def model(tiny_lm: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, Any]]:
    """The tiny model in the place of every other; how it was asked for."""
    asked = []

    def load(name: Any, **options: Any) -> LanguageModel:
        asked.append((name, options))
        return tiny_lm

    monkeypatch.setattr("decoding.models.loading.load_model", load)
    return asked


@pytest.fixture
def text(tmp_path: Path) -> str:
    path = tmp_path / "text.txt"
    path.write_text(TEXT)
    return str(path)


def test_the_text_comes_back_with_a_line_of_numbers(
    text: str, tiny_lm: LanguageModel, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["score", text]) == 0
    told, numbers = capsys.readouterr()
    assert told == TEXT.replace("\x1b", "\\x1b") + "\n"
    found = text_score(list(score(tiny_lm, TEXT)))
    assert f"{found.tokens} tokens after the first, perplexity {found.perplexity:,.2f}" in numbers
    assert f"{found.bits_per_byte:.3f} bits per byte" in numbers


def test_one_step_a_line(
    text: str, tiny_lm: LanguageModel, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["score", text, "--json", "--top-candidates", "3"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    steps = list(score(tiny_lm, TEXT, top_candidates=3))
    assert [line["token_id"] for line in lines] == [step.token_id for step in steps]
    assert lines[0].keys() == plain_record(steps[0]).keys()
    assert {line["phase"] for line in lines} == {"score"}


def test_standard_input_and_the_models_options(
    model: list[tuple[Any, Any]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(TEXT.encode())))
    assert main(["score", "-", "--model", "some/model", "--dtype", "float16", "--no-color"]) == 0
    assert capsys.readouterr().out.startswith("Hello 世界")
    named = {"device": "auto", "dtype": "float16", "quantization": None}
    assert model == [("some/model", named)]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "The prompt is empty"),
        (b"x", "This text is one token"),
        (b"\xff\xfe", "its byte 0 is not UTF-8"),
        (b"x" * 10_000_001, "holds more than 10,000,000 bytes"),
    ],
)
def test_what_is_no_text_is_told_in_one_sentence(
    content: bytes, sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "text.txt"
    path.write_bytes(content)
    assert main(["score", str(path)]) == 1
    told, errors = capsys.readouterr()
    assert (told, sentence in errors, errors.count("\n")) == ("", True, 1)


def test_a_file_that_cannot_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in (tmp_path / "none.txt", tmp_path):
        assert main(["score", str(path)]) == 1
        assert "cannot be read" in capsys.readouterr().err
    assert main(["score", str(tmp_path), "--overlap", "0"]) == 1
