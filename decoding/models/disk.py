"""How much room is on the disk; it knows files, not models."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

from decoding.records.errors import ModelLoadError
from decoding.records.units import bytes_in_words

# For whatever else writes meanwhile: a full disk stops more than this program.
MARGIN_BYTES = 2 * 10**9


def check_disk(name: str, needed_bytes: int, folder: Path) -> None:
    """Raises `ModelLoadError` when what is still to be fetched does not fit onto the disk."""
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if needed_bytes + MARGIN_BYTES > free:
        needed, margin, there = map(bytes_in_words, (needed_bytes, MARGIN_BYTES, free))
        raise ModelLoadError(
            f"{name} does not fit onto the disk: {needed} are to be fetched into {folder}, "
            f"{margin} are to stay free, and {there} are free; make room, or set HF_HOME to a "
            "folder on another disk."
        )


def is_disk_full(error: BaseException) -> bool:
    """Whether an error says so; some libraries report the operating system's as text."""
    full = {errno.ENOSPC, errno.EDQUOT}
    return getattr(error, "errno", None) in full or "No space left on device" in str(error)
