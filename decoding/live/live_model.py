"""The runs of all visitors on the model that they share, and their sessions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import replace
from typing import TYPE_CHECKING

from decoding.live.interruptions import patient, until_left, until_paused
from decoding.live.kept_sessions import KeptSession, SessionRegistry
from decoding.live.model_source import ModelSource
from decoding.live.orders import begin, given_run, go_on, inspect
from decoding.live.shared_model import SharedModel
from decoding.live.stream import IsStopped, Stream
from decoding.live.zero_gpu import Steps, lent_steps, returned_steps
from decoding.records.errors import SessionError
from decoding.records.requests import (
    ContinueOrder,
    InspectRequest,
    ModelStatus,
    RunHead,
    RunRequest,
    ScoreRequest,
)
from decoding.records.step import DecodingStep
from decoding.records.tree import RunStep

if TYPE_CHECKING:
    from decoding.core.inference import OnPrefill
    from decoding.records.trace import DecodingTrace
    from decoding.records.tree import DecodingTree
    from decoding.session.inspection import Inspection
    from decoding.session.session import DecodingSession

Event = RunHead | RunStep


class LiveModel:
    """Decodes for one visitor after the other, and goes on where they paused.

    Attributes:
        shared: the model.
        worker: the thread that runs it.
    """

    def __init__(
        self,
        source: ModelSource,
        on_device: Callable[[Steps], Steps] | None = None,
        *,
        budget: int | None = None,
        sessions: SessionRegistry | None = None,
    ) -> None:
        """Starts loading and returns at once.

        Args:
            source: of the models.
            on_device: wraps the function that decodes, where an accelerator is lent for the
                time of a call only (`spaces.GPU`). Such a call runs in another process: what
                goes in and comes out is pickled, and the prompt's progress is not known.
            budget: as `SharedModel` takes it.
            sessions: where those of the visitors are kept; without it as many as usual.
        """
        self._sessions = SessionRegistry() if sessions is None else sessions
        self.shared = SharedModel(
            source,
            budget,
            before_leaving=self._sessions.let_go,
            periodic=self._sessions.look_after,
            is_lent=on_device is not None,
        )
        self.worker = self.shared.worker
        self._steps = None if on_device is None else on_device(lent_steps(self.shared.loaded))

    @property
    def status(self) -> ModelStatus:
        """How far the model is."""
        return self.shared.status

    @property
    def keeps_sessions(self) -> bool:
        """Whether a run can go on after a pause: not where an accelerator is lent for a call."""
        return self._steps is None

    def stream(
        self, key: str, request: RunRequest, on_prefill: OnPrefill, steps: int | None = None
    ) -> Stream[Event]:
        """The head and then the steps of a run that takes its place in the queue.

        Args:
            key: under which its session is kept.
            request: what to decode.
            on_prefill: called on the worker's thread with (tokens fed, prompt tokens).
            steps: how many inferences at most, where sessions are kept; without it until an end.
        """
        kept = self._sessions.expect(key)

        def start(is_stopped: IsStopped) -> Iterator[Event]:
            look_up = until_left(on_prefill, is_stopped, kept)
            return until_paused(self._events(key, kept, request, look_up, steps), kept, 0)

        return self.worker.stream(start)

    def score(self, key: str, request: ScoreRequest, on_prefill: OnPrefill) -> Stream[Event]:
        """The head and then the tokens of a text that was given, each measured.

        Where sessions are kept this one is too: it can be inspected, and go on from any token.

        Args:
            key: under which its session is kept.
            request: which text.
            on_prefill: called on the worker's thread with (tokens read, tokens to be read).
        """
        kept = self._sessions.expect(key)

        def start(is_stopped: IsStopped) -> Iterator[Event]:
            look_up = until_left(on_prefill, is_stopped, kept)
            return until_paused(self._scored(key, kept, request, look_up), kept, 0)

        return self.worker.stream(start)

    def resume(self, key: str, order: ContinueOrder, on_prefill: OnPrefill) -> Stream[RunStep]:
        """More steps of a run that is there, once its turn has come.

        Before them come those that whoever orders lacks.

        What it raises comes out of the stream: `SessionError` where the run is not kept any
        more, another model is loaded or there is no such place in it.
        """
        kept = self._sessions.find(key)
        pauses = 0 if kept is None else kept.pauses

        def start(is_stopped: IsStopped) -> Iterator[RunStep]:
            kept = self._kept(key)
            look_up = until_left(on_prefill, is_stopped, kept, pauses)
            return until_paused(self._more(key, kept, order, look_up), kept, pauses)

        return self.worker.stream(start)

    def pause(self, key: str) -> None:
        """What runs or waits of this run ends after the inference under way; returns at once.

        A prompt is read no further than the chunk under way.
        """
        kept = self._sessions.find(key)
        if kept is not None:
            kept.pauses += 1

    def inspect(self, key: str, request: InspectRequest) -> Future[Inspection]:
        """One step of a run looked at, between two inferences of whatever runs.

        Where it takes a text to be read again, that ends with a `SessionError` once others have
        waited for long, and with the future's being cancelled.
        """

        def seen(is_given_up: IsStopped) -> Inspection:
            on_prefill = patient(lambda: self.worker.holds_up, is_given_up)
            return self._inspect(key, request, on_prefill)

        return self.worker.submit_cancellable(seen)

    def tree(self, key: str) -> DecodingTree | None:
        """What a run has come to; `None` for one that is not kept."""
        session = self._session(key)
        return None if session is None else session.tree

    def trace(self, key: str) -> DecodingTrace | None:
        """A run as it would be written to a file; `None` for one that is not kept."""
        session = self._session(key)
        return None if session is None else session.trace()

    def forget(self, key: str) -> None:
        """Ends a run and frees all that is kept of it; returns at once."""
        self._sessions.forget(key)
        self.worker.submit_background(self._sessions.look_after)

    def _events(
        self,
        key: str,
        kept: KeptSession,
        request: RunRequest,
        on_prefill: OnPrefill,
        steps: int | None,
    ) -> Iterator[Event]:
        from decoding.core.description import run_head
        from decoding.core.prompts import prompt_token_ids

        lm = self.shared.loaded()
        if self._steps is not None:
            ids = prompt_token_ids(lm, request.prompt, request.chat_template_kwargs)
            made = self._steps(ids, request)
            yield run_head(lm, ids, request, self.status.facts)
            yield from returned_steps(made)
            return
        session = begin(lm, request, kept.on_prefill)
        head = run_head(lm, session.prompt_ids, request, self.status.facts)
        yield from self._first_events(key, kept, session, head, session.run(steps), on_prefill)

    def _scored(
        self, key: str, kept: KeptSession, request: ScoreRequest, on_prefill: OnPrefill
    ) -> Iterator[Event]:
        from decoding.core.description import run_head
        from decoding.strategies.scoring import score, scored_ids

        lm = self.shared.loaded()
        ids = scored_ids(lm, request.text)
        run = given_run(lm, ids, request)
        head = run_head(lm, ids[:1], run, self.status.facts)
        head = replace(head, config={**head.config, "scored": True})
        if self._steps is not None:
            made = self._steps(ids, request)
            yield head
            yield from returned_steps(made)
            return
        session = begin(lm, run, kept.on_prefill, ids[:1])
        top = request.top_candidates
        steps = session.adopt(score(lm, ids, top_candidates=top, on_progress=kept.on_prefill))
        yield from self._first_events(key, kept, session, head, steps, on_prefill)

    def _first_events(
        self,
        key: str,
        kept: KeptSession,
        session: DecodingSession,
        head: RunHead,
        steps: Iterator[DecodingStep],
        on_prefill: OnPrefill,
    ) -> Iterator[Event]:
        kept.begin(session, session.lm)
        with kept.running(on_prefill):
            self._sessions.keep(key, kept)
            yield head
            session.origin  # noqa: B018 - so that its trace can be had from any thread
            yield from _recorded(session, steps)
        self._sessions.look_after()

    def _more(
        self, key: str, kept: KeptSession, order: ContinueOrder, on_prefill: OnPrefill
    ) -> Iterator[RunStep]:
        session = kept.attach(self.shared.loaded())
        with kept.running(on_prefill):
            if order.known is not None:
                yield from session.tree.late_steps(order.known)
            yield from _recorded(session, go_on(session, order))
        self._sessions.look_after()

    def _inspect(self, key: str, request: InspectRequest, on_prefill: OnPrefill) -> Inspection:
        kept = self._kept(key)
        if not self.shared.is_in_memory:
            raise SessionError("The model is not in memory just now: try again in a moment.")
        seen = inspect(kept.attach(self.shared.loaded()), request, on_prefill)
        if seen.restoration is not None:
            self._sessions.look_after()
        return seen

    def _kept(self, key: str) -> KeptSession:
        if not self.keeps_sessions:
            raise SessionError(
                "On this machine an accelerator is lent for one run at a time: a run cannot go on "
                "after its end nor be inspected; start the program on a machine of your own."
            )
        return self._sessions.use(key)

    def _session(self, key: str) -> DecodingSession | None:
        kept = self._sessions.find(key)
        return None if kept is None else kept.session


def _recorded(session: DecodingSession, steps: Iterator[DecodingStep]) -> Iterator[RunStep]:
    """The steps of a session as its tree has them, each right after it was recorded."""
    for step in steps:
        yield session.tree.run_step(session.branch, step.index)
