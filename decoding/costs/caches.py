"""The same forced tokens through two kinds of cache, in turn, inference by inference."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from decoding.core.inference import OnPrefill
from decoding.costs.divergence import check_numbers, kl_nats, largest_difference
from decoding.records.comparisons import ComparedStep
from decoding.records.errors import GenerationConfigError
from decoding.strategies.forced import ForcedRun

if TYPE_CHECKING:
    from decoding.core.language_model import LanguageModel


def compare_caches(
    lm: LanguageModel,
    prompt_ids: Sequence[int],
    token_ids: Sequence[int],
    other: str,
    on_prefill: OnPrefill | None = None,
) -> Generator[ComparedStep, None, None]:
    """What another kind of cache, or none, does to cost and distribution of the same text.

    The two sides take turns, so that whatever else the machine does slows both alike. One
    cache a side is held, and no logits beyond an inference. All checks run at the call.

    Args:
        lm: model and tokenizer.
        prompt_ids: fed by the first inference of both sides.
        token_ids: fed after it, one by one; the last is never fed.
        other: a kind of cache, see `cache_settings`; `"none"` feeds everything each time.
        on_prefill: called with (tokens fed, prompt tokens) after each chunk of a prompt, for
            one side after the other; an exception it raises ends the comparison.

    Returns:
        A generator of as many steps as there are tokens; closing it frees both caches.

    Raises:
        PromptError, ContextLengthError, GenerationConfigError: at the call.
        LogitsError: from the generator, when a side returns no distribution.
    """
    if any("recurrent_states" in vars(module) for module in lm.model.modules()):
        raise GenerationConfigError(
            f"{type(lm.model).__name__} keeps its state inside the model, where two runs that "
            "take turns would overwrite each other's: they cannot be compared."
        )
    plain = ForcedRun(lm, prompt_ids, token_ids, "dynamic", on_prefill)
    return _compare(plain, ForcedRun(lm, prompt_ids, token_ids, other, on_prefill), token_ids)


def _compare(
    plain: ForcedRun, other: ForcedRun, token_ids: Sequence[int]
) -> Generator[ComparedStep, None, None]:
    try:
        prompt_tokens = plain.prompt_tokens
        for index, token_id in enumerate(token_ids):
            if index % 2:  # neither side always comes second
                other_logits, other_side = other.infer(index)
                logits, plain_side = plain.infer(index)
            else:
                logits, plain_side = plain.infer(index)
                other_logits, other_side = other.infer(index)
            difference, kl, same = _differences(logits, other_logits)
            check_numbers(index, difference, kl)
            yield ComparedStep(
                index=index,
                positions=prompt_tokens + index,
                token_id=token_id,
                plain=plain_side,
                other=other_side,
                largest_logit_difference=difference,
                kl_nats=kl,
                same_favourite=same > 0,
            )
    finally:
        plain.close()
        other.close()


def _differences(logits: Tensor, other: Tensor) -> tuple[float, float, float]:
    """All three numbers in one copy to the host."""
    kl = kl_nats(torch.log_softmax(logits, -1), torch.log_softmax(other, -1))
    same = (logits.argmax(-1) == other.argmax(-1)).float()
    numbers = torch.cat([largest_difference(logits, other), kl, same])
    difference, divergence, equal = numbers.tolist()
    return difference, divergence, equal
