"""The table holds every step, and no cell of it can run in a spreadsheet."""

from __future__ import annotations

import csv
import io
import json
import re
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from traces import made_trace

from decoding.records.trace_csv import COLUMNS, safe_cell, trace_csv

HOSTILE: list[str] = json.loads((Path(__file__).parents[1] / "data/hostile_text.json").read_text())


def table(text: str = " a") -> list[dict[str, str]]:
    made = trace_csv(made_trace(text))
    assert made.encode().endswith(b"\r\n")
    return list(csv.DictReader(io.StringIO(made, newline="")))


def test_a_row_for_each_step_of_each_branch() -> None:
    rows = table()
    assert tuple(rows[0]) == COLUMNS
    assert [(row["branch"], row["parent"], row["index"]) for row in rows] == [
        ("0", "", "0"),
        ("0", "", "1"),
        ("0", "", "2"),
        ("1", "0", "1"),
    ]
    assert [row["finish_reason"] for row in rows] == ["", "", "length", ""]
    assert rows[0]["text"] == " a"
    assert rows[0]["is_forced"] == "0"
    assert rows[3]["is_forced"] == "1"


def test_numbers_are_numbers_and_exact() -> None:
    trace = made_trace()
    for row, step in zip(table(), trace.branches[0].steps, strict=False):
        assert float(row["probability"]) == step.probability
        assert float(row["logprob"]) == step.logprob < 0
        assert int(row["kv_cache_bytes"]) == step.kv_cache.bytes  # type: ignore[union-attr]
        assert int(row["memory_bytes"]) == 10**9
        assert float(row["seconds"]) == step.seconds
    assert table()[3]["logprob"] == ""  # of probability 0
    assert table()[3]["probability"] == "0.0"


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_text_stays_in_its_cell(text: str) -> None:
    rows = table(text)
    assert len(rows) == 4
    assert rows[0]["text"] == safe_cell(text)
    assert rows[0]["text"].replace("'", "") == text.replace("'", "")
    assert all(None not in row for row in rows)


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "+1",
        "-1",
        "@SUM(A1)",
        "\tx",
        "\rx",
        "  =1",
        '"=1',
        "'=1",
        "\" '-2",
        "＝1",
        "\u2003=1",
    ],
)
def test_no_formula(text: str) -> None:
    assert safe_cell(text) == "'" + text


@pytest.mark.parametrize("separator", [";", "\t", "\n", "\r", "\r\n", "\u2028"])
def test_no_formula_where_a_spreadsheet_splits_elsewhere(separator: str) -> None:
    for before in ("a", "a;b", "é="):
        assert safe_cell(f"{before}{separator}=1+1") == f"{before}{separator}'=1+1"
        assert safe_cell(f'{before}{separator} "-1') == f"{before}{separator}' \"-1"
    for cell in re.split("[;\\s]", safe_cell(f"{separator}=1;+2\t@3")):
        assert not cell.startswith(tuple("=+-@"))


@pytest.mark.serial
def test_a_long_cell_is_made_safe_at_once() -> None:
    started = time.monotonic()
    for sign in (";", "\t", " ", '"', "\n", "; \"'"):
        safe_cell(sign * 200_000)
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("text", ["a=b", "1", "", " ", "é", "a\nb=c", "a;b", "'a'", "|", "%"])
def test_what_is_none_is_left_as_it_is(text: str) -> None:
    assert safe_cell(text) == text


@given(st.text(max_size=20), st.sampled_from("=+-@"))
def test_no_cell_begins_like_a_formula(text: str, sign: str) -> None:
    for whole in (sign + text, " " + sign + text, text):
        cell = safe_cell(whole)
        assert not cell.lstrip(' \t\r\n"').startswith(tuple("=+-@"))
        assert not cell.startswith(("\t", "\r"))
        cell.encode()


def test_half_a_character_is_spelled() -> None:
    assert safe_cell("\ud800") == "\\ud800"
