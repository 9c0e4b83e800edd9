"""A model without weights: shapes, sizes and operations, all from its config."""

from __future__ import annotations

import copy
import inspect
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    AutoModelForCausalLM,
    DynamicCache,
    PreTrainedConfig,
)

from decoding.memory.cache_layers import cache_layers_of, config_value, context_length
from decoding.memory.kv_cache import CACHE_NAMES, cache_of
from decoding.memory.packed_weights import expected_weight_bytes
from decoding.memory.packing import packed_as
from decoding.memory.parts import check_parts
from decoding.records.errors import ModelLoadError
from decoding.records.model_facts import CacheLayer

DTYPE_OF_BYTES = {4: torch.float32, 2: torch.bfloat16}
# Enough for every convolution's width, and few enough for any window.
PROBE_TOKENS = 8


class Blueprint:
    """A model on torch's meta device, where tensors have shapes and hold nothing.

    Its forward is the model's own, so that the cache it fills has the shapes of the real one.

    Attributes:
        name: for people; where the config came from, or the family's name.
        config: of the whole model.
        architecture: the class, such as `"LlamaForCausalLM"`.
        parameters: numbers that training set; shared ones count once.
        context_length: positions the model was made for; `None` where it has no limit.
        layers, attention_heads, hidden_size, vocab_size: of the text part; `None` where its
            config has none.
        packed_as: the method by which the published weights are quantized already; `None`
            without. The sizes here are those of the unpacked ones.
    """

    def __init__(self, config: PreTrainedConfig, model_class: Any | None = None) -> None:
        self.name = config.name_or_path or config.model_type
        self.config = _bare(config)
        self._class = model_class
        self._models: dict[torch.dtype, Any] = {}
        self._readers: dict[torch.dtype, Any] = {}
        text = self.config.get_text_config(decoder=True)
        model = self._model(torch.float32)
        self.architecture = type(model).__name__
        self.parameters = sum(parameter.numel() for parameter in model.parameters())
        self.context_length = context_length(text)
        self.layers: int | None = config_value(text, "num_hidden_layers")
        self.attention_heads: int | None = config_value(text, "num_attention_heads")
        self.hidden_size: int | None = config_value(text, "hidden_size")
        self.vocab_size: int | None = config_value(text, "vocab_size")
        self.packed_as = packed_as(config)

    def expected_weight_bytes(self, dtype: torch.dtype, quantization: str | None = None) -> int:
        """Bytes of the weights, as `load_model` would hold them; see `packed_weights`."""
        return expected_weight_bytes(self._model(dtype), dtype, quantization)

    def cache_layers(self, value_bytes: int) -> tuple[CacheLayer, ...]:
        """How each decoder layer remembers, with values of 4 or 2 bytes.

        Empty where the cache is of a kind that grows in ways of its own.

        Raises:
            ModelLoadError: the model cannot run on shapes alone.
        """
        if value_bytes not in DTYPE_OF_BYTES:
            raise ModelLoadError(f"A cache of {value_bytes}-byte values is not known here.")
        with _on_shapes(self.architecture):
            remembered = self._infer(DTYPE_OF_BYTES[value_bytes], PROBE_TOKENS)
        cache = cache_of(remembered)
        text = self.config.get_text_config(decoder=True)
        return () if cache is None else cache_layers_of(cache, text)

    def flops(self, new_tokens: int, cached_tokens: int) -> int:
        """Floating-point operations of one inference, counted as it runs on shapes.

        Args:
            new_tokens: that are fed.
            cached_tokens: that the cache holds before.

        Raises:
            ModelLoadError: the model cannot run on shapes alone.
        """
        with _on_shapes(self.architecture):
            cached = self._infer(torch.float32, cached_tokens) if cached_tokens else {}
            with FlopCounterMode(display=False) as counter:
                self._infer(torch.float32, new_tokens, **cached)
        return int(counter.get_total_flops())

    def _model(self, dtype: torch.dtype) -> Any:
        if dtype not in self._models:
            self._models[dtype] = _on_meta(self.config, dtype, self._class)
        return self._models[dtype]

    def _reader(self, dtype: torch.dtype) -> Any:
        """The part that reads text, of a model that also sees or hears."""
        text = self.config.get_text_config(decoder=True)
        if text is self.config or type(text) not in MODEL_FOR_CAUSAL_LM_MAPPING:
            return self._model(dtype)
        if dtype not in self._readers:
            self._readers[dtype] = _on_meta(text, dtype, None)
        return self._readers[dtype]

    def _infer(self, dtype: torch.dtype, tokens: int, **cached: Any) -> dict[str, Any]:
        """One forward; what it left to be remembered, under the names of its inputs."""
        model = self._reader(dtype)
        ids = torch.zeros(1, tokens, dtype=torch.long, device="meta")
        takes = inspect.signature(model.forward).parameters
        last = {"logits_to_keep": 1} if "logits_to_keep" in takes else {}
        with torch.no_grad(), torch.device("meta"):
            outputs = model(input_ids=ids, use_cache=True, **last, **cached)
            left = {name: outputs[name] for name in CACHE_NAMES if outputs.get(name) is not None}
            if not left and not cached:  # RecurrentGemma fills the cache that it is given
                cached = {"past_key_values": DynamicCache(config=self.config)}
                return self._infer(dtype, tokens, **cached)
        return left or cached


def blueprint(config: PreTrainedConfig, model_class: Any | None = None) -> Blueprint:
    """A model's blueprint.

    Args:
        config: as `read_config` gives it, or a loaded model's own.
        model_class: the class of a loaded model; what transformers takes for a causal
            language model of this config without.

    Raises:
        ModelLoadError: the config describes no model that can be made.
    """
    name = config.name_or_path or config.model_type
    check_parts(config.to_dict(), name)
    try:
        return Blueprint(config, model_class)
    except Exception as error:  # shapes that do not go together fail in many ways
        raise ModelLoadError(
            f"The config of {name} describes no model that can be made ({_brief(error)}); "
            "fetch it again or choose another model."
        ) from error


def _bare(config: PreTrainedConfig) -> PreTrainedConfig:
    """A copy without what belongs to real weights, or would look at the values of tensors."""
    bare = copy.deepcopy(config)
    text = bare.get_text_config(decoder=True)
    if config_value(text, "activation_sparsity_pattern"):  # a threshold, worked out from values
        text.activation_sparsity_pattern = [0.0] * len(text.activation_sparsity_pattern)
    if hasattr(bare, "quantization_config"):
        del bare.quantization_config
    return bare


def _on_meta(config: PreTrainedConfig, dtype: torch.dtype, model_class: Any | None) -> Any:
    made = model_class._from_config if model_class else AutoModelForCausalLM.from_config
    with torch.device("meta"), _quiet():
        model = made(copy.deepcopy(config), dtype=dtype, attn_implementation="eager").eval()
        if model._can_set_experts_implementation():
            model.set_experts_implementation("batched_mm")  # the others look at values
    for part in model.modules():
        if hasattr(part, "warn_if_padding_and_no_attention_mask"):  # as this does
            part.warn_if_padding_and_no_attention_mask = lambda *_args, **_kwargs: None
    return model


@contextmanager
def _on_shapes(architecture: str) -> Iterator[None]:
    try:
        with _quiet():
            yield
    except Exception as error:  # an operation that needs a value, or shapes that do not fit
        raise ModelLoadError(
            f"{architecture} cannot run on shapes alone ({_brief(error)}): what it keeps is "
            "known only once it is loaded."
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Without transformers' advice on kernels, which is meant for models that compute."""
    logger = logging.getLogger("transformers")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def _brief(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__


def layers_of_model(model: Any) -> tuple[CacheLayer, ...]:
    """How each decoder layer of a loaded model remembers; empty where that cannot be told."""
    try:
        return blueprint(model.config, type(model)).cache_layers(model.dtype.itemsize)
    except ModelLoadError:
        return ()
