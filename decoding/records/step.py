"""The records that travel between the rooms: plain Python, no tensors, no charts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Phase = Literal["prefill", "decode", "score"]
MemoryKind = Literal["cuda", "mps", "process"]
FinishReason = Literal["eos", "length", "stop_string", "max_time"]


@dataclass(frozen=True, slots=True)
class Candidate:
    """One entry of a next-token distribution.

    Attributes:
        token_id: index into the vocabulary.
        token: the vocabulary's own piece, as the tokenizer stores it.
        text: printable text; bytes that are no whole character read as `<0xE5>`.
        probability: softmax of the logits at T = 1, in [0, 1].
        sampling_probability: softmax of the scores, in [0, 1]; 0 = cut by a processor.
    """

    token_id: int
    token: str
    text: str
    probability: float
    sampling_probability: float


@dataclass(frozen=True, slots=True)
class KVCacheSize:
    """What a cache held after one inference, read from the cache object itself.

    Attributes:
        tokens: positions that the cache stands for.
        bytes: sum over all tensors that its layers hold.
        layer_bytes: the same, layer by layer; sums to `bytes`.
        layer_tokens: positions whose keys and values each layer stores, of a static cache
            those it has room for; `None` for a layer that keeps a state instead.
    """

    tokens: int
    bytes: int
    layer_bytes: tuple[int, ...]
    layer_tokens: tuple[int | None, ...] = ()


@dataclass(frozen=True, slots=True)
class MemoryInUse:
    """What the allocator held right after one inference.

    Attributes:
        kind: `"cuda"` or `"mps"`, by torch's own count; `"process"`, the memory that the
            operating system has given this process.
        bytes: in use by tensors; of `"process"`, resident.
        reserved_bytes: that torch keeps for itself on the device; `None` for `"process"`.
    """

    kind: MemoryKind
    bytes: int
    reserved_bytes: int | None


@dataclass(frozen=True, slots=True)
class DecodingStep:
    """One inference and the token that was chosen from its distribution.

    Attributes:
        index: 0-based position among the new tokens.
        phase: `"prefill"` for step 0, `"decode"` after it; `"score"` where the token was given
            and measured in one pass over the text.
        input_tokens: tokens fed in this inference (all of the prompt's for the prefill).
        token_id: the chosen token's index into the vocabulary.
        token: the vocabulary's own piece.
        text: the printable text this token released; `""` while a character is
            incomplete. The texts of a finished run, joined, are the tokenizer's decoding.
        is_special: whether the token is one of the tokenizer's special tokens.
        logprob: of the chosen token in the model's own distribution, in nats.
        probability: `exp(logprob)`.
        rank: 1 + how many tokens the model found more probable.
        sampling_probability: of the chosen token in the distribution drawn from.
        entropy_bits: of the model's own distribution, over the full vocabulary.
        varentropy_bits2: variance of the surprisal under that distribution, in bits².
        candidates: most likely first; the chosen token is always among them, so there
            is one more than asked for when it was not among the favourites.
        tail_probability: 1 − the candidates' probabilities.
        kept_tokens: vocabulary entries that could still be drawn.
        kv_cache: size of the cache after this inference; `None` without a cache.
        seconds: this inference and the choice; for step 0, the time to first token.
        finish_reason: `None`, or on the last step why generation ended.
        memory: what the allocator held; `None` where nobody can tell.
        is_forced: a user chose the token, not the settings.
        text_bytes: of a scored step, how many bytes of the given text it stands for, in UTF-8:
            not those of `text` where the tokenizer changes what it reads; `None` where it does
            not tell, and of a step that was not scored.
    """

    index: int
    phase: Phase
    input_tokens: int
    token_id: int
    token: str
    text: str
    is_special: bool
    logprob: float
    probability: float
    rank: int
    sampling_probability: float
    entropy_bits: float
    varentropy_bits2: float
    candidates: tuple[Candidate, ...]
    tail_probability: float
    kept_tokens: int
    kv_cache: KVCacheSize | None
    seconds: float
    finish_reason: FinishReason | None
    memory: MemoryInUse | None = None
    is_forced: bool = False
    text_bytes: int | None = None
