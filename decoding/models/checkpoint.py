"""What a model folder holds, looked at before any weight is read; it loads nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

import transformers
from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from decoding.records.errors import ModelLoadError

WEIGHTS = "model.safetensors"
WEIGHTS_INDEX = "model.safetensors.index.json"
WEIGHT_SHARD = re.compile(r"model-\d+-of-\d+\.safetensors")
PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".h5", ".msgpack")
TOKENIZER_FILE = re.compile(
    r"tokenizer\.(?!config).*|vocab\..*|.*\.model|.*\.tiktoken|tekken\.json|merges\.txt"
)


def check_folder(folder: Path, name: str) -> None:
    """Raises `ModelLoadError` when a folder holds no causal language model we can load."""
    names = {file.name for file in folder.iterdir()}
    check_files(names, name)
    check_config(read_json(folder / "config.json", name), name)
    if WEIGHTS not in names:
        check_shards(folder, names, name)


def check_files(names: Collection[str], name: str) -> None:
    """Raises `ModelLoadError` when the files by these names cannot make a model."""
    if "config.json" not in names:
        raise ModelLoadError(without_config(names, name))
    if WEIGHTS not in names and WEIGHTS_INDEX not in names:
        if any(file.endswith(PICKLED) for file in names):
            raise ModelLoadError(
                f"{name} has no safetensors weights, only pickled ones, which can run code "
                "when they are opened; choose a model or a converted copy with "
                "model.safetensors."
            ).worded("model_pickled", name=name)
        raise ModelLoadError(f"{name} has no weights: model.safetensors is missing from it.")
    if not any(TOKENIZER_FILE.fullmatch(file) for file in names):
        raise ModelLoadError(
            f"{name} has no tokenizer: add its tokenizer.json and tokenizer_config.json."
        )


def without_config(names: Collection[str], name: str) -> str:
    """Why files by these names, no config.json among them, are no model."""
    if "adapter_config.json" in names:
        return f"{name} is an adapter, not a model: merge it into its base model and load that."
    if any(file.endswith(".gguf") for file in names):
        return f"{name} holds GGUF files: give the path of the .gguf file itself."
    return f"{name} is no model that transformers can read: it has no config.json."


def check_config(config: dict[str, Any], name: str) -> None:
    """Raises `ModelLoadError` unless config.json describes a causal language model."""
    model_type = config.get("model_type")
    if not isinstance(model_type, str) or model_type not in CONFIG_MAPPING_NAMES:
        if "auto_map" in config:
            raise ModelLoadError(
                f"{name} wants to run Python code from its own repository, which this program "
                "never does; choose a model of an architecture that transformers itself has."
            ).worded("model_own_code", name=name)
        raise ModelLoadError(
            f"{name} has model_type {model_type!r} in its config.json, which transformers "
            f"{transformers.__version__} does not know; choose another model or a newer "
            "transformers."
        )
    architectures = config.get("architectures") or []
    if not isinstance(architectures, list) or not all(isinstance(a, str) for a in architectures):
        raise ModelLoadError(
            f"{name} has a config.json whose architectures are no list of names; fetch the "
            "model again."
        )
    if config.get("is_encoder_decoder"):
        raise ModelLoadError(
            f"{name} is an encoder-decoder model ({model_type}), no causal language model; "
            "choose a decoder-only one."
        )
    if model_type not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES or not _can_generate(architectures):
        raise ModelLoadError(
            f"{name} is no causal language model ({', '.join(architectures) or model_type}): "
            "it cannot write text token by token; choose one whose architecture ends in "
            "ForCausalLM."
        ).worded("model_not_causal", name=name, kind=", ".join(architectures) or model_type)


def _can_generate(architectures: list[str]) -> bool:
    """Whether one of them writes text; a config that names none gets the benefit of the doubt."""
    causal = set(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.values())
    return not architectures or any(a in causal or a.endswith("ForCausalLM") for a in architectures)


def check_shards(folder: Path, names: Collection[str], name: str) -> None:
    """Raises `ModelLoadError` when a file that the index of weights names is missing."""
    index = read_json(folder / WEIGHTS_INDEX, name)
    weight_map = index.get("weight_map")
    if not isinstance(weight_map, dict):
        raise ModelLoadError(f"{name} has a broken {WEIGHTS_INDEX}: fetch the model again.")
    missing = sorted(set(weight_map.values()) - set(names))
    if missing:
        raise ModelLoadError(
            f"{name} is incomplete: {', '.join(missing)} is missing; fetch the model again."
        )


def check_gguf(file: Path) -> None:
    """Raises `ModelLoadError` unless the file is there and begins as a GGUF does."""
    try:
        with file.open("rb") as opened:
            magic = opened.read(4)
    except FileNotFoundError as error:
        raise ModelLoadError(f"There is no file {file}: check the path.") from error
    except OSError as error:
        raise ModelLoadError(f"{file} cannot be read ({error.strerror}).") from error
    if magic != b"GGUF":
        raise ModelLoadError(
            f"{file} is no GGUF file: it begins with {magic!r} where GGUF should stand; "
            "fetch it again."
        )


def read_json(file: Path, name: str) -> dict[str, Any]:
    """The object in a JSON file of a model, or a `ModelLoadError` that names the file."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelLoadError(
            f"{name} has a {file.name} that cannot be read ({error}); fetch the model again."
        ) from error
    if not isinstance(content, dict):
        raise ModelLoadError(
            f"{name} has a {file.name} that holds no JSON object; fetch the model again."
        )
    return content


def brief(error: BaseException) -> str:
    """An error's class and the first line of what it says."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__
