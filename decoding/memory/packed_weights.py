"""What a model's weights take, from their shapes alone; none of them is ever made."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from transformers.pytorch_utils import Conv1D
from transformers.quantizers.quantizers_utils import should_convert_module

NF4_BLOCK = 64  # weights that share one scale
NF4_CODE_BYTES = 16 * 4  # the sixteen levels, kept beside each matrix


def expected_weight_bytes(model: Any, dtype: torch.dtype, quantization: str | None = None) -> int:
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
    packed = _packed_sizes(model, quantization) if quantization else {}
    upcast = set(model._get_dtype_plan(dtype))
    total = 0
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        if id(tensor) in packed:
            total += packed[id(tensor)]
        elif upcast & set(name.split(".")):
            total += tensor.numel() * torch.float32.itemsize
        else:
            total += tensor.nbytes
    return total


def _packed_sizes(model: Any, quantization: str) -> dict[int, int]:
    """Bytes of each matrix that bitsandbytes packs, by the identity of its tensor."""
    kept = _kept_modules(model)
    sizes = {}
    for name, module in model.named_modules():
        is_turned = isinstance(module, Conv1D)  # GPT-2's linear layer, stored the other way round
        if (is_turned or type(module) is nn.Linear) and should_convert_module(name, kept):
            rows = module.weight.shape[1 if is_turned else 0]
            sizes[id(module.weight)] = _packed_bytes(module.weight.numel(), rows, quantization)
    return sizes


def _packed_bytes(values: int, rows: int, quantization: str) -> int:
    if quantization == "8bit":
        return values + rows * torch.float32.itemsize
    blocks = -(-values // NF4_BLOCK)
    return -(-values // 2) + blocks * torch.float32.itemsize + NF4_CODE_BYTES


def _kept_modules(model: Any) -> list[str]:
    """The modules that are never packed.

    Source: `get_keys_to_not_convert` of transformers, which looks before weights are tied.
    """
    tied = model.all_tied_weights_keys
    last = [name for name, _ in model.named_parameters(remove_duplicate=False)][-1]
    output = model.get_output_embeddings()
    outputs = [name for name, module in model.named_modules() if module is output]
    names = {*tied, *tied.values(), last, *outputs}
    return [*(name.removesuffix(".weight") for name in names), *(model._keep_in_fp32_modules or ())]
