"""A JSON text that is somebody else's: read within bounds, each key once, no NaN."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from decoding.records.errors import DecodingError
from decoding.records.strict_json import RecordError, told


def file_content(path: Path, largest_bytes: int, named: str, kind: type[DecodingError]) -> bytes:
    """The bytes of a file, at most one more than `largest_bytes`.

    Args:
        path: of anything; a folder, a device or a pipe is no file.
        largest_bytes: what the caller takes.
        named: what it is, for people.
        kind: of the error.

    Raises:
        DecodingError: of that kind; there is no such file, or it cannot be read.
    """
    if not path.is_file():  # a device or a pipe could go on for ever
        raise kind(f"There is no {named}.")
    try:
        with path.open("rb") as file:
            return file.read(largest_bytes + 1)
    except OSError as error:
        raise kind(f"The {named} cannot be read: {error.strerror}.") from error


def parsed(content: bytes) -> Any:
    """What a JSON text holds; of an object that names a field twice, nothing.

    Raises:
        RecordError: half a sentence on what is wrong with it.
    """
    try:
        text = content.decode("utf-8-sig", "surrogatepass")
        return json.loads(text, object_pairs_hook=_distinct, parse_constant=_no_constant)
    except RecordError:
        raise
    except RecursionError as error:
        raise RecordError("it is no JSON, or is nested too deep") from error
    except UnicodeDecodeError as error:
        raise RecordError(f"its byte {error.start} is not UTF-8") from error
    except json.JSONDecodeError as error:
        where = f"{error.msg} in line {error.lineno}, column {error.colno}"
        raise RecordError(f"it is no JSON: {where}") from error
    except ValueError as error:  # more digits than Python turns into a number
        raise RecordError("it holds a number too large") from error


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise RecordError(f"the field {told(name)} stands twice in one object")
        found[name] = value
    return found


def _no_constant(name: str) -> Any:
    raise RecordError(f"{name} is no number of JSON")
