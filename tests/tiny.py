"""Tiny random models of many families, and a byte-level tokenizer."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from families import FAMILIES, PECULIAR, VOCAB_SIZE
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast
from transformers.convert_slow_tokenizer import bytes_to_unicode

from decoding import LanguageModel

SPECIALS = ["<eos>", "<bos>", "<|im_start|>", "<|im_end|>"]
CHAT_TEMPLATE = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
assert 256 + len(SPECIALS) == VOCAB_SIZE


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


def tiny_model(family: str, **overrides: Any) -> Any:
    """A random model of a family, with weights so wide that its distributions are not flat."""
    torch.manual_seed(0)
    tokens = {"bos_token_id": 257, "eos_token_id": 256, "pad_token_id": 256}
    settings = {**FAMILIES, **PECULIAR}[family]
    config = AutoConfig.for_model(family, **{**settings, **tokens, **overrides})
    config.initializer_range = 0.3
    model = AutoModelForCausalLM.from_config(config).eval()
    model.generation_config.pad_token_id = 256
    return model


@cache
def tiny_lm(family: str) -> LanguageModel:
    """A family's tiny model, made once: whoever changes it puts it back."""
    return LanguageModel(tiny_model(family), byte_tokenizer(), name=f"tiny-{family}")
