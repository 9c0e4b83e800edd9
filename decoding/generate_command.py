"""`python -m decoding generate`: a session on a terminal, as it is written."""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from decoding.cache_kinds import CACHE_KINDS
from decoding.errors import DecodingError, PromptError
from decoding.records import plain_record
from decoding.terminal import Depth, colour_depth, coloured, dimmed

if TYPE_CHECKING:
    from decoding.models import LanguageModel
    from decoding.session import DecodingSession
    from decoding.step import DecodingStep

DEFAULT_MAX_NEW_TOKENS = 200
LONGEST_PROMPT_BYTES = 10_000_000
LARGEST_SEED = 2**32 - 1
# What only a draw heeds: whoever asks for it wants one.
DRAWING = ("temperature", "top_k", "top_p", "min_p", "typical_p")
SETTINGS = (*DRAWING, "repetition_penalty", "no_repeat_ngram_size", "max_new_tokens", "do_sample")
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
    prompt.add_argument("--raw", action="store_true", help="the prompt as it is, without a chat")
    model = command.add_argument_group("model")
    model.add_argument("--model", help="a Hub id, a folder or a .gguf file")
    model.add_argument("--device", default="auto", help="auto, cpu, cuda, mps")
    model.add_argument("--dtype", default="auto", help="auto, float32, bfloat16, float16")
    model.add_argument("--quantization", choices=("8bit", "4bit"))
    model.add_argument("--cache", choices=CACHE_KINDS, help="how the KV cache is kept")
    output = command.add_argument_group("output")
    output.add_argument("--json", action="store_true", help="one step a line, all its numbers")
    output.add_argument(
        "--no-color", action="store_true", help="plain text; so does the variable NO_COLOR"
    )
    output.add_argument("--trace", type=Path, metavar="FILE", help="the whole run as JSON")
    output.add_argument("--csv", type=Path, metavar="FILE", help="its steps as a table")
    command.set_defaults(run=generate, parser=command)


def generate(options: argparse.Namespace) -> int:
    """Writes a text and what else was asked for; 0, or 130 where it was interrupted."""
    _check(options)
    prompt = _prompt(options)
    from transformers.utils import logging

    logging.set_verbosity_error()
    from decoding.models import load_model

    lm = load_model(
        options.model,
        device=options.device,
        dtype=options.dtype,
        quantization=options.quantization,
    )
    session = _session(lm, prompt, options)
    with _kept(session, options):
        try:
            _write(session, options)
        except KeyboardInterrupt:
            _end(session, options, "interrupted")
            return 130
    return 0


def _seed(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text[:20]) > LARGEST_SEED:
        raise argparse.ArgumentTypeError(f"must be 0 to {LARGEST_SEED}")
    return int(text)


def _check(options: argparse.Namespace) -> None:
    """What can be said before anything is loaded."""
    drawing = [name for name in DRAWING if getattr(options, name) is not None]
    if options.do_sample is False and drawing:
        option = "--" + drawing[0].replace("_", "-")
        options.parser.error(f"{option} has no effect with --greedy: leave one of them out")
    if options.raw and options.system is not None:
        options.parser.error("--system belongs to a chat: leave out --raw")
    if drawing:
        options.do_sample = True
    for path in (options.trace, options.csv):
        if path is not None and not path.absolute().parent.is_dir():
            raise DecodingError(f"There is no folder {str(path.parent)!r} to write {path.name} in.")


def _prompt(options: argparse.Namespace) -> str | list[dict[str, str]]:
    text = options.prompt
    if text is None and sys.stdin.isatty():
        options.parser.error("a prompt is missing: give one, or send it to standard input")
    if text in (None, "-"):
        text = _standard_input()
    if not text:
        raise PromptError("The prompt is empty: write something for the model to continue.")
    if options.raw:
        return str(text)
    system = [] if options.system is None else [{"role": "system", "content": options.system}]
    return [*system, {"role": "user", "content": text}]


def _standard_input() -> str:
    """All of it, without the line break at its end."""
    content = sys.stdin.buffer.read(LONGEST_PROMPT_BYTES + 1)
    if len(content) > LONGEST_PROMPT_BYTES:
        raise PromptError(f"Standard input holds more than {LONGEST_PROMPT_BYTES:,} bytes.")
    try:
        return content.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError as error:
        raise PromptError(
            f"Standard input is no text: its byte {error.start} is not UTF-8."
        ) from error


def _session(
    lm: LanguageModel, prompt: str | list[dict[str, str]], options: argparse.Namespace
) -> DecodingSession:
    from decoding.cache_kinds import cache_settings
    from decoding.session import DecodingSession

    settings: dict[str, Any] = {
        name: getattr(options, name) for name in SETTINGS if getattr(options, name) is not None
    }
    if options.stop:
        settings["stop_strings"] = options.stop
    if options.cache is not None:
        settings |= cache_settings(options.cache, lm)
    return DecodingSession(lm, prompt, seed=options.seed, **settings)


def _write(session: DecodingSession, options: argparse.Namespace) -> None:
    depth = "none" if options.no_color else colour_depth(sys.stdout, os.environ)
    for step in session.run():
        if options.json:
            _print(json.dumps(plain_record(step), allow_nan=False) + "\n")
        else:
            _print(_shown(step, depth))
    _end(session, options, f"finish reason {session.path()[-1].finish_reason}")


def _shown(step: DecodingStep, depth: Depth) -> str:
    if step.is_special:  # the mark of an end is of interest only where it looks like one
        return "" if depth == "none" else dimmed(step.text, depth)
    return coloured(step.text, -step.logprob / math.log(2), depth)


def _print(text: str) -> None:
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))
    sys.stdout.flush()


def _end(session: DecodingSession, options: argparse.Namespace, why: str) -> None:
    """One line on standard error: the text alone goes to standard output."""
    steps = session.path()
    if not options.json:
        _print("\n")
    if not steps:
        return
    seconds = math.fsum(step.seconds for step in steps)
    mean = math.fsum(step.logprob for step in steps) / len(steps)
    parts = [
        f"{len(steps)} token{'s' * (len(steps) != 1)} in {seconds:.2f} s",
        f"{len(steps) / seconds:.1f} tokens/s",
        f"mean log-probability {mean:.3f} nats",
        *([f"seed {session.seed}"] * bool(session.generation.config.do_sample)),
        why,
    ]
    print(", ".join(parts), file=sys.stderr)


@contextmanager
def _kept(session: DecodingSession, options: argparse.Namespace) -> Iterator[None]:
    """Writes the files that were asked for, however the run ends."""
    from decoding.trace_csv import trace_csv
    from decoding.trace_file import trace_json, write_file

    try:
        yield
    finally:
        if options.trace is not None:
            write_file(options.trace, trace_json(session.trace()))
        if options.csv is not None:
            write_file(options.csv, trace_csv(session.trace()))
