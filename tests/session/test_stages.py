"""A distribution's way through transformers' own processors, stage by stage."""

from __future__ import annotations

import ast
import inspect
import math
import textwrap
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import tiny_model
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import (
    GenerationConfig,
    GenerationMixin,
    LogitsProcessorList,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    SuppressTokensLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)
from transformers.generation import EtaLogitsWarper, TypicalLogitsWarper, WatermarkLogitsProcessor

from decoding.core.distribution import entropy_bits, measure
from decoding.session.processors import SETTING_OF
from decoding.session.stages import CUT_LISTED, Staged, distributions, draw, measure_stages

IDS = torch.tensor([[0, 1, 1]])
NONE = torch.empty(0, dtype=torch.long)


def staged(
    logits: torch.Tensor,
    *processors: Any,
    top: int = 20,
    named: torch.Tensor = NONE,
    found: torch.Tensor = NONE,
) -> Staged:
    return measure_stages(
        logits,
        IDS,
        LogitsProcessorList(processors),
        top=top,
        named=named,
        found=found,
        choose=lambda _, scores: scores.argmax(dim=-1),
    )


def test_stages_by_hand() -> None:
    logits = torch.tensor([0.5, 0.25, 0.125, 0.125]).log()
    squares = TemperatureLogitsWarper(0.5)  # 16, 4, 1, 1 of 22
    s = staged(logits, squares, TopKLogitsWarper(1))
    warm, top = s.stages
    assert s.token_ids[:2] == (0, 1)  # the others are equal
    assert s.entropy_bits == pytest.approx(1.75)
    assert s.probabilities[1] == pytest.approx([16 / 22, 4 / 22, 1 / 22, 1 / 22])
    assert (warm.kept_tokens, warm.cut_tokens, warm.cut_probability, warm.cut) == (4, 0, 0.0, ())
    assert warm.moved == pytest.approx(16 / 22 - 0.5)
    assert (top.kept_tokens, top.cut_tokens, s.kept_tokens, s.chosen) == (1, 3, 1, 0)
    assert top.cut_probability == top.moved == pytest.approx(6 / 22)
    assert top.cut[0] == (1, pytest.approx(4 / 22))
    assert top.entropy_bits == 0


def test_without_processors_it_is_the_model_alone() -> None:
    logits = torch.tensor([0.0, 3.0, -math.inf])
    s = staged(logits, top=2, named=torch.tensor([2]))
    assert s.stages == ()
    assert s.probabilities == (pytest.approx([*torch.softmax(logits, -1)[[1, 0]].tolist(), 0.0]),)
    assert (s.token_ids, s.chosen, s.kept_tokens, s.ranks) == ((1, 0, 2), 1, 2, {2: 3})


def test_a_token_is_listed_once_and_the_likeliest_first() -> None:
    logits = torch.arange(10.0)
    s = staged(logits, top=3, named=torch.tensor([8, 0, 5]), found=torch.tensor([1, 8]))
    assert s.token_ids == (9, 8, 7, 5, 0)
    assert s.ranks == {8: 2, 0: 10, 5: 5, 1: 9}


def test_more_tokens_take_no_more_operations() -> None:
    """On an accelerator each of them would have to be waited for."""

    class Counting(TorchDispatchMode):
        calls = 0

        def __torch_dispatch__(self, func: Any, types: Any, args: Any, kwargs: Any = None) -> Any:
            self.calls += 1
            return func(*args, **(kwargs or {}))

    def operations(named: list[int]) -> int:
        with Counting() as counting:
            staged(torch.arange(10.0), top=3, named=torch.tensor(named))
        return counting.calls

    assert operations([8, 0, 5, 1, 2]) == operations([8])


def test_found_tokens_are_told_apart() -> None:
    s = staged(torch.arange(4.0), TopKLogitsWarper(1), top=1, found=torch.tensor([3, 0]))
    own = torch.softmax(torch.arange(4.0), dim=-1)
    assert s.found == ((3, own[3].item(), 1.0), (0, own[0].item(), 0.0))
    assert s.token_ids == (3,)


def test_only_the_likeliest_of_the_cut_are_listed() -> None:
    logits = torch.arange(100.0) / 50
    (stage,) = staged(logits, TopKLogitsWarper(5)).stages
    assert [token for token, _ in stage.cut] == list(range(94, 94 - CUT_LISTED, -1))
    assert stage.cut_tokens == 95


def test_the_logits_stay_as_they_are() -> None:
    logits = torch.arange(10.0)

    def writes_in_place(ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        return scores.mul_(0)

    s = staged(logits, writes_in_place)
    assert logits.tolist() == list(range(10))
    assert s.probabilities[0][0] > s.probabilities[1][0]


def test_large_ids_survive_the_copy() -> None:
    logits = torch.zeros(262_144)
    logits[262_143] = 9.0
    s = staged(logits, TopPLogitsWarper(0.01), top=3, named=torch.tensor([262_142]))
    assert s.token_ids[0] == s.chosen == 262_143
    assert s.stages[0].cut_tokens == 262_143
    assert 262_142 in s.token_ids
    assert s.entropy_bits == pytest.approx(entropy_bits(logits.log_softmax(-1)).item(), rel=1e-5)


def test_no_distribution_is_told() -> None:
    nothing = staged(torch.tensor([math.nan, 0.0]))
    assert not math.isfinite(nothing.entropy_bits)
    emptied = staged(torch.zeros(3), SuppressTokensLogitsProcessor([0, 1, 2], device="cpu"))
    assert math.isfinite(emptied.entropy_bits)
    assert not any(map(math.isfinite, emptied.probabilities[-1]))


def test_a_draw_repeats_from_its_state() -> None:
    probabilities = torch.softmax(torch.randn(1, 500), dim=-1)
    rng = torch.Generator().manual_seed(3)
    states, tokens = [], []
    for _ in range(5):
        states.append(rng.get_state())
        tokens.append(torch.multinomial(probabilities, 1, generator=rng).item())
    assert [draw(probabilities, state).item() for state in states] == tokens


logit = st.one_of(st.floats(-60, 60, width=32), st.just(-math.inf))
cutter = st.one_of(
    st.builds(TopKLogitsWarper, st.integers(1, 40)),
    st.builds(TopPLogitsWarper, st.floats(0, 1)),
    st.builds(MinPLogitsWarper, st.floats(0, 1)),
    st.builds(TypicalLogitsWarper, st.floats(0.01, 0.99)),
    st.builds(EtaLogitsWarper, st.floats(0.001, 0.9)),
)
warper = st.one_of(
    cutter,
    st.builds(TemperatureLogitsWarper, st.floats(0.05, 5)),
    st.builds(RepetitionPenaltyLogitsProcessor, st.floats(0.5, 3)),
)
# Before all others, as `generate` has it: after them it might take the last token away.
suppressed = st.lists(st.just(SuppressTokensLogitsProcessor([1], device="cpu")), max_size=1)


@settings(max_examples=150)
@given(st.data())
def test_properties(data: st.DataObject) -> None:
    size = data.draw(st.integers(4, 60))
    values = data.draw(st.lists(logit, min_size=size, max_size=size))
    values[0] = 0.0  # one is finite, and nothing here suppresses it
    logits = torch.tensor(values)
    processors = LogitsProcessorList(
        [*data.draw(suppressed), *data.draw(st.lists(warper, max_size=5))]
    )
    s = staged(logits, *processors, top=size)
    rows, _ = distributions(logits, IDS, processors)

    assert all(torch.isfinite(row).all() for row in rows)
    assert all(row.sum().item() == pytest.approx(1, abs=1e-5) for row in rows)
    at_once = torch.softmax(processors(IDS, logits[None].clone()), dim=-1)
    assert torch.equal(rows[-1], at_once), "not what the decoder draws from"
    assert sorted(s.token_ids) == list(range(size))
    assert len(s.stages) == len(processors) == len(s.probabilities) - 1
    assert s.chosen == processors(IDS, logits[None].clone()).argmax()
    for probabilities, row in zip(s.probabilities, rows, strict=True):
        assert list(probabilities) == row[0, list(s.token_ids)].tolist()
    steps = pairwise(row[0].double() for row in rows)
    for stage, (before, after) in zip(s.stages, steps, strict=True):
        cut = (before > 0) & (after == 0)
        revived = (before == 0) & (after > 0)  # a temperature may bring back what was too small
        assert stage.kept_tokens == (after > 0).sum()
        assert stage.cut_tokens == cut.sum()
        assert stage.kept_tokens == (before > 0).sum() - cut.sum() + revived.sum()
        assert stage.cut_probability == pytest.approx(before[cut].sum().item(), abs=1e-6)
        assert stage.moved == pytest.approx((after - before).abs().sum().item() / 2, abs=1e-6)
        assert stage.moved >= stage.cut_probability - 1e-6
        assert 0 <= stage.entropy_bits <= math.log2(size) + 1e-4
        entropy = -torch.special.xlogy(after, after).sum().item() / math.log(2)
        assert stage.entropy_bits == pytest.approx(entropy, abs=1e-4)
        listed = dict(stage.cut)
        assert len(listed) == min(CUT_LISTED, stage.cut_tokens)
        assert all(cut[token] and p == before[token] for token, p in listed.items())
        rest = [before[t].item() for t in cut.nonzero().flatten().tolist() if t not in listed]
        assert not rest or min(listed.values()) >= max(rest)


@settings(max_examples=60)
@given(st.data())
def test_no_token_is_cut_twice(data: st.DataObject) -> None:
    size = data.draw(st.integers(4, 8))  # so few that every cut token is listed
    values = data.draw(st.lists(st.floats(-9, 9, width=32), min_size=size, max_size=size))
    cutters = data.draw(st.lists(cutter, min_size=2, max_size=4))
    s = staged(torch.tensor(values), *data.draw(suppressed), *cutters)
    cut = [token for stage in s.stages for token, _ in stage.cut]
    assert len(cut) == len(set(cut)) == size - s.kept_tokens


def test_a_step_has_the_same_numbers() -> None:
    torch.manual_seed(1)
    logits = torch.randn(300) * 4
    warpers = LogitsProcessorList([TemperatureLogitsWarper(1.3), TopPLogitsWarper(0.8)])
    drawn = torch.softmax(warpers(IDS, logits[None].clone()), -1)[0]
    step = measure(logits, drawn, drawn.argmax().view(1), 20, [])
    s = staged(logits, *warpers)
    assert (s.chosen, s.kept_tokens) == (step.token_id, step.kept_tokens)
    assert s.entropy_bits == pytest.approx(step.entropy_bits, rel=1e-5)
    ids, own, sampling = zip(*step.candidates, strict=True)
    assert s.token_ids == ids
    assert s.probabilities[0] == pytest.approx(own, rel=1e-5)
    assert s.probabilities[-1] == sampling


def processors_that_transformers_may_apply() -> set[str]:
    """Every class that its list of processors can hold, read from its source."""
    source = textwrap.dedent(inspect.getsource(GenerationMixin._get_logits_processor))
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    names = {call.func.id for call in calls if isinstance(call.func, ast.Name)}
    import transformers.generation.utils as utils

    made = {name for name in names if inspect.isclass(getattr(utils, name, None))}
    return made - {"LogitsProcessorList"}


def test_every_processor_has_its_setting() -> None:
    possible = processors_that_transformers_may_apply()
    assert len(possible) > 20
    by_function_alone = {"PrefixConstrainedLogitsProcessor"}
    assert possible - by_function_alone <= set(SETTING_OF)
    watermarks = {WatermarkLogitsProcessor.__name__, "SynthIDTextWatermarkLogitsProcessor"}
    assert set(SETTING_OF) <= possible | watermarks
    fields = set(GenerationConfig().to_dict())
    assert set(SETTING_OF.values()) <= fields


SETTINGS: dict[str, Any] = {
    "repetition_penalty": 1.2,
    "no_repeat_ngram_size": 2,
    "bad_words_ids": [[3]],
    "min_length": 5,
    "min_new_tokens": 4,
    "forced_bos_token_id": 7,
    "forced_eos_token_id": 8,
    "remove_invalid_values": True,
    "exponential_decay_length_penalty": (5, 1.1),
    "suppress_tokens": [9],
    "begin_suppress_tokens": [10],
    "sequence_bias": [[[4], 1.0]],
    "temperature": 0.7,
    "top_h": 0.5,
    "top_k": 10,
    "top_p": 0.9,
    "min_p": 0.1,
    "typical_p": 0.9,
    "epsilon_cutoff": 0.01,
    "eta_cutoff": 0.02,
    "renormalize_logits": True,
    "guidance_scale": 2.0,
}


@pytest.mark.parametrize("setting", SETTINGS)
def test_the_setting_makes_that_processor(setting: str) -> None:
    model = tiny_model("llama")
    none: dict[str, Any] = {"top_k": None, "do_sample": True, "eos_token_id": 256}
    config = GenerationConfig(**{**none, setting: SETTINGS[setting]})
    model._prepare_special_tokens(config, device="cpu")
    made = model._get_logits_processor(config, input_ids_seq_length=3, device="cpu")
    assert [SETTING_OF[type(p).__name__] for p in made] == [setting]
