"""Who may ask: the names the page answers to, pages of other origins, and what proxies add."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import Scope

from decoding.page.incoming.refused import Refused

READING = ("GET", "HEAD", "OPTIONS")
FORWARDED = b"x-forwarded-"
# Gradio takes its own address from this one, which only its proxy in Node has reason to send.
NEVER = (b"x-gradio-server",)

_DEFAULT_PORT = {"http": ":80", "https": ":443"}


@dataclass(frozen=True, slots=True)
class Hosts:
    """The names of the page.

    Attributes:
        own: that it answers to; a pattern may begin with `*.`.
        named: those of them that the operator gave: pages under them may use this one.
        trusts_proxy: whether a proxy stands before the page, and says by which name and from
            which address it was asked.
    """

    own: Sequence[str]
    named: Sequence[str] = ()
    trusts_proxy: bool = False

    def read_forwarded(self, scope: Scope) -> None:
        """Drops what only a proxy may say, or takes the visitor's address from it."""
        headers = Headers(scope=scope)
        if self.trusts_proxy:
            visitor = _visitor(headers.get("x-forwarded-for", ""))
            scope["client"] = (visitor, 0) if visitor else scope["client"]
        scope["headers"] = [line for line in scope["headers"] if self._is_kept(*line)]

    def refuse_foreign(self, scope: Scope) -> None:
        """Lets no page of another origin change anything here.

        Raises:
            Refused: a browser says that such a page asks.
        """
        if scope["method"] in READING:
            return
        headers = Headers(scope=scope)
        origin = headers.get("origin")
        is_foreign = headers.get("sec-fetch-site") == "cross-site"
        if origin is not None and (is_foreign or not _is_same(origin, headers)):
            is_foreign = not _is_named(_host(origin), self.named)
        if is_foreign:
            raise Refused(403, "Pages of other addresses may not send anything to this one.")

    def _is_kept(self, name: bytes, value: bytes) -> bool:
        if name in NEVER:
            return False
        if name == b"x-forwarded-host":
            return self.trusts_proxy and _is_named(_host(f"//{_first(value)}"), self.own)
        return self.trusts_proxy or not name.startswith(FORWARDED)


def _first(value: bytes) -> str:
    return value.decode("latin-1").split(",")[0].strip()


def _visitor(forwarded_for: str) -> str:
    """The address nearest to this machine that is no private one, as proxies append theirs."""
    addresses = [part.strip() for part in forwarded_for.split(",")]
    public = (address for address in reversed(addresses) if _is_public(address))
    return next(public, addresses[0] if _is_address(addresses[0]) else "")


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _is_public(text: str) -> bool:
    return _is_address(text) and ip_address(text).is_global


def _is_same(origin: str, headers: Headers) -> bool:
    """Whether an origin is the address by which the page was asked."""
    scheme, _, place = origin.lower().partition("://")
    asked = (headers.get("host", ""), _first(headers.get("x-forwarded-host", "").encode("latin-1")))
    port = _DEFAULT_PORT.get(scheme, "")
    return place != "" and place in {name.lower().removesuffix(port) for name in asked}


def _host(address: str) -> str:
    """The name in an address, an IPv6 one in brackets; "" where there is none."""
    try:
        name = urlsplit(address).hostname or ""
    except ValueError:
        return ""
    return f"[{name}]" if ":" in name else name


def _is_named(host: str, names: Sequence[str]) -> bool:
    return host != "" and any(
        name in ("*", host) or (name.startswith("*.") and host.endswith(name[1:]))
        for name in (name.lower() for name in names)
    )
