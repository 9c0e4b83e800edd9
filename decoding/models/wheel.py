"""A wheel from the user's package index, fetched by the user's pip; it opens no wheel."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from decoding.models.progress import Progress
from decoding.records.errors import DownloadError

SECONDS_BETWEEN_LOOKS = 0.2


def download_wheel(requirement: str, size: int, folder: Path, progress: Progress) -> Path:
    """The wheel of one pinned requirement, without its dependencies, in `folder`.

    pip does it, in a process of its own, because it is what knows the user's mirrors,
    certificates and proxies.

    Raises:
        DownloadError: no pip, no network, no such wheel on the index.
    """
    if find_spec("pip") is None:
        raise DownloadError(
            f"Fetching {requirement} needs pip, and {sys.executable} has none: run "
            "`python -m ensurepip` and start again."
        )
    wheels, log = folder / "wheels", folder / "pip.log"
    with log.open("wb") as output:
        pip = subprocess.Popen(
            pip_command(requirement, wheels),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=_environment(folder),
        )
        try:
            status = _watch(pip, size, folder, progress)
        finally:
            if pip.poll() is None:
                pip.kill()
                pip.wait()
    found = sorted(wheels.glob("*.whl"))
    if status != 0 or not found:
        raise DownloadError(_why(requirement, log.read_text("utf-8", errors="replace")))
    return found[0]


def pip_command(requirement: str, wheels: Path) -> list[str]:
    """The command line; nothing is installed, and no code of the package runs."""
    options = ["--no-deps", "--only-binary=:all:", "--no-cache-dir", "--progress-bar", "off"]
    quiet = ["--disable-pip-version-check", "--no-input"]
    pip = [sys.executable, "-m", "pip", "download"]
    return [*pip, *options, *quiet, "--dest", str(wheels), requirement]


def _environment(folder: Path) -> dict[str, str]:
    # pip writes what it downloads below its temporary folder first: ours, so that the
    # growing file can be watched and no interrupted download is left anywhere else.
    temporary = dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(folder))
    return {**os.environ, **temporary, "PIP_REQUIRE_VIRTUALENV": "0"}


def _watch(pip: subprocess.Popen[bytes], size: int, folder: Path, progress: Progress) -> int:
    while True:
        progress("download", min(_largest_wheel(folder), size), size)
        try:
            return pip.wait(SECONDS_BETWEEN_LOOKS)
        except subprocess.TimeoutExpired:
            continue


def _largest_wheel(folder: Path) -> int:
    sizes = [0]
    for directory, _, names in os.walk(folder):
        for name in names:
            if name.endswith(".whl"):
                try:
                    sizes.append((Path(directory) / name).stat().st_size)
                except FileNotFoundError:  # pip has just moved it
                    continue
    return max(sizes)


def _why(requirement: str, log: str) -> str:
    if "No space left on device" in log:
        return f"The disk is full: make room, then start again to fetch {requirement}."
    errors = [line.removeprefix("ERROR: ") for line in log.splitlines() if "ERROR: " in line]
    reason = errors[-1].strip()[:300] if errors else "pip gave no reason"
    if "Retrying (" in log:  # pip itself then says that there is no such package
        reason = "it cannot be reached"
    return (
        f"{requirement} could not be fetched from the package index ({reason}): check the "
        "network and pip's settings (`python -m pip config list`), then start again."
    )
