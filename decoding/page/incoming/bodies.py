"""How much of a request's body is taken: counted as it arrives, whatever its header says."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope

from decoding.page.incoming.refused import Refused

LEAST_JSON_BYTES = 1_000_000
# A character beyond the first 65,536 is written as two escapes of six bytes.
JSON_BYTES_A_CHARACTER = 12
JSON_BYTES_BESIDE = 100_000  # the settings, and all that is no text of a visitor's


def json_bytes(characters: int) -> int:
    """The largest JSON that is taken where a text may have so many characters."""
    return max(LEAST_JSON_BYTES, JSON_BYTES_A_CHARACTER * characters + JSON_BYTES_BESIDE)


def refuse_declared(scope: Scope, largest: int) -> None:
    """Refuses a body whose own header says that it is too large.

    Raises:
        Refused: it does.
    """
    told = Headers(scope=scope).get("content-length", "0")
    if not told.isdecimal() or int(told) > largest:
        raise too_large(largest)


def refuse_other_types(scope: Scope) -> None:
    """Refuses what is not said to be JSON: a form of any other page can send that.

    Raises:
        Refused: it is not.
    """
    told = Headers(scope=scope).get("content-type", "")
    if told.partition(";")[0].strip().lower() != "application/json":
        raise Refused(415, "The body must be JSON, and its Content-Type application/json.")


def counted(receive: Receive, largest: int) -> Receive:
    """Hands over a body as it arrives, as long as it is not too large.

    What it hands over raises `Refused` where it is.
    """
    taken = 0

    async def hand_over() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > largest:
            raise too_large(largest)
        return message

    return hand_over


async def whole(receive: Receive, largest: int) -> bytes:
    """A body that has arrived.

    Raises:
        Refused: it is too large.
        ClientDisconnect: the rest of it will not arrive.
    """
    parts: list[bytes] = []
    receive = counted(receive, largest)
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


def replayed(body: bytes, receive: Receive) -> Receive:
    """Hands over a body that was read already, then whatever comes after it."""
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def hand_over() -> Message:
        return waiting.pop() if waiting else await receive()

    return hand_over


def too_large(largest: int) -> Refused:
    """What is said of a body that is not taken."""
    return Refused(413, f"This is larger than the {largest:,} bytes that are taken at once.")
