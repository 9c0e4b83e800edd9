"""From a name to a language model in memory: found, checked, sized and read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from transformers import GenerationConfig

from decoding.core.language_model import LanguageModel, eos_token_ids
from decoding.memory.packing import packed_as
from decoding.models.checkpoint import check_folder, check_gguf
from decoding.models.config import read_config
from decoding.models.default_model import DEFAULT_MODEL_NAME, default_model_folder
from decoding.models.fit import ExpectedBytes, Room, check_fits, size_of, size_of_gguf
from decoding.models.hub import hub_folder
from decoding.models.placement import Placement, place
from decoding.models.progress import Progress, interruptible, progress_or_bar
from decoding.models.source import local_path
from decoding.models.weights import Source, check_packing, read_model, read_tokenizer
from decoding.records.errors import ModelLoadError


def load_model(
    name_or_path: str | Path | None = None,
    *,
    device: str | torch.device = "auto",
    dtype: str | torch.dtype = "auto",
    quantization: str | None = None,
    progress: Progress | None = None,
    room: Room | None = None,
) -> LanguageModel:
    """A language model in memory, ready to decode.

    Args:
        name_or_path: a Hub id, a local folder or a `.gguf` file; the default model without.
        device: `"auto"` takes CUDA, then MPS, then the CPU, and spreads the model over all
            CUDA devices where there are several.
        dtype: `"float32"`, `"bfloat16"`, `"float16"`; `"auto"` takes float32 on a CPU, and
            on an accelerator bfloat16 where it is supported, else float16.
        quantization: `"8bit"` or `"4bit"` (NF4), through bitsandbytes.
        progress: called as `progress(stage, done_bytes, total_bytes)` for the stages
            "download", "prepare" and "load"; a bar on the terminal without. What it raises
            ends the loading, frees what was loaded, and comes out as it was.
        room: a budget, and how other models can make way; what is free without.

    Raises:
        ModelTooLargeError: it does not fit; said before weights are fetched or read.
        ModelLoadError: one sentence that says what was wrong and what to do.
    """
    placement = place(device, dtype, quantization)
    with progress_or_bar(progress) as report:
        return interruptible(
            lambda told: _load(name_or_path, placement, room or Room(), told), report
        )


def _load(
    name_or_path: str | Path | None, placement: Placement, room: Room, progress: Progress
) -> LanguageModel:
    source = _source(name_or_path, placement, room, progress)
    if source.gguf and placement.quantization is not None:
        raise ModelLoadError(
            f"{source.name} is a GGUF file, which is quantized already: load it without "
            f"quantization={placement.quantization!r}."
        )
    file_bytes = sum(file.stat().st_size for file in source.weight_files())
    sizes = _sizes(source.path, source.name, file_bytes, placement)
    needed = check_fits(source.name, sizes, placement, room)
    tokenizer = read_tokenizer(source)
    room.make(needed)
    if room.reclaimable_bytes:  # what made way may be held by somebody else all the same
        check_fits(source.name, sizes, placement, replace(room, reclaimable_bytes=0))
    published = None if source.gguf else packed_as(read_config(source.folder, source.name))
    model = read_model(source, placement, progress, published)
    _complete_generation_config(model, tokenizer)
    return LanguageModel(model, tokenizer, source.name, published=published)


def _source(
    name_or_path: str | Path | None, placement: Placement, room: Room, progress: Progress
) -> Source:
    """The files of a model on this machine, checked; fetched first where they are not here."""
    if name_or_path is None:
        name, folder = DEFAULT_MODEL_NAME, default_model_folder(progress)
    else:
        path = local_path(name_or_path)
        if path is None:
            name = str(name_or_path)

            def check(config: Path, file_bytes: int) -> None:
                sizes = _sizes(config.parent, name, file_bytes, placement)
                check_fits(name, sizes, placement, room)

            folder = hub_folder(name, progress, check)
        elif path.suffix.lower() == ".gguf":
            check_gguf(path)
            return Source(path.name, path.parent, path.name)
        else:
            name, folder = path.resolve().name, path
    check_folder(folder, name)
    return Source(name, folder)


def _sizes(path: Path, name: str, file_bytes: int, placement: Placement) -> ExpectedBytes:
    config = read_config(path, name)
    if path.suffix.lower() == ".gguf":
        return size_of_gguf(config)
    check_packing(name, packed_as(config), placement)
    return size_of(config, file_bytes, placement.device)


def _complete_generation_config(model: Any, tokenizer: Any) -> None:
    """Gives `generate` the end and the padding token that only the tokenizer knows."""
    if model.generation_config is None:
        model.generation_config = GenerationConfig.from_model_config(model.config)
    config = model.generation_config
    if config.eos_token_id is None:
        config.eos_token_id = tokenizer.eos_token_id
    if config.pad_token_id is None:
        eos = eos_token_ids(model, tokenizer)
        config.pad_token_id = (
            tokenizer.pad_token_id
            if tokenizer.pad_token_id is not None
            else (eos[0] if eos else None)
        )
