"""Whether a model's weights fit into memory before they are read, and what would fit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from transformers import PreTrainedConfig

from decoding.memory.allocator import devices_in_words, free_memory
from decoding.memory.blueprint import blueprint
from decoding.memory.packing import UNPACKED_ON_CPU
from decoding.models.placement import Placement
from decoding.records.errors import ModelLoadError, ModelTooLargeError
from decoding.records.units import bytes_in_words

# Beside the weights: a short cache, an inference's intermediate results, torch's buffers.
ROOM_TO_COMPUTE_BYTES = 200_000_000
_WANTED = "{name} does not fit into memory: in {form} its weights take {needed}, and "
_FREE = "{free} are free on {device}, {spare} of them to compute in; "
_ALLOWED = "the operator allows {free}; "
_FITTING = "it would fit in {fitting}: choose that, or a smaller model."
_NOTHING_FITS = "choose a smaller model."
# Called as expected(dtype, quantization).
ExpectedBytes = Callable[[torch.dtype, str | None], int]


def _nothing_to_free(_needed_bytes: int) -> None:
    """Where no other model is in memory, there is nothing that could make way."""


@dataclass(frozen=True, slots=True)
class Room:
    """What a model that is to be loaded may take, and who can make way for it.

    Attributes:
        limit_bytes: the operator's budget for weights; what is free without.
        reclaimable_bytes: of that, held by models that `make` would free.
        make: called once with the bytes that are coming, when all checks have passed and
            before weights are read.
    """

    limit_bytes: int | None = None
    reclaimable_bytes: int = 0
    make: Callable[[int], None] = _nothing_to_free


def check_fits(name: str, expected: ExpectedBytes, placement: Placement, room: Room) -> int:
    """The bytes that the weights will take where they are to lie.

    Raises:
        ModelTooLargeError: they do not fit; it names what would.
    """
    wanted = (placement.dtype, placement.quantization)
    limit = _limit(placement, room)
    needed = expected(*wanted)
    if needed <= limit:
        return needed
    sizes = {
        _label(*form): expected(*form)
        for form in ([] if isinstance(expected, SizeByFiles) else _smaller_forms(*wanted))
        if expected(*form) <= _limit(replace(placement, quantization=form[1]), room)
    }
    raise _too_large(name, placement, needed, limit, room, sizes)


def _too_large(
    name: str,
    placement: Placement,
    needed: int,
    limit: int,
    room: Room,
    sizes: dict[str, int],
) -> ModelTooLargeError:
    """The refusal, with the forms that would fit and their sizes."""
    fitting = sorted(sizes, key=lambda form: -sizes[form])
    is_allowance = limit == room.limit_bytes
    device = devices_in_words(devices_for(placement))
    told = {
        "name": name,
        "form": _label(placement.dtype, placement.quantization),
        "needed": bytes_in_words(needed),
        "free": bytes_in_words(limit if is_allowance else limit + ROOM_TO_COMPUTE_BYTES),
        "device": device,
        "spare": bytes_in_words(ROOM_TO_COMPUTE_BYTES),
        "fitting": " / ".join(f"{form} ({bytes_in_words(sizes[form])})" for form in fitting),
    }
    text = (
        _WANTED + (_ALLOWED if is_allowance else _FREE) + (_FITTING if fitting else _NOTHING_FITS)
    )
    key = "too_large_for_operator" if is_allowance else "too_large"
    error = ModelTooLargeError(text.format(**told), needed, max(limit, 0), device, tuple(fitting))
    named = {name: value for name, value in told.items() if f"{{{name}}}" in text}
    return error.worded(key if fitting else f"{key}_in_any_form", **named)


def _limit(placement: Placement, room: Room) -> int:
    """Bytes that the weights may take."""
    free = free_memory(*devices_for(placement)) + room.reclaimable_bytes
    limit = free - ROOM_TO_COMPUTE_BYTES
    return limit if room.limit_bytes is None else min(limit, room.limit_bytes)


def devices_for(placement: Placement) -> tuple[torch.device, ...]:
    """Where a model's weights may lie: spread over several accelerators, or on the one.

    What does not fit onto the accelerators goes to the CPU, which bitsandbytes refuses.
    """
    if placement.device_map != "auto":
        return (placement.device,)
    accelerators = [torch.device("cuda", i) for i in range(torch.cuda.device_count())]
    rest = [torch.device("cpu")] if placement.quantization is None else []
    return (*accelerators, *rest)


def size_of_gguf(config: PreTrainedConfig) -> ExpectedBytes:
    """What a GGUF file takes: it is unpacked to float32 first, whatever it becomes then."""
    sizes = size_of(config, 0)

    def size(dtype: torch.dtype, _quantization: str | None) -> int:
        made = 0 if dtype == torch.float32 else sizes(dtype, None)
        return sizes(torch.float32, None) + made

    return size


def size_of(
    config: PreTrainedConfig, file_bytes: int, device: torch.device | None = None
) -> ExpectedBytes:
    """How many bytes a model takes in each form.

    Args:
        config: of the model.
        file_bytes: of its weight files: what published weights that are quantized already
            take in whatever form they are wanted, and the best guess for a model that cannot
            be made from its shapes alone.
        device: where it is to lie: on a CPU some formats are unpacked.
    """
    try:
        plan = blueprint(config)
    except ModelLoadError:  # transformers may load it all the same
        return SizeByFiles(file_bytes, _stored_bytes(config))
    is_cpu = device is not None and device.type == "cpu"
    if plan.packed_as is None or (is_cpu and plan.packed_as in UNPACKED_ON_CPU):
        return plan.expected_weight_bytes
    return SizeByFiles(file_bytes)


@dataclass(frozen=True, slots=True)
class SizeByFiles:
    """What weight files take in memory, where no shapes tell; quantized, at most that.

    Attributes:
        file_bytes: of all of them.
        value_bytes: of a number in them, which become those of the wanted format; `None`
            where they stay as they are.
    """

    file_bytes: int
    value_bytes: int | None = None

    def __call__(self, dtype: torch.dtype, quantization: str | None) -> int:
        """Bytes in a number format."""
        if self.value_bytes is None or quantization is not None:
            return self.file_bytes
        return self.file_bytes * dtype.itemsize // self.value_bytes


def _stored_bytes(config: PreTrainedConfig) -> int | None:
    """Of a number in the files, by the config, which need not say it."""
    dtype = config.dtype or config.get_text_config(decoder=True).dtype
    return dtype.itemsize if isinstance(dtype, torch.dtype) else None


def _smaller_forms(
    dtype: torch.dtype, quantization: str | None
) -> list[tuple[torch.dtype, str | None]]:
    """What a model could be loaded as instead, among which bfloat16 stands for float16."""
    if quantization == "8bit":
        return [(dtype, "4bit")]
    if quantization is not None:
        return []
    halved = [(torch.bfloat16, None)] if dtype.itemsize > torch.bfloat16.itemsize else []
    return [*halved, (dtype, "8bit"), (dtype, "4bit")]


def _label(dtype: torch.dtype, quantization: str | None) -> str:
    return quantization or str(dtype).removeprefix("torch.")
