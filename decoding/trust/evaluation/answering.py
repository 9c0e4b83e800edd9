"""A question put to a model: what it answered, and what every signal said of that."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from decoding.trust.evaluation.accepted import accepted_words
from decoding.trust.evaluation.questions import Half, Question, half_of, is_right
from decoding.trust.sentences import plain_words
from decoding.trust.words import Kind

if TYPE_CHECKING:
    from decoding.core.language_model import LanguageModel
    from decoding.records.step import DecodingStep

SEEDS = 2**32


@dataclass(frozen=True, slots=True)
class JudgedWord:
    """A word of an answer's first sentence.

    Attributes:
        text: as it was written.
        kind: what it is for; see `Word`.
        doubt: what `WordMarker` says of it, in [0, 1]; `None` where it claims nothing.
        own: its own part of that, likewise.
        is_wrong: it claims something, in a wrong answer, and is in no accepted one.
    """

    text: str
    kind: Kind
    doubt: float | None
    own: float | None
    is_wrong: bool


@dataclass(frozen=True, slots=True)
class JudgedAnswer:
    """An answer, whether it is right, and the signals of it.

    Attributes:
        question, accepted, topic: see `Question`.
        half: see `half_of`.
        answer: all that was written, special tokens aside.
        right: see `is_right`.
        signals: the live ones by name, higher for surer; `None` where there is no number.
        sampled: the sampled ones likewise; empty where none were asked for.
        samples: the texts that they rest on.
        words: those of the first sentence.
    """

    question: str
    accepted: tuple[str, ...]
    topic: str
    half: Half
    answer: str
    right: bool
    signals: dict[str, float | None]
    sampled: dict[str, float | None]
    samples: tuple[str, ...]
    words: tuple[JudgedWord, ...]


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the sampled signals come about.

    Attributes:
        samples: answers drawn for each question; 0 for live signals alone.
        temperature: that they are drawn at.
        seed: the same seed draws the same, whatever other questions there are.
    """

    samples: int = 10
    temperature: float = 0.5
    seed: int = 0


def answer_question(
    lm: LanguageModel, question: Question, max_new_tokens: int, sampling: Sampling
) -> JudgedAnswer:
    """Has a model answer greedily, the question alone as a chat's only message, and judges it.

    Raises:
        PromptError: the model has no chat template, or the question does not fit its context.
    """
    from decoding.core.decoder import decode
    from decoding.core.prompts import prompt_token_ids

    ids = prompt_token_ids(lm, [{"role": "user", "content": question.question}])
    steps = list(decode(lm, ids, do_sample=False, num_beams=1, max_new_tokens=max_new_tokens))
    text = "".join(step.text for step in steps if not step.is_special)
    signals = live_signals(steps)
    sampled, samples = dict[str, float | None](), tuple[str, ...]()
    if sampling.samples:
        confidence = signals["answer_confidence"] or 0.0
        sampled, samples = _sampled(lm, question, ids, text, confidence, max_new_tokens, sampling)
    return JudgedAnswer(
        question=question.question,
        accepted=question.answers,
        topic=question.topic,
        half=half_of(question.question),
        answer=text,
        right=is_right(question, text),
        signals=signals,
        sampled=sampled,
        samples=samples,
        words=judged_words(question, steps),
    )


def live_signals(steps: Sequence[DecodingStep]) -> dict[str, float | None]:
    """Every live signal by name; `None` where an answer is too short for one, or it is infinite."""
    from decoding.trust.signals import SIGNALS

    found: dict[str, float | None] = {}
    for name, signal in SIGNALS.items():
        try:
            found[name] = _finite(signal(steps))
        except ValueError:  # an answer without a word has no claim
            found[name] = None
    return found


def judged_words(question: Question, steps: Sequence[DecodingStep]) -> tuple[JudgedWord, ...]:
    """The words of an answer's first sentence, each with its doubt and whether it is wrong.

    A word is wrong where the answer is, the word is a claim, and one of its parts is in none of
    the accepted answers. Every other word is right, those of right answers all: who wrote "The
    capital is Vienna, a lovely city" is not asked whether it is lovely.
    """
    from decoding.trust.doubt import WordMarker
    from decoding.trust.words import first_sentence, words_of

    marker = WordMarker(question.question)
    doubts = [marker.add(step) for step in steps]
    answer = "".join(step.text for step in steps if not step.is_special)
    has_failed, known = not is_right(question, answer), accepted_words(question.answers)
    end = len(first_sentence(steps))
    return tuple(
        JudgedWord(
            word.text,
            word.kind,
            doubts[word.end - 1].value,
            doubts[word.end - 1].own,
            has_failed and word.kind == "claim" and not known.issuperset(plain_words(word.text)),
        )
        for word in words_of(steps, question.question)
        if word.start < end and not steps[word.start].is_special
    )


def _sampled(
    lm: LanguageModel,
    question: Question,
    ids: list[int],
    answer: str,
    confidence: float,
    max_new_tokens: int,
    sampling: Sampling,
) -> tuple[dict[str, float | None], tuple[str, ...]]:
    """The sampled signals of an answer, and the texts that were drawn."""
    from decoding.strategies.samples import sample_answers
    from decoding.trust.agreement import compare_answers, sampled_confidence
    from decoding.trust.truth import p_true

    drawn = list(
        sample_answers(
            lm,
            ids,
            n=sampling.samples,
            max_new_tokens=max_new_tokens,
            temperature=sampling.temperature,
            seed=_seed(question.question, sampling.seed),
        )
    )
    found = compare_answers(answer, drawn, question.question)
    believed = p_true(lm, question.question, answer).probability
    signals = {
        "agreement": found.agreement,
        "semantic_entropy": 0.0 - found.semantic_entropy_bits,
        "weighted_semantic_entropy": 0.0 - found.weighted_entropy_bits,
        "p_true": believed,
        "agreement_and_confidence": sampled_confidence(found.agreement, confidence),
        "agreement_confidence_and_p_true": sampled_confidence(
            found.agreement, confidence, believed
        ),
    }
    texts = tuple(one.text for one in sorted(drawn, key=lambda one: one.index))
    return {name: _finite(value) for name, value in signals.items()}, texts


def _seed(question: str, seed: int) -> int:
    """One seed for each question: it does not hang on those before it."""
    return (seed + int.from_bytes(sha256(question.encode()).digest()[:4], "big")) % SEEDS


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
