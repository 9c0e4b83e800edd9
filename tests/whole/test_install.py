"""What `pip install .` puts into an environment, used from a folder that is not the clone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from email.parser import BytesParser
from pathlib import Path
from typing import Any

import httpx
import pytest
from packaging.requirements import Requirement
from served_page import free_port, until
from tiny import byte_tokenizer, tiny_model

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LEFT_OUT = {"__pycache__", ".pyi"}  # what Python and Gradio write beside the files


def pip(*arguments: object) -> None:
    command = [sys.executable, "-m", "pip", *map(str, arguments), "--no-deps", "--no-index"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    pip("wheel", ROOT, "--no-build-isolation", "--wheel-dir", folder)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def elsewhere(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the installed package in `site`, and a tiny model."""
    folder = tmp_path_factory.mktemp("elsewhere")
    pip("install", wheel, "--target", folder / "site")
    tiny_model("llama").save_pretrained(folder / "model")
    byte_tokenizer().save_pretrained(folder / "model")
    return folder


def environment(folder: Path) -> dict[str, str]:
    """This one, with the installed package before all others."""
    return {**os.environ, "PYTHONPATH": str(folder / "site"), "HF_HUB_OFFLINE": "1"}


def output(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def files_of(folder: Path) -> set[str]:
    return {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and LEFT_OUT.isdisjoint((*path.parts, path.suffix))
    }


def test_the_wheel_holds_the_package_with_all_its_files_and_nothing_else(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    expected = {f"decoding/{name}" for name in files_of(ROOT / "decoding")}
    expected |= {f"decoding/page/assets/{name}" for name in files_of(ROOT / "assets")}
    assert {name for name in names if ".dist-info/" not in name} == expected
    assert {"decoding/py.typed", "decoding/models/catalogue.json"} <= names


def test_its_requirements_are_those_of_the_clone(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
    told = BytesParser().parsebytes(archive.read(name))
    text = (ROOT / "requirements.txt").read_text()
    lines = (line.split("#")[0].strip() for line in text.splitlines())
    wanted = {Requirement(line) for line in lines if line}
    assert {Requirement(line) for line in told.get_all("Requires-Dist", ())} == wanted
    assert len(wanted) >= 10
    assert (told["Name"], told["Version"]) == ("decoding-live", PROJECT["version"])
    assert told["Requires-Python"] == PROJECT["requires-python"]


def test_the_library_and_its_command_work(elsewhere: Path) -> None:
    code = (
        "import decoding\n"
        "lm = decoding.load_model('model')\n"
        "steps = list(decoding.decode(lm, 'abc', max_new_tokens=3, do_sample=False))\n"
        "print(decoding.__file__, len(steps))"
    )
    place = elsewhere / "site" / "decoding" / "__init__.py"
    assert output(elsewhere, "-c", code).split() == [str(place), "3"]
    assert "generate" in output(elsewhere, "-m", "decoding", "--help")
    memory = json.loads(output(elsewhere, "-m", "decoding", "memory", "--json"))
    assert memory["name"] == "SmolLM2-135M-Instruct", "its config comes with the package"


@pytest.fixture(scope="module")
def address(elsewhere: Path) -> Iterator[str]:
    """Of the page that `decoding-live` serves on the tiny model."""
    port = free_port()
    command = elsewhere / "site" / "bin" / "decoding-live"
    log = elsewhere / "log.txt"
    with log.open("w") as opened:
        served = subprocess.Popen(
            [command, "--model", "model", "--port", str(port)],
            cwd=elsewhere,
            env=environment(elsewhere),
            stdout=opened,
            stderr=subprocess.STDOUT,
        )

    def is_served() -> bool:
        assert served.poll() is None, log.read_text()
        return "Decoding Live: " in log.read_text()

    try:
        until(is_served, seconds=240)
        yield f"http://127.0.0.1:{port}/"
    finally:
        served.terminate()
        served.wait(60)


def test_the_page_is_served_with_its_files(address: str) -> None:
    def got(name: str) -> Any:
        return httpx.get(f"{address}{name}", timeout=60).raise_for_status()

    assert got("health").json() == {"status": "ok"}
    page = got("").text
    assert "live/page.js" in page
    assert got("live/page.js").text == (ROOT / "assets" / "page.js").read_text()
    assert "Plotly" in got("live/plotly.min.js").text[:500]
