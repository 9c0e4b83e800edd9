"""What a command reads and writes as text, whatever the terminal's encoding."""

from __future__ import annotations

import sys
from typing import BinaryIO

from decoding.records.errors import PromptError

LONGEST_BYTES = 10_000_000


def read_text(stream: BinaryIO, name: str) -> str:
    """All of a text in UTF-8.

    Raises:
        PromptError: it is too long, or no text.
    """
    content = stream.read(LONGEST_BYTES + 1)
    if len(content) > LONGEST_BYTES:
        raise PromptError(f"{name} holds more than {LONGEST_BYTES:,} bytes.")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise PromptError(f"{name} is no text: its byte {error.start} is not UTF-8.") from error


def read_standard_input() -> str:
    """All of it; `PromptError` as `read_text`."""
    return read_text(sys.stdin.buffer, "Standard input")


def write(text: str) -> None:
    """To standard output at once; what its encoding lacks is spelled out."""
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))
    sys.stdout.flush()
