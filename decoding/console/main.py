"""`python -m decoding`: what the library tells, on a terminal."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence

from decoding.console.colours import safe_text
from decoding.console.evaluate import add_evaluate_options
from decoding.console.generate import add_generate_options
from decoding.console.memory import add_memory_options
from decoding.console.score import add_score_options
from decoding.records.errors import DecodingError

COMMANDS: dict[str, tuple[str, Callable[[argparse.ArgumentParser], None]]] = {
    "generate": (
        "write a text, each token coloured by how unexpected it was",
        add_generate_options,
    ),
    "score": (
        "read a given text, each token coloured by how unexpected it was",
        add_score_options,
    ),
    "memory": (
        "what a model and its KV cache will take; reads the config only",
        add_memory_options,
    ),
    "evaluate": (
        "how well each signal tells a model's right answers from its wrong ones",
        add_evaluate_options,
    ),
}
SHORT_FORM = (
    'python -m decoding "a prompt" is short for python -m decoding generate "a prompt"; a prompt '
    'that is a command\'s name needs the long form: python -m decoding generate "memory".'
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command.

    Returns:
        0; 1 after a sentence that says what was wrong; 130 where it was interrupted, and 141
        where whoever reads the output has gone, as a shell tells of any program.
    """
    given = sys.argv[1:] if arguments is None else list(arguments)
    options = parser().parse_args(_with_command(given))
    try:
        return int(options.run(options))
    except DecodingError as error:
        print(safe_text(str(error)), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # What is left in the buffer must not be tried again when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


def parser() -> argparse.ArgumentParser:
    """The commands and their options."""
    commands = argparse.ArgumentParser(
        prog="python -m decoding", description=__doc__, epilog=SHORT_FORM
    )
    names = commands.add_subparsers(required=True, metavar="COMMAND")
    for name, (what, add_options) in COMMANDS.items():
        command = names.add_parser(
            name, help=what, description=f"{what[0].upper()}{what[1:]}.", allow_abbrev=False
        )
        add_options(command)
    return commands


def _with_command(arguments: list[str]) -> list[str]:
    """What is no command is a prompt, or an option of the command that takes one."""
    if arguments[:1] and arguments[0] in (*COMMANDS, "-h", "--help"):
        return arguments
    return ["generate", *arguments]
