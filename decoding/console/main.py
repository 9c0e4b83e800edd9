"""`python -m decoding`: what the library tells, on a terminal."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence

from decoding.console.colours import safe_text
from decoding.console.evaluate import add_evaluate_options
from decoding.console.generate import generate
from decoding.console.generate_options import add_options
from decoding.console.score import add_score_options
from decoding.records.errors import DecodingError

MOST = 10**12
COMMANDS = ("generate", "score", "memory", "evaluate")
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
    text = names.add_parser(
        "generate",
        help="write a text, each token coloured by how unexpected it was",
        description="Writes a text, each token coloured by how unexpected it was.",
        allow_abbrev=False,
    )
    add_options(text)
    text.set_defaults(run=generate)
    scored = names.add_parser(
        "score",
        help="a given text, each token coloured by how unexpected it was",
        description="Reads a given text, each token coloured by how unexpected it was.",
        allow_abbrev=False,
    )
    add_score_options(scored)
    memory = names.add_parser(
        "memory", help="what a model and its KV cache will take; reads the config only"
    )
    memory.add_argument(
        "model",
        nargs="?",
        metavar="MODEL",
        help="a Hub id, a folder or a .gguf file; the default model without",
    )
    memory.add_argument("--device", default="auto", help="auto, cpu, cuda, mps")
    memory.add_argument("--dtype", default="auto", help="auto, float32, bfloat16, float16")
    memory.add_argument("--quantization", choices=("8bit", "4bit"))
    memory.add_argument("--batch", type=_counts, default=(1, 8, 32), metavar="1,8,32")
    memory.add_argument("--positions", type=_counts, default=(), metavar="512,2048")
    memory.add_argument("--json", action="store_true", help="one JSON object instead of lines")
    memory.set_defaults(run=_memory)
    asked = names.add_parser(
        "evaluate",
        help="how well each signal tells a model's right answers from its wrong ones",
        description="Asks questions whose answers are certain, and scores every signal.",
        allow_abbrev=False,
    )
    add_evaluate_options(asked)
    return commands


def _memory(options: argparse.Namespace) -> int:
    # Here, so that a wrong option is told before torch is imported.
    from transformers.utils import logging

    from decoding.costs.forecast import file_bytes_of, forecast_of
    from decoding.costs.report import report_lines, report_object
    from decoding.memory.blueprint import blueprint
    from decoding.models.config import read_config

    logging.set_verbosity_error()
    plan = blueprint(read_config(options.model))
    forecast = forecast_of(
        plan,
        device=options.device,
        dtype=options.dtype,
        quantization=options.quantization,
        file_bytes=file_bytes_of(options.model),
    )
    what = plan, forecast, options.batch, options.positions
    print(json.dumps(report_object(*what)) if options.json else "\n".join(report_lines(*what)))
    return 0


def _with_command(arguments: list[str]) -> list[str]:
    """What is no command is a prompt, or an option of the command that takes one."""
    if arguments[:1] and arguments[0] in (*COMMANDS, "-h", "--help"):
        return arguments
    return ["generate", *arguments]


def _counts(text: str) -> tuple[int, ...]:
    try:
        numbers = tuple(int(part.replace("_", "")) for part in text.split(","))
    except ValueError:
        numbers = ()
    if not numbers or len(numbers) > 20 or not all(1 <= number <= MOST for number in numbers):
        raise argparse.ArgumentTypeError(
            f"{text[:80]!r} must be up to 20 whole numbers from 1 to {MOST}, such as 1,8,32"
        )
    return numbers
