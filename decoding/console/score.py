"""`python -m decoding score`: a given text as a model would have predicted it."""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from decoding.console.colours import colour_depth, coloured, safe_text
from decoding.console.options import add_model_options, load_named_model
from decoding.console.streams import read_standard_input, read_text, write
from decoding.records.errors import PromptError
from decoding.records.strict_json import plain_record

if TYPE_CHECKING:
    from decoding.records.step import DecodingStep


def add_score_options(command: argparse.ArgumentParser) -> None:
    """The options of this command."""
    command.add_argument("file", help="a text in UTF-8; standard input where it is -")
    command.add_argument("--json", action="store_true", help="one step a line instead of the text")
    command.add_argument("--no-color", action="store_true", help="the text as it is")
    command.add_argument(
        "--top-candidates", type=int, default=20, metavar="N", help="listed by --json; 20 without"
    )
    command.add_argument(
        "--overlap", type=int, metavar="N", help="of windows, in tokens; half the context without"
    )
    add_model_options(command)
    command.set_defaults(run=run_score)


def run_score(options: argparse.Namespace) -> int:
    """Writes the text coloured by how expected it was, and one line of numbers."""
    text = _text(options.file)
    lm = load_named_model(options)
    from decoding.core.detokenizer import Detokenizer
    from decoding.strategies.scoring import score, scored_ids

    ids = scored_ids(lm, text)
    steps = score(lm, text, top_candidates=options.top_candidates, overlap=options.overlap)
    if options.json:
        for step in steps:
            write(json.dumps(plain_record(step), allow_nan=False) + "\n")
        return 0
    first = "" if ids[0] in lm.special_token_ids else Detokenizer(lm.tokenizer).add(ids[0])
    write(safe_text(first))
    depth = "none" if options.no_color else colour_depth(sys.stdout, os.environ)
    taken = []
    for step in steps:
        write(coloured(step.text, -step.logprob / math.log(2), depth))
        taken.append(step)
    write("\n")
    print(_summary(taken, lm.name), file=sys.stderr)
    return 0


def _summary(steps: Sequence[DecodingStep], model: str) -> str:
    from decoding.strategies.scoring import text_score
    from decoding.trust.signals import mean_entropy_bits

    found = text_score(steps)
    per_byte = "" if found.bits_per_byte is None else f"{found.bits_per_byte:.3f} bits per byte, "
    plural = "s" * (found.tokens != 1)
    return (
        f"{found.tokens} token{plural} after the first, perplexity {found.perplexity:,.2f} "
        f"a token, {per_byte}mean entropy {mean_entropy_bits(steps):.2f} bits, {safe_text(model)}"
    )


def _text(name: str) -> str:
    if name == "-":
        return read_standard_input().removeprefix("\ufeff")
    try:
        with Path(name).open("rb") as file:
            return read_text(file, name).removeprefix("\ufeff")
    except OSError as error:
        raise PromptError(f"{name} cannot be read: {error.strerror}.") from error
