"""A model's name means a folder or file of this machine, or a Hub id."""

from __future__ import annotations

from pathlib import Path

import pytest

from decoding import ModelLoadError
from decoding.models.source import local_path


def test_folders_files_and_hub_ids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "model").mkdir()
    assert local_path(tmp_path / "model") == tmp_path / "model"
    assert local_path("~/model") == tmp_path / "model"
    assert local_path("~/weights.GGUF") == tmp_path / "weights.GGUF"
    assert local_path("owner/name") is None
    monkeypatch.chdir(tmp_path)
    assert local_path("model") == Path("model")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "is empty"),
        (" \n", "is empty"),
        ("a" * 5000, "is no path and no Hub id"),
        ("~nobody-of-this-name/model", "is no path and no Hub id"),
        ("./nowhere", "There is no folder"),
        ("C:\\models\\nowhere", "There is no folder"),
        (Path("nowhere"), "There is no folder"),
        (__file__, "is a file, and no .gguf"),
    ],
)
def test_names_that_mean_nothing(name: str | Path, message: str) -> None:
    with pytest.raises(ModelLoadError, match=message):
        local_path(name)
