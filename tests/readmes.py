"""The READMEs as tests read them: their sections, blocks of code, files and links."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
FRONT = ROOT / "README.md"
# Those that list the files of their folder.
ROOMS = [
    *sorted((ROOT / "decoding").rglob("README.md")),
    ROOT / "assets" / "README.md",
    ROOT / "tests" / "benchmarks" / "README.md",
]
EVERY = sorted({FRONT, *ROOMS, *(ROOT / "tests").rglob("README.md")})
LISTED = (".py", ".js", ".css", ".json", ".txt", ".png")

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def room(name: str) -> str:
    """The README of a room of the package."""
    return (ROOT / "decoding" / name / "README.md").read_text(encoding="utf-8")


def section(text: str, title: str) -> str:
    """What stands below a heading, up to the next one of its kind."""
    return re.split(r"\n## ", text.split(f"\n## {title}\n")[1])[0]


def code_blocks(text: str, language: str) -> list[str]:
    return [code for named, code in _BLOCK.findall(text) if named == language]


def listed_files(readme: Path) -> list[str]:
    """The files that a README names in the table under its heading "Files"."""
    table = section(readme.read_text(encoding="utf-8"), "Files")
    return re.findall(r"^\| `([^`]+)` \| [^|]{3,} \|$", table, re.MULTILINE)


def own_files(readme: Path) -> set[str]:
    """The files below a README's folder, without those that another one below it lists."""
    inner = [other.parent for other in ROOMS if readme.parent in other.parent.parents]
    return {
        path.relative_to(readme.parent).as_posix()
        for path in readme.parent.rglob("*")
        if path.suffix in LISTED and path.name != "__init__.py"
        if not any(folder in path.parents for folder in inner)
    }


def links(readme: Path) -> list[str]:
    """Where its links and pictures lead that stay in the repository."""
    prose = _BLOCK.sub("", readme.read_text(encoding="utf-8"))
    return re.findall(r"\]\((?!https?:)([^)\s]+)\)", prose)


def anchors(readme: Path) -> set[str]:
    """The names by which its headings are linked to, as GitHub makes them."""
    prose = _BLOCK.sub("", readme.read_text(encoding="utf-8"))
    headings = re.findall(r"^#+ (.+)$", prose, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in headings}
