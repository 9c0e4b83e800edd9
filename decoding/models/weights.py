"""A checked folder or GGUF file -> a tokenizer and a model in memory, with progress in bytes."""

from __future__ import annotations

import json
import os
import threading
import warnings
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.quantizers.auto import AUTO_QUANTIZER_MAPPING
from transformers.utils.logging import set_tqdm_hook

from decoding.memory.allocator import release_memory
from decoding.memory.packing import format_name
from decoding.models.checkpoint import brief
from decoding.models.placement import Placement, quantization_config
from decoding.models.progress import Progress
from decoding.records.errors import ModelLoadError

NO_THREADS = "HF_DEACTIVATE_ASYNC_LOAD"
LONGEST_HEADER_BYTES = 100_000_000  # as the safetensors library has it
ROWS_A_BLOCK = 32  # of a 4-bit matrix that bitsandbytes turns over for a CPU
_LOCAL = {"local_files_only": True, "trust_remote_code": False}


@dataclass(frozen=True, slots=True)
class Source:
    """Where a model is read from.

    Attributes:
        name: for people.
        folder: where its files are.
        gguf: the name of the GGUF file in it, where the model is one.
    """

    name: str
    folder: Path
    gguf: str | None = None

    @property
    def options(self) -> dict[str, Any]:
        """What transformers' readers are told besides the folder."""
        return {**_LOCAL, "gguf_file": self.gguf} if self.gguf else dict(_LOCAL)

    @property
    def path(self) -> Path:
        """The folder, or the GGUF file."""
        return self.folder / self.gguf if self.gguf else self.folder

    def weight_files(self) -> list[Path]:
        """The files that hold the weights."""
        if self.gguf:
            return [self.folder / self.gguf]
        return sorted(self.folder.glob("*.safetensors"))


def read_tokenizer(source: Source) -> Any:
    """The tokenizer; `ModelLoadError` in one sentence where it is broken."""
    try:
        return AutoTokenizer.from_pretrained(source.folder, **source.options)
    except Exception as error:  # whatever a broken file makes the readers stumble over
        raise ModelLoadError(
            f"The {'GGUF file' if source.gguf else 'tokenizer'} of {source.name} is broken or "
            f"cannot be used ({brief(error)}); fetch it again or choose another model."
        ) from error


def check_packing(name: str, published: str | None, placement: Placement) -> None:
    """Raises `ModelLoadError` where weights that are packed already cannot be had as wanted.

    Args:
        name: of the model, for people.
        published: how its weights are packed, as `packed_as` tells.
        placement: what is wanted.
    """
    if published is None:
        return
    if published not in AUTO_QUANTIZER_MAPPING and published != "bitsandbytes":
        raise ModelLoadError(
            f"{name} is published packed as {published[:100]!r}, a format that transformers "
            f"{transformers.__version__} does not know: choose a copy in another format."
        )
    if placement.quantization is not None:
        raise ModelLoadError(
            f"{name} is published packed in {format_name(published)} already: load it without "
            f"quantization={placement.quantization!r}, or choose a copy that is not packed."
        )


def read_model(
    source: Source, placement: Placement, progress: Progress, published: str | None = None
) -> Any:
    """The model with all its weights; `ModelLoadError` in one sentence where that fails.

    Args:
        source: where it is read from.
        placement: how it is loaded.
        progress: is told in bytes.
        published: how its weights are packed already, which transformers follows.
    """
    options = {**source.options, "dtype": placement.dtype, "device_map": placement.device_map}
    if not source.gguf and published is None:
        packing = quantization_config(placement.quantization, placement.dtype)
        options["quantization_config"] = packing
    try:
        with _reported(progress, source), _one_thread(placement):
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                source.folder, use_safetensors=True, output_loading_info=True, **options
            )
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise ModelLoadError(
            f"{source.name} does not fit into memory: choose a smaller model, or quantization."
        ) from error
    except Exception as error:  # as above
        if published is not None:
            raise ModelLoadError(
                f"{source.name} is published packed in {format_name(published)}, which cannot be "
                f"read here ({brief(error)}): install what that names, use another device, or "
                "choose a copy in another format."
            ) from error
        raise ModelLoadError(
            f"The weights of {source.name} are broken or cannot be used ({brief(error)}); "
            "fetch them again or choose another model."
        ) from error
    model, loading = loaded
    _check_taken(source.name, loading["unexpected_keys"], model)
    if loading["missing_keys"]:
        # transformers would go on with random numbers in their place.
        missing = sorted(loading["missing_keys"])
        raise ModelLoadError(
            f"{source.name} lacks {len(missing)} of its weights ({missing[0]} is the first): "
            "it is no complete causal language model; choose another."
        )
    _leave_out_blocks_that_do_not_fit(model)
    if placement.quantization and placement.device.type == "cpu":
        _let_go_of_the_files(model)
    return model


def _leave_out_blocks_that_do_not_fit(model: Any) -> None:
    """Has 4-bit matrices that are no whole number of blocks unpacked as they are multiplied.

    On processors with bfloat16 instructions bitsandbytes turns each matrix over in blocks, and
    breaks off at those of other shapes, which it can multiply all the same.
    """
    for layer in model.modules():
        state = getattr(getattr(layer, "weight", None), "quant_state", None)
        if state is None or not hasattr(layer, "support_avx512bf16_for_cpu"):
            continue
        rows, columns = state.shape
        if rows % ROWS_A_BLOCK or columns % state.blocksize:
            layer.support_avx512bf16_for_cpu = False


def _check_taken(name: str, untaken: Collection[str], model: Any) -> None:
    """Tensors in the files that belong to a weight and that the model did not take are an error.

    Without its scales a packed weight is another one. Others are told: parts of a larger model.
    """
    if not untaken:
        return
    taken = {key for key, _ in model.named_parameters()}
    modules = {key.rpartition(".")[0] for key in taken}
    own = sorted(
        key
        for key in untaken
        if key.rpartition(".")[0] in modules or any(key.startswith(f"{t}_") for t in taken)
    )
    if own:
        raise ModelLoadError(
            f"{name} has {len(own)} tensors that belong to its weights and that transformers does "
            f"not take ({own[0]} is the first): what it computed without them would be wrong; "
            "choose a copy in another format."
        )
    names = sorted(untaken)
    warnings.warn(
        f"{len(names)} tensors of {name} are no part of this language model and were left out: "
        f"{', '.join(names[:5])}{' …' if len(names) > 5 else ''}",
        stacklevel=2,
    )


@contextmanager
def _one_thread(placement: Placement) -> Iterator[None]:
    """On a CPU, keeps transformers from reading weights in threads of its own.

    As soon as a second thread runs torch, the first one is slow; and what such a thread has
    allocated, the C library does not give back when it is freed.
    """
    before = os.environ.get(NO_THREADS)
    if placement.device.type == "cpu":
        os.environ[NO_THREADS] = "1"
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(NO_THREADS, None)
        else:
            os.environ[NO_THREADS] = before


def _let_go_of_the_files(model: Any) -> None:
    """Copies what is still a window into a file: it would keep all of it in memory.

    Packed weights are made anew, but embeddings and norms are used as they were read.
    """
    for parameter in model.parameters():
        if parameter.is_floating_point():
            parameter.data = parameter.data.clone()
    release_memory()


@contextmanager
def _reported(progress: Progress, source: Source) -> Iterator[None]:
    """While open, the bars that transformers makes on this thread report bytes instead."""
    files = source.weight_files()
    total = sum(file.stat().st_size for file in files)
    # transformers tells nobody how far the unpacking of a GGUF file is.
    progress(*(("prepare", 0, 0) if source.gguf else ("load", 0, total)))
    sizes = {} if source.gguf else _tensor_bytes(files)
    thread = threading.get_ident()

    def instead(make: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        if threading.get_ident() != thread or not args:
            return make(*args, **kwargs)
        return _report_each(args[0], sizes, total, progress)

    before = set_tqdm_hook(instead)
    try:
        yield
    finally:
        set_tqdm_hook(before)
    progress("load", total, total)


def _report_each(
    items: Any, sizes: dict[str, int], total: int, progress: Progress
) -> Iterator[Any]:
    """Passes (parameter's name, its work) on; what has no size of its own shares the rest."""
    items = list(items)
    names = [item[0] if isinstance(item, tuple) else item for item in items]
    known = sum(sizes.get(name, 0) for name in names)
    unknown = sum(name not in sizes for name in names)
    share = (total - known) / unknown if unknown else 0.0
    done = 0.0
    for name, item in zip(names, items, strict=True):
        yield item
        done += sizes.get(name, share)
        progress("load", min(int(done), total), total)


def _tensor_bytes(files: list[Path]) -> dict[str, int]:
    """Bytes of each tensor by the files' headers; a broken file is left to the reader."""
    sizes: dict[str, int] = {}
    for file in files:
        try:
            sizes |= _header_bytes(file)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            continue
    return sizes


def _header_bytes(file: Path) -> dict[str, int]:
    """A safetensors file begins with its header's length and the header, a JSON object."""
    with file.open("rb") as opened:
        length = int.from_bytes(opened.read(8), "little")
        header = json.loads(opened.read(min(length, LONGEST_HEADER_BYTES)))
    offsets = {name: entry.get("data_offsets") for name, entry in header.items()}
    return {name: int(pair[1]) - int(pair[0]) for name, pair in offsets.items() if pair}
