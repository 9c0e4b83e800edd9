"""Nothing that a model writes commands a terminal, and its colours follow the page's scale."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decoding.console.colours import (
    LEVELS,
    colour_depth,
    colour_of,
    coloured,
    dimmed,
    doubt,
    safe_text,
)

HOSTILE: list[str] = json.loads((Path(__file__).parents[1] / "data/hostile_text.json").read_text())
OUR_OWN = re.compile(r"\x1b\[(0|2|(1;)?(4;)?38;(5;\d{1,3}|2;\d{1,3};\d{1,3};\d{1,3}))m")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred", r"\x1b[31mred"),
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("\x9b2J", r"\x9b2J"),
        ("a\rb\bc", r"a\x0db\x08c".replace(r"\x0d", r"\r")),
        ("\x7f", r"\x7f"),
        ("\u202eabc", r"\u202eabc"),
        ("\u2066x\u2069", r"\u2066x\u2069"),
        ("\ud800", r"\ud800"),
        ("\U000e0041\U000e007f\U000e0100", r"\U000e0041\U000e007f\U000e0100"),
        ("a\u200bb\u2060c\ufeffd\xad", r"a\u200bb\u2060c\ufeffd\xad"),
        ("می\u200cخواهم ❤️", "می\u200cخواهم ❤️"),
        ("tab\tand\nline", "tab\tand\nline"),
        ("大型 é 👨‍👩‍👧", "大型 é 👨‍👩‍👧"),
        ("\\x1b", "\\x1b"),
    ],
)
def test_what_a_terminal_would_obey_is_spelled(text: str, shown: str) -> None:
    assert safe_text(text) == shown


@given(st.text(st.characters()) | st.sampled_from(HOSTILE), st.floats(0, 20))
def test_only_our_own_colours_reach_the_terminal(text: str, surprisal: float) -> None:
    for depth in ("none", "256", "24bit"):
        for written in (coloured(text, surprisal, depth), dimmed(text, depth)):
            plain = OUR_OWN.sub("", written)
            assert plain == safe_text(text)
            assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", plain)
            written.encode()


def test_a_colour_ends_before_its_line() -> None:
    assert coloured("a\n\nb", 9, "256").count("\x1b[0m") == 2
    assert coloured("a\nb", 9, "256").split("\n")[0].endswith("\x1b[0m")


def test_certain_tokens_are_plain_and_the_rest_get_warmer() -> None:
    assert coloured("x", 0.1, "24bit") == "x"
    assert [doubt(bits) for bits in (0, 0.3, 2.3, 4.3, 99, float("inf"))] == [0, 0, 4, 9, 9, 9]
    styles = [coloured("x", 0.3 + 4 * level / LEVELS, "24bit") for level in range(LEVELS + 1)]
    assert len(set(styles)) == LEVELS + 1
    assert "4;38;2;200;80;20" in styles[-1]


def luminance(colour: tuple[int, int, int]) -> float:
    parts = [c / 255 for c in colour]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("level", range(1, LEVELS + 1))
def test_every_colour_can_be_read_on_black_and_on_white(level: int) -> None:
    light = luminance(colour_of(level))
    assert (light + 0.05) / 0.05 > 4
    assert 1.05 / (light + 0.05) > 4


@pytest.mark.parametrize(
    ("environment", "depth"),
    [
        ({"TERM": "xterm-256color"}, "256"),
        ({"TERM": "xterm", "COLORTERM": "truecolor"}, "24bit"),
        ({"COLORTERM": "24bit"}, "24bit"),
        ({"COLORTERM": "truecolor", "NO_COLOR": "1"}, "none"),
        ({"COLORTERM": "truecolor", "NO_COLOR": ""}, "24bit"),
        ({"TERM": "dumb", "COLORTERM": "truecolor"}, "none"),
    ],
)
def test_how_many_colours(environment: dict[str, str], depth: str) -> None:
    assert colour_depth(Terminal(), environment) == depth
    assert colour_depth(io.StringIO(), environment) == "none"
