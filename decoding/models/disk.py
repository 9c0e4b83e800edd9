"""How much room is on the disk; it knows files, not models."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

from decoding.records.errors import ModelLoadError

# For whatever else writes meanwhile: a full disk stops more than this program.
MARGIN_BYTES = 2 * 10**9


def check_disk(name: str, needed_bytes: int, folder: Path) -> None:
    """Raises `ModelLoadError` when what is still to be fetched does not fit onto the disk."""
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if needed_bytes + MARGIN_BYTES > free:
        raise ModelLoadError(
            f"{name} does not fit onto the disk: {in_words(needed_bytes)} are to be fetched into "
            f"{folder}, {in_words(MARGIN_BYTES)} are to stay free, and {in_words(free)} are "
            "free; make room, or set HF_HOME to a folder on another disk."
        )


def is_disk_full(error: BaseException) -> bool:
    """Whether an error says so; some libraries report the operating system's as text."""
    full = {errno.ENOSPC, errno.EDQUOT}
    return getattr(error, "errno", None) in full or "No space left on device" in str(error)


def in_words(count: int) -> str:
    """Bytes as people read them: "538 MB", "4.93 GB"."""
    if count >= 10**9:
        return f"{count / 10**9:.3g} GB" if count < 10**12 else f"{count / 10**12:,.3g} TB"
    return f"{count / 10**6:.0f} MB"
