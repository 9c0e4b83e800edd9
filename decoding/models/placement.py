"""On which device, in which number format and how densely packed a model is loaded."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import torch
from transformers import BitsAndBytesConfig

from decoding.records.choices import DTYPES, QUANTIZATIONS
from decoding.records.errors import ModelLoadError


@dataclass(frozen=True, slots=True)
class Placement:
    """How a model is to lie in memory.

    Attributes:
        device: where the token ids go in.
        dtype: of what is not quantized.
        device_map: as accelerate takes it.
        quantization: `"8bit"`, `"4bit"` or `None`.
    """

    device: torch.device
    dtype: torch.dtype
    device_map: Any
    quantization: str | None


class _Once(logging.Filter):
    """Lets each message through once: on a CPU, 8-bit layers repeat theirs at each token."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        is_new = record.getMessage() not in self._seen
        self._seen.add(record.getMessage())
        return is_new


_ONCE = _Once()


def pick_device(device: str | torch.device) -> torch.device:
    """The device asked for, or the best there is; `ModelLoadError` when it is not there."""
    available = ["cuda"] * torch.cuda.is_available() + ["mps"] * torch.backends.mps.is_available()
    if device == "auto":
        return torch.device(available[0] if available else "cpu")
    try:
        wanted = torch.device(device)
    except RuntimeError as error:
        raise ModelLoadError(
            f'{device!r} is no device: use "auto", "cpu", "cuda" or "mps".'
        ) from error
    is_there = wanted.type in (*available, "cpu")
    if wanted.type == "cuda" and is_there and wanted.index is not None:
        is_there = wanted.index < torch.cuda.device_count()
    if not is_there:
        raise ModelLoadError(
            f"There is no device {str(wanted)!r} on this machine or in this build of torch: "
            f'use "auto" or {" or ".join(repr(name) for name in (*available, "cpu"))}.'
        )
    return wanted


def pick_dtype(dtype: str | torch.dtype, device: torch.device) -> torch.dtype:
    """The number format asked for, or the one that suits the device."""
    if isinstance(dtype, torch.dtype):
        return dtype
    if dtype in DTYPES:
        found: torch.dtype = getattr(torch, dtype)
        return found
    if dtype != "auto":
        raise ModelLoadError(f"dtype must be one of {', '.join(DTYPES)} or auto, not {dtype!r}.")
    if device.type == "cpu":
        return torch.float32  # the fastest there: bfloat16 is emulated on most CPUs
    if device.type == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.float16
    return torch.bfloat16


def device_map(wanted: str | torch.device, device: torch.device) -> Any:
    """Where accelerate puts the layers: spread over several CUDA devices, else on the one."""
    if wanted == "auto" and device.type == "cuda" and torch.cuda.device_count() > 1:
        return "auto"
    return {"": device}


def place(
    device: str | torch.device, dtype: str | torch.dtype, quantization: str | None
) -> Placement:
    """What was asked for, with each "auto" decided; `ModelLoadError` when it cannot be had."""
    picked = pick_device(device)
    kind = pick_dtype(dtype, picked)
    quantization_config(quantization, kind)
    return Placement(picked, kind, device_map(device, picked), quantization)


def check_quantization(name: str | None) -> None:
    """Raises `ModelLoadError` where there is no such quantization."""
    if name is not None and name not in QUANTIZATIONS:
        named = ", ".join(f'"{known}"' for known in QUANTIZATIONS)
        raise ModelLoadError(f"quantization must be {named} or None, not {name!r}.")


def quantization_config(name: str | None, dtype: torch.dtype) -> BitsAndBytesConfig | None:
    """What transformers needs for `"8bit"` or `"4bit"`; `None` for unpacked weights."""
    check_quantization(name)
    if name is None:
        return None
    if find_spec("bitsandbytes") is None:
        raise ModelLoadError(
            f'quantization="{name}" needs the bitsandbytes package: run '
            "`python -m pip install bitsandbytes`."
        )
    if name == "8bit":
        logging.getLogger("bitsandbytes.autograd._functions").addFilter(_ONCE)
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype
    )
