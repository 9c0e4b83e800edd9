"""The same tokens through two caches: what is measured, and what is left behind."""

from __future__ import annotations

import gc
import importlib.util
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from families import FAMILIES
from tiny import byte_tokenizer, tiny_model

from decoding import GenerationConfigError, LanguageModel, LogitsError, PromptError, decode
from decoding.costs import caches as compare_module
from decoding.costs.caches import compare_caches
from decoding.costs.divergence import kl_nats, largest_difference
from decoding.records.comparisons import ComparedStep

GetLM = Callable[[str], LanguageModel]
PROMPT = list(b"The cache changes the cost")
TOKENS = list(b" and not the answer.")
# transformers computes one step of these in another way than many: also in float64, and also
# where its own `generate` runs them.
TWO_WAYS = {"nemotron_h": 0.01, "zamba2": 0.3}


def compared(lm: LanguageModel, other: str) -> list[ComparedStep]:
    return list(compare_caches(lm, PROMPT, TOKENS, other))


@pytest.mark.parametrize("family", [name for name in FAMILIES if name != "recurrent_gemma"])
def test_without_a_cache_the_logits_are_the_same(tiny_lms: GetLM, family: str) -> None:
    steps = compared(tiny_lms(family), "none")
    assert [s.index for s in steps] == list(range(len(TOKENS)))
    assert [s.token_id for s in steps] == TOKENS
    assert max(s.largest_logit_difference for s in steps) < TWO_WAYS.get(family, 1e-4)
    assert max(s.kl_nats for s in steps) < TWO_WAYS.get(family, 1e-4)
    if family not in TWO_WAYS:
        assert all(s.same_favourite for s in steps)


def test_a_state_inside_the_model_cannot_be_compared(tiny_lms: GetLM) -> None:
    with pytest.raises(GenerationConfigError, match="inside the model"):
        compare_caches(tiny_lms("recurrent_gemma"), PROMPT, TOKENS, "none")


def test_what_each_side_costs(tiny_lm: LanguageModel) -> None:
    steps = compared(tiny_lm, "none")
    lengths = [len(PROMPT) + i for i in range(len(TOKENS))]
    assert [s.positions for s in steps] == lengths
    assert [s.plain.input_tokens for s in steps] == [len(PROMPT)] + [1] * (len(TOKENS) - 1)
    assert [s.other.input_tokens for s in steps] == lengths
    per_token = tiny_lm.kv_bytes_per_token
    assert [s.plain.kv_bytes for s in steps] == [per_token * n for n in lengths]
    assert {s.other.kv_bytes for s in steps} == {None}
    assert all(s.plain.seconds > 0 and s.other.seconds > 0 for s in steps)


def test_the_numbers_are_those_of_a_plain_forward_pass(tiny_lm: LanguageModel) -> None:
    """The quantized cache really reached the model, and the plain one did not."""
    steps = compared(tiny_lm, "quantized")
    with torch.no_grad():
        exact = tiny_lm.model(torch.tensor([PROMPT + TOKENS])).logits[0, len(PROMPT) - 1 : -1]
    seen: list[torch.Tensor] = []
    original = compare_module._differences

    def watching(logits: torch.Tensor, other: torch.Tensor) -> Any:
        seen.append(torch.stack([logits[0], other[0]]))
        return original(logits, other)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compare_module, "_differences", watching)
        again = compared(tiny_lm, "quantized")
    assert [s.kl_nats for s in again] == [s.kl_nats for s in steps]
    for step, (plain, other), row in zip(steps, seen, exact, strict=True):
        assert torch.allclose(plain, row, atol=1e-4)
        p, q = plain.double().log_softmax(-1), other.double().log_softmax(-1)
        assert step.kl_nats == pytest.approx((p.exp() * (p - q)).sum().item(), abs=1e-5)
        assert step.largest_logit_difference == pytest.approx((plain - other).abs().max().item())
        assert step.same_favourite == (plain.argmax() == other.argmax())


def test_a_static_cache_holds_its_whole_length_from_the_start(tiny_lm: LanguageModel) -> None:
    steps = compared(tiny_lm, "static")
    whole = tiny_lm.kv_bytes_per_token * (len(PROMPT) + len(TOKENS))
    # The last token is never fed, and transformers leaves its position out.
    assert {s.other.kv_bytes for s in steps} <= {whole, whole - tiny_lm.kv_bytes_per_token}
    assert max(s.largest_logit_difference for s in steps) < 1e-4


def test_a_static_cache_is_not_as_long_as_an_earlier_run(tiny_lm: LanguageModel) -> None:
    def largest(new_tokens: int) -> int:
        settings: dict[str, Any] = {"cache_implementation": "static", "suppress_tokens": [256]}
        steps = list(decode(tiny_lm, PROMPT, max_new_tokens=new_tokens, **settings))
        return max(s.kv_cache.bytes for s in steps if s.kv_cache)

    assert largest(3) == largest(3) < largest(60)
    assert largest(3) < largest(60)


def test_a_quantized_cache_is_smaller_and_changes_the_distribution(tiny_lm: LanguageModel) -> None:
    steps = compared(tiny_lm, "quantized")
    assert steps[0].kl_nats == 0  # the prompt's own pass reads what is not yet quantized
    assert all(s.kl_nats > 0 for s in steps[1:])
    assert all(s.other.kv_bytes * 4 == s.plain.kv_bytes for s in steps)
    assert max(s.kl_nats for s in steps) < 1


@pytest.mark.parametrize("kind", ["quantized_4bit", "quantized_2bit"])
def test_a_cache_of_few_bits(tiny_lm: LanguageModel, kind: str) -> None:
    if importlib.util.find_spec("hqq") is None:
        with pytest.raises(GenerationConfigError, match="pip install hqq"):
            compare_caches(tiny_lm, PROMPT, TOKENS, kind)
        return
    steps = compared(tiny_lm, kind)
    assert all(s.other.kv_bytes < s.plain.kv_bytes for s in steps)
    assert max(s.kl_nats for s in steps) > 0


@pytest.mark.skipif(torch.accelerator.is_available(), reason="there is where to offload from")
def test_an_offloaded_cache_needs_an_accelerator(tiny_lm: LanguageModel) -> None:
    with pytest.raises(GenerationConfigError, match="accelerator"):
        compare_caches(tiny_lm, PROMPT, TOKENS, "offloaded")
    with pytest.raises(GenerationConfigError, match="accelerator"):
        decode(tiny_lm, PROMPT, cache_implementation="offloaded_static")


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ((PROMPT, TOKENS, "nonsense"), GenerationConfigError, "nonsense"),
        ((PROMPT, [], "none"), GenerationConfigError, "no tokens"),
        ((PROMPT, [999], "none"), PromptError, "999"),
        (([], TOKENS, "none"), PromptError, "empty"),
        (([1] * 250, TOKENS, "none"), PromptError, "context"),
    ],
    ids=["kind", "no tokens", "token", "no prompt", "length"],
)
def test_refused_at_the_call(
    tiny_lm: LanguageModel, arguments: Any, error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        compare_caches(tiny_lm, *arguments)


@pytest.mark.parametrize("family", ["gemma2", "qwen3_next"])
def test_a_family_that_cannot_be_quantized_says_so(tiny_lms: GetLM, family: str) -> None:
    with pytest.raises(GenerationConfigError, match="full attention"):
        compare_caches(tiny_lms(family), PROMPT, TOKENS, "quantized")


def test_closing_frees_both_caches(tiny_lm: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    caches: list[weakref.ref[Any]] = []
    remember = compare_module.ForcedRun.__init__

    def watching(self: Any, *args: Any) -> None:
        remember(self, *args)
        caches.append(weakref.ref(self.generation.model_kwargs["past_key_values"]))

    monkeypatch.setattr(compare_module.ForcedRun, "__init__", watching)
    steps = compare_caches(tiny_lm, PROMPT, TOKENS, "quantized")
    next(steps)
    assert all(cache() is not None for cache in caches)
    steps.close()
    gc.collect()
    assert [cache() for cache in caches] == [None, None]


def test_a_prefill_tells_how_far_it_is(tiny_lm: LanguageModel) -> None:
    seen: list[tuple[int, int]] = []
    next(compare_caches(tiny_lm, PROMPT, TOKENS, "none", lambda *args: seen.append(args)))
    assert seen == [(len(PROMPT), len(PROMPT))] * 2


def test_one_copy_to_the_host_a_step(
    tiny_lm: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    copies: list[int] = []
    tolist = torch.Tensor.tolist

    def counting(tensor: torch.Tensor) -> Any:
        copies.append(tensor.numel())
        return tolist(tensor)

    steps = compare_caches(tiny_lm, PROMPT, TOKENS, "none")
    monkeypatch.setattr(torch.Tensor, "tolist", counting)
    assert len(list(steps)) == len(copies) == len(TOKENS)


def test_logits_that_are_no_distribution() -> None:
    lm = LanguageModel(tiny_model("llama"), byte_tokenizer())
    with torch.no_grad():
        lm.model.lm_head.weight.fill_(float("nan"))
    with pytest.raises(LogitsError, match="Inference 1 "):
        next(compare_caches(lm, PROMPT, TOKENS, "none"))


def test_divergence_by_hand() -> None:
    p, q = torch.tensor([0.5, 0.25, 0.25]).log(), torch.tensor([0.25, 0.25, 0.5]).log()
    assert kl_nats(p, q).item() == pytest.approx(0.25 * torch.tensor(2.0).log().item())
    assert kl_nats(p, p).item() == 0
    certain = torch.tensor([1.0, 0.0, 0.0]).log()
    assert kl_nats(certain, q).item() == pytest.approx(torch.tensor(4.0).log().item())
    assert kl_nats(q, certain).item() == float("inf")
    assert kl_nats(torch.tensor([float("nan"), 0.0]), torch.zeros(2)).isnan()


def test_largest_difference_by_hand() -> None:
    low = float("-inf")
    a, b = torch.tensor([[1.0, low, 3.0]]), torch.tensor([[1.5, low, 1.0]])
    assert largest_difference(a, b).tolist() == [2.0]
    assert largest_difference(a, torch.zeros(1, 3)).tolist() == [float("inf")]
