"""A chat -> the text that the model's template makes of it, rendered apart and within bounds."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from transformers import PreTrainedTokenizerBase
from transformers.utils import get_json_schema

from decoding.core.apart import Bounds, NotApartError, OverrunError, apart
from decoding.records.errors import PromptError, is_failure

# A template takes a few milliseconds, has some thousand characters, and adds as many.
SECONDS = 2
MEMORY_BYTES = 500_000_000
MOST_IN_A_TEMPLATE = 1_000_000
MORE_CHARACTERS = 100_000  # than this many times what goes in:
TIMES_WHAT_GOES_IN = 4
BYTES_A_CHARACTER = 12  # of JSON at most

_RENDERS_A_TEMPLATE = PreTrainedTokenizerBase.apply_chat_template
_MOST_TOLD = 300  # characters of what a template says of the messages


def render_chat(tokenizer: Any, messages: list[dict[str, Any]], **choices: Any) -> str:
    """The text that `apply_chat_template` gives.

    Args:
        tokenizer: with a chat template.
        messages: each with `role` and `content`.
        choices: what else that method takes, variables of the template among them.

    Raises:
        PromptError: the template refuses the messages, does not end in time or makes too much.
    """
    try:
        if getattr(type(tokenizer), "apply_chat_template", None) is not _RENDERS_A_TEMPLATE:
            return _rendered_here(tokenizer, messages, choices)  # in code of transformers' own
        return _rendered_apart(tokenizer, messages, choices)
    except OverrunError as error:
        raise PromptError(
            f"The model's chat template {error}: use a raw prompt, or choose another model."
        ) from error
    except NotApartError:
        return _rendered_here(tokenizer, messages, choices)
    except PromptError:
        raise
    except Exception as error:  # a template, or what should become its input
        raise _refused(error) from error


def _rendered_apart(
    tokenizer: Any, messages: list[dict[str, Any]], choices: Mapping[str, Any]
) -> str:
    """As `apply_chat_template` calls the renderer."""
    tools = choices.get("tools")
    template = tokenizer.get_chat_template(None, tools)
    if not isinstance(template, str):
        raise TypeError(f"it is no text but a {type(template).__name__}")
    if len(template) > MOST_IN_A_TEMPLATE:
        raise OverrunError(f"has {len(template):,} characters, of {MOST_IN_A_TEMPLATE:,} at most")
    messages = [{k: v for k, v in m.items() if v is not None} for m in messages]
    given = {**tokenizer.special_tokens_map, **choices, "tools": tools and list(map(_tool, tools))}
    arguments = {**given, "conversations": [messages], "chat_template": template}
    arguments = json.loads(json.dumps(arguments, default=_plain))
    goes_in = len(json.dumps(arguments, ensure_ascii=False))
    most = TIMES_WHAT_GOES_IN * goes_in + MORE_CHARACTERS
    bounds = Bounds(SECONDS, MEMORY_BYTES, BYTES_A_CHARACTER * (most + 100))
    asked = {"arguments": arguments, "most_characters": most}
    return str(apart.ask("render", asked, bounds))


def _rendered_here(
    tokenizer: Any, messages: list[dict[str, Any]], choices: Mapping[str, Any]
) -> str:
    try:
        text: str = tokenizer.apply_chat_template(messages, tokenize=False, **choices)
    except BaseException as error:  # a template is a model's own program, and raises what it likes
        if not is_failure(error):
            raise
        raise _refused(error) from error
    return text


def _refused(error: BaseException) -> PromptError:
    told = str(error) or type(error).__name__
    return PromptError(f"The chat template refused the messages: {told[:_MOST_TOLD]}")


def _tool(tool: Any) -> Any:
    """A tool's schema; of a function, what its annotations and its docstring make."""
    return tool if isinstance(tool, dict) else get_json_schema(tool)


def _plain(value: Any) -> Any:
    """What a template may see of a value that JSON does not know; as transformers has it."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if callable(dumped := getattr(value, "model_dump", None)):
        return dumped()
    if callable(item := getattr(value, "item", None)) and getattr(value, "shape", None) == ():
        return item()
    return f"<{type(value).__name__}>"
