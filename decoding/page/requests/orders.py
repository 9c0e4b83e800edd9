"""What the page's scripts order and ask, strictly checked; it knows no run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from decoding.page.requests.readers import read_changes
from decoding.page.requests.refusals import RequestError
from decoding.page.requests.settings import Limits
from decoding.records.requests import InspectRequest

MAX_CHARS = 20_000
MAX_ID_CHARS = 64
MAX_FIND_CHARS = 200
MAX_NUMBER = 2**31 - 1
LEAST_SPEED, MOST_SPEED = 0.1, 1_000.0


@dataclass(frozen=True, slots=True)
class Order:
    """How a run is to go on, as the page asks it.

    Attributes:
        run: its id.
        branch: the one to go on from.
        at: index of the next step; `None` for the branch's end.
        token_id: that this step takes; `None` lets the settings choose.
        steps: how many inferences at most; `None` until an end.
        speed: tokens a second at most; `None` as fast as it goes.
        generation: the settings from this step on.
    """

    run: str
    branch: int
    at: int | None
    token_id: int | None
    steps: int | None
    speed: float | None
    generation: dict[str, Any]


def read_order(text: object, settings: Mapping[str, object], limits: Limits) -> Order:
    """An order that is complete and within every range.

    Raises:
        RequestError: it is none.
        GenerationConfigError: a setting outside its range.
    """
    fields = _fields(text)
    return Order(
        _id(fields.get("run")),
        _whole(fields.get("branch")),
        _whole_or_none(fields.get("at")),
        _whole_or_none(fields.get("token")),
        _whole_or_none(fields.get("steps"), least=1),
        _speed(fields.get("speed")),
        read_changes(settings, limits),
    )


def read_speed(text: object) -> float | None:
    """Tokens a second at most, where the page asks for a speed.

    Raises:
        RequestError: what it asks for is none.
    """
    return _speed(_fields(text).get("speed")) if text else None


def read_inspection(text: object, limits: Limits) -> tuple[str, InspectRequest]:
    """The run's id, and what is to be known of one of its steps.

    Raises:
        RequestError: it is no such question.
        GenerationConfigError: a setting outside its range.
    """
    fields = _fields(text[0] if isinstance(text, list) and len(text) == 1 else text)
    settings, token_id = fields.get("settings"), _whole_or_none(fields.get("token"))
    if not isinstance(settings, Mapping | None):
        raise unusable()
    return _id(fields.get("run")), InspectRequest(
        branch=_whole(fields.get("branch")),
        index=_whole(fields.get("index")),
        generation=None if settings is None else read_changes(settings, limits),
        find=_find(fields.get("find")),
        token_ids=() if token_id is None else (token_id,),
    )


def read_place(place: object) -> tuple[str, int | None, int]:
    """The id, the branch and the first index that a browser asks for.

    Args:
        place: `[id, start]`, or `[id, branch, start]` of a run.

    Raises:
        RequestError: it is no such place.
    """
    if not isinstance(place, list | tuple) or len(place) not in (2, 3):
        raise unusable()
    branch = _whole(place[1]) if len(place) == 3 else None
    return _id(place[0]), branch, _whole(place[-1])


def unusable() -> RequestError:
    """What is said of an order that no page of this version makes."""
    return RequestError(
        "The page asked for something that this server does not do: load the page again.",
        "order_unusable",
    )


def _fields(text: object) -> dict[str, Any]:
    if not isinstance(text, str) or len(text) > MAX_CHARS:
        raise unusable()
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise unusable() from error
    if not isinstance(fields, dict):
        raise unusable()
    return fields


def _id(value: object) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= MAX_ID_CHARS:
        raise unusable()
    return value


def _whole(value: object, least: int = 0) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= MAX_NUMBER:
        raise unusable()
    return value


def _whole_or_none(value: object, least: int = 0) -> int | None:
    return None if value is None else _whole(value, least)


def _speed(value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise unusable()
    if not LEAST_SPEED <= value <= MOST_SPEED:  # nor is NaN
        raise unusable()
    return float(value)


def _find(value: object) -> str | None:
    if value is None or value == "":
        return None
    if not isinstance(value, str) or len(value) > MAX_FIND_CHARS:
        raise unusable()
    return value
