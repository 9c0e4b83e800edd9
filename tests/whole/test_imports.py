"""The plan of the house as code: which room may import from which."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "decoding"
FILES = sorted(path for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE)
# A room imports from the floors before its own, and from itself; rooms of one floor do not know
# each other. Lazy and type-only imports count like any others.
FLOORS = (
    ("records",),
    ("memory",),
    ("core",),
    ("models", "strategies", "session"),
    ("trust", "costs"),
    ("live",),
    ("page", "console"),
)
PAGE_FLOORS = (
    ("files",),
    ("texts", "incoming"),
    ("requests", "wire", "serving"),
    ("jobs",),
    ("visitors",),
    ("layout", "options"),
    ("app",),
)
TORCH = {"torch", "transformers", "accelerate", "bitsandbytes"}
NO_TORCH = ("records", "page", "live/worker.py", "live/stream.py")
GRADIO_IN = ("page/layout", "page/incoming/calls.py", "page/serving.py", "page/app.py")


def imported(path: Path) -> set[str]:
    """Every module that a file names in an import, wherever in the file."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            assert node.module, path
            names.add(node.module)
            if node.module == "decoding" or (ROOT / node.module.replace(".", "/")).is_dir():
                names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def may_import(floors: tuple[tuple[str, ...], ...], room: str) -> set[str]:
    allowed = {room}
    for floor in floors:
        if room in floor:
            return allowed
        allowed |= set(floor)
    raise AssertionError(f"{room} stands on no floor")


def rooms_in(names: set[str], prefix: str) -> set[str]:
    inside = (name[len(prefix) + 1 :] for name in names if name.startswith(f"{prefix}."))
    return {name.split(".")[0] for name in inside}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_run_downward(path: Path) -> None:
    names = imported(path)
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    assert "decoding" not in names, "a room imports from rooms, not from the whole"
    assert rooms_in(names, "decoding") <= may_import(FLOORS, parts[0])
    if parts[0] == "page" and parts[1] != "__init__":
        assert rooms_in(names, "decoding.page") <= may_import(PAGE_FLOORS, parts[1])


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_torch_and_gradio_stay_in_their_rooms(path: Path) -> None:
    room = path.relative_to(PACKAGE).as_posix()
    tops = {name.split(".")[0] for name in imported(path)}
    if room.startswith(NO_TORCH):
        assert not tops & TORCH
    if not room.startswith(GRADIO_IN):
        assert "gradio" not in tops
    assert "app" not in tops


def circles(arrows: dict[str, set[str]]) -> list[list[str]]:
    """The circles that a walk along the arrows meets."""
    found, done = [], set()

    def walk(name: str, above: tuple[str, ...]) -> None:
        if name in above:
            found.append([*above[above.index(name) :], name])
        elif name not in done:
            for following in sorted(arrows.get(name, ())):
                walk(following, (*above, name))
            done.add(name)

    for name in sorted(arrows):
        walk(name, ())
    return found


def test_no_file_imports_itself_by_a_detour() -> None:
    names = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts): path
        for path in [*FILES, PACKAGE / "step.py", PACKAGE / "errors.py"]
    }
    arrows = {name: imported(path) & names.keys() for name, path in names.items()}
    assert circles(arrows) == []
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}}) == [["a", "b", "c", "a"]]


def test_the_page_and_the_records_load_without_torch() -> None:
    code = (
        "import sys, importlib, pkgutil, decoding.page, decoding.records\n"
        "for package in (decoding.page, decoding.records):\n"
        "    for m in pkgutil.walk_packages(package.__path__, package.__name__ + '.'):\n"
        "        importlib.import_module(m.name)\n"
        "assert 'torch' not in sys.modules, 'torch is loaded'\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, timeout=120)


def test_every_public_name_loads() -> None:
    import decoding

    assert set(decoding._ROOM_OF) == set(decoding.__all__)
    assert all(getattr(decoding, name) is not None for name in decoding.__all__)
    assert set(decoding.__all__) <= set(dir(decoding))
    with pytest.raises(AttributeError, match="nonsense"):
        _ = decoding.nonsense


def test_the_package_alone_loads_no_torch() -> None:
    code = (
        "import sys, decoding, decoding.live.worker, decoding.step, decoding.errors\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, timeout=120)
