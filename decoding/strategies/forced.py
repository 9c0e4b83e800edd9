"""A given text that goes through a model, inference by inference, each one timed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from decoding.core.cache_kinds import cache_settings
from decoding.core.generation import prepare_generation
from decoding.core.inference import OnPrefill, cache_size, free_cache, infer
from decoding.core.prompts import prompt_token_ids
from decoding.memory.devices import wait_for
from decoding.records.comparisons import Side
from decoding.records.errors import GenerationConfigError

if TYPE_CHECKING:
    from decoding.core.language_model import LanguageModel


class ForcedRun:
    """Tokens that are fed, not chosen; what `generate` would feed, with a cache of its making."""

    def __init__(
        self,
        lm: LanguageModel,
        prompt_ids: Sequence[int],
        token_ids: Sequence[int],
        kind: str = "dynamic",
        on_prefill: OnPrefill | None = None,
    ) -> None:
        if not token_ids:
            raise GenerationConfigError("There are no tokens to compare: generate some first.")
        prompt = prompt_token_ids(lm, list(prompt_ids))
        settings = {"max_new_tokens": len(token_ids), **cache_settings(kind, lm)}
        use_cache = settings.pop("use_cache", True)
        self.model = lm.model
        self.prompt_tokens = len(prompt)
        self.ids = torch.tensor(
            [prompt + prompt_token_ids(lm, list(token_ids))], device=lm.device
        )  # (1, prompt and forced tokens)
        self.generation = prepare_generation(lm, prompt, None, use_cache, settings)
        self.on_prefill = on_prefill

    @torch.inference_mode()
    def infer(self, index: int) -> tuple[Tensor, Side]:
        """The logits that forced token `index` would be chosen from, (1, vocab_size) float32."""
        positions = self.prompt_tokens + index
        ids = self.ids[:, :positions]
        wait_for(ids.device)
        started = time.perf_counter()
        logits, fed = infer(self.model, self.generation, ids, index, self.on_prefill)
        wait_for(ids.device)
        seconds = time.perf_counter() - started
        size = cache_size(self.generation, positions)
        return logits, Side(fed, seconds, None if size is None else size.bytes)

    def close(self) -> None:
        """Frees the cache, and the model too where nobody else holds it."""
        free_cache(self.generation)
        vars(self).clear()
