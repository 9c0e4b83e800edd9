"""What a model's weights take, from their shapes alone; none of them is ever made."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D
from transformers.quantizers.base import get_keys_to_not_convert
from transformers.quantizers.quantizers_utils import should_convert_module

NF4_BLOCK = 64  # weights that share one scale
NF4_CODE_BYTES = 16 * 4  # the sixteen levels, kept beside each matrix


def weight_bytes(model: Any, dtype: torch.dtype, quantization: str | None = None) -> int:
    """Bytes of all parameters and buffers of a model in a number format.

    8-bit: a byte for each weight and a float32 scale for each row. 4-bit (NF4): half a byte,
    and a float32 scale for every 64. Only the matrices of linear layers are packed; the
    output layer, embeddings, norms and stacked experts stay as they are, as bitsandbytes and
    transformers have it.

    Args:
        model: on the meta device, made in `dtype`.
        dtype: of what is not packed.
        quantization: `"8bit"`, `"4bit"` or `None`.
    """
    packed = {id(weight) for weight in _packable(model)} if quantization else set()
    upcast = set(model._get_dtype_plan(dtype))
    total: int = sum(buffer.nbytes for buffer in model.buffers())
    for name, parameter in model.named_parameters():
        if id(parameter) in packed:
            total += _packed_bytes(parameter, quantization)
        elif upcast & set(name.split(".")):
            total += parameter.numel() * torch.float32.itemsize
        else:
            total += parameter.nbytes
    return total


def _packed_bytes(weight: Tensor, quantization: str | None) -> int:
    if quantization == "8bit":
        return int(weight.numel()) + 4 * weight.shape[0]
    blocks = -(-weight.numel() // NF4_BLOCK)
    return -(-weight.numel() // 2) + 4 * blocks + NF4_CODE_BYTES


def _packable(model: Any) -> Iterator[Tensor]:
    """The matrices that bitsandbytes packs when transformers loads a model with it."""
    kept = [*get_keys_to_not_convert(model), *(model._keep_in_fp32_modules or ())]
    for name, module in model.named_modules():
        is_linear = type(module) is nn.Linear or isinstance(module, Conv1D)
        if is_linear and should_convert_module(name, kept):
            yield module.weight
