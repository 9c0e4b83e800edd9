"""What feeds the model: the prompt in chunks, one more token, the cache between them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache, QuantizedCache

from decoding.core.generation import Generation
from decoding.memory.kv_cache import cache_of, kv_cache_size
from decoding.records.step import KVCacheSize

OnPrefill = Callable[[int, int], None]
Part = tuple[int, Any]

# Tokens a prefill feeds between two looks at whether it should go on.
CPU_PREFILL_CHUNK = 128
ACCELERATOR_PREFILL_CHUNK = 2048
LOOKING_AHEAD = ("cpmant", "moshi")
# Its state after a pass over several tokens is not the one that they leave one by one.
STEPPED = ("zamba2",)


def infer(
    model: Any,
    generation: Generation,
    ids: Tensor,
    index: int,
    on_prefill: OnPrefill | None = None,
    parts: Iterator[Part] | None = None,
) -> tuple[Tensor, int]:
    """The logits after `ids`; what is not in the cache yet is fed.

    Args:
        model: the transformers model.
        generation: as prepared; its cache grows.
        ids: (1, tokens) prompt and new tokens so far.
        index: 0 for the prefill, then counting the inferences.
        on_prefill: called with (tokens fed, prompt tokens) after each chunk of the prompt.
        parts: of a prefill, `read_parts` of these ids that has been begun, and goes on.

    Returns:
        (1, vocab_size) float32 on the device of `ids`; and the tokens that were fed: without
        a cache, all of them.
    """
    if index == 0:
        parts = read_parts(model, generation, ids) if parts is None else parts
        outputs, fed = _last(parts, 0, ids.shape[1], on_prefill), ids.shape[1]
    else:
        outputs, fed = _feed(model, generation, ids)
    # A copy: a view of the last row would keep the whole prompt's logits alive.
    logits: Tensor = outputs.logits[:, -1].to(ids.device, torch.float32, copy=True)
    return logits, fed


def cache_size(generation: Generation, fed_tokens: int) -> KVCacheSize | None:
    """`None` without a cache: what a model may keep of one uncached pass is no cache.

    Nor is the empty one that a model without any, such as the first GPT, is handed.
    """
    cache = cache_of(generation.model_kwargs) if generation.config.use_cache else None
    size = None if cache is None else kv_cache_size(cache, fed_tokens)
    return size if size is not None and size.bytes else None


def free_cache(generation: Generation) -> None:
    """Drops the cache, which lives among the model's inputs and nowhere else."""
    generation.model_kwargs.clear()


def _feed(model: Any, generation: Generation, ids: Tensor) -> tuple[Any, int]:
    """One forward pass over the last token of `ids` (over all of them without a cache)."""
    fed = 1 if generation.config.use_cache else None
    inputs = model.prepare_inputs_for_generation(
        ids, next_sequence_length=fed, **generation.model_kwargs
    )
    outputs = model(**inputs, return_dict=True)
    _remember(model, generation, outputs)
    return outputs, inputs["input_ids"].shape[1]  # some models take more than was asked for


def _remember(model: Any, generation: Generation, outputs: Any) -> None:
    generation.model_kwargs.update(
        model._update_model_kwargs_for_generation(outputs, generation.model_kwargs)
    )


def read(
    model: Any,
    generation: Generation,
    ids: Tensor,
    start: int = 0,
    on_prefill: OnPrefill | None = None,
) -> Any:
    """Feeds ids in chunks, where the cache can be continued by more than one token.

    Source: `GenerationMixin._prefill`, here with a chance to stop between chunks.

    Args:
        model: the transformers model.
        generation: whose cache grows; what goes along with the ids is as long as they are.
        ids: (1, tokens) all of them.
        start: how many the cache holds already; more than none only where `continues` says so.
        on_prefill: called with (tokens fed, tokens to be fed) after each chunk.

    Returns:
        What the model returned for the last chunk.
    """
    return _last(read_parts(model, generation, ids, start), start, ids.shape[1], on_prefill)


def _last(parts: Iterator[Part], start: int, end: int, on_prefill: OnPrefill | None) -> Any:
    outputs = None
    for done, outputs in parts:  # noqa: B007 - the last one
        if on_prefill is not None:
            on_prefill(done - start, end - start)
    return outputs


def read_parts(
    model: Any,
    generation: Generation,
    ids: Tensor,
    start: int = 0,
    chunk: int | None = None,
    all_logits: bool = False,
) -> Iterator[Part]:
    """The same, chunk by chunk.

    Args:
        model: the transformers model.
        generation: whose cache grows.
        ids: (1, tokens) all of them.
        start: how many the cache holds already.
        chunk: tokens fed at a time; without it as many as a prefill feeds.
        all_logits: those after each token are wanted, and not of the last one alone.

    Returns:
        (tokens read so far, what the model returned for the chunk) of each chunk.
    """
    kwargs, tokens = generation.model_kwargs, ids.shape[1]
    chunk = chunk or prefill_chunk(model, generation, tokens)
    in_parts = start > 0 or chunk < tokens
    position_ids = kwargs.pop("position_ids", None) if in_parts else None
    done, outputs = start, None
    while done < tokens:
        end = min(done + chunk, tokens)
        positions = {} if position_ids is None else {"position_ids": position_ids[..., done:end]}
        inputs = model.prepare_inputs_for_generation(
            ids[:, done:end], is_first_iteration=True, **kwargs, **positions
        )
        if all_logits and "logits_to_keep" in inputs:
            inputs["logits_to_keep"] = 0
        outputs = model(**inputs, return_dict=True)
        done = end
        yield done, outputs
    if position_ids is not None:
        kwargs["position_ids"] = position_ids
    _remember(model, generation, outputs)


def continues(model: Any, cache: Any) -> bool:
    """Whether a pass over several tokens can go on from a cache that holds some already."""
    return (
        isinstance(cache, Cache)
        and not model._is_stateful
        and not cache.is_compileable
        and reads_forward(model)
        and "past_key_values" in inspect.signature(model.forward).parameters
    )


def prefill_chunk(model: Any, generation: Generation, whole: int) -> int:
    """How many tokens of a prompt are fed at a time; where it cannot be read in parts, all.

    Recurrent states start a prompt anew with each pass of several tokens.
    """
    cache = cache_of(generation.model_kwargs)
    if not continues(model, cache):
        return whole
    if generation.config.prefill_chunk_size is not None:
        return int(generation.config.prefill_chunk_size)
    if isinstance(cache, QuantizedCache):
        return whole  # its scales and what it leaves exact follow from the first pass
    on_cpu = generation.input_ids.device.type == "cpu"
    return CPU_PREFILL_CHUNK if on_cpu else ACCELERATOR_PREFILL_CHUNK


def reads_alike(model: Any) -> bool:
    """Whether a pass over several tokens leaves the cache that they leave one by one."""
    return reads_forward(model) and model.config.get_text_config().model_type not in STEPPED


def reads_forward(model: Any) -> bool:
    """Whether what a position sees is the same in a part of the prompt as in all of it.

    Not in BERT's kind, as long as it is no decoder, and in prefix models: they look ahead; nor
    where positions choose which others to attend to.
    """
    config = model.config.get_text_config()
    is_encoder = hasattr(config, "type_vocab_size") and not getattr(config, "is_decoder", True)
    return (
        not is_encoder
        and getattr(config, "index_topk", None) is None
        and config.model_type not in LOOKING_AHEAD
    )
