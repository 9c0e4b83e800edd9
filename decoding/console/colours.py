"""Text for a terminal: coloured by surprisal, and with nothing in it that commands one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Literal, TextIO

Depth = Literal["none", "256", "24bit"]
Colour = tuple[int, int, int]

LEVELS = 9
# All of them as light as each other, halfway between black and white: readable on both.
FAINT: Colour = (134, 114, 98)
STRONG: Colour = (200, 80, 20)
UNDERLINED_FROM = 4  # whoever cannot tell the colours apart sees the lines
BOLD_FROM = 8
RESET = "\x1b[0m"
DIM = "\x1b[2m"
CUBE = (0, 95, 135, 175, 215, 255)  # the values of each part of the 256 colours' cube

# Control characters but tab and line feed, what turns the direction of writing, other breaks
# of a line, halves of characters, and what hides a text in nothing to be seen: characters
# without a width, tags and spare variants. The two joiners stay: scripts and emoji need them.
COMMANDS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e"
    "\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e01ef]"
)


def safe_text(text: str) -> str:
    r"""The text with every character that a terminal obeys spelled out, such as `\x1b`."""
    return COMMANDS.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def colour_depth(stream: TextIO, environment: Mapping[str, str]) -> Depth:
    """How many colours to write: none into a file, and where the user wants none."""
    kind = environment.get("TERM", "")
    if environment.get("NO_COLOR") or kind == "dumb" or not stream.isatty():
        return "none"
    return "24bit" if environment.get("COLORTERM") in ("truecolor", "24bit") else "256"


def doubt(surprisal_bits: float) -> int:
    """The page's scale: 0 for a token that was no surprise, 9 for 4.3 bits (1 in 20) or more."""
    return round(LEVELS * min(1.0, max(0.0, (surprisal_bits - 0.3) / 4)))


def coloured(text: str, surprisal_bits: float, depth: Depth) -> str:
    """The text, the warmer the less it was expected; line by line, so that no colour spills."""
    level = doubt(surprisal_bits)
    if depth == "none" or level == 0:
        return safe_text(text)
    return _painted(text, _style(level, depth))


def dimmed(text: str, depth: Depth) -> str:
    """The text, quieter."""
    return safe_text(text) if depth == "none" else _painted(text, DIM)


def _painted(text: str, style: str) -> str:
    lines = safe_text(text).split("\n")
    return "\n".join(f"{style}{line}{RESET}" if line else "" for line in lines)


@cache
def _style(level: int, depth: Depth) -> str:
    codes = ["1"] * (level >= BOLD_FROM) + ["4"] * (level >= UNDERLINED_FROM)
    colour = colour_of(level)
    if depth == "24bit":
        codes.append("38;2;{};{};{}".format(*colour))
    else:
        codes.append(f"38;5;{_nearest_of_256(colour)}")
    return f"\x1b[{';'.join(codes)}m"


def colour_of(level: int) -> Colour:
    """Of a level from 1 to 9."""
    share = (level - 1) / (LEVELS - 1)
    red, green, blue = (round(a + share * (b - a)) for a, b in zip(FAINT, STRONG, strict=True))
    return red, green, blue


def _nearest_of_256(colour: Colour) -> int:
    places = [min(range(6), key=lambda i: abs(CUBE[i] - part)) for part in colour]
    return 16 + 36 * places[0] + 6 * places[1] + places[2]
