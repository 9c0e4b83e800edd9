"""A run that can be taken anywhere: paused, stepped, rewound, forked; it knows no page."""

from __future__ import annotations

import copy
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from itertools import count
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers import GenerationConfig, MaxTimeCriteria

from decoding.branch_cache import BranchCache
from decoding.choice import check_valid, choose, finish_reason, make_step
from decoding.detokenizer import Detokenizer
from decoding.devices import computing_devices
from decoding.draws import Draws
from decoding.errors import GenerationConfigError, SessionError
from decoding.forced_run import wait_for
from decoding.inference import OnPrefill, cache_size
from decoding.kept_logits import KeptLogits
from decoding.memory import memory_in_use
from decoding.prompts import Prompt, prompt_token_ids
from decoding.sampling import Generation, prepare_generation, refuse_memories, settings_in_force
from decoding.step import DecodingStep, KVCacheSize
from decoding.tree import DecodingTree, Restoration, SettingsChange

if TYPE_CHECKING:
    from decoding.models import LanguageModel
    from decoding.trace import DecodingTrace, Origin

_CACHE_FIELDS = ("cache_implementation", "cache_config")


class DecodingSession:
    """Owns the cache of one prompt's run, and the tree of all that was decoded after it.

    The cursor is a place in the tree. A step at the end of a branch prolongs it; a step
    before the end begins a new branch, and nothing is lost. The draw of step i belongs to the
    seed and to i: what is decoded again without a change is the same again, and an
    undisturbed run gives the ids of `decode`.

    All of it runs on one thread, but for `pause` and for reading the tree.

    Attributes:
        prompt: as it was given.
        prompt_ids: as the model reads it.
        seed: of all draws; drawn itself where none was given.
        tree: every step.
        branch: number of the branch that the cursor is on.
        position: index of the next step on it.
        settings: in force from the next step on, as in `SettingsChange`.
        created: when, in ISO format, UTC.
        on_prefill: called with (tokens fed, tokens to be fed) while the prompt is read, or
            read again; what it raises ends the step and leaves the tree as it was.
    """

    def __init__(
        self,
        lm: LanguageModel,
        prompt: Prompt,
        generation_config: GenerationConfig | None = None,
        *,
        seed: int | None = None,
        top_candidates: int = 20,
        use_cache: bool = True,
        on_prefill: OnPrefill | None = None,
        **generation_kwargs: Any,
    ) -> None:
        """Checks everything, and runs no inference; the arguments are those of `decode`.

        Raises:
            PromptError, ContextLengthError, GenerationConfigError: as `decode` does.
        """
        if type(top_candidates) is not int or top_candidates < 1:
            raise GenerationConfigError(
                f"top_candidates must be 1 or more, got {top_candidates!r}."
            )
        self.prompt = prompt
        self.prompt_ids = prompt_token_ids(lm, prompt)
        self.seed = secrets.randbelow(1 << 32) if seed is None else seed
        self.top_candidates = top_candidates
        self.use_cache = use_cache
        self.on_prefill = on_prefill
        self.created = datetime.now(UTC).isoformat(timespec="seconds")
        self.tree = DecodingTree()
        self.branch = self.position = 0
        self._config = copy.deepcopy(generation_config)
        self._kwargs = generation_kwargs
        self._logits = KeptLogits()
        self._draws = Draws(self.seed, lm.device)
        self._watchers: list[Callable[[], None]] = []
        self._is_pausing = self._is_moved = False
        self._identity = _identity(lm)
        self._origin: Origin | None = None
        self._detokenizer: Detokenizer | None = None
        self._lm: LanguageModel | None = None
        self._live: BranchCache | None = None
        self._width = lm.vocab_size
        self._take(lm)
        self.settings = self._settings()

    @property
    def lm(self) -> LanguageModel:
        """The model; a session that was detached has none."""
        if self._lm is None:
            raise SessionError("This session has let its model go: attach it again first.")
        return self._lm

    @property
    def _cache(self) -> BranchCache:
        if self._live is None:
            raise SessionError("This session has let its model go: attach it again first.")
        return self._live

    @property
    def generation(self) -> Generation:
        """Processors, criteria and config in force, and the model's inputs."""
        return self._cache.generation

    @property
    def origin(self) -> Origin:
        """What a trace tells of the model and the prompt; kept when the model goes."""
        if self._origin is None:
            from decoding.trace import origin_of

            self._origin = origin_of(self.lm, self.prompt_ids)
        return self._origin

    @property
    def is_finished(self) -> bool:
        """Whether the cursor is at an end that has a finish reason: there is no next step."""
        branch = self.tree.branches[self.branch]
        at_end = bool(branch.steps) and self.position == branch.length
        return at_end and branch.steps[-1].finish_reason is not None

    @property
    def cache(self) -> KVCacheSize | None:
        """Size of the live cache; `None` while there is none."""
        return None if self._live is None else self._live.size

    @property
    def held_bytes(self) -> int:
        """In memory for the live cache, parked positions, kept logits and draws."""
        live = 0 if self._live is None else self._live.held_bytes
        return live + self._logits.held_bytes + self._draws.held_bytes

    def path(self) -> list[DecodingStep]:
        """The steps from the prompt to the cursor."""
        return self.tree.path(self.branch, self.position)

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
            SessionError: the run has ended here, or there is no such token.
            LogitsError: the model returned NaN or nothing finite.
        """
        if self.is_finished:
            raise SessionError("The text has ended here: rewind, or choose another branch.")
        last = self.lm.vocab_size - 1
        if token_id is not None and not 0 <= token_id <= last:
            raise SessionError(f"Token id {token_id} is outside the vocabulary, 0 to {last}.")
        step = self._step(token_id)
        for changed in list(self._watchers):
            changed()
        return step

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
        length = self._length(branch)
        place = length if at is None else at
        if not 0 <= place <= length:
            raise SessionError(f"Branch {branch} has {length} steps: there is no step {place}.")
        self._is_moved = self._is_moved or (branch, place) != (self.branch, self.position)
        self.branch, self.position = branch, place

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
        config = self._config if generation_config is None else copy.deepcopy(generation_config)
        kept = self._kwargs.items()
        if generation_config is not None:
            kept = {name: v for name, v in kept if name in _CACHE_FIELDS}.items()
        kwargs = {**dict(kept), **generation_kwargs}
        generation = self._prepare_with(config, kwargs)
        self._refuse_another_cache(generation, kwargs)
        self._config, self._kwargs = config, kwargs
        self._cache.configure(generation)
        self.settings = self._settings()

    def generation_with(self, **generation_kwargs: Any) -> Generation:
        """What `configure` would bring into force, without its inputs; nothing changes.

        Raises:
            ContextLengthError, GenerationConfigError: as `configure` does.
        """
        generation = self._prepare_with(self._config, {**self._kwargs, **generation_kwargs})
        generation.model_kwargs.clear()
        return generation

    @torch.inference_mode()
    def logits_at(self, branch: int, index: int) -> tuple[Tensor, Restoration | None]:
        """The raw logits that a step's token was chosen from; the cursor and its cache stay.

        Args:
            branch: of the tree.
            index: of the step; the branch's length means the one that would come next.

        Returns:
            (vocab_size,) float32, not to be written to; and what it took to have them again,
            that inference included, `None` where they were kept.

        Raises:
            SessionError: there is no such place.
        """
        ids, key = self._ids_list(branch, index), self._key(branch, index)
        row = self._logits.get(key)
        if row is not None:
            return row, None
        started = time.perf_counter()
        cache = self._cache.beside()
        place = cache.go_to(ids[:-1])
        logits, fed = cache.infer(self._tensor(ids), ids, index == 0, None)
        wait_for(self.lm.device)
        self._logits.keep(key, logits[0])
        seconds = time.perf_counter() - started
        if place is None:
            return logits[0], Restoration(index, len(ids) - fed, 0, seconds)
        return logits[0], Restoration(index, place.reused, place.fed, seconds, place.reason)

    def draw_state(self, branch: int, index: int) -> Tensor:
        """Of the random generator before that step's draw, known also where none was made.

        Raises:
            SessionError: there is no such place.
        """
        self._check_place(branch, index)
        return self._draws.before(index, self._width)

    def ids_before(self, branch: int, index: int) -> Tensor:
        """(1, tokens) what the processors of that step see.

        Raises:
            SessionError: there is no such place.
        """
        return self._tensor(self._ids_list(branch, index))

    def free(self) -> None:
        """Drops the cache and the logits; the next step reads everything again."""
        if self._live is not None:
            self._live.drop()
        self._logits.clear()

    def detach(self) -> None:
        """Lets the model go, with all that holds on to it; the tree stays."""
        self.free()
        if self._lm is not None:
            self.origin  # noqa: B018 - it is known only while the model is here
        self._lm = self._live = self._detokenizer = None

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
        from decoding.trace import trace_of

        return trace_of(self)

    def _ipython_display_(self) -> None:
        """Shows the session in a notebook, and goes on showing it as it changes."""
        from decoding.display import show_session

        show_session(self)

    def _run(self, turns: Iterable[int]) -> Iterator[DecodingStep]:
        for _ in turns:
            if self._is_pausing or self.is_finished:
                return
            yield self.step()

    @torch.inference_mode()
    def _step(self, token_id: int | None) -> DecodingStep:
        try:
            restoration = self._go_to_cursor()
            self._wind_clock()
            step, row = self._infer(token_id)
        except BaseException:
            # What the cache has read is not known now: the next step reads it again.
            self._cache.drop()
            self._is_moved = True
            raise
        self._logits.keep(self._key(self.branch, self.position), row)
        self._record(step, restoration)
        return step

    def _go_to_cursor(self) -> Restoration | None:
        if self._is_moved:
            self._ids = self._ids_list(self.branch, self.position)
            self._tokens = self._tensor(self._ids)
            added = ((step.token_id, step.text) for step in self.path())
            self._detokenizer = Detokenizer.after(self.lm.tokenizer, added)
        elif not self._cache.is_lost:
            return None
        started = time.perf_counter()
        place = self._cache.go_to(self._ids[:-1], self.on_prefill)
        self._is_moved = False
        if place is None:
            return None
        wait_for(self.lm.device)
        seconds = time.perf_counter() - started
        return Restoration(self.position, place.reused, place.fed, seconds, place.reason)

    def _infer(self, token_id: int | None) -> tuple[DecodingStep, Tensor]:
        index, generation = self.position, self.generation
        started = time.perf_counter()
        logits, fed = self._cache.infer(self._tokens, self._ids, index == 0, self.on_prefill)
        self._width = int(logits.shape[-1])
        draws = token_id is None and bool(generation.config.do_sample)
        rng = self._draws.generator(index, self._width) if draws else None
        measured, tokens = choose(
            generation, self._tokens, logits, rng, self.top_candidates, token_id
        )
        seconds = time.perf_counter() - started
        check_valid(self.lm, measured, index)
        if draws:
            self._draws.drawn(index)
        reason = finish_reason(generation, measured)
        assert self._detokenizer is not None
        step = make_step(
            self.lm,
            measured,
            self._detokenizer,
            index=index,
            phase="prefill" if index == 0 and fed >= len(self.prompt_ids) else "decode",
            input_tokens=fed,
            seconds=seconds,
            kv_cache=cache_size(generation, fed_tokens=tokens.shape[1] - 1),
            finish_reason=reason,
            memory=memory_in_use(*self._devices),
            is_forced=token_id is not None,
        )
        self._tokens = tokens
        self._ids.append(measured.token_id)
        return step, logits[0]

    def _record(self, step: DecodingStep, restoration: Restoration | None) -> None:
        branch = self.tree.branches[self.branch]
        if self.position < branch.length:
            branch = self.tree.add(self.branch, self.position)
        if self.tree.settings(branch.number, self.position) != self.settings:
            branch.changes.append(SettingsChange(self.position, self.settings))
        if restoration is not None:
            branch.restorations.append(restoration)
        branch.steps.append(step)
        self.branch, self.position = branch.number, self.position + 1

    def _wind_clock(self) -> None:
        """`max_time` counts what the path's steps took, and not what passed between them."""
        for criterion in self.generation.criteria:
            if isinstance(criterion, MaxTimeCriteria):
                criterion.initial_timestamp = time.time() - sum(s.seconds for s in self.path())

    def _take(self, lm: LanguageModel) -> None:
        self._lm = lm
        self._live = BranchCache(lm.model, lambda: self._prepare_with(self._config, self._kwargs))
        refuse_memories(self._live.generation)
        self._devices = computing_devices(lm.model)
        self._is_moved = True
        if self.tree.branches[0].steps:
            self._live.drop()

    def _prepare_with(self, config: GenerationConfig | None, kwargs: dict[str, Any]) -> Generation:
        return prepare_generation(self.lm, self.prompt_ids, config, self.use_cache, kwargs)

    def _refuse_another_cache(self, generation: Generation, kwargs: dict[str, Any]) -> None:
        refuse_memories(generation)
        now, then = self.generation.config, generation.config
        same = all(getattr(now, name, None) == getattr(then, name, None) for name in _CACHE_FIELDS)
        if not same or kwargs.get("use_cache", self.use_cache) is not self.use_cache:
            raise GenerationConfigError(
                "The kind of cache cannot change in the middle of a run: begin a new one for it."
            )

    def _settings(self) -> dict[str, Any]:
        settings = settings_in_force(self.lm, self.generation, self._config, self._kwargs)
        return {**settings, "seed": self.seed}

    def _length(self, branch: int) -> int:
        if not 0 <= branch < len(self.tree.branches):
            raise SessionError(
                f"There is no branch {branch}: there are {len(self.tree.branches)}, from 0 on."
            )
        return self.tree.branches[branch].length

    def _check_place(self, branch: int, index: int) -> None:
        if not 0 <= index <= self._length(branch):
            raise SessionError(f"Branch {branch} has no step {index}.")

    def _key(self, branch: int, index: int) -> tuple[int, int]:
        """The same for all branches that leave at a place: they choose from one distribution."""
        return self.tree.owner(branch, index), index

    def _ids_list(self, branch: int, index: int) -> list[int]:
        self._check_place(branch, index)
        return self.prompt_ids + [step.token_id for step in self.tree.path(branch, index)]

    def _tensor(self, ids: list[int]) -> Tensor:
        return torch.tensor([ids], device=self.lm.device)


def _identity(lm: LanguageModel) -> tuple[str, str, str | None, int]:
    return lm.name, str(lm.dtype), lm.quantization, lm.vocab_size
