"""What the page asks of one step; of a dragged slider's questions only the newest counts."""

from __future__ import annotations

import logging
from concurrent.futures import CancelledError, Future
from threading import Lock
from typing import TYPE_CHECKING, Any

from decoding.live.live_model import LiveModel
from decoding.page.requests.orders import read_inspection
from decoding.page.requests.settings import Limits
from decoding.page.visitors.newest import Newest
from decoding.page.wire.frames import error_message, message, to_json
from decoding.page.wire.inspection import inspection_json
from decoding.records.errors import DecodingError
from decoding.records.requests import InspectRequest

if TYPE_CHECKING:
    from decoding.session.inspection import Inspection

SECONDS_WAITED = 10.0
# Once the model reads for it: the model ends that itself where it holds up others.
SECONDS_READ = 60.0

log = logging.getLogger(__name__)


class Questions:
    """The questions of all visitors; who knows a run's id may ask."""

    def __init__(self, model: LiveModel, limits: Limits) -> None:
        self._model = model
        self._limits = limits
        self._newest: Newest[Future[Inspection]] = Newest()
        self._lock = Lock()

    def answer(self, text: object) -> str:
        """An inspection as JSON, or `{"error": message}`."""
        try:
            run, request = read_inspection(text, self._limits)
            return inspection_json(self._inspected(run, request), run)
        except DecodingError as error:
            return _error(error_message(error))
        except (CancelledError, TimeoutError):
            return _error(message("inspection_late"))
        except Exception as error:
            log.exception("Something the page did not expect")
            return _error(error_message(error))

    def _inspected(self, run: str, request: InspectRequest) -> Inspection:
        with self._lock:  # the one that is asked last is the newest
            future = self._model.inspect(run, request)
            earlier = self._newest.put(run, future)
        if earlier is not None:
            earlier.cancel()
        try:
            return _waited(future)
        finally:
            future.cancel()
            self._newest.forget(run, future)


def _waited(future: Future[Inspection]) -> Inspection:
    try:
        return future.result(SECONDS_WAITED)
    except TimeoutError:
        if not (future.running() or future.done()):
            raise
    return future.result(SECONDS_READ)


def _error(message: dict[str, Any]) -> str:
    return to_json({"error": message})
