"""A causal language model and its tokenizer in memory, and how they get there."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

from decoding.blueprint import layers_of_model
from decoding.cache_layout import context_length, kv_formula, kv_note
from decoding.checkpoint import check_folder, check_gguf
from decoding.default_model import DEFAULT_MODEL_NAME, default_model_folder
from decoding.errors import ModelLoadError
from decoding.facts import CacheLayer, KVFormula
from decoding.hub import hub_folder
from decoding.placement import device_map, pick_device, pick_dtype, quantization_config
from decoding.progress import Progress, progress_or_bar
from decoding.source import local_path


class LanguageModel:
    """A causal language model and its tokenizer, with the facts that decoding needs.

    Attributes:
        model: the transformers model, in eval mode.
        tokenizer: its tokenizer.
        name: for people; the Hub id, or the folder's or file's name.
        device: where the token ids go in.
        dtype: of the computation, and so of the cache's values.
        vocab_size: entries of one row of logits.
        context_length: positions the model was made for; `None` where it has no limit.
        eos_token_ids: the ids that end a text.
        special_token_ids: the ids of the tokenizer's special tokens.
        weight_bytes: measured over the storage of all parameters and buffers.
        cache_layers: how each decoder layer remembers, by the config; empty where that is
            not known.
        kv_cache_formula: `None` where a cache is more than keys and values of every
            position (sliding windows, states, latent attention).
        kv_note: then why: "sliding", "latent", "shared", "state", "uneven" or "unknown".
        kv_bytes_per_token: by that formula.
        quantization: `"8bit"`, `"4bit"` or another method's name; `None` without.
    """

    def __init__(self, model: Any, tokenizer: Any, name: str | None = None) -> None:
        config = model.config.get_text_config()
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.name = name or Path(model.config.name_or_path).name or type(model).__name__
        self.device: torch.device = model.get_input_embeddings().weight.device
        self.dtype: torch.dtype = model.dtype
        self.vocab_size: int = config.vocab_size
        self.context_length = context_length(config)
        self.eos_token_ids = _eos_token_ids(model, tokenizer)
        self.special_token_ids = _special_token_ids(tokenizer)
        self.weight_bytes = _held_bytes(model)
        self.quantization = _quantization_of(model)

    @cached_property
    def cache_layers(self) -> tuple[CacheLayer, ...]:
        """Worked out on first use, from a copy of the model without weights."""
        return layers_of_model(self.model)

    @property
    def kv_cache_formula(self) -> KVFormula | None:
        """What a position costs; a formula, not a measurement."""
        return kv_formula(self.cache_layers, self.dtype.itemsize)

    @property
    def kv_note(self) -> str | None:
        """Why there is no formula; `None` where there is one."""
        return kv_note(self.cache_layers)

    @property
    def kv_bytes_per_token(self) -> int | None:
        """Bytes of KV cache for each position, by the formula."""
        return self.kv_cache_formula.bytes_per_token if self.kv_cache_formula else None


def load_model(
    name_or_path: str | Path | None = None,
    *,
    device: str | torch.device = "auto",
    dtype: str | torch.dtype = "auto",
    quantization: str | None = None,
    progress: Progress | None = None,
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
            "download", "prepare" and "load"; a bar on the terminal without.

    Raises:
        ModelLoadError: one sentence that says what was wrong and what to do.
    """
    torch_device = pick_device(device)
    torch_dtype = pick_dtype(dtype, torch_device)
    kwargs = {
        "dtype": torch_dtype,
        "device_map": device_map(device, torch_device),
        "quantization_config": quantization_config(quantization, torch_dtype),
    }
    with progress_or_bar(progress) as report:
        if name_or_path is not None and str(name_or_path).lower().endswith(".gguf"):
            file = Path(name_or_path).expanduser()
            check_gguf(file)
            if quantization is not None:
                raise ModelLoadError(
                    f"{file.name} is a GGUF file, which is quantized already: load it without "
                    f"quantization={quantization!r}."
                )
            kwargs.pop("quantization_config")
            return _load(file.parent, file.name, report, gguf_file=file.name, **kwargs)
        name, folder = _folder(name_or_path, report)
        check_folder(folder, name)
        return _load(folder, name, report, **kwargs)


def _folder(name_or_path: str | Path | None, progress: Progress) -> tuple[str, Path]:
    """The model's name, and the folder on this machine that holds it."""
    if name_or_path is None:
        return DEFAULT_MODEL_NAME, default_model_folder(progress)
    path = local_path(name_or_path)
    if path is not None:
        return path.resolve().name, path
    return str(name_or_path), hub_folder(str(name_or_path), progress)


def _load(folder: Path, name: str, progress: Progress, **kwargs: Any) -> LanguageModel:
    local = {"local_files_only": True, "trust_remote_code": False}
    gguf = {"gguf_file": kwargs["gguf_file"]} if "gguf_file" in kwargs else {}
    files = [folder / name] if gguf else folder.glob("*.safetensors")
    total = sum(file.stat().st_size for file in files)
    progress("load", 0, total)
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, **local, **gguf)
    except Exception as error:  # whatever a broken file makes the readers stumble over
        raise ModelLoadError(
            f"The {'GGUF file' if gguf else 'tokenizer'} of {name} is broken or cannot be "
            f"used ({_brief(error)}); fetch it again or choose another model."
        ) from error
    try:
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            folder, use_safetensors=True, output_loading_info=True, **local, **kwargs
        )
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise ModelLoadError(
            f"{name} does not fit into memory: choose a smaller model, or quantization."
        ) from error
    except Exception as error:  # as above
        raise ModelLoadError(
            f"The weights of {name} are broken or cannot be used ({_brief(error)}); fetch "
            "them again or choose another model."
        ) from error
    model, loading = loaded
    if loading["missing_keys"]:
        # transformers would go on with random numbers in their place.
        missing = sorted(loading["missing_keys"])
        raise ModelLoadError(
            f"{name} lacks {len(missing)} of its weights ({missing[0]} is the first): "
            "it is no complete causal language model; choose another."
        )
    _complete_generation_config(model, tokenizer)
    progress("load", total, total)
    return LanguageModel(model, tokenizer, name)


def _brief(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__


def _complete_generation_config(model: Any, tokenizer: Any) -> None:
    """Gives `generate` the end and the padding token that only the tokenizer knows."""
    if model.generation_config is None:
        model.generation_config = GenerationConfig.from_model_config(model.config)
    config = model.generation_config
    if config.eos_token_id is None:
        config.eos_token_id = tokenizer.eos_token_id
    if config.pad_token_id is None:
        eos = _eos_token_ids(model, tokenizer)
        config.pad_token_id = (
            tokenizer.pad_token_id
            if tokenizer.pad_token_id is not None
            else (eos[0] if eos else None)
        )


def _quantization_of(model: Any) -> str | None:
    if getattr(model, "is_loaded_in_8bit", False):
        return "8bit"
    if getattr(model, "is_loaded_in_4bit", False):
        return "4bit"
    quantizer = getattr(model, "hf_quantizer", None)
    return str(quantizer.quantization_config.quant_method.value) if quantizer else None


def _eos_token_ids(model: Any, tokenizer: Any) -> tuple[int, ...]:
    eos = getattr(model.generation_config, "eos_token_id", None)
    eos = tokenizer.eos_token_id if eos is None else eos
    if eos is None:
        return ()
    return (eos,) if isinstance(eos, int) else tuple(eos)


def _special_token_ids(tokenizer: Any) -> frozenset[int]:
    added = tokenizer.added_tokens_decoder.items()
    return frozenset(tokenizer.all_special_ids) | {i for i, token in added if token.special}


def _held_bytes(model: Any) -> int:
    storages = {}
    for tensor in _tensors(model):
        storage = tensor.untyped_storage()
        storages[storage.data_ptr() or id(storage)] = storage.nbytes()
    return sum(storages.values())


def _tensors(model: Any) -> Iterator[Tensor]:
    """Parameters and buffers, and the scales that a quantized weight cannot do without."""
    for parameter in model.parameters():
        yield parameter
        scales = getattr(parameter, "SCB", None)
        if scales is not None:
            yield scales
        state = getattr(parameter, "quant_state", None)
        if state is not None:
            yield from (v for v in state.as_dict().values() if isinstance(v, Tensor))
    yield from model.buffers()
