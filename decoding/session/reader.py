"""A model at a place of a text: it reads on to another place, and takes the next step there."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from decoding.core.detokenizer import Detokenizer
from decoding.core.generation import Generation
from decoding.core.inference import OnPrefill
from decoding.core.take_step import Text, take_step
from decoding.memory.devices import wait_for
from decoding.records.step import DecodingStep
from decoding.records.tree import Restoration, given_tokens
from decoding.session.branch_cache import BranchCache
from decoding.session.draws import Draws

if TYPE_CHECKING:
    from decoding.core.language_model import LanguageModel


class Reader:
    """Holds the live cache, and what goes along with the text that it has read.

    Attributes:
        lm: the model.
        cache: made ready by `make_ready`.
    """

    def __init__(
        self, lm: LanguageModel, generation: Generation, draws: Draws, top_candidates: int
    ) -> None:
        """Nothing is read; `generation` holds the inputs for the prompt, with a new cache."""
        self.lm = lm
        self.cache = BranchCache(lm.model, generation)
        self._prompt_tokens = int(generation.input_ids.shape[1])
        self._draws = draws
        self._top_candidates = top_candidates
        self._is_ready = self._is_away = False
        self._seconds_ahead = 0.0

    def stand(self, prompt_ids: list[int], path: list[DecodingStep]) -> None:
        """The next step comes after these; nothing is read yet."""
        self._ids = prompt_ids + [step.token_id for step in path]
        self._given = given_tokens(path)
        added = ((step.token_id, step.text) for step in path)
        detokenizer = Detokenizer.after(self.lm.tokenizer, prompt_ids, added)
        self._text = Text(self.tensor(self._ids), detokenizer, len(path))
        self._is_ready = False

    def read_ahead(self, prompt_ids: list[int], on_prefill: OnPrefill | None) -> Iterator[int]:
        """Reads a prompt in parts, as `BranchCache.read_ahead`; their time is the first step's."""
        started, self._seconds_ahead = time.perf_counter(), 0.0
        for done in self.cache.read_ahead(prompt_ids, on_prefill):
            wait_for(self.lm.device)
            self._seconds_ahead += time.perf_counter() - started
            yield done
            started = time.perf_counter()

    def make_ready(self, on_prefill: OnPrefill | None) -> Restoration | None:
        """Has the cache hold all but the last token; `None` where there was nothing to do."""
        is_ahead = self.cache.is_ahead(self._ids)
        if not is_ahead:
            self._seconds_ahead = 0.0
        if is_ahead or (self._is_ready and not self.cache.is_lost):
            return None
        started = time.perf_counter()
        place = self.cache.go_to(self._ids[:-1], on_prefill)
        was_away, self._is_away, self._is_ready = self._is_away, False, True
        if place is None:
            return None
        wait_for(self.lm.device)
        seconds = time.perf_counter() - started
        reason = "evicted" if was_away and place.fed else place.reason
        return Restoration(self._text.index, place.reused, place.fed, seconds, reason)

    def step(
        self, token_id: int | None, on_prefill: OnPrefill | None
    ) -> tuple[DecodingStep, Tensor]:
        """One inference, and the token that is chosen, or that is forced.

        Returns:
            The step, and its raw logits, (vocab_size,) float32.

        Raises:
            LogitsError: the model returned NaN or nothing finite.
        """
        draw = self._text.index - self._given
        step, row = take_step(
            self.lm,
            self.cache.generation,
            self._text,
            partial(self._infer, on_prefill),
            partial(self._draws.generator, draw),
            top_candidates=self._top_candidates,
            token_id=token_id,
        )
        ahead, self._seconds_ahead = self._seconds_ahead, 0.0
        step = replace(step, seconds=step.seconds + ahead) if ahead else step
        self._is_ready = True
        self._ids.append(step.token_id)
        self._draws.width = int(row.shape[-1])
        if token_id is None and self.cache.generation.config.do_sample:
            self._draws.drawn(draw)
        self._draws.before(draw + 1)  # now that no clock runs, for whoever draws or asks later
        return step, row

    def aside(
        self, ids: list[int], on_prefill: OnPrefill | None = None
    ) -> tuple[Tensor, Restoration]:
        """The raw logits after other ids, and what that took.

        The live cache stays as it is, but where it was dropped it is the one that reads, so that
        whoever looks around does not read everything again each time.
        """
        started = time.perf_counter()
        if self.cache.is_dropped:
            self._is_away, self._is_ready = True, False
        cache = self.cache if self._is_away else self.cache.beside()
        index = len(ids) - self._prompt_tokens
        try:
            place = cache.go_to(ids[:-1], on_prefill)
            logits, fed = cache.infer(self.tensor(ids), ids, index == 0, on_prefill)
        except BaseException:
            if self._is_away:
                self.cache.drop()
            raise
        wait_for(self.lm.device)
        seconds = time.perf_counter() - started
        if place is None:
            return logits[0], Restoration(index, len(ids) - fed, 0, seconds)
        return logits[0], Restoration(index, place.reused, place.fed, seconds, place.reason)

    def tensor(self, ids: list[int]) -> Tensor:
        """(1, tokens) on the model's device."""
        return torch.tensor([ids], device=self.lm.device)

    def _infer(self, on_prefill: OnPrefill | None) -> tuple[Tensor, int]:
        return self.cache.infer(self._text.ids, self._ids, self._text.index == 0, on_prefill)
