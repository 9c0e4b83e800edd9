"""What the README says can be run, found and trusted."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import gradio
import pytest
import yaml

from decoding import LanguageModel

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
FRONT_MATTER: dict[str, Any] = yaml.safe_load(README.split("---")[1])


def code_blocks(language: str, section: str = README) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", section, re.DOTALL)


def section(title: str) -> str:
    return re.split(r"\n## ", README.split(f"\n## {title}\n")[1])[0]


def test_the_spaces_gradio_is_the_one_that_is_installed() -> None:
    assert FRONT_MATTER["sdk_version"] == gradio.__version__
    assert f"gradio=={gradio.__version__}" in (ROOT / "requirements.txt").read_text()


def test_the_front_matter() -> None:
    assert FRONT_MATTER["sdk"] == "gradio"
    assert FRONT_MATTER["python_version"] == "3.12"
    assert (ROOT / FRONT_MATTER["app_file"]).is_file()
    assert FRONT_MATTER["license"] == "apache-2.0"
    assert "Apache License" in (ROOT / "LICENSE").read_text()


def test_the_two_commands_stand_there_just_so() -> None:
    blocks = code_blocks("")
    assert "python -m pip install -r requirements.txt && python app.py\n" in blocks
    tested = "python -m pip install -r tests/requirements.txt && python -m pytest\n"
    assert tested in blocks
    assert tested in (ROOT / ".ci" / "run").read_text()


def test_the_options_named_exist() -> None:
    told = "".join(
        subprocess.run(
            [sys.executable, *program, "--help"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        ).stdout
        for program in (
            ["app.py"],
            ["-m", "decoding", "memory"],
            ["-m", "decoding", "generate"],
            ["-m", "decoding", "score"],
            ["-m", "decoding", "evaluate"],
        )
    )
    named = set(re.findall(r"`(--[a-z-]+)", README)) - {"--help"}
    assert len(named) >= 8
    assert all(option in told for option in named)


def file_map() -> dict[str, str]:
    block = README.split("<!-- file map -->")[1].split("<!-- end of file map -->")[0]
    lines = [line for line in block.splitlines() if line and not line.startswith("```")]
    return dict(re.split(r"\s{2,}", line, maxsplit=1) for line in lines)


def test_the_file_map_names_every_file_and_no_other() -> None:
    named = file_map()
    assert all((ROOT / path).exists() for path in named), "a file is named that is not there"
    assert all(named.values())
    kept = ("*.py", "*.js", "*.css", "*.json", "*.png")
    files = {
        path.relative_to(ROOT).as_posix()
        for folder in ("decoding", "assets")
        for pattern in kept
        for path in (ROOT / folder).rglob(pattern)
        if path.name != "__init__.py"
    }
    assert {path for path in named if path.startswith(("decoding/", "assets/"))} == files


def test_the_settings_table_is_that_of_the_page() -> None:
    from decoding.page.requests.settings import PAGE_SETTINGS

    section = README.split("## Settings")[1].split("## Cache kinds")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \|", section, re.MULTILINE))
    assert set(rows) == {setting.name for setting in PAGE_SETTINGS}
    for setting in PAGE_SETTINGS:
        if setting.kind in ("whole", "number", "seed"):
            assert rows[setting.name] == f"{setting.low:g} to {setting.high:g}".replace(
                "4.29497e+09", "4294967295"
            )
        if setting.kind == "choice":
            assert rows[setting.name] == ", ".join(setting.choices)


@pytest.mark.default_model
def test_the_librarys_ten_lines(
    default_lm: LanguageModel, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import decoding

    code = code_blocks("python", section("The library"))[0]
    assert len(code.splitlines()) <= 10
    monkeypatch.setattr(decoding, "load_model", lambda: default_lm)
    exec(compile(code, "README.md", "exec"), {})
    assert "MB cached" in capsys.readouterr().out


@pytest.mark.default_model
def test_the_librarys_lines_on_memory(
    default_lm: LanguageModel, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import decoding

    monkeypatch.setattr(decoding, "load_model", lambda: default_lm)
    code = code_blocks("python", section("The library"))[1]
    exec(compile(code, "README.md", "exec"), {})
    plan, *steps = capsys.readouterr().out.splitlines()
    assert plan.split()[0] == str(4 * 8_192 * 46_080)
    assert 1 <= len(steps) <= 8
    assert all(float(step.split()[2]) < 1e-3 for step in steps)


@pytest.mark.default_model
@pytest.mark.parametrize("title", ["Is it lying?", "Score a text"])
def test_the_lines_on_confidence(
    title: str,
    default_lm: LanguageModel,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import decoding

    monkeypatch.setattr(decoding, "load_model", lambda: default_lm)
    codes = code_blocks("python", section(title))
    assert codes
    for code in codes:
        exec(compile(code, "README.md", "exec"), {})
        assert capsys.readouterr().out


def test_the_evaluations_figures_are_those_of_its_file() -> None:
    found = json.loads((ROOT / "assets" / "data" / "evaluation.json").read_text())
    told = section("Is it lying?")
    assert f"{found['right']} of {found['questions']} answers right" in told
    rows = dict(re.findall(r"^\| `(\w+)` \| (?:live|sampled) \| ([\d.]+) ", told, re.MULTILINE))
    expected = {one["name"]: f"{one['auroc']:.3f}" for one in found["signals"]}
    assert len(rows) >= 10
    assert rows.items() <= expected.items()
    assert f"Marks from a doubt of {found['threshold']:g} on" in told


@pytest.mark.default_model
def test_the_librarys_lines_on_sessions(
    default_lm: LanguageModel, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import decoding

    monkeypatch.setattr(decoding, "load_model", lambda: default_lm)
    code = next(block for block in code_blocks("python") if "DecodingSession" in block)
    names: dict[str, Any] = {}
    exec(compile(code, "README.md", "exec"), names)
    session = names["session"]
    assert [branch.at for branch in session.tree.branches] == [0, 0]
    assert session.tree.branches[1].steps[0].token_id == names["second"].token_id
    assert session.tree.parting(0, 1) == 0
    assert str(session.tree.branches[1].restorations) in capsys.readouterr().out
