"""A run that can be taken anywhere: paused, stepped, rewound, forked; it knows no page."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import count
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from transformers import GenerationConfig, MaxTimeCriteria

from decoding.core.context import refuse_place_beyond
from decoding.core.generation import Generation
from decoding.core.inference import OnPrefill
from decoding.core.prompts import Prompt, prompt_token_ids
from decoding.core.supported import check_count, check_seed
from decoding.records.errors import SessionError
from decoding.records.step import DecodingStep, FinishReason, KVCacheSize
from decoding.records.tree import DecodingTree
from decoding.session.cursor import Cursor
from decoding.session.draws import Draws
from decoding.session.places import Places
from decoding.session.reader import Reader
from decoding.session.recording import Origin, origin_of, trace_of
from decoding.session.settings import SessionSettings

if TYPE_CHECKING:
    from decoding.core.language_model import LanguageModel
    from decoding.records.trace import DecodingTrace

_STEP_BYTES, _CANDIDATE_BYTES = 1_000, 150  # measured, with the numbers and texts they hold


class DecodingSession:
    """Owns the cache of one prompt's run, and the tree of all that was decoded after it.

    The cursor is a place in the tree. A step at the end of a branch prolongs it; a step
    before the end begins a new branch, and nothing is lost. The draw of step i belongs to the
    seed and to i: what is decoded again without a change is the same again, and an
    undisturbed run gives the ids of `decode`. Tokens that were adopted take no draw: what is
    decoded after them is what `decode` makes of them as a prompt.

    All of it runs on one thread, but for `pause` and for reading the tree.

    Attributes:
        prompt: as it was given.
        chat_template_kwargs: variables of the chat template that it went through.
        prompt_ids: as the model reads it.
        seed: of all draws; drawn itself where none was given.
        created: when, in ISO format, UTC.
        on_prefill: called with (tokens fed, tokens to be fed) while the prompt is read, or
            read again; what it raises ends the step and leaves the tree as it was.
        places: what is known of any place of the tree.
        tried: what inspections have prepared for settings that are not in force.
        displayed_by: what shows a session in a notebook, where there is such a room.
    """

    displayed_by: ClassVar[Callable[[DecodingSession], None] | None] = None

    def __init__(
        self,
        lm: LanguageModel,
        prompt: Prompt,
        generation_config: GenerationConfig | None = None,
        *,
        seed: int | None = None,
        top_candidates: int = 20,
        use_cache: bool = True,
        chat_template_kwargs: Mapping[str, Any] | None = None,
        on_prefill: OnPrefill | None = None,
        **generation_kwargs: Any,
    ) -> None:
        """Checks everything, and runs no inference; the arguments are those of `decode`.

        Raises:
            PromptError, ContextLengthError, GenerationConfigError: as `decode` does.
        """
        check_count("top_candidates", top_candidates)
        check_seed(seed)
        self.prompt = prompt
        self.chat_template_kwargs = dict(chat_template_kwargs or {})
        self.prompt_ids = prompt_token_ids(lm, prompt, self.chat_template_kwargs)
        self.seed = secrets.randbelow(1 << 32) if seed is None else int(seed)
        self.top_candidates = top_candidates
        self.use_cache = use_cache
        self.on_prefill = on_prefill
        self.created = datetime.now(UTC).isoformat(timespec="seconds")
        self._cursor = Cursor()
        self._settings = SessionSettings(
            generation_config, generation_kwargs, seed=self.seed, use_cache=use_cache
        )
        self.tried: dict[str, Generation] = {}
        draws = Draws(self.seed, lm.device, lm.vocab_size)
        self.places = Places(self.prompt_ids, self._cursor, draws)
        self._watchers: list[Callable[[], None]] = []
        self._is_pausing = self._is_moved = False
        self._identity = _identity(lm)
        self._origin: Origin | None = None
        self._take(lm)
        self._settings.learn(lm, self.generation)

    @property
    def tree(self) -> DecodingTree:
        """Every step."""
        return self._cursor.tree

    @property
    def branch(self) -> int:
        """Number of the branch that the cursor is on."""
        return self._cursor.branch

    @property
    def position(self) -> int:
        """Index of the next step on that branch."""
        return self._cursor.position

    @property
    def settings(self) -> dict[str, Any]:
        """In force from the next step on, as in `SettingsChange`."""
        return self._settings.in_force

    @property
    def lm(self) -> LanguageModel:
        """The model; a session that was detached has none."""
        return self.places.reader.lm

    @property
    def generation(self) -> Generation:
        """Processors, criteria and config in force, and the model's inputs."""
        return self.places.reader.cache.generation

    @property
    def origin(self) -> Origin:
        """What a trace tells of the model and the prompt; kept when the model goes."""
        if self._origin is None:
            self._origin = origin_of(self.lm, self.prompt_ids)
        return self._origin

    @property
    def is_finished(self) -> bool:
        """Whether the text has ended at the cursor: there is no next step."""
        return self.end_at(self.branch, self.position) is not None

    @property
    def cache(self) -> KVCacheSize | None:
        """Size of the live cache; `None` while there is none."""
        return self.places.reader.cache.size if self.places.has_reader else None

    @property
    def held_bytes(self) -> int:
        """In memory for the live cache, parked positions, kept logits and draws."""
        return self.places.held_bytes

    @property
    def record_bytes(self) -> int:
        """About what the tree takes in memory, most of it for the candidates."""
        return self.tree.size * (_STEP_BYTES + _CANDIDATE_BYTES * self.top_candidates)

    def adopt(self, steps: Iterable[DecodingStep]) -> Iterator[DecodingStep]:
        """Takes a text that was given and measured as the text after the prompt.

        The cursor stands behind each step once it is taken. There is no cache: whoever goes on
        from a place or inspects it has the text read up to there.

        Args:
            steps: as `score` makes them for a text that begins with this prompt.

        Returns:
            The same steps, each once it is recorded.

        Raises:
            SessionError: something was decoded before, or these are more steps than a run may
                have.
        """
        if self.tree.size:
            raise SessionError("Only a run that has decoded nothing yet can take a given text.")
        return self._adopt(steps)

    def path(self) -> list[DecodingStep]:
        """The steps from the prompt to the cursor."""
        return self._cursor.path()

    def run(self, max_steps: int | None = None) -> Iterator[DecodingStep]:
        """Steps until a finish reason, `pause` or so many of them; can be called again."""
        self._is_pausing = False
        return self._run(count() if max_steps is None else range(max_steps))

    def pause(self) -> None:
        """Ends `run` after the step under way; may be called from any thread."""
        self._is_pausing = True

    def step(self, token_id: int | None = None) -> DecodingStep:
        """One inference.

        Args:
            token_id: the token that is taken whatever the settings would choose; its
                probability and rank are measured like any other's.

        Raises:
            SessionError: the run has ended here, has too many steps or branches, or there is
                no such token.
            LogitsError: the model returned NaN or nothing finite.
        """
        if self.is_finished:
            raise SessionError("The text has ended here: rewind, or choose another branch.")
        last = self.lm.vocab_size - 1
        if token_id is not None and not 0 <= token_id <= last:
            raise SessionError(f"Token id {token_id} is outside the vocabulary, 0 to {last}.")
        self._cursor.refuse_too_much()
        refuse_place_beyond(self.lm, len(self.prompt_ids) + self.position)
        step = self._step(token_id)
        self._tell()
        return step

    def end_at(self, branch: int, at: int) -> FinishReason | None:
        """Why nothing comes after a place of the tree; `None` where something can.

        A length or a time that was reached is no end any more once the settings in force allow
        more. What comes then begins a branch of its own after the last step: the one that
        ended stays the one that ended.

        Raises:
            SessionError: there is no such place.
        """
        self._cursor.check(branch, at)
        last = self.tree.step_before(branch, at)
        reason = None if last is None else last.finish_reason
        is_timed = reason == "max_time"
        spent = sum(s.seconds for s in self.tree.path(branch, at)) if is_timed else 0.0
        goes_on = self._settings.allows_more(reason, len(self.prompt_ids) + at, spent)
        return None if goes_on else reason

    def rewind(self, to: int) -> None:
        """Moves the cursor to before step `to` of the current branch.

        Raises:
            SessionError: it has no such step.
        """
        self.move(self.branch, to)

    def fork(self, at: int, token_id: int | None = None) -> DecodingStep:
        """`rewind(at)`, and a step from there."""
        self.rewind(at)
        return self.step(token_id)

    def move(self, branch: int, at: int | None = None) -> None:
        """Moves the cursor to another branch: its end, or before its step `at`.

        Raises:
            SessionError: there is no such branch or no such step in it.
        """
        self._is_moved = self._cursor.move(branch, at) or self._is_moved

    def configure(
        self, generation_config: GenerationConfig | None = None, **generation_kwargs: Any
    ) -> None:
        """Other settings from the next step on.

        Args:
            generation_config: in the place of all settings in force; without it those stay.
            **generation_kwargs: fields of `GenerationConfig`, laid over them.

        Raises:
            ContextLengthError, GenerationConfigError: as at the start, and where the kind of
                cache would change.
        """
        settings = self._settings.changed(generation_config, generation_kwargs)
        generation = settings.prepare(self.lm, self.prompt_ids)
        settings.refuse_another_cache(self.generation, generation)
        self._settings = settings
        self.places.reader.cache.configure(generation)
        settings.learn(self.lm, self.generation)

    def generation_with(self, **generation_kwargs: Any) -> Generation:
        """What `configure` would bring into force, without its inputs; nothing changes.

        Raises:
            ContextLengthError, GenerationConfigError: as `configure` does.
        """
        generation = self._settings.prepare(self.lm, self.prompt_ids, **generation_kwargs)
        generation.model_kwargs.clear()
        return generation

    def free(self) -> None:
        """Drops the cache and the logits; the next step reads everything again."""
        self.places.free()
        self.tried.clear()

    def detach(self) -> None:
        """Lets the model go, with all that holds on to it; the tree stays."""
        if self.places.has_reader:
            self.origin  # noqa: B018 - it is known only while the model is here
        self.places.detach()
        self.tried.clear()

    def attach(self, lm: LanguageModel) -> None:
        """Takes the same model back.

        Raises:
            SessionError: it is another one.
        """
        if _identity(lm) != self._identity:
            raise SessionError(
                f"This run was made by {self._identity[0]} in {self._identity[1]}: another model "
                "cannot go on with it."
            )
        self._take(lm)

    def close(self) -> None:
        """Lets go of everything but the record."""
        self.detach()
        self._watchers.clear()

    def watch(self, changed: Callable[[], None]) -> Callable[[], None]:
        """Has `changed` called after each step; returns what ends that."""
        self._watchers.append(changed)

        def end() -> None:
            if changed in self._watchers:
                self._watchers.remove(changed)

        return end

    def trace(self) -> DecodingTrace:
        """All that is known of this run, as a record that can be written to a file."""
        return trace_of(self)

    def _ipython_display_(self) -> None:
        """Shows the session in a notebook, and goes on showing it as it changes."""
        if self.displayed_by is None:
            raise NotImplementedError  # by which IPython goes on to the plain representation
        self.displayed_by()

    def _run(self, turns: Iterable[int]) -> Iterator[DecodingStep]:
        for _ in turns:
            if self._is_pausing or self.is_finished:
                return
            yield self.step()

    def _adopt(self, steps: Iterable[DecodingStep]) -> Iterator[DecodingStep]:
        self.places.reader.cache.drop("scored")
        for step in steps:
            self._cursor.refuse_too_much()
            self._is_moved = True
            self._cursor.write(step, self.settings, None)
            self._tell()
            yield step

    def _tell(self) -> None:
        for changed in list(self._watchers):
            changed()

    @torch.inference_mode()
    def _step(self, token_id: int | None) -> DecodingStep:
        reader = self.places.reader
        try:
            if self._is_moved:
                reader.stand(self.prompt_ids, self.path())
            # An interrupt may come before the step is recorded.
            self._is_moved = True
            restoration = reader.make_ready(self.on_prefill)
            self._wind_clock()
            step, row = reader.step(token_id, self.on_prefill)
        except BaseException:
            # What the cache has read is not known now: the next step reads it again.
            reader.cache.drop()
            raise
        self.places.keep(self.branch, self.position, row)
        self._cursor.write(step, self.settings, restoration)
        self._is_moved = False
        return step

    def _wind_clock(self) -> None:
        """`max_time` counts what the path's steps took, and not what passed between them."""
        for criterion in self.generation.criteria:
            if isinstance(criterion, MaxTimeCriteria):
                criterion.initial_timestamp = time.time() - sum(s.seconds for s in self.path())

    def _take(self, lm: LanguageModel) -> None:
        generation = self._settings.prepare(lm, self.prompt_ids)
        reader = Reader(lm, generation, self.places.draws, self.top_candidates)
        if self.tree.branches[0].steps:
            reader.cache.drop()
        self.places.attach(reader)
        self._is_moved = True


def _identity(lm: LanguageModel) -> tuple[str, str, str | None, int]:
    return lm.name, str(lm.dtype), lm.quantization, lm.vocab_size
