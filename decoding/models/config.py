"""A model's config, read before anything else of it is fetched; it makes no model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import CONFIG_MAPPING, PreTrainedConfig

from decoding.memory.parts import check_parts
from decoding.models.checkpoint import brief, check_config, check_gguf, read_json, without_config
from decoding.models.default_model import DEFAULT_MODEL_NAME
from decoding.models.hub import hub_config
from decoding.models.source import local_path
from decoding.records.errors import ModelLoadError

DEFAULT_CONFIG = Path(__file__).with_name("default_config.json")


def read_config(name_or_path: str | Path | None, name: str | None = None) -> PreTrainedConfig:
    """The config of a model: a Hub id, a folder, a `.gguf` file, or the default model.

    Of the Hub only config.json is fetched, of a GGUF file only the header is read; the default
    model's config comes with this program.

    Args:
        name_or_path: what to read.
        name: for people; a folder in the Hub's cache is named after a commit.

    Raises:
        ModelLoadError: as `load_model`, or the config is broken.
    """
    if name_or_path is None:
        return _from_file(DEFAULT_CONFIG, DEFAULT_MODEL_NAME)
    path = local_path(name_or_path)
    if path is None:
        return _from_file(hub_config(str(name_or_path)), str(name_or_path))
    name = name or path.resolve().name
    if path.suffix.lower() == ".gguf":
        return _from_gguf(path)
    names = {file.name for file in path.iterdir()}
    if "config.json" not in names:
        raise ModelLoadError(without_config(names, name))
    return _from_file(path / "config.json", name)


def _from_file(file: Path, name: str) -> PreTrainedConfig:
    check_config(read_json(file, name), name)
    return _made(_content(file, name), name)


def _from_gguf(file: Path) -> PreTrainedConfig:
    check_gguf(file)
    content = _content(file.parent, file.name, gguf_file=file.name)
    check_config(content, file.name)
    return _made(content, file.name)


def _content(path: Path, name: str, **gguf: str) -> dict[str, Any]:
    """As transformers reads it, which has a way of its own to write infinity."""
    try:
        content, _ = PreTrainedConfig.get_config_dict(path, local_files_only=True, **gguf)
    except Exception as error:  # whatever a broken file makes the reader stumble over
        raise _broken(name, error) from error
    return dict(content)


def _made(content: dict[str, Any], name: str) -> PreTrainedConfig:
    check_parts(content, name)
    try:
        config: PreTrainedConfig = CONFIG_MAPPING[content["model_type"]].from_dict(content)
    except Exception as error:  # each family checks its own config in its own words
        raise _broken(name, error) from error
    config.name_or_path = name
    return config


def _broken(name: str, error: Exception) -> ModelLoadError:
    return ModelLoadError(
        f"The config of {name} is broken or cannot be used ({brief(error)}); fetch it again or "
        "choose another model."
    )
