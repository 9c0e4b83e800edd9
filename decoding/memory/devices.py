"""Which part of a model lies on which device, offloaded parts included; it moves nothing."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from decoding.records.model_facts import DeviceShare

# The decoder's layers are the only numbered modules that every parameter below them repeats.
LAYER = re.compile(r"(?:^|\.)(?:layers|h|blocks|layer)\.(\d+)\.")
# What sees or hears beside it has numbered layers too.
OTHER_PARTS = re.compile(r"(?:^|[._])(?:vision|visual|image|audio|speech|qformer)")


def input_device(model: Any) -> torch.device:
    """Where token ids go in, also when the embedding is offloaded between two inferences."""
    embedding = model.get_input_embeddings()
    device: torch.device = embedding.weight.device
    hook = getattr(embedding, "_hf_hook", None)
    if device.type != "meta" or hook is None:
        return device
    wanted = hook.execution_device
    return torch.device("cuda", wanted) if isinstance(wanted, int) else torch.device(wanted)


def computing_devices(model: Any) -> tuple[torch.device, ...]:
    """Where a model computes and its cache lies, the device of the token ids first.

    Offloaded layers compute on an accelerator; the CPU computes where there is none.
    """
    here = input_device(model)
    stored = [torch.device(name) for _, name, _ in _stored(model) if name != "disk"]
    found = tuple(dict.fromkeys((here, *stored)))
    accelerators = tuple(device for device in found if device.type not in ("cpu", "meta"))
    return accelerators or (here,)


def weight_bytes(model: Any) -> int:
    """Measured over the storage of all parameters and buffers; offloaded ones by shape."""
    return sum(size for _, _, size in _stored(model))


def device_shares(model: Any) -> tuple[DeviceShare, ...]:
    """What lies where, in the order of the model's own parts."""
    layers: dict[str, set[int]] = defaultdict(set)
    sizes: dict[str, int] = defaultdict(int)
    for name, device, size in _stored(model):
        sizes[device] += size
        match = LAYER.search(name)
        if match and not OTHER_PARTS.search(name):
            layers[device].add(int(match[1]))
    return tuple(DeviceShare(d, tuple(sorted(layers[d])), size) for d, size in sizes.items())


def _stored(model: Any) -> Iterator[tuple[str, str, int]]:
    """(name, device, bytes) of each storage, once, however many tensors share it."""
    seen: set[int] = set()
    device_map = getattr(model, "hf_device_map", None) or {}
    for name, tensor in _tensors(model):
        storage = tensor.untyped_storage()
        if tensor.device.type == "meta":
            yield name, _offloaded_to(name, device_map), tensor.nbytes
        elif storage.data_ptr() not in seen:
            seen.add(storage.data_ptr())
            yield name, str(tensor.device), storage.nbytes()


def _offloaded_to(name: str, device_map: dict[str, Any]) -> str:
    parts = [part for part in device_map if not part or name.startswith(f"{part}.")]
    return str(device_map[max(parts, key=len)]) if parts else "cpu"


def _tensors(model: Any) -> Iterator[tuple[str, Tensor]]:
    """Parameters and buffers, and the scales that a quantized weight cannot do without."""
    for name, parameter in model.named_parameters():
        yield name, parameter
        scales = getattr(parameter, "SCB", None)
        if scales is not None:
            yield name, scales
        state = getattr(parameter, "quant_state", None)
        if state is not None:
            yield from ((name, v) for v in state.as_dict().values() if isinstance(v, Tensor))
    yield from model.named_buffers()


def wait_for(device: torch.device) -> None:
    """Until a device has done what it was given; a clock read before that shows nothing."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)
