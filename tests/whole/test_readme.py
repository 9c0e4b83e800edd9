"""What the READMEs say can be run, found and trusted."""

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
from readmes import (
    EVERY,
    FRONT,
    ROOMS,
    ROOT,
    anchors,
    code_blocks,
    links,
    listed_files,
    own_files,
    room,
    section,
)
from served_page import serving

from decoding import LanguageModel

README = FRONT.read_text(encoding="utf-8")
FRONT_MATTER: dict[str, Any] = yaml.safe_load(README.split("---")[1])


def named(readme: Path) -> str:
    return readme.parent.relative_to(ROOT).as_posix()


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
    blocks = code_blocks(README, "")
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
    texts = [FRONT.read_text(), *(path.read_text() for path in ROOMS)]
    named = {option for text in texts for option in re.findall(r"`(--[a-z-]+)", text)}
    assert len(named) >= 20
    assert all(option in told for option in named)


def test_the_pages_options_are_those_of_its_table() -> None:
    told = subprocess.run(
        [sys.executable, "app.py", "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    ).stdout
    offered = set(re.findall(r"^  (?:-h, )?(--[a-z-]+)", told, re.MULTILINE))
    rows = re.findall(r"^\| (`--[^|]+) \|", section(room("page"), "Running the page"), re.MULTILINE)
    named = {option for row in rows for option in re.findall(r"--[a-z-]+", row)}
    assert named - {"--no-any-model", "--no-trust-proxy"} == offered - {"--help"}


def test_the_front_page_is_short() -> None:
    assert 120 <= len(README.splitlines()) <= 180


def test_every_room_has_a_readme_that_the_front_page_links_to() -> None:
    rooms = {path.parent for path in (ROOT / "decoding").glob("*/__init__.py")}
    assert rooms | {ROOT / "decoding"} <= {readme.parent for readme in ROOMS}
    table = section(README, "The rooms")
    assert all(f"({readme.relative_to(ROOT).as_posix()})" in table for readme in ROOMS)


@pytest.mark.parametrize("readme", ROOMS, ids=named)
def test_a_room_lists_its_files_and_no_other(readme: Path) -> None:
    listed = listed_files(readme)
    assert len(listed) == len(set(listed))
    assert set(listed) == own_files(readme)


@pytest.mark.parametrize("readme", ROOMS, ids=named)
def test_a_room_says_what_it_is_for_before_it_lists_its_files(readme: Path) -> None:
    first, _, rest = readme.read_text(encoding="utf-8").partition("\n\n")
    assert first.startswith("# ")
    assert re.match(r"[A-Z][^#]+\.\n\n## Files\n", rest)


@pytest.mark.parametrize("readme", EVERY, ids=named)
def test_every_link_leads_to_a_file_and_every_anchor_to_a_heading(readme: Path) -> None:
    for link in links(readme):
        name, _, anchor = link.partition("#")
        target = readme.parent / name if name else readme
        assert target.is_file(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("readme", EVERY, ids=named)
def test_every_program_that_a_command_or_a_sentence_names_is_there(readme: Path) -> None:
    text = readme.read_text(encoding="utf-8")
    for name in re.findall(r"`([\w/]+\.py)`", text):
        assert (readme.parent / name).is_file() or (ROOT / name).is_file(), name
    programs = re.findall(r"`python ([\w/]+\.py)", text)
    assert all((ROOT / program).is_file() for program in programs)
    if readme.parent.name == "benchmarks":
        assert len(programs) >= 12


def test_the_settings_table_is_that_of_the_page() -> None:
    from decoding.page.requests.settings import PAGE_SETTINGS

    table = section(room("core"), "Settings")
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \|", table, re.MULTILINE))
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

    (code,) = code_blocks(README, "python")
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
    (code,) = code_blocks(room("costs"), "python")
    exec(compile(code, "README.md", "exec"), {})
    plan, *steps = capsys.readouterr().out.splitlines()
    assert plan.split()[0] == str(4 * 8_192 * 46_080)
    assert 1 <= len(steps) <= 8
    assert all(float(step.split()[2]) < 1e-3 for step in steps)


@pytest.mark.default_model
@pytest.mark.parametrize("name", ["trust", "strategies"])
def test_the_lines_on_confidence(
    name: str,
    default_lm: LanguageModel,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import decoding

    monkeypatch.setattr(decoding, "load_model", lambda: default_lm)
    codes = code_blocks(room(name), "python")
    assert codes
    for code in codes:
        exec(compile(code, "README.md", "exec"), {})
        assert capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "least"), [(README, 5), (room("trust"), 10)], ids=["front page", "trust"]
)
def test_the_evaluations_figures_are_those_of_its_file(text: str, least: int) -> None:
    found = json.loads((ROOT / "assets" / "data" / "evaluation.json").read_text())
    told = " ".join(text.split())
    assert f"{found['right']} of {found['questions']} answers right" in told
    assert f"the {found['halves']['reported']['questions']} questions of the reported half" in told
    rows = dict(re.findall(r"^\| `(\w+)` \| (?:live|sampled) \| ([^|]+) \|", text, re.MULTILINE))
    expected = {
        one["name"]: f"{one['auroc']:.3f} ({one['low']:.3f} to {one['high']:.3f})"
        for one in found["signals"]
    }
    assert len(rows) >= least
    assert rows.items() <= expected.items()
    marks = next(one for one in found["marks"] if one["threshold"] == found["threshold"])
    percent = {
        name: f"{100 * marks[name]:.0f} %" for name in ("precision", "recall", "false_marks")
    }
    assert (
        f"Marks from a doubt of {found['threshold']:g} on: {marks['marked']} words marked, "
        f"{percent['precision']} of them wrong; {percent['recall']} of the wrong words are marked, "
        f"and {percent['false_marks']} of the right claims too"
    ) in told


@pytest.mark.default_model
def test_the_librarys_lines_on_sessions(
    default_lm: LanguageModel, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import decoding

    monkeypatch.setattr(decoding, "load_model", lambda: default_lm)
    (code,) = code_blocks(room("session"), "python")
    names: dict[str, Any] = {}
    exec(compile(code, "README.md", "exec"), names)
    session = names["session"]
    assert [branch.at for branch in session.tree.branches] == [0, 0]
    assert session.tree.branches[1].steps[0].token_id == names["second"].token_id
    assert session.tree.parting(0, 1) == 0
    assert str(session.tree.branches[1].restorations) in capsys.readouterr().out


@pytest.mark.filterwarnings("ignore::DeprecationWarning:gradio.queueing")
def test_the_lines_on_the_endpoint(
    tiny_lm: LanguageModel, capsys: pytest.CaptureFixture[str]
) -> None:
    (code,) = code_blocks(room("page"), "python")
    assert code.count("http://127.0.0.1:7860") == 1
    with serving(tiny_lm) as (_, address):
        code = code.replace("http://127.0.0.1:7860", address)
        exec(compile(code, "README.md", "exec"), {})
        probabilities = re.findall(r" ([01]\.\d\S*)$", capsys.readouterr().out, re.MULTILINE)
    assert 1 <= len(probabilities) <= 8
    assert all(0 < float(probability) <= 1 for probability in probabilities)


def test_every_line_of_python_is_run_by_a_test_of_its_own() -> None:
    with_code = {named(readme) for readme in EVERY if code_blocks(readme.read_text(), "python")}
    rooms = ("costs", "page", "records", "session", "strategies", "trust")
    assert with_code == {".", *(f"decoding/{name}" for name in rooms)}
