"""A trace as a JSON file, and back; what it reads is somebody else's and may be anything."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from decoding.records.errors import TraceError
from decoding.records.json_text import file_content, parsed
from decoding.records.strict_json import RecordError, plain_record, read_record, told
from decoding.records.trace import DecodingTrace
from decoding.records.trace_checks import TraceLimits, check_trace

LIMITS = TraceLimits()
LARGEST_BYTES = LIMITS.bytes
VERSION = 1


def trace_json(trace: DecodingTrace) -> str:
    """The trace as one JSON object that any encoder can send on; every number is exact.

    A log-probability of -inf is the text "-Infinity".
    """
    value = plain_record(trace)
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    try:
        text.encode()
    except UnicodeEncodeError:  # half a character in somebody's vocabulary
        return json.dumps(value, allow_nan=False, separators=(",", ":"))
    return text


def write_trace(trace: DecodingTrace, path: str | os.PathLike[str]) -> None:
    """Writes the trace to a file, whole or not at all.

    Raises:
        TraceError: the file cannot be written.
    """
    write_file(path, trace_json(trace))


def write_file(path: str | os.PathLike[str], text: str) -> None:
    """Writes a text as it is, in UTF-8; the file is replaced once all of it is on the disk.

    Raises:
        TraceError: the file cannot be written.
    """
    target = Path(path)
    part = target.with_name(target.name + ".part")
    try:
        part.write_text(text, encoding="utf-8", newline="")
        part.replace(target)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise TraceError(
            f"The file {target.name!r} cannot be written: {error.strerror or error}."
        ) from error


def read_trace(
    source: str | bytes | os.PathLike[str], limits: TraceLimits = LIMITS
) -> DecodingTrace:
    """The trace in a file or a text; nothing in it is executed or fetched.

    Args:
        source: a file's path, or the JSON itself as `bytes` or as a `str` that names no file.
        limits: what is larger is not read; for one's own long runs give others.

    Raises:
        TraceError: one sentence with the place of what is wrong.
    """
    value = _parsed(_content(source, limits.bytes), limits.values)
    _check_version(value)
    try:
        trace = read_record(DecodingTrace, value)
        check_trace(trace, limits)
    except RecordError as error:
        place = "" if error.place else "the file "
        raise TraceError(f"This trace cannot be read: {place}{error}.") from error
    return trace


def _content(source: str | bytes | os.PathLike[str], largest_bytes: int) -> bytes:
    if isinstance(source, bytes):
        content = source
    elif isinstance(source, str) and not _is_file(source):
        content = source.encode("utf-8", "surrogatepass")
    else:
        path = Path(source)
        content = file_content(path, largest_bytes, f"file {path.name!r}", TraceError)
    if len(content) > largest_bytes:
        raise TraceError(
            f"This file is larger than the {largest_bytes:,} bytes that are read: a run so long is "
            "shown by its HTML file, and read_trace reads it with other limits."
        )
    return content


def _is_file(name: str) -> bool:
    try:
        return Path(name).is_file()
    except (OSError, ValueError):  # longer than a name can be, or with a zero in it
        return False


def _parsed(content: bytes, most_values: int) -> Any:
    if sum(map(content.count, (b",", b"[", b"{"))) > most_values:
        raise TraceError(f"This file holds more than the {most_values:,} values that are read.")
    try:
        return parsed(content)
    except RecordError as error:
        raise TraceError(f"This file is no trace that can be read: {error}.") from error


def _check_version(value: Any) -> None:
    if not isinstance(value, dict) or "version" not in value or "branches" not in value:
        raise TraceError("This file is JSON, and no trace of a decoding session.")
    if type(value["version"]) is not int or value["version"] != VERSION:
        raise TraceError(
            f"This trace is of version {told(value['version'])}, and this program reads version "
            f"{VERSION}: open it with the program that wrote it."
        )
