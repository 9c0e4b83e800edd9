"""axe-core, the checker of accessibility: one pinned file of the npm registry, fetched once."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import Any

PACKAGE = "axe-core@4.14.1"
SHA512 = "FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ=="
SCRIPT = "package/axe.min.js"


class NotFetchedError(Exception):
    """Why there is no axe-core here."""


def axe_script() -> str:
    """The checker's source, for `page.evaluate`.

    Raises:
        NotFetchedError: it is not in the user's cache and cannot be fetched.
    """
    packed = _cache() / f"{PACKAGE}.tgz"
    if not packed.exists():
        _fetch(packed)
    if _digest(packed) != SHA512:
        packed.unlink()
        raise NotFetchedError(f"{PACKAGE} in the cache is not what it should be; it is removed")
    with tarfile.open(packed) as archive:
        source = archive.extractfile(SCRIPT)
        assert source is not None
        return source.read().decode()


def _cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "decoding-live-tests"


def _digest(packed: Path) -> str:
    return base64.b64encode(hashlib.sha512(packed.read_bytes()).digest()).decode()


def _fetch(packed: Path) -> None:
    """Has npm fetch the package from the registry that the user has set, and checks its hash."""
    npm = shutil.which("npm")
    if npm is None:
        raise NotFetchedError("no npm on PATH to fetch axe-core with")
    packed.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=packed.parent) as folder:
        command = [npm, "pack", PACKAGE, "--ignore-scripts", "--pack-destination", folder]
        try:
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
        except subprocess.TimeoutExpired as error:
            raise NotFetchedError(f"npm was too slow to fetch {PACKAGE}") from error
        found = list(Path(folder).glob("*.tgz"))
        if done.returncode != 0 or len(found) != 1:
            raise NotFetchedError(f"npm could not fetch {PACKAGE}: {done.stderr.strip()[-300:]}")
        if _digest(found[0]) != SHA512:
            raise NotFetchedError(f"the registry's {PACKAGE} is not the one that is pinned")
        found[0].replace(packed)


def violations(page: Any, *rules: str, within: Any = "body") -> list[str]:
    """What axe finds wrong within an element, a line each: the rule, the element, why.

    Args:
        page: one on which the checker's source was evaluated.
        rules: only these, where any are named.
        within: the element's selector or handle.
    """
    only = {"runOnly": {"type": "rule", "values": list(rules)}} if rules else {}
    found = page.evaluate(
        "([within, options]) => axe.run(within, options)",
        [within, {"resultTypes": ["violations"], **only}],
    )
    return [
        f"{one['id']}: {node['html'][:160]} ({node['failureSummary'].splitlines()[1].strip()})"
        for one in found["violations"]
        for node in one["nodes"]
    ]
