"""What a visitor typed and set, read into requests: every value checked, none trusted."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from decoding.page.requests.refusals import PromptRequestError
from decoding.page.requests.settings import (
    DEFAULT_LIMITS,
    MAX_SEED,
    SETTINGS,
    SWITCHED,
    Limits,
    Setting,
    within,
)
from decoding.records.errors import GenerationConfigError, PromptError
from decoding.records.requests import FIXED_IN_A_RUN, RunRequest, ScoreRequest

# transformers lays each of them over every token of the vocabulary before the first inference.
MAX_STOP_STRINGS = 4
MAX_STOP_STRING_CHARS = 20
_BY_NAME = {setting.name: setting for setting in SETTINGS}
# No fields of `GenerationConfig`, but of the request itself.
_OWN = [field.name for field in fields(RunRequest) if field.name in _BY_NAME]


def read_request(
    prompt: object,
    chat: object = True,
    system: object = "",
    settings: Mapping[str, object] | None = None,
    limits: Limits = DEFAULT_LIMITS,
    chat_template_kwargs: object = None,
) -> RunRequest:
    """A request that is complete and within every range.

    Args:
        prompt: what the visitor typed.
        chat: as a user's turn through the chat template, or as it stands.
        system: the system's turn before it; empty for the template's own.
        settings: values by name; what is absent or `None` has the page's default, or where
            it has none, the model's own.
        limits: the operator's.
        chat_template_kwargs: variables of the chat template by name.

    Raises:
        PromptError: empty or too long.
        GenerationConfigError: an unknown name or a value outside its range.
    """
    if not isinstance(settings, Mapping | None):
        raise GenerationConfigError(
            f"settings must be an object of names and values, got {settings!r:.200}."
        )
    text, system_text = _read_text("prompt", prompt), _read_text("system", system or "")
    values, variables = read_settings(settings or {}, limits), _variables(chat_template_kwargs)
    prefix, thinking = values.pop("answer_prefix"), SWITCHED[values.pop("enable_thinking")]
    _check_prompt(text, [system_text, prefix, _as_json(variables)], limits)
    own = {name: values.pop(name) for name in _OWN}
    if own["seed"] is None:
        own["seed"] = secrets.randbelow(MAX_SEED + 1)
    if not values["do_sample"]:
        values = {name: v for name, v in values.items() if not _BY_NAME[name].only_sampling}
    if not own["use_cache"]:
        del values["cache_implementation"]
    if not _read_switch("chat", chat):
        return RunRequest(text, values, **own, chat_template_kwargs=variables)
    if thinking is not None:
        variables["enable_thinking"] = thinking
    messages = _messages(text, system_text, prefix)
    return RunRequest(messages, values, **own, chat_template_kwargs=variables)


def read_score_request(
    text: object,
    top_candidates: object = None,
    seed: object = None,
    limits: Limits = DEFAULT_LIMITS,
) -> ScoreRequest:
    """A text to be scored, within every range; as with a run, what is `None` has its default.

    Raises:
        PromptError: empty or too long.
        GenerationConfigError: a value outside its range.
    """
    given = _read_text("text", text)
    if not given:
        raise PromptRequestError("There is no text: paste one to be scored.", "score_empty")
    if len(given) > limits.prompt_chars:
        raise PromptRequestError(
            f"The text has {len(given):,} characters, and this page takes at most "
            f"{limits.prompt_chars:,}: shorten it.",
            "score_too_long",
            length=len(given),
            limit=limits.prompt_chars,
        )
    own = read_settings({"top_candidates": top_candidates, "seed": seed}, limits)
    drawn = secrets.randbelow(MAX_SEED + 1) if own["seed"] is None else own["seed"]
    return ScoreRequest(given, own["top_candidates"], drawn)


def read_settings(settings: Mapping[str, object], limits: Limits) -> dict[str, Any]:
    """The settings by name, checked, with defaults for those not given.

    A temperature of 0 is greedy decoding, as the distribution comes to in its limit.

    Raises:
        GenerationConfigError: with the name, the allowed range and the value received.
    """
    unknown = sorted(set(map(str, settings)) - set(_BY_NAME))
    if unknown:
        raise GenerationConfigError(
            f"Unknown setting {unknown[0]!r:.100}: known are {', '.join(sorted(_BY_NAME))}."
        )
    read = {}
    for setting in (within(setting, limits) for setting in SETTINGS):
        value = settings.get(setting.name)
        value = setting.default if value is None else _read(setting, value)
        if value is not None or setting.kind == "seed":
            read[setting.name] = value
    if not read["stop_strings"]:
        del read["stop_strings"]
    if read["temperature"] == 0:
        read["do_sample"] = False
    return read


def read_changes(settings: Mapping[str, object], limits: Limits) -> dict[str, Any]:
    """Fields of `GenerationConfig` that may change in mid-run, of the settings that are named.

    Stop strings that are taken back read as `None`.

    Raises:
        GenerationConfigError: with the name, the allowed range and the value received.
    """
    values = read_settings(settings, limits)
    read = {name: values.get(name) for name, value in settings.items() if value is not None}
    if read.get("temperature") == 0:
        read["do_sample"] = False
    if read.get("do_sample") is False:
        read = {name: value for name, value in read.items() if not _BY_NAME[name].only_sampling}
    return {name: value for name, value in read.items() if name not in FIXED_IN_A_RUN}


def _messages(text: str, system: str, prefix: str) -> list[dict[str, str]]:
    turns = {"system": system, "user": text, "assistant": prefix}
    return [{"role": role, "content": content} for role, content in turns.items() if content]


def _variables(given: object) -> dict[str, Any]:
    if not isinstance(given, Mapping | None):
        raise GenerationConfigError(
            f"chat_template_kwargs must be an object of names and values, got {given!r:.200}."
        )
    return dict(given or {})


def _as_json(variables: dict[str, Any]) -> str:
    return json.dumps(variables, ensure_ascii=False) if variables else ""


def _check_prompt(text: str, around: Sequence[str], limits: Limits) -> None:
    """The prompt with all that stands around it in the chat."""
    if not text:
        raise PromptRequestError(
            "The prompt is empty: write something for the model to continue.", "prompt_empty"
        )
    length = len(text) + sum(map(len, around))
    if length > limits.prompt_chars:
        raise PromptRequestError(
            f"The prompt has {length:,} characters, and this page takes at most "
            f"{limits.prompt_chars:,}: shorten it.",
            "prompt_too_long",
            length=length,
            limit=limits.prompt_chars,
        )


def _read(setting: Setting, value: object) -> Any:
    if setting.kind == "switch":
        return _read_switch(setting.name, value)
    if setting.kind == "text":
        return _read_words(setting.name, value)
    if setting.kind == "lines":
        return _read_lines(setting.name, value)
    if setting.kind == "choice":
        return read_choice(setting.name, value, setting.choices)
    if setting.kind == "seed" and isinstance(value, str):
        return _read_seed(setting, value.strip())
    return _read_number(setting, value)


def _read_text(name: str, value: object) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise PromptError(f"{name} must be a text, got {value!r:.200}.")
    return value


def _read_words(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise GenerationConfigError(f"{name} must be a text, got {value!r:.200}.")
    return value


def _read_switch(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise GenerationConfigError(f"{name} must be true or false, got {value!r:.200}.")
    return value


def read_choice(name: str, value: object, choices: Sequence[str]) -> str:
    """The value, where it is one of the choices.

    Raises:
        GenerationConfigError: with the name, the choices and the value received.
    """
    if not isinstance(value, str) or value not in choices:
        raise GenerationConfigError(
            f"{name} must be one of {', '.join(choices)}, got {value!r:.200}."
        )
    return value


def _read_number(setting: Setting, value: object) -> int | float:
    whole = setting.kind != "number"
    if isinstance(value, int | float) and type(value) is not bool and _is_within(setting, value):
        return int(value) if whole else float(value)
    low, high, given = f"{setting.low:,}", f"{setting.high:,}", f"{value!r:.200}"
    kind = "a whole number" if whole else "a number"
    raise GenerationConfigError(
        f"{setting.name} must be {kind} from {low} to {high}, got {given}."
    ).worded(
        "setting_no_whole_number" if whole else "setting_no_number",
        name=setting.name,
        low=low,
        high=high,
        given=given,
    )


def _is_within(setting: Setting, value: int | float) -> bool:
    if not setting.low <= value <= setting.high:  # nor is NaN
        return False
    return setting.kind == "number" or value == int(value)


def _read_seed(setting: Setting, text: str) -> int | float | None:
    """A seed that was typed: empty for none, digits for one."""
    if not text:
        return None
    return _read_number(setting, int(text) if text.isdecimal() and len(text) < 20 else text)


def _read_lines(name: str, value: object) -> list[str]:
    """A list of texts; or one text with one on each line, a backslash and n for a line break."""
    if isinstance(value, str):
        lines = [line.replace("\\n", "\n") for line in value.splitlines()]
    elif isinstance(value, list | tuple) and all(isinstance(line, str) for line in value):
        lines = [str(line) for line in value]
    else:
        raise GenerationConfigError(f"{name} must be a list of texts, got {value!r:.200}.")
    lines = [line for line in lines if line]
    if len(lines) > MAX_STOP_STRINGS or any(len(line) > MAX_STOP_STRING_CHARS for line in lines):
        raise GenerationConfigError(
            f"{name} must be at most {MAX_STOP_STRINGS} texts of at most "
            f"{MAX_STOP_STRING_CHARS} characters, got {len(lines)} of up to "
            f"{max(map(len, lines))}."
        )
    return lines
