"""The page's command line; each option has an environment variable that it overrides."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Callable, Sequence
from ipaddress import ip_address
from typing import Any

from decoding.page.requests.model_choice import DTYPES, QUANTIZATIONS, UNQUANTIZED
from decoding.page.requests.settings import DEFAULT_LIMITS

ALL_INTERFACES = "0.0.0.0"  # noqa: S104  a Space's container, or whoever asks for it
EPILOG = (
    "Each option can also be set by an environment variable: DECODING_LIVE_ and its name, "
    "such as DECODING_LIVE_MAX_NEW_TOKENS=512."
)

_SWITCH = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_UNITS |= {"KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}


def read_options(argv: Sequence[str] | None, description: str) -> argparse.Namespace:
    """The options by name, those of `argv` before those of the environment."""
    parser = argparse.ArgumentParser(description=description, epilog=EPILOG)
    space_host = os.environ.get("SPACE_HOST", "")

    def add(name: str, kind: Callable[[str], Any], default: Any, text: str) -> None:
        value = os.environ.get(_variable(name)) or default
        parser.add_argument(f"--{name}", type=kind, default=value, help=text)

    add("model", str, None, "Hub id, folder or .gguf file (default: SmolLM2-135M-Instruct)")
    add("quantization", _quantization, None, "weights in 8 or 4 bits: 8bit or 4bit")
    add("device", str, "auto", "cuda, mps or cpu (default: %(default)s)")
    add("dtype", _dtype, "auto", f"{', '.join(DTYPES[1:])} (default: %(default)s)")
    add("memory-budget", _bytes, None, "bytes that models may hold, such as 8GB (default: one)")
    add("host", str, ALL_INTERFACES if space_host else "127.0.0.1", "address to listen on")
    add("port", int, 7860, "port to listen on (default: %(default)s)")
    add("allowed-hosts", str, space_host, "further names the page answers to, comma-separated")
    limits = DEFAULT_LIMITS
    add(
        "max-new-tokens",
        _positive,
        limits.new_tokens,
        "the most a visitor may ask for (%(default)s)",
    )
    add("max-prompt-chars", _positive, limits.prompt_chars, "longest prompt taken (%(default)s)")
    add("max-queue", _not_negative, limits.waiting, "runs that may wait in the queue (%(default)s)")
    add(
        "max-seconds", _positive, int(limits.seconds), "computing that a run may take (%(default)s)"
    )
    add(
        "max-read-tokens",
        _positive,
        limits.read_tokens,
        "tokens that a run may feed to the model, without a cache all of them again each time "
        "(%(default)s)",
    )
    _add_any_model(parser)
    options = parser.parse_args(argv)
    if options.any_model is None:
        options.any_model = not space_host and _is_loopback(options.host)
    return options


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _variable(name: str) -> str:
    return f"DECODING_LIVE_{name.upper().replace('-', '_')}"


def _add_any_model(parser: argparse.ArgumentParser) -> None:
    variable = _variable("any-model")
    text = os.environ.get(variable, "").strip().lower()
    if text and text not in _SWITCH:
        parser.error(f"{variable} must be one of {', '.join(_SWITCH)}, got {text!r}")
    parser.add_argument(
        "--any-model",
        action=argparse.BooleanOptionalAction,
        default=_SWITCH.get(text),
        help="whether visitors may type in a Hub id, folder or .gguf file (default: only where "
        "the page listens on this machine alone)",
    )


# argparse looks at `choices` on the command line only, and at `type` in defaults too.
def _quantization(text: str) -> str:
    return _one_of([name for name in QUANTIZATIONS if name != UNQUANTIZED], text)


def _dtype(text: str) -> str:
    return _one_of(DTYPES, text)


def _one_of(names: Sequence[str], text: str) -> str:
    if text not in names:
        raise argparse.ArgumentTypeError(f"must be one of {', '.join(names)}, got {text!r}")
    return text


def _positive(text: str) -> int:
    return _at_least(1, text)


def _not_negative(text: str) -> int:
    return _at_least(0, text)


def _at_least(least: int, text: str) -> int:
    value = int(text)
    if value < least:
        raise argparse.ArgumentTypeError(f"must be {least} or more, got {value}")
    return value


def _bytes(text: str) -> int:
    """`8GB`, `512MB`, `6GiB` or a plain number of bytes."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)", text.strip())
    if not found or found[2].upper() not in _UNITS:
        raise argparse.ArgumentTypeError(f"must be a size such as 8GB or 512MB, got {text!r}")
    return int(float(found[1]) * _UNITS[found[2].upper()])
