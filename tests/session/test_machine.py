"""Any sequence of a session's operations: the next distribution is that of a fresh run."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch
from families import FAMILIES, PECULIAR
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from hypothesis.stateful import run_state_machine_as_test as run_machine
from tiny import byte_tokenizer, tiny_model

from decoding import DecodingSession, LanguageModel, cache_settings

pytestmark = [pytest.mark.slow, pytest.mark.no_cover]

PROMPT = "The sea"
EOS = 256
CLOSE = 1e-4
# Where what a cache holds depends on what was read together, the fresh run goes step by step.
BY_STEPS = ("quantized", "deepseek_v32", "zamba2")
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("llama", {}),
    "gpt2": ("gpt2", {}),
    "mistral": ("mistral", {}),
    "gemma3_text": ("gemma3_text", {}),
    "unfilled window": ("mistral", {"window": 16}),
    "gemma4_text": ("gemma4_text", {}),
    "deepseek_v3": ("deepseek_v3", {}),
    "mamba": ("mamba", {}),
    "rwkv": ("rwkv", {}),
    "jamba": ("jamba", {}),
    "qwen3_next": ("qwen3_next", {}),
    "zamba2": ("zamba2", {}),
    "deepseek_v32": ("deepseek_v32", {}),
    "recurrent_gemma": ("recurrent_gemma", {}),
    "static": ("llama", {"cache_implementation": "static"}),
    "quantized": ("llama", {"kind": "quantized"}),
    "none": ("llama", {"use_cache": False}),
}


@cache
def model(family: str, window: int | None = None) -> LanguageModel:
    overrides = {} if window is None else {"sliding_window": window}
    return LanguageModel(tiny_model(family, **overrides), byte_tokenizer(), name=f"tiny-{family}")


class Machine(RuleBasedStateMachine):
    """Everything that can be done to a session, and what must hold after each of it."""

    family = "llama"
    options: dict[str, Any] = {}  # noqa: RUF012
    known: dict[tuple[int, ...], torch.Tensor] = {}  # noqa: RUF012

    def __init__(self) -> None:
        super().__init__()
        self.lm = model(self.family, self.options.get("window"))
        self.session = self.new(seed=5, do_sample=True)

    def new(self, **choices: Any) -> DecodingSession:
        options = {name: value for name, value in self.options.items() if name != "window"}
        if "kind" in options:
            options |= cache_settings(options.pop("kind"), self.lm)
        return DecodingSession(self.lm, PROMPT, max_new_tokens=60, **options, **choices)

    @precondition(lambda self: not self.session.is_finished)
    @rule(steps=st.integers(1, 9))
    def run(self, steps: int) -> None:
        for _ in self.session.run(steps):
            self.check_taken()

    @precondition(lambda self: not self.session.is_finished)
    @rule(token=st.integers(0, 255))
    def force(self, token: int) -> None:
        assert self.session.step(token).token_id == token
        self.check_taken()

    @rule(data=st.data())
    def rewind(self, data: st.DataObject) -> None:
        self.session.rewind(data.draw(st.integers(0, self.session.position)))

    @precondition(lambda self: self.session.position > 0)
    @rule(data=st.data(), token=st.none() | st.integers(0, 255))
    def fork(self, data: st.DataObject, token: int | None) -> None:
        branches = len(self.session.tree.branches)
        self.session.fork(data.draw(st.integers(0, self.session.position - 1)), token)
        assert len(self.session.tree.branches) == branches + 1
        self.check_taken()

    @rule(data=st.data(), to_end=st.booleans())
    def move(self, data: st.DataObject, to_end: bool) -> None:
        tree = self.session.tree
        branch = data.draw(st.integers(0, len(tree.branches) - 1))
        at = None if to_end else data.draw(st.integers(0, tree.branches[branch].length))
        self.session.move(branch, at)

    @rule(heat=st.sampled_from([0.5, 1.0, 2.0]), samples=st.booleans())
    def configure(self, heat: float, samples: bool) -> None:
        self.session.configure(temperature=heat, do_sample=samples)

    @rule(let_go=st.booleans())
    def free(self, let_go: bool) -> None:
        if let_go:
            self.session.detach()
            self.session.attach(self.lm)
        else:
            self.session.free()

    @invariant()
    def what_comes_next(self) -> None:
        session = self.session
        live = session.cache
        row, _ = session.places.logits_at(session.branch, session.position)
        self.check(row, session.places.ids_before(session.branch, session.position)[0].tolist())
        assert session.cache == live or live is None or session.places.reader._is_away

    def check_taken(self) -> None:
        """The step just taken: its logits are those that the live cache led to."""
        session = self.session
        row, again = session.places.logits_at(session.branch, session.position - 1)
        assert again is None
        ids = session.places.ids_before(session.branch, session.position)[0].tolist()
        self.check(row, ids[:-1])
        step = session.path()[-1]
        assert step.token_id == ids[-1]
        if step.kv_cache is not None:
            assert step.kv_cache.tokens == len(ids) - 1
            assert session.held_bytes >= step.kv_cache.bytes
        text = "".join(s.text for s in session.path())
        whole = self.lm.tokenizer.decode(ids[len(session.prompt_ids) :])
        assert text == whole if step.finish_reason else whole.startswith(text)

    def check(self, row: torch.Tensor, ids: list[int]) -> None:
        fresh = self.fresh(tuple(ids))
        assert torch.allclose(row.softmax(-1), fresh.softmax(-1), rtol=0, atol=CLOSE)

    def fresh(self, ids: tuple[int, ...]) -> torch.Tensor:
        if ids not in self.known:
            if type(self).__name__ in BY_STEPS:
                self.force_along(ids)
            else:
                with torch.no_grad():
                    self.known[ids] = self.lm.model(torch.tensor([ids])).logits[0, -1].float()
        return self.known[ids]

    def force_along(self, ids: tuple[int, ...]) -> None:
        other = self.new()
        prompt = len(other.prompt_ids)
        for index, token in enumerate((*ids[prompt:], 0)):
            other.step(token)
            self.known[ids[: prompt + index]] = other.places.logits_at(0, index)[0]


@pytest.mark.parametrize("kind", KINDS)
def test_the_next_distribution_is_that_of_a_fresh_run(kind: str) -> None:
    family, options = KINDS[kind]
    assert family in {**FAMILIES, **PECULIAR}
    machine = type(kind, (Machine,), {"family": family, "options": options, "known": {}})
    run_machine(
        machine,
        settings=settings(
            max_examples=10,
            stateful_step_count=16,
            database=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
