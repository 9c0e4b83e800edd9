"""The longer job that answers the shown prompt again and again, and compares what was said.

The engine is imported by the function that the worker's thread calls: torch lives there.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from decoding.live.shared_model import SharedModel
from decoding.live.stream import IsStopped, Stream
from decoding.page.jobs.job import check_model, measured_model, stopping
from decoding.page.requests.refusals import RequestError
from decoding.page.wire.frames import Message, number
from decoding.page.wire.job_log import Row
from decoding.page.wire.run_log import RunTokens
from decoding.records.answers import SampledAnswer, TruthOpinion
from decoding.records.tree import DecodingTree
from decoding.trust.agreement import compare_answers
from decoding.trust.meaning import group_answers

if TYPE_CHECKING:
    from decoding.core.language_model import LanguageModel

Event = SampledAnswer | TruthOpinion

SAMPLES = 10
MAX_NEW_TOKENS = 32
TEMPERATURE = 0.5  # answers agree more often than at 1, and the right ones more than the wrong
SEED = 0
# The prompt's cache is held once for each answer, and P(True) reads question and answer again.
MAX_SHOWN_TOKENS = 512


class SampledJob:
    """How far sampled answers say what the shown one says, and whether the model believes it."""

    kind = "sampled"
    total: int | None = SAMPLES
    note: Message | None = None

    def __init__(self, run: RunTokens, tree: DecodingTree | None = None) -> None:
        """Takes the text that the page shows.

        Args:
            run: its tokens.
            tree: its steps, where they are kept.

        Raises:
            RequestError: it is too long, or no model wrote it.
        """
        tokens = len(run.prompt_ids) + len(run.tokens)
        if tokens > MAX_SHOWN_TOKENS:
            raise RequestError(
                f"Prompt and answer have {tokens:,} tokens: sampling again takes at most "
                f"{MAX_SHOWN_TOKENS:,}, since the prompt's cache is held {SAMPLES} times.",
                "sampled_too_long",
                length=tokens,
                limit=MAX_SHOWN_TOKENS,
                n=SAMPLES,
            )
        if tree is not None and any(step.phase == "score" for step in tree.branches[0].steps[:1]):
            raise RequestError(
                "This text was scored, not written: there is no prompt to answer again. Generate "
                "an answer first.",
                "sampled_of_scored_text",
            )
        self.head: dict[str, Any] = {
            "model": run.model,
            "n": SAMPLES,
            "max_new_tokens": MAX_NEW_TOKENS,
            "temperature": TEMPERATURE,
            "seed": SEED,
        }
        self._run = run
        self._question = self._answer = ""
        self._samples: list[SampledAnswer] = []
        self._opinion: TruthOpinion | None = None
        self._measured_on: dict[str, Any] | None = None

    @property
    def is_complete(self) -> bool:
        """Whether the model was asked for its opinion, which comes last."""
        return self._opinion is not None

    def start(self, model: SharedModel) -> Stream[Event]:
        """The answers as they end, then the opinion, once the turn has come."""

        def make(lm: LanguageModel, is_stopped: IsStopped) -> Iterator[Event]:
            from decoding.strategies.samples import sample_answers
            from decoding.trust.truth import p_true, plain_text, question_of

            check_model(lm, self._run)
            self._measured_on = measured_model(lm)
            self._question = question_of(lm, self._run.prompt_ids)
            self._answer = plain_text(lm, [token_id for token_id, _text in self._run.tokens])
            look_up = stopping(is_stopped)
            yield from sample_answers(
                lm,
                self._run.prompt_ids,
                SAMPLES,
                MAX_NEW_TOKENS,
                TEMPERATURE,
                seed=SEED,
                on_progress=look_up,
            )
            yield p_true(lm, self._question, self._answer, on_prefill=look_up)

        return model.use(make)

    def take(self, event: Event) -> Row | None:
        """An answer with its group, 0 for that of the shown answer."""
        if isinstance(event, TruthOpinion):
            self._opinion = event
            return None
        self._samples.append(event)
        texts = [self._answer, *(sample.text for sample in self._samples)]
        return [
            event.index,
            group_answers(texts, self._question)[-1],
            event.text,
            number(math.exp(event.logprob)),
            len(event.token_ids),
            event.finish_reason,
        ]

    @property
    def summary(self) -> dict[str, Any] | None:
        """What the answers so far come to, and what they cost."""
        if not self._samples:
            return None
        found, last = (
            compare_answers(self._answer, self._samples, self._question),
            self._samples[-1],
        )
        opinion = self._opinion
        return {
            "measured_on": self._measured_on,
            "question": self._question,
            "answer": self._answer,
            "agreeing": found.groups.count(0),
            "groups": len(set(found.groups)),
            "agreement": number(found.agreement),
            "semantic_entropy_bits": number(found.semantic_entropy_bits),
            "weighted_entropy_bits": number(found.weighted_entropy_bits),
            "p_true": None if opinion is None else number(opinion.probability),
            "p_true_mass": None if opinion is None else number(opinion.mass),
            "inferences": last.inferences + (opinion is not None),
            "prompt_tokens": last.prompt_tokens,
            "cache_use": last.cache_use,
            "seconds": number(last.seconds + (opinion.seconds if opinion else 0.0)),
        }
