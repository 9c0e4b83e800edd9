"""Whether a model believes an answer, asked in one inference; and what a prompt asks."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from decoding.core.detokenizer import detokenize
from decoding.core.generation import prepare_generation
from decoding.core.inference import OnPrefill, free_cache, infer
from decoding.core.prompts import Prompt, prompt_token_ids
from decoding.core.templates import render_chat
from decoding.core.tokenize import tokenize
from decoding.records.answers import TruthOpinion
from decoding.records.errors import GenerationConfigError, LogitsError, PromptError

if TYPE_CHECKING:
    from decoding.core.language_model import LanguageModel

_HEADER = 12  # characters before a user's message that tell where it begins
_TRUE = ("True", " True", "true", " true", "TRUE", " TRUE")
_FALSE = ("False", " False", "false", " false", "FALSE", " FALSE")


def p_true(
    lm: LanguageModel,
    question: str,
    answer: str,
    samples: Sequence[str] = (),
    on_prefill: OnPrefill | None = None,
) -> TruthOpinion:
    """The model's own probability that an answer is right, by one inference.

    The wording is that of `truth_prompt`, as a user's message where there is a chat template,
    else as a text that goes on with "The proposed answer is". p(True) is the sum over the
    spellings of "True" (with and without a space before it, in three cases), by their first
    token; p(False) likewise.

    Source: Kadavath et al. (2022, https://arxiv.org/abs/2207.05221), who also show the model
    other answers it gave.

    Args:
        lm: model and tokenizer.
        question: what was asked.
        answer: what is judged.
        samples: other answers, to be shown beside it.
        on_prefill: called as in `decode` while the question is read.

    Raises:
        PromptError, ContextLengthError: the question and the answers cannot be read.
        GenerationConfigError: the tokenizer does not tell the two words apart.
        LogitsError: the model returns no distribution.
    """
    text = truth_prompt(question, answer, samples)
    has_template = bool(getattr(lm.tokenizer, "chat_template", None))
    prompt: Prompt = (
        [{"role": "user", "content": text}] if has_template else f"{text}\nThe proposed answer is"
    )
    token_ids = prompt_token_ids(lm, prompt)
    true_ids, false_ids = _first_ids(lm, _TRUE), _first_ids(lm, _FALSE)
    if not true_ids - false_ids or not false_ids - true_ids:
        raise GenerationConfigError(
            "This tokenizer begins True and False with the same token: P(True) cannot be read off."
        )
    started = time.perf_counter()
    logprobs = _next_logprobs(lm, token_ids, on_prefill)
    seconds = time.perf_counter() - started
    both = [sorted(true_ids - false_ids), sorted(false_ids - true_ids)]
    true, false = (float(torch.logsumexp(logprobs[ids], 0).exp()) for ids in both)
    return TruthOpinion(true / (true + false), true + false, len(token_ids), seconds)


def truth_prompt(question: str, answer: str, samples: Sequence[str] = ()) -> str:
    """What `p_true` asks."""
    others = "".join(f"\n- {text.strip()}" for text in samples)
    beside = f"Some answers that were given:{others}\n" if others else ""
    return (
        f"Question: {question.strip()}\n{beside}Proposed answer: {answer.strip()}\n"
        "Is the proposed answer true or false? Answer with one word: True or False."
    )


def question_of(lm: LanguageModel, prompt_ids: Sequence[int]) -> str:
    """What a prompt asks: of a chat the last user's message, else the text itself.

    The message is found by where the chat template puts one; special tokens are left out of
    what is no chat.
    """
    text = detokenize(lm.tokenizer, list(prompt_ids))
    before, after = _around_message(lm.tokenizer)
    if after and text.endswith(after):
        found = text[: -len(after)].rpartition(before[-_HEADER:])
        if found[1]:
            return found[2].strip()
    return plain_text(lm, prompt_ids).strip()


def plain_text(lm: LanguageModel, token_ids: Sequence[int]) -> str:
    """The text of these ids, special tokens left out."""
    return detokenize(lm.tokenizer, [i for i in token_ids if i not in lm.special_token_ids])


def _around_message(tokenizer: Any) -> tuple[str, str]:
    """What a chat template writes before and after the last message of a user."""
    if not getattr(tokenizer, "chat_template", None):
        return "", ""
    mark = "\u2402message\u2403"
    try:
        text = render_chat(
            tokenizer, [{"role": "user", "content": mark}], add_generation_prompt=True
        )
    except PromptError:  # then there is no prompt that it made
        return "", ""
    before, _mark, after = text.partition(mark)
    return before, after


def _first_ids(lm: LanguageModel, spellings: Sequence[str]) -> set[int]:
    return {tokenize(lm.tokenizer, spelling, add_special_tokens=False)[0] for spelling in spellings}


@torch.inference_mode()
def _next_logprobs(lm: LanguageModel, token_ids: list[int], on_prefill: OnPrefill | None) -> Tensor:
    """(vocab_size,) on the host, of the token after these."""
    settings = {"max_new_tokens": 1, "do_sample": False, "num_beams": 1}
    generation = prepare_generation(lm, token_ids, None, True, settings)
    try:
        logits, _fed = infer(lm.model, generation, generation.input_ids, 0, on_prefill)
    finally:
        free_cache(generation)
    logprobs = torch.log_softmax(logits[0], dim=-1).cpu()
    if bool(logprobs.isnan().any()):
        raise LogitsError(
            "The inference for P(True) returned no distribution (NaN, or nothing finite): the "
            f"model does not work in {lm.dtype}; try float32."
        )
    return logprobs
