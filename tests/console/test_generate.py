"""`python -m decoding "prompt"`: a text on the terminal, its numbers in files."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tiny import byte_tokenizer, tiny_model

from decoding import LanguageModel, decode, read_trace
from decoding.console.main import main
from decoding.records.step import DecodingStep

ROOT = Path(__file__).parents[2]
RUN = [sys.executable, "-m", "decoding"]
CHAT = [{"role": "user", "content": "Hi"}]


@pytest.fixture(autouse=True)
def model(tiny_lm: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, Any]]:
    """The tiny model in the place of every other; how it was asked for."""
    asked = []

    def load(name: Any, **options: Any) -> LanguageModel:
        asked.append((name, options))
        return tiny_lm

    monkeypatch.setattr("decoding.models.loading.load_model", load)
    return asked


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model on the disk, for programs that run on their own."""
    path: Path = tmp_path_factory.mktemp("model") / "tiny"
    tiny_model("llama", max_position_embeddings=100_000).save_pretrained(path)
    byte_tokenizer().save_pretrained(path)
    return path


def steps_of(lm: LanguageModel, prompt: Any = CHAT, **settings: Any) -> list[DecodingStep]:
    return list(decode(lm, prompt, **{"max_new_tokens": 12, **settings}))


def run(capsys: pytest.CaptureFixture[str], *options: str, code: int = 0) -> tuple[str, str]:
    assert main([*options]) == code
    told, errors = capsys.readouterr()
    return told, errors


def test_the_text_and_a_summary(tiny_lm: LanguageModel, capsys: pytest.CaptureFixture[str]) -> None:
    told, errors = run(capsys, "Hi", "--greedy", "--max-new-tokens", "12", "--json")
    steps = [json.loads(line) for line in told.splitlines()]
    expected = steps_of(tiny_lm, do_sample=False)
    assert [step["token_id"] for step in steps] == [step.token_id for step in expected]
    assert [step["probability"] for step in steps] == [step.probability for step in expected]
    assert steps[-1]["finish_reason"] == expected[-1].finish_reason
    assert re.fullmatch(
        r"12 tokens in \d+\.\d\d s, \d+\.\d tokens/s, mean log-probability -\d+\.\d{3} nats, "
        r"finish reason length\n",
        errors,
    )
    assert told.isascii()


def test_plain_text_without_a_terminal(
    tiny_lm: LanguageModel, capsys: pytest.CaptureFixture[str]
) -> None:
    from decoding.console.colours import safe_text

    told, _ = run(capsys, "Hi", "--greedy", "--max-new-tokens", "12")
    shown = [safe_text(s.text) for s in steps_of(tiny_lm, do_sample=False) if not s.is_special]
    assert told == "".join(shown) + "\n"
    assert "\x1b" not in told


SETTINGS = [
    (["--temperature", "0.7"], {"do_sample": True, "temperature": 0.7}),
    (["--do-sample", "--top-k", "5"], {"do_sample": True, "top_k": 5}),
    (["--top-p", "0.5"], {"do_sample": True, "top_p": 0.5}),
    (["--min-p", "0.1"], {"do_sample": True, "min_p": 0.1}),
    (["--typical-p", "0.5"], {"do_sample": True, "typical_p": 0.5}),
    (["--greedy", "--repetition-penalty", "1.5"], {"do_sample": False, "repetition_penalty": 1.5}),
    (["--no-repeat-ngram-size", "2"], {"no_repeat_ngram_size": 2}),
    (["--greedy", "--cache", "none"], {"do_sample": False, "use_cache": False}),
    (["--greedy", "--cache", "static"], {"do_sample": False, "cache_implementation": "static"}),
]


@pytest.mark.parametrize(("options", "settings"), SETTINGS, ids=lambda x: "".join(map(str, x)))
def test_settings_are_those_of_decode(
    options: list[str],
    settings: dict[str, Any],
    tiny_lm: LanguageModel,
    capsys: pytest.CaptureFixture[str],
) -> None:
    told, _ = run(capsys, "Hi", "--json", "--max-new-tokens", "12", "--seed", "5", *options)
    steps = [json.loads(line) for line in told.splitlines()]
    expected = steps_of(tiny_lm, seed=5, **settings)
    assert [step["token_id"] for step in steps] == [step.token_id for step in expected]
    assert [s["kept_tokens"] for s in steps] == [s.kept_tokens for s in expected]
    assert [s["kv_cache"] is None for s in steps] == [s.kv_cache is None for s in expected]


def test_the_prompt_as_a_chat_or_as_it_is(
    tiny_lm: LanguageModel, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def prompt_of(*options: str) -> Any:
        file = tmp_path / "t.json"
        run(capsys, *options, "--max-new-tokens", "1", "--trace", str(file))
        return read_trace(file).prompt

    assert prompt_of("Hi") == CHAT
    assert prompt_of("Hi", "--raw") == "Hi"
    assert prompt_of("Hi", "--system", "Be kind") == [
        {"role": "system", "content": "Be kind"},
        *CHAT,
    ]
    assert prompt_of("Hi", "--answer-prefix", "It is") == [
        *CHAT,
        {"role": "assistant", "content": "It is"},
    ]
    assert read_trace(tmp_path / "t.json").chat_template_kwargs == {}
    prompt_of("Hi", "--chat-template-kwargs", '{"enable_thinking": false}')
    assert read_trace(tmp_path / "t.json").chat_template_kwargs == {"enable_thinking": False}
    assert prompt_of("generate", "memory") == [{"role": "user", "content": "memory"}]
    assert prompt_of("memory of a place") == [{"role": "user", "content": "memory of a place"}]
    file = tmp_path / "t.json"
    run(capsys, "--raw", "--max-new-tokens", "1", "--trace", str(file), "--", "-5 is")
    assert read_trace(file).prompt == "-5 is"


def test_stop_strings(tiny_lm: LanguageModel, capsys: pytest.CaptureFixture[str]) -> None:
    text = "".join(step.text for step in steps_of(tiny_lm, seed=1, do_sample=True))
    stop = next(c for c in text if c.isascii() and c.isprintable())
    options = ["--do-sample", "--seed", "1", "--stop", stop, "--stop", "zzzz"]
    told, errors = run(capsys, "Hi", *options, "--json")
    assert json.loads(told.splitlines()[-1])["finish_reason"] == "stop_string"
    assert errors.endswith("seed 1, finish reason stop_string\n")


def test_the_seed_is_told_where_there_is_a_draw(capsys: pytest.CaptureFixture[str]) -> None:
    first, errors = run(capsys, "Hi", "--do-sample", "--max-new-tokens", "9", "--json")
    seed = re.search(r"seed (\d+)", errors)
    assert seed is not None
    again, _ = run(
        capsys, "Hi", "--do-sample", "--max-new-tokens", "9", "--json", "--seed", seed[1]
    )
    ids = [[json.loads(line)["token_id"] for line in told.splitlines()] for told in (first, again)]
    assert ids[0] == ids[1]


def test_the_files(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    files = ["--trace", str(tmp_path / "t.json"), "--csv", str(tmp_path / "t.csv")]
    told, _ = run(capsys, "Hi", "--seed", "1", "--max-new-tokens", "5", "--json", *files)
    trace = read_trace(tmp_path / "t.json")
    ids = [json.loads(line)["token_id"] for line in told.splitlines()]
    assert [step.token_id for step in trace.branches[0].steps] == ids
    assert trace.seed == 1
    rows = list(csv.DictReader(io.StringIO((tmp_path / "t.csv").read_bytes().decode(), newline="")))
    assert [int(row["token_id"]) for row in rows] == ids
    assert sorted(os.listdir(tmp_path)) == ["t.csv", "t.json"]


def test_the_model_that_was_asked_for(
    model: list[tuple[Any, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    choice = ["--model", "some/model", "--device", "cpu", "--dtype", "bfloat16"]
    run(capsys, "Hi", "--max-new-tokens", "1", *choice, "--quantization", "8bit")
    options = {"device": "cpu", "dtype": "bfloat16", "quantization": "8bit"}
    assert model == [("some/model", options)]


class Pipe(io.StringIO):
    """Standard input that is no terminal."""

    def __init__(self, content: bytes) -> None:
        super().__init__()
        self.buffer = io.BytesIO(content)


@pytest.mark.parametrize("options", [["-"], []])
def test_standard_input(
    options: list[str],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "stdin", Pipe("大型\nHi\r\n".encode()))
    file = tmp_path / "t.json"
    run(capsys, *options, "--raw", "--max-new-tokens", "1", "--trace", str(file))
    assert read_trace(file).prompt == "大型\nHi"


@pytest.mark.parametrize(
    ("options", "content", "told"),
    [
        (["-"], b"\xff\xfe", "its byte 0 is not UTF-8"),
        (["-"], b"x" * 10_000_001, "more than 10,000,000 bytes"),
        (["", "--raw"], b"", "The prompt is empty"),
        ([], b"\n", "The prompt is empty"),
        (["Hi", "--top-p", "1.5"], b"", "top_p"),
        (["Hi", "--temperature", "0"], b"", "temperature"),
        (["Hi", "--max-new-tokens", "0"], b"", "max_new_tokens"),
        (["Hi", "--max-new-tokens", "100000"], b"", "do not fit the model's context"),
        (["a\udcffb"], b"", "half a character"),
        (["Hi", "--trace", "none/t.json"], b"", "no folder 'none' to write t.json in"),
        (["Hi", "--csv", "none/t.csv"], b"", "no folder 'none' to write t.csv in"),
        (["Hi", "--cache", "offloaded"], b"", "offloaded"),
    ],
)
def test_one_sentence_and_exit_1(
    options: list[str],
    content: bytes,
    told: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "stdin", Pipe(content))
    out, errors = run(capsys, *options, code=1)
    assert out == ""
    assert told in errors
    assert errors.count("\n") == 1


@pytest.mark.parametrize(
    "options",
    [
        ["Hi", "--temperature", "warm"],
        ["Hi", "--seed", "-1"],
        ["Hi", "--seed", "4294967296"],
        ["Hi", "--greedy", "--do-sample"],
        ["Hi", "--greedy", "--top-p", "0.5"],
        ["Hi", "--raw", "--system", "x"],
        ["Hi", "--raw", "--answer-prefix", "x"],
        ["Hi", "--raw", "--chat-template-kwargs", "{}"],
        ["Hi", "--chat-template-kwargs", "[1]"],
        ["Hi", "--chat-template-kwargs", "{no"],
        ["Hi", "--cache", "warm"],
        ["Hi", "there"],
        ["Hi", "--temp", "1"],
        ["--quantization", "3bit", "Hi"],
    ],
)
def test_wrong_options_exit_2(
    options: list[str], model: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(options)
    assert stopped.value.code == 2
    assert "usage:" in capsys.readouterr().err
    assert model == []


def test_an_interrupted_run_is_kept(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from decoding import DecodingSession

    whole: Callable[..., Any] = DecodingSession.run

    def interrupted(session: DecodingSession) -> Any:
        yield from whole(session, 3)
        raise KeyboardInterrupt

    monkeypatch.setattr(DecodingSession, "run", interrupted)
    file = tmp_path / "t.json"
    told, errors = run(capsys, "Hi", "--json", "--trace", str(file), code=130)
    assert told.count("\n") == 3
    assert errors.startswith("3 tokens in ")
    assert errors.endswith("interrupted\n")
    assert len(read_trace(file).branches[0].steps) == 3


def test_a_trace_that_cannot_be_written_after_all(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "t.json").mkdir()
    _, errors = run(
        capsys, "Hi", "--max-new-tokens", "1", "--trace", str(tmp_path / "t.json"), code=1
    )
    assert "'t.json' cannot be written" in errors
    assert os.listdir(tmp_path) == ["t.json"]


def terminal_output(command: list[str], **environment: str) -> tuple[str, int]:
    """What a program writes to a real terminal, and how it ended."""
    ours, its = pty.openpty()
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=its,
        stderr=subprocess.DEVNULL,
        cwd=ROOT,
        env={**os.environ, "TERM": "xterm-256color", **environment},
    ) as program:
        os.close(its)
        written = b""
        try:
            while part := os.read(ours, 65536):
                written += part
        except OSError:  # the other end is closed
            pass
        os.close(ours)
        return written.decode(), program.wait(120)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("environment", "code"),
    [
        ({}, "\x1b[1;4;38;5;"),
        ({"COLORTERM": "truecolor"}, "\x1b[1;4;38;2;"),
        ({"NO_COLOR": "1"}, ""),
    ],
)
def test_colours_on_a_terminal(folder: Path, environment: dict[str, str], code: str) -> None:
    options = ["Hi", "--model", str(folder), "--do-sample", "--temperature", "3", "--seed", "1"]
    written, status = terminal_output(
        [*RUN, *options, "--max-new-tokens", "40"], **{"COLORTERM": "", **environment}
    )
    assert status == 0
    assert (code in written) if code else ("\x1b" not in written)
    plain = re.sub(r"\x1b\[[\d;]*m", "", written)
    assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]", plain)


@pytest.mark.slow
def test_a_closed_pipe_is_no_traceback(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "t.json"
    command = [*RUN, "Hi", "--model", str(folder), "--max-new-tokens", "5000", "--json"]
    with subprocess.Popen(
        [*command, "--trace", str(file)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        text=True,
    ) as program:
        assert program.stdout is not None
        assert program.stderr is not None
        assert json.loads(program.stdout.readline())["index"] == 0
        program.stdout.close()
        assert program.stderr.read() == ""
        assert program.wait(120) == 141
    assert len(read_trace(file).branches[0].steps) >= 1


@pytest.fixture
def interruptible() -> Iterator[None]:
    """A program started now can be interrupted, also where this one runs in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.slow
def test_ctrl_c_ends_it_and_keeps_what_was_there(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "t.json"
    command = [*RUN, "Hi", "--model", str(folder), "--max-new-tokens", "50000", "--json"]
    with subprocess.Popen(
        [*command, "--trace", str(file)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        text=True,
    ) as program:
        assert program.stdout is not None
        program.stdout.readline()
        program.send_signal(signal.SIGINT)
        told, errors = program.communicate(timeout=120)
        assert program.returncode == 130
    assert "Traceback" not in errors
    assert errors.endswith("interrupted\n")
    steps = read_trace(file).branches[0].steps
    assert len(steps) >= 1 + told.count("\n")


@pytest.mark.slow
def test_an_unknown_model_is_one_sentence(tmp_path: Path) -> None:
    done = subprocess.run(
        [*RUN, "Hi", "--model", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr
