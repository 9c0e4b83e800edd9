"""A config is read alone, and a broken one is refused in one sentence, soon."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from families import FAMILIES
from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError
from tiny import tiny_model

from decoding import ModelLoadError
from decoding.memory.blueprint import blueprint
from decoding.memory.parts import MOST_PARTS
from decoding.models import hub as hub_room
from decoding.models.config import DEFAULT_CONFIG, read_config
from decoding.models.default_model import DEFAULT_MODEL_NAME, default_model_folder
from decoding.models.progress import say_nothing

LLAMA = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], **FAMILIES["llama"]}
BAD_NAMES = '{"model_type": "llama", "architectures": [5]}'


def folder_with(folder: Path, config: Any) -> Path:
    text = config if isinstance(config, str) else json.dumps(config)
    (folder / "config.json").write_text(text)
    return folder


@pytest.mark.parametrize(
    "broken",
    [
        {"num_hidden_layers": 10**9},
        {"num_hidden_layers": MOST_PARTS + 1},
        {"num_hidden_layers": -1},
        {"num_hidden_layers": "many"},
        {"num_hidden_layers": 10**400},
        {"hidden_size": 10**18},
        {"hidden_size": 0},
        {"hidden_size": "wide"},
        {"vocab_size": 10**30},
        {"vocab_size": -5},
        {"num_attention_heads": 0},
        {"num_attention_heads": 7},
        {"num_key_value_heads": 3},
        {"head_dim": -1},
        {"head_dim": 10**30},
        {"max_position_embeddings": "long"},
        {"layer_types": ["full_attention"] * 10_000},
        {"rope_parameters": {"rope_type": "no such type"}},
        {"hidden_act": "no such function"},
        {"dtype": "no such type"},
        {"model_type": "mixtral", "num_local_experts": 10**9},
        {"model_type": "gpt_neo", "attention_types": [[["global"], 10**9]]},
        {"model_type": "gemma3", "text_config": {"num_hidden_layers": 10**9}},
    ],
    ids=str,
)
@pytest.mark.serial
def test_a_broken_config_gives_one_sentence_soon(tmp_path: Path, broken: dict[str, Any]) -> None:
    started = time.perf_counter()
    folder = folder_with(tmp_path, {**LLAMA, "architectures": None, **broken})
    with pytest.raises(ModelLoadError) as error:
        blueprint(read_config(folder)).cache_layers(4)
    assert len(str(error.value)) < 700
    assert "\n" not in str(error.value)
    assert time.perf_counter() - started < 20


def test_the_default_models_config_is_there_without_its_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DECODING_LIVE_CACHE", str(tmp_path / "empty"))
    monkeypatch.setattr(socket, "create_connection", lambda *a, **k: pytest.fail("fetched"))
    config = read_config(None)
    assert (config.name_or_path, config.num_hidden_layers) == (DEFAULT_MODEL_NAME, 30)
    assert not (tmp_path / "empty").exists()


@pytest.mark.default_model
def test_the_default_models_config_is_that_of_its_folder() -> None:
    folder = default_model_folder(say_nothing)
    prepared = json.loads((folder / "config.json").read_text())
    del prepared["transformers_version"]  # of whoever prepared it
    assert json.loads(DEFAULT_CONFIG.read_text()) == prepared


@pytest.mark.parametrize(
    "text", ["", "[]", "{", "\x00\x01", '{"model_type": []}', "[" * 100_000, BAD_NAMES]
)
def test_a_config_that_is_no_json_object(tmp_path: Path, text: str) -> None:
    with pytest.raises(ModelLoadError):
        read_config(folder_with(tmp_path, text))


def test_a_folder_without_a_config(tmp_path: Path) -> None:
    with pytest.raises(ModelLoadError, match=r"has no config\.json"):
        read_config(tmp_path)


def test_a_config_is_read_from_a_folder_without_weights(tmp_path: Path) -> None:
    config = read_config(folder_with(tmp_path, LLAMA))
    assert (config.model_type, config.name_or_path) == ("llama", tmp_path.name)


def test_a_config_that_transformers_saved_with_infinity_in_it(tmp_path: Path) -> None:
    tiny_model("nemotron_h").config.save_pretrained(tmp_path)
    assert "Infinity" in (tmp_path / "config.json").read_text()
    assert read_config(tmp_path).time_step_limit[1] == float("inf")


def test_a_broken_gguf_file(tmp_path: Path) -> None:
    file = tmp_path / "broken.gguf"
    file.write_bytes(b"GGUF" + b"\xff" * 400)
    with pytest.raises(ModelLoadError, match=r"The config of broken\.gguf is broken"):
        read_config(file)


class OneFileHub:
    """A Hub that knows one repository, and what it was asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.asked: list[tuple[str, bool]] = []
        self.error: Exception | None = None
        self.refusal: Exception | None = None

    def model_info(self, _model_id: str, timeout: float) -> Any:
        assert timeout < 10
        if self.error is not None:
            raise self.error
        names = [file.name for file in self.folder.iterdir()]
        return SimpleNamespace(sha="1", siblings=[SimpleNamespace(rfilename=n) for n in names])

    def download(self, _model_id: str, name: str, **where: Any) -> str:
        if self.refusal is not None:
            raise self.refusal
        self.asked.append((name, where.get("local_files_only", False)))
        return str(self.folder / name)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OneFileHub:
    fake = OneFileHub(folder_with(tmp_path, LLAMA))
    monkeypatch.setattr(hub_room, "HfApi", lambda: fake)
    monkeypatch.setattr(hub_room, "hf_hub_download", fake.download)
    return fake


def refused(kind: Callable[..., Exception], status: int) -> Exception:
    response = httpx.Response(status, request=httpx.Request("GET", "https://hub.example/api"))
    return kind("no", response=response)


def test_of_a_hub_model_the_config_alone_is_fetched(hub: OneFileHub) -> None:
    config = read_config("someone/small")
    assert (config.model_type, config.name_or_path) == ("llama", "someone/small")
    assert hub.asked == [("config.json", False)]


def test_without_the_hub_the_config_on_the_disk_is_read(hub: OneFileHub) -> None:
    hub.error = ConnectionError("no route")
    assert read_config("someone/small").model_type == "llama"
    assert hub.asked == [("config.json", True)]
    hub.refusal = FileNotFoundError("not here")
    with pytest.raises(ModelLoadError, match=r"cannot be reached \(no route\)"):
        read_config("someone/small")


def test_hub_models_without_a_config_to_be_had(hub: OneFileHub) -> None:
    hub.refusal = refused(GatedRepoError, 403)
    with pytest.raises(ModelLoadError, match="is gated"):
        read_config("someone/small")
    (hub.folder / "config.json").rename(hub.folder / "adapter_config.json")
    with pytest.raises(ModelLoadError, match="is an adapter"):
        read_config("someone/small")
    hub.error = refused(RepositoryNotFoundError, 404)
    with pytest.raises(ModelLoadError, match="There is no model"):
        read_config("someone/small")


def test_a_broken_config_is_told_by_the_models_name(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ModelLoadError, match="some/one"):
        read_config(tmp_path, "some/one")
