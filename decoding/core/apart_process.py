"""What is done apart: a chat template rendered, a text tokenized, within bounds.

This file is a program of its own, which `decoding.core.apart` starts and talks to: it imports
nothing of this package and no torch, so that it is there in a third of a second.
"""

from __future__ import annotations

import contextlib
import json
import math
import signal
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

MORE_TOKENS = 10_000  # than characters times this:
TOKENS_A_CHARACTER = 20  # one character can become 18 when it is normalized, or 4 bytes
MOST_TOLD = 1_000  # characters of an error

_cores: dict[str, Any] = {}  # the tokenizer that was used last, under the name it came with


class OverrunError(Exception):
    """More came of it than may."""


def render(arguments: dict[str, Any], most_characters: int) -> str:
    """A chat as transformers renders it.

    Raises:
        OverrunError: it is longer than so many characters.
    """
    from transformers.utils.chat_template_utils import render_jinja_template

    rendered: Any = render_jinja_template(**arguments)
    text = str(rendered[0][0])
    if len(text) > most_characters:
        raise OverrunError(f"made {len(text):,} characters of the messages")
    return text


def encode(
    name: str, core: str | None, text: str, add_special_tokens: bool, split_special_tokens: bool
) -> dict[str, Any]:
    """The ids of a text and where in it each stands.

    Args:
        name: of the tokenizer.
        core: as JSON; without it the one that came last.
        text: as it stands.
        add_special_tokens: whether the tokenizer puts its own around it.
        split_special_tokens: whether those in the text are plain text.

    Raises:
        OverrunError: there are more of them than can come of such a text.
    """
    if core is not None:
        _cores.clear()
        _cores[name] = _made(core)
    tokenizer = _cores[name]
    tokenizer.encode_special_tokens = split_special_tokens
    encoded = tokenizer.encode(text, add_special_tokens=add_special_tokens)
    if len(encoded.ids) > TOKENS_A_CHARACTER * len(text) + MORE_TOKENS:
        raise OverrunError(f"made {len(encoded.ids):,} tokens of {len(text):,} characters")
    return {"ids": encoded.ids, "offsets": encoded.offsets}


def _made(core: str) -> Any:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_str(core)
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


WORK: dict[str, Callable[..., Any]] = {"render": render, "encode": encode}


def answer(work: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """`{"value": …}`, or `{"refused": why}` or `{"overrun": what}` where there is none."""
    try:
        return {"value": WORK[work](**arguments)}
    except OverrunError as error:
        return {"overrun": str(error)}
    except MemoryError:
        return {"overrun": "needed more memory than it may"}
    except BaseException as error:  # a template raises what it likes, and a panic is no Exception
        return {"refused": (str(error) or type(error).__name__)[:MOST_TOLD]}


def main() -> None:
    """Answers one question a line until there are no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is meant for whoever asks
    sys.path[:] = json.loads(sys.argv[1])
    _import_the_renderer()
    _say({"value": "ready"})
    for line in sys.stdin.buffer:
        asked = json.loads(line)
        _limit(asked["seconds"], asked["memory_bytes"])
        found = answer(asked["work"], asked["arguments"])
        _limit(None, None)
        _say(found)


def _import_the_renderer() -> None:
    """Without what else transformers imports, which takes seconds."""
    found = find_spec("transformers")
    for name in ("transformers", "transformers.utils"):
        package = ModuleType(name)
        package.__path__ = [
            str(Path(place, *name.split(".")[1:]))
            for place in (found.submodule_search_locations or () if found else ())
        ]
        sys.modules[name] = package
    import tokenizers  # noqa: F401
    import transformers.utils.chat_template_utils  # noqa: F401


def _limit(seconds: int | None, memory_bytes: int | None) -> None:
    """Lets the operating system end this program where it takes more; `None` lifts a limit."""
    try:
        import resource
    except ImportError:  # Windows has none: there, whoever asks watches the clock alone
        return
    used = resource.getrusage(resource.RUSAGE_SELF)
    cpu = None if seconds is None else math.ceil(used.ru_utime + used.ru_stime) + seconds
    memory = None if memory_bytes is None else _address_space() + memory_bytes
    for kind, most in ((resource.RLIMIT_CPU, cpu), (resource.RLIMIT_AS, memory)):
        hard = resource.getrlimit(kind)[1]
        wanted = hard if most is None else most
        if hard != resource.RLIM_INFINITY:
            wanted = min(wanted, hard)
        with contextlib.suppress(OSError, ValueError):  # macOS knows no such limit of memory
            resource.setrlimit(kind, (wanted, hard))


def _address_space() -> int:
    """Bytes that this program has mapped already."""
    import resource

    try:
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[0])
    except OSError:
        return 0
    return pages * resource.getpagesize()


def _say(what: dict[str, Any]) -> None:
    sys.stdout.buffer.write(json.dumps(what).encode() + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
