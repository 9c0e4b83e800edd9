"""Visitors who have another model loaded, and the frames while it loads."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from decoding.live.shared_model import SharedModel
from decoding.live.stream import Stream
from decoding.page.visitors.newest import Newest
from decoding.page.visitors.queue import Queue, paced, with_failure
from decoding.page.wire.frames import Message, error_message, message, page_frame
from decoding.records.requests import ModelChoice, ModelStatus


class Switches:
    """Visitors who have another model loaded, for everybody."""

    def __init__(self, model: SharedModel, queue: Queue) -> None:
        self.model = model
        self.queue = queue
        self._newest: Newest[Stream[ModelStatus]] = Newest()

    def frames(self, visitor: str, read: Callable[[], ModelChoice]) -> Iterator[str]:
        """What the page shows from the click until the model is there, or is refused."""
        yield from with_failure(
            lambda: self._frames(visitor, read()),
            lambda error: self._frame("error", error_message(error)),
        )

    def stop(self, visitor: str) -> None:
        """Gives a switch up; the model that was there comes back."""
        self.queue.stop(("switch", visitor))

    def _frames(self, visitor: str, choice: ModelChoice) -> Iterator[str]:
        self.stop(visitor)
        stream = self.queue.open(("switch", visitor), lambda: self.model.switch(choice))
        self._newest.put(visitor, stream)
        is_loaded = False
        try:
            for statuses in paced(stream):
                is_loaded |= any(status.state == "ready" for status in statuses)
                if not self._newest.is_newest(visitor, stream):
                    break
                if not stream.done:
                    yield self._waiting_frame(stream)
            # One that a newer choice replaced says no more: it would come after that one.
            if not self._newest.is_newest(visitor, stream):
                return
            yield self._loaded() if is_loaded else self._frame("stopped", message("model_kept"))
        finally:
            self.queue.close(stream)
            self._newest.forget(visitor, stream)

    def _waiting_frame(self, stream: Stream[ModelStatus]) -> str:
        status = self.model.status
        if not stream.started:
            return self._frame("queued", message("queue_position", position=stream.position))
        stage = message(f"loading_{status.stage}")
        return self._frame("loading", stage, status.progress)

    def _loaded(self) -> str:
        facts = self.model.status.facts
        if facts is None:  # another visitor's choice is loading already
            return self._frame("ready")
        form = facts.quantization or facts.dtype
        return self._frame("ready", message("model_loaded", name=facts.name, form=form))

    def _frame(
        self,
        state: str,
        message: Message | None = None,
        progress: tuple[int, int] | None = None,
    ) -> str:
        is_known = state not in ("queued", "loading")
        facts = self.model.status.facts if is_known else None
        return page_frame(state, message=message, progress=progress, model=facts, switch=True)
