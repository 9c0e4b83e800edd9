"""What the page says about a model, and about a run before its first inference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from decoding.core.chat import has_thinking_switch
from decoding.core.detokenizer import Detokenizer, token_text
from decoding.memory.allocator import free_memory, total_memory
from decoding.memory.devices import device_shares
from decoding.memory.packing import format_name
from decoding.records.model_facts import ModelFacts
from decoding.records.requests import PromptToken, RunHead, RunRequest

if TYPE_CHECKING:
    from decoding.core.language_model import LanguageModel

SAMPLING_CONFIG = (
    "temperature",
    "top_k",
    "top_p",
    "min_p",
    "top_h",
    "typical_p",
    "epsilon_cutoff",
    "eta_cutoff",
)
SHOWN_CONFIG = (
    "do_sample",
    *SAMPLING_CONFIG,
    "repetition_penalty",
    "no_repeat_ngram_size",
    "min_new_tokens",
    "bad_words_ids",
    "suppress_tokens",
    "max_new_tokens",
    "stop_strings",
)


def run_head(
    lm: LanguageModel, ids: list[int], request: RunRequest, facts: ModelFacts | None
) -> RunHead:
    """The prompt as the model saw it, and the settings in force.

    `facts` are those of when the model was loaded: its free memory is no other in each run.
    """
    own = lm.model.generation_config
    config = {name: getattr(own, name, None) for name in SHOWN_CONFIG} | request.generation
    if not config["do_sample"]:  # what only sampling heeds is not in force
        config = {name: value for name, value in config.items() if name not in SAMPLING_CONFIG}
    config |= {"seed": request.seed, "use_cache": request.use_cache}
    return RunHead(prompt_tokens(lm, ids), facts or model_facts(lm), config)


def prompt_tokens(lm: LanguageModel, ids: list[int]) -> tuple[PromptToken, ...]:
    """The prompt's tokens; their texts, joined, are what the tokenizer makes of all of them.

    But for a character that the prompt leaves incomplete: the steps after it release that one.
    """
    detokenizer = Detokenizer(lm.tokenizer)
    texts = [detokenizer.add(i) for i in ids]
    return tuple(
        PromptToken(i, text, i in lm.special_token_ids, "" if text else token_text(lm.tokenizer, i))
        for i, text in zip(ids, texts, strict=True)
    )


def model_facts(lm: LanguageModel) -> ModelFacts:
    """All that is known of a model in memory; the free memory is that of this moment."""
    config = lm.model.config.get_text_config()
    return ModelFacts(
        name=lm.name or type(lm.model).__name__,
        device=str(lm.device),
        dtype=str(lm.dtype).removeprefix("torch."),
        quantization=lm.quantization,
        vocab_size=lm.vocab_size,
        context_length=lm.context_length,
        weight_bytes=lm.weight_bytes,
        kv=lm.kv_cache_formula,
        kv_note=lm.kv_note,
        architecture=type(lm.model).__name__,
        parameters=lm.model.num_parameters(),
        layers=_number(config, "num_hidden_layers"),
        attention_heads=_number(config, "num_attention_heads"),
        hidden_size=_number(config, "hidden_size"),
        cache_layers=lm.cache_layers,
        placement=device_shares(lm.model),
        memory_kind=_memory_kind(lm.device.type),
        free_bytes=free_memory(*lm.computing_devices),
        total_bytes=total_memory(*lm.computing_devices),
        published=None if lm.published is None else format_name(lm.published),
        thinking_switch=has_thinking_switch(lm.tokenizer),
    )


def _memory_kind(device_type: str) -> Any:
    return device_type if device_type in ("cuda", "mps") else "process"


def _number(config: Any, name: str) -> int | None:
    """`None` where there is none, or one for each layer: transformers then refuses to name one."""
    try:
        value = getattr(config, name, None)
    except RuntimeError:
        return None
    return value if isinstance(value, int) else None
