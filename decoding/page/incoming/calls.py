"""Whether Gradio can read a call: its route, its function, and the type of each value.

Gradio finds out in the middle of its work, and then the log fills with where that was.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gradio_client.utils import construct_args

from decoding.page.incoming.refused import Refused
from decoding.records.json_text import parsed
from decoding.records.strict_json import RecordError, told

if TYPE_CHECKING:
    from gradio.block_function import BlockFunction
    from gradio.blocks import Block, Blocks

API = "/gradio_api/"
LONGEST_NAME = 255  # that a file can have
MOST_LEVELS = 20

# What the page and its endpoints have a use for; Gradio has more, to edit and to watch a page.
_ASKED = re.compile(
    r"app_id|call/.+|file[=/].*|heartbeat/[\w.-]{1,100}|info|login_check|openapi.json"
    "|queue/data|queue/status|startup-events|theme.css|token|upload_progress|user",
    re.ASCII | re.DOTALL,
)
_ID = re.compile(r"[\w.-]{1,100}", re.ASCII)
_FIELDS: dict[str, type] = {
    "data": list,
    "fn_index": int,
    "oauth_token": str,
    "session_hash": str,
    "simple_format": bool,
    "trigger_id": int,
}
_KINDS: dict[str, type | tuple[type, ...]] = {
    "boolean": bool,
    "integer": int,
    "number": (int, float),
    "string": (str, int, float),  # a text field takes a number, such as a seed, as its digits
}


def check_question(blocks: Blocks, path: str, query: Mapping[str, str]) -> None:
    """Lets a question pass that Gradio can answer.

    Raises:
        Refused: it is no question, or about what is not there.
    """
    if any(not part.isprintable() or len(part.encode()) > LONGEST_NAME for part in path.split("/")):
        raise Refused(404, "There is nothing of such a name.")
    if path == "/" and query.get("page", "") not in blocks.config["page"]:
        raise Refused(404, "There is no such page.")
    if not path.startswith(API):
        return
    place = path.removeprefix(API)
    if not _ASKED.fullmatch(place.rstrip("/")):
        raise Refused(404, "This page has no use for that.")
    waiting = blocks._queue.pending_messages_per_session
    if place == "queue/data" and query.get("session_hash", "") not in waiting:
        raise Refused(404, "Nothing was asked in this session.")
    if place.startswith("call/") and not _is_due(blocks, place.rpartition("/")[2]):
        raise Refused(404, "There is no such event.")


def _is_due(blocks: Blocks, event: str) -> bool:
    queue = blocks._queue
    return event in queue.event_ids_to_events or any(
        event in events for events in list(queue.pending_event_ids_session.values())
    )


def check_call(blocks: Blocks, path: str, body: bytes) -> None:
    """Lets a call pass that Gradio can read.

    Raises:
        Refused: it names no function, or brings what that cannot take.
    """
    place = path.removeprefix(API).rstrip("/").split("/") if path.startswith(API) else []
    match place:
        case ["queue", "join"]:
            call = _call(body, "data", "fn_index", "session_hash")
            _check_values(_numbered(blocks, call["fn_index"]), call["data"], blocks)
        case ["run" | "api", name]:
            call = _call(body, "data")
            is_numbered = call.get("fn_index") is not None
            function = _numbered(blocks, call["fn_index"]) if is_numbered else _named(blocks, name)
            _check_values(function, call["data"], blocks)
        case ["call", name]:
            _check_values(_named(blocks, name), _call(body, "data")["data"], blocks)
        case ["call", "v2", name]:
            function = _named(blocks, name, is_public=True)
            _check_values(function, _arguments(blocks, name, _object(body)), blocks)
        case ["component_server"]:
            _check_component(blocks, _call(body, "data", "component_id", "fn_name", "session_hash"))
        case ["cancel"]:
            _call(body, "fn_index", "session_hash", "event_id")
        case ["reset"]:
            _call(body, "event_id")
        case _:
            raise Refused(404, "This page has no use for that.")


def _object(body: bytes) -> dict[str, Any]:
    try:
        value = parsed(body)
    except RecordError as error:
        raise Refused(400, f"The body cannot be read: {error}.") from error
    if not isinstance(value, dict):
        raise Refused(400, f"The body must be an object, not {told(value)}.")
    _check_nesting(value)
    return value


def _check_nesting(value: Any) -> None:
    """Gradio goes through all of it, one call in another, for files that are named there."""
    level = [value]
    for _ in range(MOST_LEVELS):
        level = [item for holder in level for item in _items(holder)]
        if not level:
            return
    raise Refused(400, f"The body is nested more than {MOST_LEVELS} deep.")


def _items(holder: Any) -> list[Any]:
    if isinstance(holder, dict):
        return list(holder.values())
    return holder if isinstance(holder, list) else []


def _call(body: bytes, *required: str) -> dict[str, Any]:
    """A call with these fields, and with none that is of another type."""
    call = _object(body)
    for name in required:
        if call.get(name) is None:
            raise Refused(400, f"The body lacks {name!r}.")
    for name, kind in _FIELDS.items():
        if call.get(name) is not None and type(call[name]) is not kind:
            raise Refused(400, f"{name} cannot be {told(call[name])}.")
    for name in ("session_hash", "event_id"):
        if call.get(name) is not None and not _is_id(call[name]):
            raise Refused(400, f"{name} cannot be {told(call[name])}.")
    if call.get("batched"):
        raise Refused(400, "Nothing here is asked in batches.")
    return call


def _is_id(value: Any) -> bool:
    return isinstance(value, str) and _ID.fullmatch(value) is not None


def _numbered(blocks: Blocks, number: int) -> BlockFunction:
    function = blocks.fns.get(number)
    if function is None or function.fn is None:
        raise Refused(404, f"There is no function {told(number)}.")
    return function


def _named(blocks: Blocks, name: str, *, is_public: bool = False) -> BlockFunction:
    for function in blocks.fns.values():
        if function.api_name == name and function.fn is not None:
            if is_public and function.api_visibility != "public":
                break
            return function
    raise Refused(404, f"There is no endpoint {told(name)}.")


def _arguments(blocks: Blocks, name: str, named: dict[str, Any]) -> list[Any]:
    """A function's arguments, given by their names."""
    endpoint = blocks.get_api_info()["named_endpoints"][f"/{name}"]
    arguments = {key: value for key, value in named.items() if key != "oauth_token"}
    try:
        values: list[Any] = construct_args(endpoint["parameters"], (), arguments)
    except TypeError as error:
        raise Refused(400, str(error)) from error
    return values


def _check_values(function: BlockFunction, values: list[Any], blocks: Blocks) -> None:
    if len(values) != len(function.inputs):
        number = len(function.inputs)
        raise Refused(400, f"{function.api_name} takes {number} values, not {len(values)}.")
    for number, (block, value) in enumerate(zip(function.inputs, values, strict=True), 1):
        try:
            _check_value(block, value, function.preprocess, blocks)
        except Exception as error:  # of whatever kind that control's own check raises
            message = f"Value {number} of {function.api_name} cannot be {told(value)}."
            raise Refused(400, message) from error


def _check_value(block: Any, value: Any, is_preprocessed: bool, blocks: Blocks) -> None:
    """What the control that sends the value would not refuse, and does not do anything yet."""
    if getattr(block, "data_model", None) is not None:
        _check_file(block, value, blocks)
    elif _names_file(value):
        raise ValueError("a file in place of a value")
    elif is_preprocessed:
        kind = _KINDS.get(block.api_info().get("type", ""), object)
        if value is not None and not isinstance(value, kind):
            raise TypeError(f"no {kind}")
        block.preprocess(value)


def _check_file(block: Any, value: Any, blocks: Blocks) -> None:
    if value is not None:
        file = block.data_model.model_validate(value, context={"validate_meta": True})
        if file.path not in blocks.upload_file_set:
            raise ValueError("no uploaded file")


def _names_file(value: Any) -> bool:
    """Whether Gradio would take something in it for a file, and look for that."""
    if isinstance(value, dict) and "meta" in value and "path" in value:
        return True
    return any(_names_file(item) for item in _items(value))


def _check_component(blocks: Blocks, call: dict[str, Any]) -> None:
    block: Block | None = None
    if type(call["component_id"]) is int:
        block = blocks.blocks.get(call["component_id"])
    if block is None or not isinstance(call["fn_name"], str):
        raise Refused(404, "There is no such component.")
    if not getattr(getattr(block, call["fn_name"], None), "_is_server_fn", False):
        raise Refused(404, "There is no such function.")
