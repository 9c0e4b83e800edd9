"""The records of comparisons: caches, precisions, a roofline; plain Python, no tensors."""

from __future__ import annotations

from dataclasses import dataclass

from decoding.records.step import Phase


@dataclass(frozen=True, slots=True)
class Side:
    """One inference over forced tokens, as one of the compared ways of doing it.

    Attributes:
        input_tokens: tokens fed: with a cache 1 after the prefill, without one all of them.
        seconds: from the tokens to the logits, the device's work included.
        kv_bytes: held by the cache after it, measured; `None` without a cache.
    """

    input_tokens: int
    seconds: float
    kv_bytes: int | None


@dataclass(frozen=True, slots=True)
class ComparedStep:
    """The same inference with the plain cache and in another way.

    Attributes:
        index: 0 for the prefill.
        positions: tokens that the logits follow on.
        token_id: the forced token that comes next in the text.
        plain: with transformers' dynamic cache.
        other: in the other way.
        largest_logit_difference: over the vocabulary.
        kl_nats: KL(plain ‖ other) over the full vocabulary.
        same_favourite: whether both find the same token most probable.
    """

    index: int
    positions: int
    token_id: int
    plain: Side
    other: Side
    largest_logit_difference: float
    kl_nats: float
    same_favourite: bool


@dataclass(frozen=True, slots=True)
class PrecisionStart:
    """A model of the comparison is in memory; `precision` is `None` without quantization."""

    precision: str | None
    dtype: str
    weight_bytes: int


@dataclass(frozen=True, slots=True)
class PrecisionToken:
    """One forced token under one precision; the reference is the first precision compared.

    Attributes:
        index: 0-based position among the forced tokens; 0 comes from the prefill.
        logprob: of the forced token, in nats.
        kl_nats: KL(reference ‖ this); `None` for the reference itself.
        same_favourite: as the reference's; `None` for the reference itself.
        seconds: of the inference.
    """

    precision: str | None
    index: int
    token_id: int
    logprob: float
    kl_nats: float | None
    same_favourite: bool | None
    seconds: float


@dataclass(frozen=True, slots=True)
class PrecisionSummary:
    """One precision over all forced tokens.

    Attributes:
        perplexity: exp of the mean of −logprob.
        seconds_per_token: mean over the inferences after the prefill; `None` without any.
        mean_kl_nats: `None` for the reference.
        changed_favourites: tokens where the favourite is another; `None` for the reference.
    """

    precision: str | None
    dtype: str
    weight_bytes: int
    perplexity: float
    seconds_per_token: float | None
    mean_kl_nats: float | None
    changed_favourites: int | None


PrecisionEvent = PrecisionStart | PrecisionToken | PrecisionSummary


@dataclass(frozen=True, slots=True)
class Roofline:
    """The most that a device was seen to do, in one number format."""

    flops_per_second: float
    bytes_per_second: float
    device: str
    dtype: str

    @property
    def ridge(self) -> float:
        """FLOPs for each byte from which on arithmetic is the limit, no longer memory."""
        return self.flops_per_second / self.bytes_per_second


@dataclass(frozen=True, slots=True)
class RooflinePoint:
    """One kind of inference on the roofline.

    Attributes:
        tokens: fed in the inference.
        flops: counted over the model's operations, a multiplication and an addition as two.
        bytes: an estimate: the weights once for each chunk of a prompt, and the cache.
        seconds: measured.
    """

    phase: Phase
    tokens: int
    flops: int
    bytes: int
    seconds: float

    @property
    def intensity(self) -> float:
        """FLOPs for each byte."""
        return self.flops / self.bytes
