"""The loop: the record's invariants, what it refuses, what it leaves behind."""

from __future__ import annotations

import gc
import inspect
import pickle
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from tiny import byte_tokenizer, tiny_model
from torch.utils._python_dispatch import TorchDispatchMode

from decoding import (
    ContextLengthError,
    DecodingError,
    DecodingStep,
    GenerationConfigError,
    LanguageModel,
    LogitsError,
    decode,
)
from decoding.core import decoder as decoder_module
from decoding.core import inference
from decoding.core import take_step as take_step_module

PROMPT = "The capital of Armenia"


def run(lm: LanguageModel, **kwargs: Any) -> list[DecodingStep]:
    return list(decode(lm, PROMPT, **{"seed": 1, "max_new_tokens": 12, **kwargs}))


@pytest.mark.parametrize("sample", [False, True])
@pytest.mark.parametrize("use_cache", [False, True])
def test_the_record(tiny_lm: LanguageModel, sample: bool, use_cache: bool) -> None:
    steps = run(tiny_lm, do_sample=sample, use_cache=use_cache, suppress_tokens=[256])
    prompt_tokens = len(tiny_lm.tokenizer(PROMPT)["input_ids"])
    assert [s.index for s in steps] == list(range(12))
    assert [s.phase for s in steps] == ["prefill"] + ["decode"] * 11
    fed = (
        [prompt_tokens] + [1] * 11 if use_cache else list(range(prompt_tokens, prompt_tokens + 12))
    )
    assert [s.input_tokens for s in steps] == fed
    assert [s.finish_reason for s in steps] == [None] * 11 + ["length"]
    for s in steps:
        if use_cache:
            assert s.kv_cache is not None
            assert s.kv_cache.tokens == prompt_tokens + s.index
            assert s.kv_cache.bytes == s.kv_cache.tokens * tiny_lm.kv_bytes_per_token
            assert sum(s.kv_cache.layer_bytes) == s.kv_cache.bytes
        else:
            assert s.kv_cache is None
        chosen = next(c for c in s.candidates if c.token_id == s.token_id)
        assert chosen.probability == s.probability
        assert chosen.sampling_probability == s.sampling_probability
        assert sum(c.probability for c in s.candidates) + s.tail_probability == pytest.approx(1)
        assert 20 <= len(s.candidates) <= 21
        assert s.seconds > 0
        assert pickle.loads(pickle.dumps(s)) == s


def test_probabilities_are_those_of_a_plain_forward_pass(tiny_lm: LanguageModel) -> None:
    settings: dict[str, Any] = {"do_sample": True, "top_k": 7, "temperature": 0.8}
    steps = run(tiny_lm, **settings)
    prompt = tiny_lm.tokenizer(PROMPT)["input_ids"]
    ids = torch.tensor([prompt + [s.token_id for s in steps]])
    with torch.no_grad():
        rows = tiny_lm.model(ids).logits[0, len(prompt) - 1 : -1]
    for s, row in zip(steps, rows, strict=True):
        logprobs = torch.log_softmax(row, -1)
        assert s.logprob == pytest.approx(logprobs[s.token_id].item(), abs=1e-4)
        assert s.rank == 1 + int((row > row[s.token_id]).sum())
        entropy = -(logprobs.exp() * logprobs).sum().item() / 0.6931471805599453
        assert s.entropy_bits == pytest.approx(entropy, abs=1e-3)
        top = (row / 0.8).topk(7)
        kept = dict(zip(top.indices.tolist(), top.values.softmax(-1).tolist(), strict=True))
        assert s.kept_tokens == 7
        assert s.sampling_probability == pytest.approx(kept[s.token_id], abs=1e-4)
        for c in s.candidates:
            assert c.sampling_probability == pytest.approx(kept.get(c.token_id, 0.0), abs=1e-4)


def test_the_model_is_not_called_after_the_last_token(
    tiny_lm: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    forward = tiny_lm.model.forward

    def counting(*args: Any, **kwargs: Any) -> Any:
        calls.append(kwargs["input_ids"].shape[1])
        return forward(*args, **kwargs)

    counting.__signature__ = inspect.signature(forward)  # type: ignore[attr-defined]
    monkeypatch.setattr(tiny_lm.model, "forward", counting)
    steps = run(tiny_lm, max_new_tokens=5)
    assert len(calls) == len(steps)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"num_beams": 3}, "beam_search"),
        ({"num_beams": 2, "do_sample": True}, "beam_sample"),
        ({"prompt_lookup_num_tokens": 3}, "assisted_generation"),
        ({"num_return_sequences": 2, "do_sample": True}, "num_return_sequences"),
        ({"output_scores": True, "return_dict_in_generate": True}, "own distribution"),
        ({"tempreature": 0.5}, "tempreature"),
        ({"top_p": 1.5, "do_sample": True}, "top_p"),
        ({"temperature": -1.0, "do_sample": True}, "temperature"),
        ({"top_k": -2, "do_sample": True}, "top_k"),
        ({"max_new_tokens": 0}, "max_new_tokens"),
        ({"repetition_penalty": -1.0}, "penalty"),
        ({"token_healing": True}, "token_healing"),
        ({"cache_implementation": "nonsense"}, "nonsense"),
        ({"top_candidates": 0}, "top_candidates"),
        ({"prefill_chunk_size": 4, "use_cache": False}, "prefill_chunk_size"),
    ],
    ids=str,
)
def test_what_cannot_be_honoured_raises_at_the_call(
    tiny_lm: LanguageModel, settings: dict[str, Any], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("an inference ran")

    forbidden.__signature__ = inspect.signature(tiny_lm.model.forward)  # type: ignore[attr-defined]
    monkeypatch.setattr(tiny_lm.model, "forward", forbidden)
    with pytest.raises(GenerationConfigError, match=says):
        decode(tiny_lm, PROMPT, **settings)


def test_new_tokens_past_the_context(tiny_lm: LanguageModel) -> None:
    prompt_tokens = len(tiny_lm.tokenizer(PROMPT)["input_ids"])
    room = 256 - prompt_tokens + 1  # the last token is never fed
    decode(tiny_lm, PROMPT, max_new_tokens=room).close()
    with pytest.raises(ContextLengthError, match=f"at most {room}"):
        decode(tiny_lm, PROMPT, max_new_tokens=room + 1)


def test_the_whole_context_can_be_filled(tiny_lms: Callable[[str], LanguageModel]) -> None:
    lm = tiny_lms("gpt2")
    steps = list(decode(lm, "x" * 250, max_new_tokens=7, suppress_tokens=[256]))
    assert len(steps) == 7
    assert steps[-1].kv_cache is not None
    assert steps[-1].kv_cache.tokens == 256


def watched_cache(monkeypatch: pytest.MonkeyPatch) -> list[weakref.ref[Any]]:
    caches: list[weakref.ref[Any]] = []
    prepare = decoder_module.prepare_generation

    def watching(*args: Any) -> Any:
        generation = prepare(*args)
        caches.append(weakref.ref(generation.model_kwargs["past_key_values"]))
        return generation

    monkeypatch.setattr(decoder_module, "prepare_generation", watching)
    return caches


def test_closing_frees_the_cache(tiny_lm: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    caches = watched_cache(monkeypatch)
    steps = decode(tiny_lm, PROMPT, max_new_tokens=12)
    next(steps)
    assert caches[0]() is not None
    steps.close()
    gc.collect()
    assert caches[0]() is None


def test_an_error_frees_the_cache_though_its_traceback_lives(
    tiny_lm: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    caches = watched_cache(monkeypatch)

    def broken(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("out of memory")

    steps = decode(tiny_lm, PROMPT, max_new_tokens=12)
    next(steps)
    monkeypatch.setattr(take_step_module, "choose", broken)
    with pytest.raises(RuntimeError, match="out of memory") as caught:
        next(steps)
    gc.collect()
    assert caught.tb is not None
    assert caches[0]() is None


def test_a_prefill_can_be_stopped_between_chunks(
    tiny_lm: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inference, "CPU_PREFILL_CHUNK", 5)
    caches = watched_cache(monkeypatch)
    seen: list[tuple[int, int]] = []

    def stop(done: int, total: int) -> None:
        seen.append((done, total))
        if done >= 10:
            raise KeyboardInterrupt

    steps = decode(tiny_lm, "x" * 40, max_new_tokens=3, on_prefill=stop)
    with pytest.raises(KeyboardInterrupt):
        next(steps)
    gc.collect()
    assert seen == [(5, 40), (10, 40)]
    assert caches[0]() is None


def broken_logits(lm: LanguageModel, value: float, monkeypatch: pytest.MonkeyPatch) -> None:
    forward = lm.model.forward

    def with_bad_values(*args: Any, **kwargs: Any) -> Any:
        outputs = forward(*args, **kwargs)
        outputs.logits = outputs.logits.clone()
        outputs.logits[..., :3] = value
        return outputs

    with_bad_values.__signature__ = inspect.signature(forward)  # type: ignore[attr-defined]
    monkeypatch.setattr(lm.model, "forward", with_bad_values)


@pytest.mark.parametrize("sample", [False, True])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_logits_that_are_no_distribution(
    tiny_lm: LanguageModel, value: float, sample: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken_logits(tiny_lm, value, monkeypatch)
    with pytest.raises(LogitsError, match=r"Inference 1 .* float32"):
        run(tiny_lm, do_sample=sample)
    assert run(tiny_lm, do_sample=sample, remove_invalid_values=True, max_new_tokens=2)


def test_minus_infinity_is_a_valid_logit(
    tiny_lm: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken_logits(tiny_lm, float("-inf"), monkeypatch)
    steps = run(tiny_lm, do_sample=True, top_k=0)
    assert all(s.kept_tokens == tiny_lm.vocab_size - 3 for s in steps)


class HostCopies(TorchDispatchMode):
    """Counts what makes the host wait for a device: reading one value of a tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.scalars = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.scalars += func is torch.ops.aten._local_scalar_dense.default
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("settings", [{}, {"do_sample": True, "top_k": 9, "top_p": 0.9}], ids=str)
def test_one_copy_to_the_host_a_step(
    tiny_lm: LanguageModel, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    lists: list[int] = []
    tolist = torch.Tensor.tolist

    def counting(tensor: torch.Tensor) -> Any:
        lists.append(tensor.numel())
        return tolist(tensor)

    steps = decode(tiny_lm, PROMPT, seed=1, max_new_tokens=6, suppress_tokens=[256], **settings)
    next(steps)
    monkeypatch.setattr(torch.Tensor, "tolist", counting)
    with HostCopies() as copies:
        assert len(list(steps)) == 5
    assert len(lists) == 5
    assert copies.scalars == 0


def test_max_time(tiny_lm: LanguageModel) -> None:
    steps = run(tiny_lm, max_time=1e-9, suppress_tokens=[256])
    assert [s.finish_reason for s in steps] == ["max_time"]


def test_an_encoder_decoder_is_refused() -> None:
    from transformers import T5Config, T5ForConditionalGeneration

    config = T5Config(
        vocab_size=260, d_model=16, d_kv=4, d_ff=16, num_layers=1, num_heads=2,
        decoder_start_token_id=0,
    )  # fmt: skip
    lm = LanguageModel(T5ForConditionalGeneration(config), byte_tokenizer())
    with pytest.raises(DecodingError, match="causal"):
        decode(lm, PROMPT)


def test_a_half_precision_model(tiny_lm: LanguageModel) -> None:
    lm = LanguageModel(tiny_model("llama").to(torch.bfloat16), byte_tokenizer())
    steps = run(lm)
    assert steps[-1].kv_cache is not None
    assert steps[-1].kv_cache.bytes == steps[-1].kv_cache.tokens * 2 * 3 * 2 * 8 * 2


def test_cut_characters_are_shown_as_bytes_and_texts_join(tiny_lm: LanguageModel) -> None:
    allowed = list("你好".encode())
    suppressed = [i for i in range(260) if i not in allowed]
    steps = run(tiny_lm, do_sample=True, suppress_tokens=suppressed, max_new_tokens=40, top_k=0)
    ids = [s.token_id for s in steps]
    assert "".join(s.text for s in steps) == tiny_lm.tokenizer.decode(ids)
    chosen = [next(c for c in s.candidates if c.token_id == s.token_id) for s in steps]
    assert all(c.text == f"<0x{c.token_id:02X}>" for c in chosen)


@pytest.mark.parametrize("seed", [-1, 2**64, 1.5, "7", True])
def test_a_seed_that_no_generator_takes_is_refused_at_the_call(
    tiny_lm: LanguageModel, seed: Any
) -> None:
    with pytest.raises(GenerationConfigError, match="seed must be 0 to"):
        decode(tiny_lm, PROMPT, seed=seed)


def test_token_healing_is_refused_in_words_of_its_own(tiny_lm: LanguageModel) -> None:
    with pytest.raises(GenerationConfigError, match="the prompt stays as it is given"):
        decode(tiny_lm, PROMPT, token_healing=True)


def test_a_model_without_a_generation_config_gets_one() -> None:
    model = tiny_model("llama")
    expected = [s.token_id for s in decode(LanguageModel(model, byte_tokenizer()), PROMPT)]
    model.generation_config = None
    lm = LanguageModel(model, byte_tokenizer())
    assert [s.token_id for s in decode(lm, PROMPT)] == expected
