"""How the page is served: its own files, the headers that fence it in, the hosts it answers to."""

from __future__ import annotations

import asyncio
import base64
import errno
import hashlib
import re
import socket
from collections.abc import Sequence

from gradio.http_server import LOCALHOST_NAME
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from decoding.page.files import ASSETS, PLOTLY, STYLES
from decoding.page.incoming.arrivals import UPLOAD, Arrivals
from decoding.page.incoming.bodies import json_bytes
from decoding.page.incoming.hosts import Hosts
from decoding.page.incoming.uploads import Uploads

FILES_ADDRESS = "live"
TRACES_ADDRESS = "trace"
LOCAL_HOSTS = ("127.0.0.1", "localhost", "[::1]")

_INLINE_SCRIPT = re.compile(rb"<script(?P<attributes>[^>]*)>(?P<body>.*?)</script>", re.DOTALL)


def refuse_unusable(host: str, port: int) -> None:
    """Ends the program with one sentence where the page cannot listen.

    Raises:
        SystemExit: it cannot.
    """
    for name in (host, LOCALHOST_NAME):  # Gradio looks at the latter alone, and then gives up
        try:
            _listen_once(name, port)
        except OSError as error:
            raise SystemExit(_why_unusable(name, port, error)) from error


def _listen_once(host: str, port: int) -> None:
    found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
    family, kind, protocol, _, place = found[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(place)


def _why_unusable(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        other = port + 1 if port < 65_535 else port - 1
        return f"Port {port} of {host} is in use: choose another one, such as --port {other}."
    if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
        return f"{host} is no address of this machine: choose another one with --host."
    return f"The page cannot listen on port {port} of {host}: {error.strerror}."


def routes(uploads: Uploads) -> list[BaseRoute]:
    """The page's scripts, styles and words, Plotly's script, runs as files, a sign of life."""
    return [
        Route(UPLOAD, uploads.take, methods=["POST"]),
        Route("/health", _health),
        Route(f"/{FILES_ADDRESS}/plotly.min.js", _plotly),
        Route(f"/{TRACES_ADDRESS}/{{run}}.{{kind}}", _trace),
        Mount(f"/{FILES_ADDRESS}", StaticFiles(directory=ASSETS)),
    ]


async def _health(_request: Request) -> Response:
    return JSONResponse({"status": "ok"})


async def _plotly(_request: Request) -> Response:
    return FileResponse(PLOTLY, media_type="text/javascript")


async def _trace(request: Request) -> Response:
    """A run as a file for whoever knows its id, which cannot be guessed."""
    traces = request.app.get_blocks().traces
    made = traces.file(request.path_params["run"], request.path_params["kind"])
    file = await asyncio.wrap_future(made)
    if file is None:
        return PlainTextResponse("There is no such run.", status_code=404)
    headers = {
        "Content-Disposition": f'attachment; filename="{file.name}"',
        "Cache-Control": "no-store",
    }
    return Response(file.content, media_type=file.media_type, headers=headers)


def middleware(
    hosts: Hosts, frame_ancestors: Sequence[str], prompt_chars: int, largest_upload: int
) -> list[Middleware]:
    """The host check, the headers, and the check of what arrives.

    Args:
        hosts: names that the page answers to.
        frame_ancestors: origins that may show the page in a frame.
        prompt_chars: of the longest text that is taken.
        largest_upload: bytes of a request that brings a file.
    """
    return [
        Middleware(TrustedHostMiddleware, allowed_hosts=list(hosts.own), www_redirect=False),
        Middleware(SafetyHeaders, frame_ancestors=tuple(frame_ancestors)),
        Middleware(
            Arrivals,
            hosts=hosts,
            largest_json=json_bytes(prompt_chars),
            largest_upload=largest_upload,
        ),
    ]


class SafetyHeaders:
    """Adds a Content-Security-Policy and its companions to every response.

    No inline script runs but those that the server itself put into the page: their hashes
    are in the policy, so text that became markup by some mistake stays dead.
    Gradio's page is given its styles on the way, as it is held back anyway.
    """

    def __init__(self, app: ASGIApp, frame_ancestors: tuple[str, ...] = ()) -> None:
        self._app = app
        self._frame_ancestors = frame_ancestors

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a response on with the headers; holds a page back until it is hashed."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        held: list[Message] = []

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._set_headers(MutableHeaders(scope=message), ())
                if _is_page(message):
                    held.append(message)
                    return
            elif held:
                held.append(message)
                if message.get("more_body"):
                    return
                body = with_styles(b"".join(part.get("body", b"") for part in held[1:]))
                self._set_headers(MutableHeaders(scope=held[0]), script_hashes(body))
                MutableHeaders(scope=held[0])["Content-Length"] = str(len(body))
                await send(held[0])
                held.clear()
                message = {"type": "http.response.body", "body": body}
            await send(message)

        await self._app(scope, receive, send_with_headers)

    def _set_headers(self, headers: MutableHeaders, hashes: Sequence[str]) -> None:
        headers["Content-Security-Policy"] = policy(hashes, self._frame_ancestors)
        headers["X-Content-Type-Options"] = "nosniff"
        headers["Referrer-Policy"] = "no-referrer"
        headers["Cross-Origin-Opener-Policy"] = "same-origin"
        headers["Permissions-Policy"] = "camera=(), microphone=(), geolocation=()"


def with_styles(page: bytes) -> bytes:
    """Gradio's page with the styles in the head that it is sent with; another page as it is.

    Gradio adds to a head only when its scripts run, and draws its controls without waiting for
    what it added.
    """
    if b"<gradio-app" not in page:
        return page
    before, end, after = page.rpartition(b"</head>")
    links = (f'<link rel="stylesheet" href="{FILES_ADDRESS}/{name}">' for name in STYLES)
    return before + "".join(links).encode() + end + after


def _is_page(start: Message) -> bool:
    return "text/html" in MutableHeaders(scope=start).get("content-type", "")


def script_hashes(body: bytes) -> list[str]:
    """The policy's sources for the inline scripts of a page, in their order."""
    bodies = (m["body"] for m in _INLINE_SCRIPT.finditer(body) if b"src=" not in m["attributes"])
    return [
        f"'sha256-{base64.b64encode(hashlib.sha256(script).digest()).decode()}'"
        for script in bodies
    ]


def policy(script_sources: Sequence[str] = (), frame_ancestors: Sequence[str] = ()) -> str:
    """The Content-Security-Policy: this server and nobody else.

    Gradio compiles templates and event code at run time, which needs `unsafe-eval`; it and
    Plotly write style attributes, which needs `unsafe-inline` for styles.
    """
    scripts = " ".join(["'self'", "'unsafe-eval'", *script_sources])
    ancestors = " ".join(["'self'", *frame_ancestors])
    return "; ".join(
        [
            "default-src 'none'",
            f"script-src {scripts}",
            "style-src 'self' 'unsafe-inline'",
            "img-src 'self' data: blob:",
            "font-src 'self' data:",
            "connect-src 'self'",
            "manifest-src 'self'",
            "worker-src 'self' blob:",
            "media-src 'self' blob:",
            "base-uri 'self'",
            "form-action 'self'",
            f"frame-ancestors {ancestors}",
        ]
    )
