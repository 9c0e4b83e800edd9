"""Several answers drawn for one prompt in one batch; it does not ask what they say."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache

from decoding.core.cache_kinds import cache_settings
from decoding.core.detokenizer import text_after
from decoding.core.generation import Generation, prepare_generation
from decoding.core.inference import cache_size, free_cache, infer
from decoding.core.prompts import Prompt, prompt_token_ids
from decoding.core.supported import check_count, check_seed
from decoding.memory.kv_cache import cache_of
from decoding.records.answers import CacheUse, SampledAnswer
from decoding.records.errors import GenerationConfigError, LogitsError

if TYPE_CHECKING:
    from decoding.core.language_model import LanguageModel

OnInference = Callable[[int, int], None]

# With its state it mixes the rows of a batch, when it is fed one token.
_ROWS_MIX = ("rwkv",)


def sampled_cost(n: int, max_new_tokens: int) -> int:
    """Calls of the model's forward that `n` sampled answers take at most.

    One reads the prompt and gives the first token of every answer; each later one writes one
    token of all answers that have not ended. So they are as many as for one answer, but each
    works on `n` rows. `p_true` is one more.
    """
    return max_new_tokens if n > 0 else 0


def sample_answers(
    lm: LanguageModel,
    prompt: Prompt,
    n: int = 10,
    max_new_tokens: int = 32,
    temperature: float = 0.5,
    seed: int | None = None,
    on_progress: OnInference | None = None,
) -> Iterator[SampledAnswer]:
    """Draws `n` answers to the same prompt, all in one batch.

    The prompt is read once and its cache repeated `n` times. Where a cache cannot be repeated
    (a state inside the model, a cache of the model's own), the prompt is read `n` times in one
    batch, and where there is none in each inference; `SampledAnswer.cache_use` says which. The
    cache is transformers' plain one, also where another kind is set.

    Tokens are drawn from softmax(logits / temperature) and nothing else: no top_k, no top_p,
    none of the model's own settings. With n = 1 they are those of `decode` under the same
    settings and seed.

    Args:
        lm: model and tokenizer.
        prompt: text, chat messages or token ids; see `prompt_token_ids`.
        n: how many answers.
        max_new_tokens: where an answer is cut off; the model's end tokens end it before.
        temperature: above 0.
        seed: of a private random generator; `None` draws from torch's global one.
        on_progress: called with (inferences done, inferences at most) between inferences, and
            with 0 between the chunks of a prompt; an exception it raises ends it all.

    Returns:
        A generator of answers in the order in which they end; closing it frees the cache.

    Raises:
        PromptError, ContextLengthError, GenerationConfigError: at the call.
        LogitsError: from the generator, when the model returns no distribution.
    """
    check_count("n", n)
    check_seed(seed)
    if not temperature > 0:
        raise GenerationConfigError(f"temperature must be above 0, got {temperature}.")
    generation = _prepare(lm, prompt_token_ids(lm, prompt), max_new_tokens)
    rng = None if seed is None else torch.Generator(lm.device).manual_seed(int(seed))
    report = on_progress or (lambda _done, _total: None)
    return _draw(lm, generation, n, temperature, rng, report)


@torch.inference_mode()
def _draw(
    lm: LanguageModel,
    generation: Generation,
    n: int,
    temperature: float,
    rng: torch.Generator | None,
    report: OnInference,
) -> Iterator[SampledAnswer]:
    prompt_tokens = generation.input_ids.shape[1]
    most = generation.config.max_length - prompt_tokens
    ends = torch.tensor(lm.eos_token_ids, dtype=torch.long, device=lm.device)
    started = time.perf_counter()
    try:
        ids, logits, use, fed = _read(lm, generation, n, lambda _done, _total: report(0, most))
        rows = _Rows(lm, generation.input_ids[0].tolist(), n, use, fed, started)
        for done in range(1, most + 1):
            report(done, most)
            tokens = _choose(logits, temperature, rng)
            logprobs = torch.log_softmax(logits, -1).gather(1, tokens[:, None])[:, 0]
            has_ended = torch.isin(tokens, ends)
            # One copy to the host; float32 is exact for ids up to 2**24.
            numbers = torch.stack([tokens.float(), logprobs, has_ended.float()])
            yield from rows.add(numbers.tolist(), done, is_last=done == most)
            if not rows.unfinished:
                break
            # A row that has ended goes on to be fed, and what it says is not looked at.
            ids = torch.cat([ids, tokens[:, None]], dim=-1)
            logits, fed = infer(lm.model, generation, ids, done)
            rows.prompt_tokens += ids.shape[0] * (prompt_tokens if fed > 1 else 0)
    finally:
        free_cache(generation)


class _Rows:
    """The answers of a batch as they grow."""

    def __init__(
        self,
        lm: LanguageModel,
        prompt_ids: list[int],
        n: int,
        use: CacheUse,
        prompt_tokens: int,
        started: float,
    ) -> None:
        self.lm = lm
        self.prompt_ids = prompt_ids
        self.use = use
        self.prompt_tokens = prompt_tokens
        self.started = started
        self.ids: list[list[int]] = [[] for _ in range(n)]
        self.logprobs = [0.0] * n
        self.unfinished = set(range(n))

    def add(
        self, numbers: list[list[float]], inferences: int, is_last: bool
    ) -> Iterator[SampledAnswer]:
        """Takes one token of each row; the answers that end with it."""
        for row, (token, logprob, has_ended) in enumerate(zip(*numbers, strict=True)):
            if row not in self.unfinished:
                continue
            if math.isnan(logprob):
                raise LogitsError(
                    f"Inference {inferences} returned no distribution (NaN, or nothing finite): "
                    f"the model does not work in {self.lm.dtype}; try float32."
                )
            self.ids[row].append(int(token))
            self.logprobs[row] += logprob
            if has_ended or is_last:
                self.unfinished.remove(row)
                yield self._answer(row, inferences, bool(has_ended))

    def _answer(self, row: int, inferences: int, has_ended: bool) -> SampledAnswer:
        ids = self.ids[row]
        return SampledAnswer(
            index=row,
            text=text_after(self.lm.tokenizer, self.prompt_ids, ids[:-1] if has_ended else ids),
            token_ids=tuple(ids),
            logprob=self.logprobs[row],
            finish_reason="eos" if has_ended else "length",
            inferences=inferences,
            prompt_tokens=self.prompt_tokens,
            cache_use=self.use,
            seconds=time.perf_counter() - self.started,
        )


def _prepare(lm: LanguageModel, token_ids: list[int], max_new_tokens: int) -> Generation:
    """Of what is prepared only the inputs and the length are used."""
    settings = {"max_new_tokens": max_new_tokens, "do_sample": True, "num_beams": 1}
    if lm.model.config.get_text_config().model_type in _ROWS_MIX:
        return prepare_generation(lm, token_ids, None, False, settings)
    settings |= cache_settings("dynamic", lm)
    return prepare_generation(lm, token_ids, None, True, settings)


def _read(
    lm: LanguageModel, generation: Generation, n: int, report: OnInference
) -> tuple[Tensor, Tensor, CacheUse, int]:
    """Ids (n, tokens) and logits (n, vocab_size) after the prompt; prompt tokens that were fed."""
    ids, cache = generation.input_ids, cache_of(generation.model_kwargs)
    can_repeat = _can_repeat(lm.model, cache)
    if not can_repeat:
        ids = _repeat(lm, generation, n)
    logits, fed = infer(lm.model, generation, ids, 0, report)
    use: CacheUse = "repeated" if can_repeat else "read_again"
    prompt_tokens = fed * ids.shape[0]
    if cache_size(generation, fed) is None:
        use = "none"
    if can_repeat:
        assert cache is not None
        cache.reorder_cache(torch.zeros(n, dtype=torch.long, device=ids.device))
        ids = _repeat(lm, generation, n)
    return ids, logits.expand(n, -1), use, prompt_tokens


def _can_repeat(model: Any, cache: Any) -> bool:
    """Whether all that was read is in layers which can be taken row by row, as beams take them."""
    keeps_inside = any("recurrent_states" in vars(module) for module in model.modules())
    return (
        isinstance(cache, Cache)
        and not hasattr(cache, "linear_cache")  # MiniMax's states, beside its layers
        and not keeps_inside
    )


def _repeat(lm: LanguageModel, generation: Generation, n: int) -> Tensor:
    """The ids `n` times, and what goes along with them; a cache among it is left as it is."""
    ids: Tensor
    ids, generation.model_kwargs = lm.model._expand_inputs_for_generation(
        expand_size=n, input_ids=generation.input_ids, **generation.model_kwargs
    )
    return ids


def _choose(logits: Tensor, temperature: float, rng: torch.Generator | None) -> Tensor:
    """(n, vocab_size) -> (n,) tokens, each drawn for itself."""
    probabilities = torch.softmax(logits / temperature, dim=-1)
    # A row of NaN becomes a uniform one, and is told afterwards: to draw from NaN kills CUDA.
    drawable = probabilities.nan_to_num(nan=1.0)
    return torch.multinomial(drawable, 1, generator=rng).view(-1)
