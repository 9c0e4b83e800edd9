"""`python -m decoding generate`: a session on a terminal, as it is written."""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from decoding.console.colours import Depth, colour_depth, coloured, dimmed
from decoding.console.generate_options import add_options, check_options, settings_of
from decoding.console.options import load_named_model
from decoding.console.streams import read_standard_input, write
from decoding.records.errors import PromptError
from decoding.records.strict_json import plain_record

if TYPE_CHECKING:
    from decoding.core.language_model import LanguageModel
    from decoding.records.step import DecodingStep
    from decoding.session.session import DecodingSession


def add_generate_options(command: argparse.ArgumentParser) -> None:
    """The options of this command."""
    add_options(command)
    command.set_defaults(run=generate)


def generate(options: argparse.Namespace) -> int:
    """Writes a text and what else was asked for; 0, or 130 where it was interrupted."""
    check_options(options)
    prompt = _prompt(options)
    lm = load_named_model(options)
    session = _session(lm, prompt, options)
    with _kept(session, options):
        try:
            _write(session, options)
        except KeyboardInterrupt:
            _end(session, options, "interrupted")
            return 130
    return 0


def _prompt(options: argparse.Namespace) -> str | list[dict[str, str]]:
    text = options.prompt
    if text is None and sys.stdin.isatty():
        options.parser.error("a prompt is missing: give one, or send it to standard input")
    if text in (None, "-"):
        text = read_standard_input().removesuffix("\n").removesuffix("\r")
    if not text:
        raise PromptError("The prompt is empty: write something for the model to continue.")
    if options.raw:
        return str(text)
    turns = {"system": options.system, "user": text, "assistant": options.answer_prefix}
    return [{"role": role, "content": told} for role, told in turns.items() if told is not None]


def _session(
    lm: LanguageModel, prompt: str | list[dict[str, str]], options: argparse.Namespace
) -> DecodingSession:
    from decoding.core.cache_kinds import cache_settings
    from decoding.session.session import DecodingSession

    settings = settings_of(options)
    if options.cache is not None:
        settings |= cache_settings(options.cache, lm)
    variables = options.chat_template_kwargs
    return DecodingSession(
        lm, prompt, seed=options.seed, chat_template_kwargs=variables, **settings
    )


def _write(session: DecodingSession, options: argparse.Namespace) -> None:
    depth = "none" if options.no_color else colour_depth(sys.stdout, os.environ)
    for step in session.run():
        if options.json:
            write(json.dumps(plain_record(step), allow_nan=False) + "\n")
        else:
            write(_shown(step, depth))
    _end(session, options, f"finish reason {session.path()[-1].finish_reason}")


def _shown(step: DecodingStep, depth: Depth) -> str:
    if step.is_special:  # the mark of an end is of interest only where it looks like one
        return "" if depth == "none" else dimmed(step.text, depth)
    return coloured(step.text, -step.logprob / math.log(2), depth)


def _end(session: DecodingSession, options: argparse.Namespace, why: str) -> None:
    """One line on standard error: the text alone goes to standard output."""
    steps = session.path()
    if not options.json:
        write("\n")
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
    from decoding.records.trace_csv import trace_csv
    from decoding.records.trace_file import trace_json, write_file

    try:
        yield
    finally:
        if options.trace is not None:
            write_file(options.trace, trace_json(session.trace()))
        if options.csv is not None:
            write_file(options.csv, trace_csv(session.trace()))
