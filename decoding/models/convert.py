"""A GGUF file -> a folder that transformers reads in half a second."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

# Both end a text: the first a chat turn, the second a document.
END_TOKENS = ("<|im_end|>", "<|endoftext|>")


def save_as_safetensors(gguf: Path, folder: Path) -> None:
    """Writes weights, config, generation config, tokenizer and chat template into `folder`.

    The weights are float32, four times the file they come from: a Q4_1 weight is a float16
    scale times an integer plus a float16 offset, which no 16-bit format holds exactly.
    """
    source = {"gguf_file": gguf.name, "local_files_only": True}
    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, **source)
    model: Any = AutoModelForCausalLM.from_pretrained(gguf.parent, dtype=torch.float32, **source)
    vocabulary = tokenizer.get_vocab()
    ends = [vocabulary[token] for token in END_TOKENS if token in vocabulary]
    model.generation_config = GenerationConfig(
        bos_token_id=tokenizer.bos_token_id, eos_token_id=ends, pad_token_id=ends[0]
    )
    # What was read is plain weights, yet it still carries the mark of the quantized file,
    # and transformers refuses to save that.
    del model.hf_quantizer
    model.is_quantized = False
    model.config.quantization_config = None
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
