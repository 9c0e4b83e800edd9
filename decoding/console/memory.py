"""`python -m decoding memory`: what a model and its KV cache will take, by its config alone."""

from __future__ import annotations

import argparse
import json

from decoding.console.options import add_form_options

MOST = 10**12


def add_memory_options(command: argparse.ArgumentParser) -> None:
    """The options of this command."""
    command.add_argument(
        "model",
        nargs="?",
        metavar="MODEL",
        help="a Hub id, a folder or a .gguf file; the default model without",
    )
    add_form_options(command)
    command.add_argument("--batch", type=_counts, default=(1, 8, 32), metavar="1,8,32")
    command.add_argument("--positions", type=_counts, default=(), metavar="512,2048")
    command.add_argument("--json", action="store_true", help="one JSON object instead of lines")
    command.set_defaults(run=report_memory)


def report_memory(options: argparse.Namespace) -> int:
    """Writes the numbers of a model, as lines or as one JSON object."""
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
