"""Where a model that somebody names lies; it opens no file."""

from __future__ import annotations

from pathlib import Path

from decoding.records.errors import ModelLoadError


def local_path(name_or_path: str | Path) -> Path | None:
    """The folder or `.gguf` file of this machine that a name means; `None` for a Hub id.

    Raises:
        ModelLoadError: an empty name, or a path where nothing usable lies.
    """
    name = str(name_or_path)
    if name.lower().endswith(".gguf"):
        return Path(name_or_path).expanduser()
    if not name.strip():
        raise ModelLoadError("The model's name is empty: give a Hub id (owner/name) or a path.")
    try:
        path = Path(name_or_path).expanduser()
        is_folder, is_file = path.is_dir(), path.is_file()
    except (OSError, RuntimeError, ValueError) as error:  # too long; no such user; a null byte
        raise ModelLoadError(f"{name[:80]!r} is no path and no Hub id ({error}).") from error
    if is_folder:
        return path
    if is_file:
        raise ModelLoadError(
            f"{name} is a file, and no .gguf: give a folder or a .gguf file."
        ).worded("model_other_file", name=name)
    if isinstance(name_or_path, Path) or name.startswith((".", "/", "~")) or "\\" in name:
        raise ModelLoadError(f"There is no folder {name}: check the path.").worded(
            "model_no_folder", name=name
        )
    return None
