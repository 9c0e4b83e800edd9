"""What a cache will cost before it is there: bytes by length, and the lengths that fit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import PreTrainedConfig

from decoding.core.language_model import LanguageModel
from decoding.memory.allocator import devices_in_words, free_memory, total_memory
from decoding.memory.blueprint import Blueprint, blueprint
from decoding.models.config import read_config
from decoding.models.fit import ROOM_TO_COMPUTE_BYTES, devices_for
from decoding.models.placement import (
    Placement,
    check_quantization,
    device_map,
    pick_device,
    pick_dtype,
)
from decoding.models.source import local_path
from decoding.records.errors import ModelLoadError
from decoding.records.model_facts import CacheLayer


@dataclass(frozen=True, slots=True)
class MemoryForecast:
    """What a model and its cache take; an estimate, but for what is measured.

    The intermediate results of an inference come on top: they are not in here.

    Attributes:
        name: of the model.
        dtype: of the computation and of the cache's values, such as `"float32"`.
        quantization: of the weights; `None` without.
        weight_bytes: measured of a loaded model, else by the shapes of its weights; of weights
            that were published packed, the size of their files; `None` where that is not known,
            and then no length is.
        cache_layers: how each decoder layer remembers.
        context_length: positions the model was made for; `None` where it has no limit.
        device: that it lies on, or would; of several, how many.
        free_bytes: memory that is free there now.
        total_bytes: memory that is there.
        is_loaded: the weights are in memory already, and so not in what is free.
        packed_as: how the published weights are quantized already.
    """

    name: str
    dtype: str
    quantization: str | None
    weight_bytes: int | None
    cache_layers: tuple[CacheLayer, ...]
    context_length: int | None
    device: str
    free_bytes: int
    total_bytes: int
    is_loaded: bool
    packed_as: str | None = None

    def cache_bytes(self, positions: int, batch: int = 1) -> int:
        """Bytes of a cache that stands for so many positions of each sequence of a batch."""
        return batch * sum(layer.bytes_at(positions) for layer in self.cache_layers)

    @property
    def cache_room_bytes(self) -> int | None:
        """What is left for a cache; negative where the weights alone do not fit.

        Before a model is loaded, beside the room that `load_model` wants to compute in.
        """
        if self.is_loaded:
            return self.free_bytes
        if self.weight_bytes is None:
            return None
        return self.free_bytes - self.weight_bytes - ROOM_TO_COMPUTE_BYTES

    def outgrows_weights_at(self, batch: int = 1) -> int | None:
        """The first length at which the cache is larger than the weights; `None`: never."""
        longest = self._longest_within(self.weight_bytes, batch)
        return None if longest is None else longest + 1

    def longest_context(self, batch: int = 1) -> int | None:
        """The longest text whose cache fits here beside the weights; `None`: any length.

        The model's own limit, `context_length`, is another matter.
        """
        return self._longest_within(self.cache_room_bytes, batch)

    def _longest_within(self, limit_bytes: int | None, batch: int) -> int | None:
        if limit_bytes is None:
            return None
        grows = sum(x.position_bytes for x in self.cache_layers if x.max_positions is None)
        windows = max((x.max_positions or 0 for x in self.cache_layers), default=0)
        if self.cache_bytes(max(windows, 1), batch) <= limit_bytes and not grows:
            return None
        at_most = max(limit_bytes, 0) // (batch * grows) if grows else windows
        return _last(lambda n: self.cache_bytes(n, batch) <= limit_bytes, at_most)


def forecast_memory(
    model: LanguageModel | PreTrainedConfig | str | Path | None = None,
    *,
    device: str | torch.device = "auto",
    dtype: str | torch.dtype = "auto",
    quantization: str | None = None,
) -> MemoryForecast:
    """What a model and its cache will take; no weights are fetched or read.

    Args:
        model: a loaded one, a config, or what `load_model` takes.
        device: as in `load_model`; a loaded model has its own, and the two below.
        dtype: as in `load_model`.
        quantization: as in `load_model`.

    Raises:
        ModelLoadError: there is no such model, its config is broken, or its cache grows in
            ways that only the loaded model knows.
    """
    if isinstance(model, LanguageModel):
        if (device, dtype, quantization) != ("auto", "auto", None):
            raise ModelLoadError(
                f"{model.name} is loaded: device, dtype and quantization are its own, leave "
                "them out."
            )
        return _of_loaded(model)
    config = model if isinstance(model, PreTrainedConfig) else read_config(model)
    return forecast_of(
        blueprint(config),
        device=device,
        dtype=dtype,
        quantization=quantization,
        file_bytes=None if isinstance(model, PreTrainedConfig) else file_bytes_of(model),
    )


def file_bytes_of(name_or_path: str | Path | None) -> int | None:
    """The size of a folder's weight files; `None` where there are none on this machine."""
    path = None if name_or_path is None else local_path(name_or_path)
    if path is None or not path.is_dir():
        return None
    return sum(file.stat().st_size for file in path.glob("*.safetensors")) or None


def forecast_of(
    plan: Blueprint,
    *,
    device: str | torch.device = "auto",
    dtype: str | torch.dtype = "auto",
    quantization: str | None = None,
    file_bytes: int | None = None,
) -> MemoryForecast:
    """The same from a blueprint that is there already.

    Args:
        plan: of the model.
        device: as in `load_model`.
        dtype: as in `load_model`.
        quantization: as in `load_model`.
        file_bytes: of its weight files, which packed ones keep; `None` where not known.
    """
    check_quantization(quantization)
    torch_device = pick_device(device)
    torch_dtype = pick_dtype(dtype, torch_device)
    spread = device_map(device, torch_device)
    devices = devices_for(Placement(torch_device, torch_dtype, spread, quantization))
    return MemoryForecast(
        name=plan.name,
        dtype=_dtype_name(torch_dtype),
        quantization=quantization,
        weight_bytes=plan.expected_weight_bytes(torch_dtype, quantization)
        if plan.packed_as is None
        else file_bytes,
        cache_layers=_known(plan.cache_layers(torch_dtype.itemsize), plan.name),
        context_length=plan.context_length,
        device=devices_in_words(devices),
        free_bytes=free_memory(*devices),
        total_bytes=total_memory(*devices),
        is_loaded=False,
        packed_as=plan.packed_as,
    )


def _of_loaded(lm: LanguageModel) -> MemoryForecast:
    devices = lm.computing_devices
    return MemoryForecast(
        name=lm.name,
        dtype=_dtype_name(lm.dtype),
        quantization=lm.quantization,
        weight_bytes=lm.weight_bytes,
        cache_layers=_known(lm.cache_layers, lm.name),
        context_length=lm.context_length,
        device=devices_in_words(devices),
        free_bytes=free_memory(*devices),
        total_bytes=total_memory(*devices),
        is_loaded=True,
    )


def _known(layers: tuple[CacheLayer, ...], name: str) -> tuple[CacheLayer, ...]:
    if not layers:
        raise ModelLoadError(
            f"The cache of {name} grows in ways that its config does not tell: load the model "
            "and measure a run."
        )
    return layers


def _dtype_name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _last(holds: Callable[[int], bool], at_most: int) -> int:
    """The largest number up to a bound for which something holds that once stops holding."""
    low, high = 0, at_most
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if holds(middle) else (low, middle - 1)
    return low
