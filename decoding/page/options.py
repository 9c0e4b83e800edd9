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
    "such as DECODING_LIVE_MAX_NEW_TOKENS=512. Host and port are also taken from Gradio's own "
    "GRADIO_SERVER_NAME and GRADIO_SERVER_PORT."
)

LARGEST_PORT = 65_535

_NAME = re.compile(r"\*|(\*\.)?[\w.-]+|\[[0-9A-Fa-f:.]+\]")
_SWITCH = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_UNITS |= {"KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}


def read_options(argv: Sequence[str] | None, description: str) -> argparse.Namespace:
    """The options by name, those of `argv` before those of the environment."""
    parser = argparse.ArgumentParser(description=description, epilog=EPILOG)
    space_host = os.environ.get("SPACE_HOST", "")

    def add(
        name: str, kind: Callable[[str], Any], default: Any, text: str, gradios: str = ""
    ) -> None:
        value = os.environ.get(_variable(name)) or os.environ.get(gradios) or default
        parser.add_argument(f"--{name}", type=kind, default=value, help=text)

    add("model", str, None, "Hub id, folder or .gguf file (default: SmolLM2-135M-Instruct)")
    add("quantization", _quantization, None, "weights in 8 or 4 bits: 8bit or 4bit")
    add("device", str, "auto", "cuda, mps or cpu (default: %(default)s)")
    add("dtype", _dtype, "auto", f"{', '.join(DTYPES[1:])} (default: %(default)s)")
    add("memory-budget", _bytes, None, "bytes that models may hold, such as 8GB (default: one)")
    everywhere = ALL_INTERFACES if space_host else "127.0.0.1"
    add("host", str, everywhere, "address to listen on", "GRADIO_SERVER_NAME")
    add("port", _port, 7860, "port to listen on (default: %(default)s)", "GRADIO_SERVER_PORT")
    add(
        "allowed-hosts",
        _names,
        space_host,
        "further names the page answers to, comma-separated; visitors from elsewhere are expected "
        "then, and --any-model is off by default",
    )
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
    _add_switch(
        parser,
        "any-model",
        "whether visitors may type in a Hub id, folder or .gguf file (default: only where nobody "
        "but this machine is expected: a loopback --host, no --allowed-hosts, no --trust-proxy)",
    )
    _add_switch(
        parser,
        "trust-proxy",
        "whether the X-Forwarded- headers are believed, which tell how a proxy before the page was "
        "asked, and by whom; without such a proxy anybody can write them (default: on a Space)",
    )
    options = parser.parse_args(argv)
    if space_host and space_host not in options.allowed_hosts:
        options.allowed_hosts.append(space_host)
    if options.trust_proxy is None:
        options.trust_proxy = bool(space_host)
    if options.any_model is None:
        is_reached = options.allowed_hosts or options.trust_proxy
        options.any_model = not is_reached and _is_loopback(options.host)
    return options


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _variable(name: str) -> str:
    return f"DECODING_LIVE_{name.upper().replace('-', '_')}"


def _add_switch(parser: argparse.ArgumentParser, name: str, text: str) -> None:
    """An option that is on, off, or left to what the others say."""
    variable = _variable(name)
    given = os.environ.get(variable, "").strip().lower()
    if given and given not in _SWITCH:
        parser.error(f"{variable} must be one of {', '.join(_SWITCH)}, got {given!r}")
    parser.add_argument(
        f"--{name}", action=argparse.BooleanOptionalAction, default=_SWITCH.get(given), help=text
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


def _names(text: str) -> list[str]:
    """Names as a `Host` header has them, without a port."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if not _NAME.fullmatch(name):
            raise argparse.ArgumentTypeError(
                f"must be names such as demo.example or *.demo.example, got {name!r}"
            )
    return names


def _port(text: str) -> int:
    port = int(text)
    if not 1 <= port <= LARGEST_PORT:
        raise argparse.ArgumentTypeError(f"must be from 1 to {LARGEST_PORT}, got {port}")
    return port


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
