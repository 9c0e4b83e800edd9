"""How published weights are packed already, by the config, and what becomes of them here."""

from __future__ import annotations

from typing import Any

from transformers import PreTrainedConfig

# Without an accelerator transformers unpacks these as it reads them.
UNPACKED_ON_CPU = ("fp8", "mxfp4")
_NAMES = {
    "fp8": "FP8",
    "fbgemm_fp8": "FP8",
    "mxfp4": "MXFP4",
    "gptq": "GPTQ",
    "awq": "AWQ",
    "bitsandbytes": "bitsandbytes",
}


def packed_as(config: PreTrainedConfig) -> str | None:
    """The method by which the published weights are quantized; `None` where they are not."""
    for holder in (config, config.get_text_config(decoder=True)):
        for name in ("quantization_config", "compression_config"):
            packing: Any = getattr(holder, name, None)
            if packing is not None:
                found = packing if isinstance(packing, dict) else packing.to_dict()
                return str(found.get("quant_method", "quantized"))
    return None


def format_name(method: str) -> str:
    """A method's name as people write it."""
    return _NAMES.get(method, method)
