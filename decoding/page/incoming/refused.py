"""What is turned away before Gradio reads it: a status, one sentence, and one line in the log."""

from __future__ import annotations

import logging

from starlette.responses import JSONResponse, Response
from starlette.types import Scope

LONGEST_PATH = 200

log = logging.getLogger(__name__)


class Refused(Exception):
    """A request that is answered with a status and a sentence, and goes no further."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence


def answer(refused: Refused, scope: Scope) -> Response:
    """The response, in the form of Gradio's own; said in the log as well."""
    path = ascii(scope["path"][:LONGEST_PATH])
    where = scope["method"], path, address(scope), refused.status, ascii(refused.sentence)[1:-1]
    log.warning("%s %s from %s: %d %s", *where)
    return JSONResponse({"detail": refused.sentence}, refused.status)


def address(scope: Scope) -> str:
    """Of whoever asks; without a port, which another connection has another of."""
    client = scope.get("client")
    return client[0] if client else "nowhere"
