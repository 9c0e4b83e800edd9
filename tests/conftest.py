"""Tiny random models of many families, a byte-level tokenizer, and the real default model."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast
from transformers.convert_slow_tokenizer import bytes_to_unicode

from decoding import LanguageModel

SPECIALS = ["<eos>", "<bos>", "<|im_start|>", "<|im_end|>"]
CHAT_TEMPLATE = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
VOCAB_SIZE = 256 + len(SPECIALS)


def byte_tokenizer(
    extra_tokens: tuple[str, ...] = (), *, chat: bool = True
) -> PreTrainedTokenizerFast:
    """One token per byte, ids 0 to 255; then the specials, then `extra_tokens` as they stand."""
    vocab = {c: i for i, c in enumerate(bytes_to_unicode()[b] for b in range(256))}
    core = Tokenizer(models.BPE(vocab, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    core.decoder = decoders.ByteLevel()
    core.add_special_tokens([AddedToken(t, special=True) for t in SPECIALS])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, eos_token="<eos>", bos_token="<bos>", pad_token="<eos>"
    )
    tokenizer.add_special_tokens({"extra_special_tokens": SPECIALS[2:]})
    if extra_tokens:
        tokenizer.add_tokens([AddedToken(t, normalized=False) for t in extra_tokens])
    tokenizer.chat_template = CHAT_TEMPLATE if chat else None
    return tokenizer


_SMALL = {
    "vocab_size": VOCAB_SIZE,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
}
_WINDOW = {"head_dim": 8, "sliding_window": 6}
_MAMBA_PART = {"mamba_d_state": 8, "mamba_d_conv": 4, "mamba_expand": 2, "mamba_dt_rank": 4}

FAMILIES: dict[str, dict[str, Any]] = {
    "llama": _SMALL,
    "qwen2": _SMALL,
    "qwen3": {**_SMALL, "head_dim": 8},
    "gemma2": {**_SMALL, **_WINDOW, "query_pre_attn_scalar": 8},
    "gemma3_text": {**_SMALL, **_WINDOW, "query_pre_attn_scalar": 8},
    "mistral": {**_SMALL, "sliding_window": 6, "head_dim": 8},
    "gpt2": {
        "vocab_size": VOCAB_SIZE,
        "n_embd": 32,
        "n_layer": 3,
        "n_head": 4,
        "n_positions": 256,
    },
    "gpt_neox": {k: v for k, v in _SMALL.items() if k != "num_key_value_heads"},
    "phi3": _SMALL,
    "mixtral": {**_SMALL, "num_local_experts": 4, "num_experts_per_tok": 2},
    "mamba": {
        "vocab_size": VOCAB_SIZE,
        "hidden_size": 32,
        "state_size": 8,
        "num_hidden_layers": 3,
    },
    "jamba": {
        **_SMALL,
        **_MAMBA_PART,
        "num_hidden_layers": 4,
        "attn_layer_period": 2,
        "attn_layer_offset": 1,
        "expert_layer_period": 2,
        "expert_layer_offset": 1,
        "num_experts": 4,
        "use_mamba_kernels": False,
    },
    "qwen3_next": {
        **_SMALL,
        "head_dim": 8,
        "num_hidden_layers": 4,
        "linear_num_value_heads": 4,
        "linear_num_key_heads": 2,
        "linear_key_head_dim": 8,
        "linear_value_head_dim": 8,
        "num_experts": 4,
        "num_experts_per_tok": 2,
        "moe_intermediate_size": 16,
        "shared_expert_intermediate_size": 16,
    },
}


def tiny_model(family: str, **overrides: Any) -> Any:
    """A random model of a family, with weights so wide that its distributions are not flat."""
    torch.manual_seed(0)
    tokens = {"bos_token_id": 257, "eos_token_id": 256, "pad_token_id": 256}
    config = AutoConfig.for_model(family, **{**FAMILIES[family], **tokens, **overrides})
    config.initializer_range = 0.3
    model = AutoModelForCausalLM.from_config(config).eval()
    model.generation_config.pad_token_id = 256
    return model


@pytest.fixture(scope="session")
def tiny_lms() -> Callable[[str], LanguageModel]:
    """`tiny_lms(family)`: that family's tiny model, made once."""
    made: dict[str, LanguageModel] = {}

    def lm(family: str) -> LanguageModel:
        if family not in made:
            made[family] = LanguageModel(
                tiny_model(family), byte_tokenizer(), name=f"tiny-{family}"
            )
        return made[family]

    return lm


@pytest.fixture(scope="session")
def tiny_lm(tiny_lms: Callable[[str], LanguageModel]) -> LanguageModel:
    return tiny_lms("llama")


@pytest.fixture(scope="session")
def default_lm() -> Iterator[LanguageModel]:
    """The real default model, fetched and prepared on first use."""
    from decoding import load_model

    yield load_model()
    gc.collect()
