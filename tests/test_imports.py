"""One direction of imports: records know nobody, the engine knows no page, views no torch."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = sorted((ROOT / "decoding").rglob("*.py"))
HEAVY = {"torch", "transformers", "accelerate", "bitsandbytes"}
SHOWN = {"gradio", "plotly", "app"}


def imported(path: Path) -> set[str]:
    """Every module a file imports, type-checking ones aside."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = []
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module or ""}
    return names


def tops(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imported(path)}


@pytest.mark.parametrize("path", ROOMS, ids=lambda p: str(p.relative_to(ROOT)))
def test_the_arrows(path: Path) -> None:
    room = path.relative_to(ROOT / "decoding").with_suffix("").as_posix()
    if room in ("step", "errors"):
        assert not tops(path) & (HEAVY | SHOWN | {"decoding"})
    elif room.startswith("views/"):
        assert not tops(path) & (HEAVY | {"app"})
    else:
        assert not tops(path) & SHOWN
        assert not any(n.startswith("decoding.views") for n in imported(path))
    if room in ("worker", "facts", "run", "tree", "trace"):
        assert not tops(path) & HEAVY


def test_views_load_without_torch() -> None:
    code = (
        "import sys, importlib, pkgutil, decoding.views\n"
        "for m in pkgutil.iter_modules(decoding.views.__path__):\n"
        "    importlib.import_module('decoding.views.' + m.name)\n"
        "assert 'torch' not in sys.modules, 'a view loads torch'\n"
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
    code = "import sys, decoding, decoding.worker, decoding.step; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, timeout=120)
