"""The options of `python -m decoding generate`, named as in `GenerationConfig`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from decoding.console.options import add_model_options
from decoding.records.choices import CACHE_KINDS
from decoding.records.errors import DecodingError

DEFAULT_MAX_NEW_TOKENS = 200
LARGEST_SEED = 2**32 - 1
# What only a draw heeds: whoever asks for it wants one.
DRAWING = ("temperature", "top_k", "top_p", "min_p", "typical_p")
SETTINGS = (*DRAWING, "repetition_penalty", "no_repeat_ngram_size", "max_new_tokens", "do_sample")
OF_A_CHAT = ("system", "answer_prefix", "chat_template_kwargs")
NUMBERS = (
    ("--temperature", float, "below 1 sharpens, above 1 flattens"),
    ("--top-k", int, "keep the k most probable tokens; 0 keeps all"),
    ("--top-p", float, "keep the fewest tokens that together reach p"),
    ("--min-p", float, "keep tokens at least this fraction as probable as the favourite"),
    ("--typical-p", float, "keep tokens whose surprisal is nearest the entropy"),
    ("--repetition-penalty", float, "above 1 makes tokens that are there already less likely"),
    ("--no-repeat-ngram-size", int, "forbid to repeat a run of this many tokens"),
)


def add_options(command: argparse.ArgumentParser) -> None:
    """The options of this command, named as in `GenerationConfig`."""
    command.add_argument(
        "prompt",
        nargs="?",
        help="what the model is told; standard input where it is - or left out",
    )
    settings = command.add_argument_group("settings; the model's own apply to those left out")
    settings.add_argument(
        "--max-new-tokens",
        type=int,
        default=DEFAULT_MAX_NEW_TOKENS,
        metavar="N",
        help="at most; 200 without",
    )
    draw = settings.add_mutually_exclusive_group()
    draw.add_argument(
        "--do-sample",
        action="store_true",
        default=None,
        help="draw each token; so do the next five options",
    )
    draw.add_argument(
        "--greedy",
        dest="do_sample",
        action="store_false",
        default=None,
        help="take the most probable token each time",
    )
    for name, kind, told in NUMBERS:
        settings.add_argument(name, type=kind, metavar="N" if kind is int else "X", help=told)
    settings.add_argument("--seed", type=_seed, metavar="N", help="the same seed draws the same")
    settings.add_argument("--stop", action="append", metavar="TEXT", help="end once it is written")
    prompt = command.add_argument_group("prompt")
    prompt.add_argument("--system", metavar="TEXT", help="the chat's system prompt")
    prompt.add_argument("--answer-prefix", metavar="TEXT", help="what the answer begins with")
    prompt.add_argument(
        "--chat-template-kwargs",
        type=_variables,
        metavar="JSON",
        help="variables of the chat template, such as '{\"enable_thinking\": false}'",
    )
    prompt.add_argument("--raw", action="store_true", help="the prompt as it is, without a chat")
    model = add_model_options(command)
    model.add_argument("--cache", choices=CACHE_KINDS, help="how the KV cache is kept")
    output = command.add_argument_group("output")
    output.add_argument("--json", action="store_true", help="one step a line, all its numbers")
    output.add_argument(
        "--no-color", action="store_true", help="plain text; so does the variable NO_COLOR"
    )
    output.add_argument("--trace", type=Path, metavar="FILE", help="the whole run as JSON")
    output.add_argument("--csv", type=Path, metavar="FILE", help="its steps as a table")
    command.set_defaults(parser=command)


def check_options(options: argparse.Namespace) -> None:
    """Tells what can be told before anything is loaded, and whoever wants a draw gets one."""
    drawing = [name for name in DRAWING if getattr(options, name) is not None]
    if options.do_sample is False and drawing:
        option = "--" + drawing[0].replace("_", "-")
        options.parser.error(f"{option} has no effect with --greedy: leave one of them out")
    chat = [name for name in OF_A_CHAT if getattr(options, name) is not None]
    if options.raw and chat:
        option = "--" + chat[0].replace("_", "-")
        options.parser.error(f"{option} belongs to a chat: leave out --raw")
    if drawing:
        options.do_sample = True
    for path in (options.trace, options.csv):
        if path is not None and not path.absolute().parent.is_dir():
            raise DecodingError(f"There is no folder {str(path.parent)!r} to write {path.name} in.")


def settings_of(options: argparse.Namespace) -> dict[str, Any]:
    """The settings that were given, under their names in `GenerationConfig`."""
    given = {name: getattr(options, name) for name in SETTINGS}
    settings = {name: value for name, value in given.items() if value is not None}
    return {**settings, "stop_strings": options.stop} if options.stop else settings


def _variables(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"must be JSON: {error}") from None
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError("must be a JSON object of names and values")
    return value


def _seed(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text[:20]) > LARGEST_SEED:
        raise argparse.ArgumentTypeError(f"must be 0 to {LARGEST_SEED}")
    return int(text)
