"""The middleware in front of Gradio: who asks, how much is sent, and whether Gradio can read it."""

from __future__ import annotations

from starlette.datastructures import QueryParams
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from decoding.page.incoming.bodies import (
    counted,
    refuse_declared,
    refuse_other_types,
    replayed,
    whole,
)
from decoding.page.incoming.calls import API, check_call, check_question
from decoding.page.incoming.hosts import READING, Hosts
from decoding.page.incoming.refused import Refused, answer

UPLOAD = f"{API}upload"


class Arrivals:
    """Answers by itself what is not to reach Gradio, with a status and a line in the log."""

    def __init__(self, app: ASGIApp, hosts: Hosts, largest_json: int, largest_upload: int) -> None:
        self._app = app
        self._hosts = hosts
        self._largest_json = largest_json
        self._largest_upload = largest_upload

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hands on what was looked at."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            await self._app(scope, await self._checked(scope, receive), send)
        except Refused as refused:
            await answer(refused, scope)(scope, receive, send)
        except ClientDisconnect:
            return  # nobody is there to be answered

    async def _checked(self, scope: Scope, receive: Receive) -> Receive:
        """What Gradio is to read in place of what arrives."""
        self._hosts.read_forwarded(scope)
        self._hosts.refuse_foreign(scope)
        is_upload = scope["path"] == UPLOAD and scope["method"] == "POST"
        largest = self._largest_upload if is_upload else self._largest_json
        refuse_declared(scope, largest)
        if is_upload:
            return counted(receive, largest)
        blocks = scope["app"].get_blocks()
        if scope["method"] in READING:
            check_question(blocks, scope["path"], QueryParams(scope["query_string"]))
            return receive
        body = await whole(receive, largest)
        refuse_other_types(scope)
        check_call(blocks, scope["path"], body)
        return replayed(body, receive)
