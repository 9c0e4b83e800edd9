"""Records <-> JSON, strictly by their annotations; it knows dataclasses, and no one of them."""

from __future__ import annotations

import math
import types
from collections.abc import Callable
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import cache
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

T = TypeVar("T")
Reader = Callable[[Any], Any]

MINUS_INFINITY = "-Infinity"  # JSON has no number for it
LARGEST_WHOLE = 2**64
LONGEST_TEXT = 1_000_000
DEEPEST = 8
NAMES: dict[Any, str] = {
    int: "a whole number",
    float: "a number",
    str: "a text",
    bool: "true or false",
    list: "a list",
    dict: "an object",
    type(None): "null",
}


class RecordError(ValueError):
    """A value that is not what a record holds; the message begins with its place."""

    def __init__(self, message: str, place: str = "") -> None:
        super().__init__(f"{place.removeprefix('.')} {message}" if place else message)
        self.message = message
        self.place = place

    def inside(self, key: str | int) -> RecordError:
        """The same error, told from one level further out."""
        step = f"[{key}]" if isinstance(key, int) else f".{key}"
        return RecordError(self.message, step + self.place)


def read_record(kind: type[T], value: Any) -> T:
    """A dataclass out of what `json.loads` made, and all that is in it.

    Raises:
        RecordError: a field too many or missing, a wrong type, a number that is none.
    """
    return cast(T, _reader(cast(Any, kind))(value))


def plain_record(value: Any) -> Any:
    """A dataclass and all that is in it as dicts, lists, texts and numbers."""
    if is_dataclass(value):
        return {field.name: plain_record(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, list | tuple):
        return [plain_record(item) for item in value]
    if isinstance(value, dict):
        return {name: plain_record(item) for name, item in value.items()}
    if isinstance(value, float) and value == -math.inf:
        return MINUS_INFINITY
    return value


def is_required(field: Field[Any]) -> bool:
    """Whether a field has no default, which a file of an older program would lack."""
    return field.default is MISSING and field.default_factory is MISSING


def told(value: Any) -> str:
    """What a value is, in a few words that are safe to show."""
    if isinstance(value, int) and abs(value) > LARGEST_WHOLE:
        return "a number too large"
    if isinstance(value, int | float | str):
        text = repr(value[:40] if isinstance(value, str) else value)
        return text if len(text) <= 40 else text[:40] + "…"
    return NAMES.get(type(value), type(value).__name__)


@cache
def _reader(kind: Any) -> Reader:
    """What turns JSON's value into one of this annotation."""
    if is_dataclass(kind):
        return _record_reader(cast(type, kind))
    if kind in _PLAIN:
        return _PLAIN[kind]
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Literal:
        return _literal_reader(inner)
    if origin in (list, tuple):
        return _list_reader(cast(type, origin), _reader(inner[0]))
    if origin is dict:
        return _dict_reader(_reader(inner[1]))
    if origin in (Union, types.UnionType):
        return _union_reader(inner)
    raise TypeError(f"no reader for {kind}")


def _record_reader(kind: type) -> Reader:
    hints = get_type_hints(kind)
    known = fields(kind)
    readers = {field.name: _reader(hints[field.name]) for field in known}
    required = [field.name for field in known if is_required(field)]

    def read(value: Any) -> Any:
        _expect(dict, value)
        missing = next((name for name in required if name not in value), None)
        if missing is not None:
            raise RecordError(f"lacks {missing!r}")
        found = {}
        for name, item in value.items():
            if name not in readers:
                raise RecordError(f"has a field {told(name)}, which is not known")
            try:
                found[name] = readers[name](item)
            except RecordError as error:
                raise error.inside(name) from None
        return kind(**found)

    return read


def _list_reader(origin: type, inner: Reader) -> Reader:
    def read(value: Any) -> Any:
        _expect(list, value)
        items = []
        for index, item in enumerate(value):
            try:
                items.append(inner(item))
            except RecordError as error:
                raise error.inside(index) from None
        return origin(items)

    return read


def _dict_reader(inner: Reader) -> Reader:
    def read(value: Any) -> Any:
        _expect(dict, value)
        try:
            return {_text(name): inner(item) for name, item in value.items()}
        except RecordError as error:
            raise RecordError(f"holds what {error.message}") from None

    return read


def _literal_reader(allowed: tuple[Any, ...]) -> Reader:
    def read(value: Any) -> Any:
        if not any(type(value) is type(one) and value == one for one in allowed):
            raise RecordError(f"must be one of {', '.join(map(repr, allowed))}, not {told(value)}")
        return value

    return read


def _union_reader(kinds: tuple[Any, ...]) -> Reader:
    choices = [(_json_kind(kind), _reader(kind)) for kind in kinds if kind is not type(None)]
    has_none = len(choices) < len(kinds)

    def read(value: Any) -> Any:
        if value is None and has_none:
            return None
        likely = [reader for json_kind, reader in choices if json_kind is type(value)]
        *others, last = likely or [reader for _, reader in choices]
        for reader in others:
            try:
                return reader(value)
            except RecordError:
                continue
        return last(value)

    return read


def _json_kind(kind: Any) -> Any:
    """What `json.loads` makes of an annotation's values."""
    origin = get_origin(kind)
    if origin is Literal:
        return type(get_args(kind)[0])
    if origin is tuple:
        return list
    return dict if is_dataclass(kind) else origin or kind


def _expect(kind: type, value: Any) -> None:
    if type(value) is not kind:
        raise RecordError(f"must be {NAMES[kind]}, not {told(value)}")


def _whole(value: Any) -> Any:
    _expect(int, value)
    if abs(value) > LARGEST_WHOLE:
        raise RecordError("is a number too large")
    return value


def _number(value: Any) -> Any:
    if value == MINUS_INFINITY:
        return -math.inf
    if type(value) is int:
        value = float(_whole(value))
    _expect(float, value)
    if not math.isfinite(value):
        raise RecordError("is no finite number")
    return value


def _text(value: Any) -> Any:
    _expect(str, value)
    if len(value) > LONGEST_TEXT:
        raise RecordError(f"is a text of more than {LONGEST_TEXT:,} characters")
    return value


def _truth(value: Any) -> Any:
    _expect(bool, value)
    return value


def _anything(value: Any, depth: int = 0) -> Any:
    """A setting's value: JSON of any kind, and not deep."""
    if depth > DEEPEST:
        raise RecordError(f"is nested more than {DEEPEST} deep")
    if type(value) is list:
        return [_anything(item, depth + 1) for item in value]
    if type(value) is dict:
        return {_text(name): _anything(item, depth + 1) for name, item in value.items()}
    if value is None or type(value) is bool:
        return value
    return {int: _whole, float: _number, str: _text}[type(value)](value)


_PLAIN: dict[Any, Reader] = {
    int: _whole,
    float: _number,
    str: _text,
    bool: _truth,
    Any: _anything,
}
