"""The plan of `assets/` as code: which folder may import from which; and the scripts' own tests."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from run_records import make_step
from traces import made_trace

from decoding.page.wire.frames import message, page_frame
from decoding.page.wire.job_log import JobLog
from decoding.page.wire.run_log import RunLog

ROOT = Path(__file__).parents[2]
ASSETS = ROOT / "assets"
SCRIPTS = {
    path.relative_to(ASSETS).as_posix(): path.read_text() for path in sorted(ASSETS.rglob("*.js"))
}
# A folder imports from the floors before its own, and from itself; those of one floor do not know
# each other.
FLOORS = (
    {"base"},
    {"run"},
    {"text"},
    {"jobs"},
    {"step", "charts", "wheel", "model", "score", "keep"},
    {"page.js", "controls.js"},
    {"offline.js"},
)
ENTRIES = ("page.js", "controls.js", "offline.js")
MOST_LINES, MOST_FILES = 350, 16

IMPORT = re.compile(r'^import (?:\{([^}]*)\} from )?"([^"]+)";$', re.MULTILINE)
EXPORT = re.compile(r"^export (?:async function|function|const|let|class) (\w+)", re.MULTILINE)


def resolved(by: str, address: str) -> str:
    assert address.startswith("."), f"{by}: {address}"
    return (ASSETS / by).parent.joinpath(address).resolve().relative_to(ASSETS).as_posix()


def imports(name: str) -> dict[str, set[str]]:
    """The names that a script imports, by the scripts they are of."""
    found = IMPORT.findall(SCRIPTS[name])
    assert len(found) == len(re.findall(r"^import\b", SCRIPTS[name], re.MULTILINE)), name
    return {
        resolved(name, address): {part.split(" as ")[0].strip() for part in names.split(",")}
        for names, address in found
    }


def may_import(folder: str) -> set[str]:
    allowed = {folder}
    for floor in FLOORS:
        if folder in floor:
            return allowed
        allowed |= floor
    raise AssertionError(f"{folder} stands on no floor")


@pytest.mark.parametrize("name", SCRIPTS)
def test_imports_run_downward(name: str) -> None:
    folders = {other.split("/")[0] for other in imports(name)}
    assert folders <= may_import(name.split("/")[0])


def walk(name: str, above: tuple[str, ...], done: set[str]) -> None:
    assert name not in above, " -> ".join([*above, name])
    if name not in done:
        for other in imports(name):
            walk(other, (*above, name), done)
        done.add(name)


def test_every_script_is_reached_from_an_entry_and_none_in_a_circle() -> None:
    done: set[str] = set()
    for entry in ENTRIES:
        walk(entry, (), done)
    assert done == SCRIPTS.keys()


def test_what_is_imported_is_there_and_what_is_exported_is_imported() -> None:
    exported = {(name, export) for name in SCRIPTS for export in EXPORT.findall(SCRIPTS[name])}
    imported = {
        (other, part)
        for name in SCRIPTS
        for other, parts in imports(name).items()
        for part in parts
        if part
    }
    assert imported == exported


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_is_no_longer_than_it_should_be(name: str) -> None:
    assert SCRIPTS[name].count("\n") <= MOST_LINES
    assert len(list((ASSETS / name).parent.glob("*.js"))) <= MOST_FILES


def typed(name: str) -> set[str]:
    """The properties that the scripts' type of this name has."""
    (told,) = re.findall(
        rf"@typedef \{{Object\}} {name} .*?(?=@typedef|\*/)", SCRIPTS["run/frame.js"], re.DOTALL
    )
    return set(re.findall(r"@property \{(?:[^{}]|\n)*\} \[?(\w+)", told))


def test_the_frames_types_are_those_that_the_server_sends() -> None:
    trace = made_trace()
    # One with everything that a step may have.
    trace.branches[0].steps[0] = make_step(index=0, phase="score", is_forced=True)
    run = json.loads(RunLog.from_trace(trace).frame_from(0, 0))
    page = json.loads(page_frame("ready", message=message("x"), model=trace.model, switch=True))
    job = json.loads(JobLog("roofline", {}).next_frame())
    assert typed("Step") == run["steps"][0].keys()
    assert typed("Head") == run["head"].keys()
    assert typed("Frame") == run.keys() | page.keys()
    assert typed("JobFrame") == job.keys()


def node_for_modules() -> str | None:
    """The node on PATH, where it reads a file with imports as a module by itself."""
    node = shutil.which("node")
    if node is None:
        return None
    version = subprocess.check_output([node, "--version"], text=True, timeout=60)
    return node if tuple(map(int, version.strip("v\n").split(".")[:2])) >= (20, 19) else None


def test_the_scripts_own_tests() -> None:
    node = node_for_modules()
    if node is None:
        pytest.skip("no node 20.19 or later on PATH: the page needs none, only these tests do")
    files = sorted((ROOT / "tests" / "scripts").glob("*.test.mjs"))
    assert files
    done = subprocess.run(
        [node, "--test", *map(str, files)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "fail 0" in done.stdout
