"""The JSON Schema of a trace, from the records themselves and their documentation."""

from __future__ import annotations

import inspect
import re
import types
from dataclasses import fields, is_dataclass
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from decoding.records.strict_json import MINUS_INFINITY, is_required
from decoding.records.trace import DecodingTrace

Schema = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_PLAIN: dict[Any, Schema] = {
    int: {"type": "integer"},
    float: {"anyOf": [{"type": "number"}, {"const": MINUS_INFINITY}]},
    str: {"type": "string"},
    bool: {"type": "boolean"},
    type(None): {"type": "null"},
    Any: {},
}


def trace_schema() -> Schema:
    """The schema; `assets/data/trace.schema.json` holds the same."""
    parts: dict[str, Schema] = {}
    whole = _schema(DecodingTrace, parts)
    parts["DecodingTrace"]["required"].insert(0, "version")  # a file without it is not read
    return {"$schema": DIALECT, "title": "DecodingTrace", **whole, "$defs": parts}


def _schema(kind: Any, parts: dict[str, Schema]) -> Schema:
    """Of one annotation; the records in it go into `parts`, each once."""
    if is_dataclass(kind) and isinstance(kind, type):
        if kind.__name__ not in parts:
            parts[kind.__name__] = {}  # a place kept in order
            parts[kind.__name__] = _record(kind, parts)
        return {"$ref": f"#/$defs/{kind.__name__}"}
    if kind in _PLAIN:
        return dict(_PLAIN[kind])
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Literal:
        return {"enum": list(inner)}
    if origin in (Union, types.UnionType):
        return {"anyOf": [_schema(one, parts) for one in inner]}
    if origin is dict:
        return {"type": "object", "additionalProperties": _schema(inner[1], parts)}
    if origin in (list, tuple):
        return {"type": "array", "items": _schema(inner[0], parts)}
    raise TypeError(f"no schema for {kind}")


def _record(kind: type, parts: dict[str, Schema]) -> Schema:
    hints, notes = get_type_hints(kind), _notes(kind)
    properties: dict[str, Schema] = {}
    for field in fields(kind):
        note = {"description": notes[field.name]} if field.name in notes else {}
        properties[field.name] = {**_schema(hints[field.name], parts), **note}
    return {
        "description": (inspect.getdoc(kind) or "").split("\n\n")[0],
        "type": "object",
        "properties": properties,
        "required": [field.name for field in fields(kind) if is_required(field)],
        "additionalProperties": False,
    }


def _notes(kind: type) -> dict[str, str]:
    """What a record's documentation says of its attributes, one sentence for each."""
    _, _, section = (inspect.getdoc(kind) or "").partition("Attributes:\n")
    entries = re.findall(r"^    (\w[\w, ]*): (.*(?:\n {8}.*)*)", section, re.MULTILINE)
    return {
        name: re.sub(r"\s+", " ", note).strip()
        for names, note in entries
        for name in names.split(", ")
    }
