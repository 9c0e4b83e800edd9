"""A real notebook, run by a real kernel: a session shows itself and keeps up with what it does."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import nbclient
import nbformat
import pytest

# How often a notebook is redrawn depends on how fast its kernel is.
pytestmark = [pytest.mark.serial, pytest.mark.slow]

ROOT = Path(__file__).parents[2]


class Watched(nbclient.NotebookClient):
    """Counts what the kernel sends while each cell runs."""

    def __init__(self, notebook: Any, **options: Any) -> None:
        super().__init__(notebook, **options)
        self.sent: Counter[tuple[int, str]] = Counter()

    def process_message(self, msg: dict[str, Any], cell: Any, cell_index: int) -> Any:
        self.sent[cell_index, msg["msg_type"]] += 1
        return super().process_message(msg, cell, cell_index)


@pytest.fixture(scope="module")
def run() -> Watched:
    notebook = nbformat.read(ROOT / "tests/data/session.ipynb", as_version=4)
    place = {"metadata": {"path": str(ROOT)}}
    client = Watched(notebook, timeout=120, kernel_name="python3", resources=place)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT / "tests"))
        patch.setenv("PYTHONWARNINGS", "ignore:IProgress not found")  # tqdm's wish for widgets
        client.execute()
    return client


def shown(run: Watched, cell: int) -> str:
    """The one HTML output of a cell, as it is in the end."""
    (output,) = run.nb.cells[cell].outputs
    assert output.output_type == "display_data"
    html: str = output.data["text/html"]
    return html


def text_of(html: str) -> str:
    return re.sub(r"<style>.*?</style>|<[^>]+>", "", html)


def test_no_cell_failed_or_wrote_anything_else(run: Watched) -> None:
    assert [len(cell.outputs) for cell in run.nb.cells] == [0, 1, 0, 0, 1, 0]
    assert not any(kind in ("error", "stream") for _, kind in run.sent)


def test_it_is_drawn_while_it_runs_and_not_at_every_step(run: Watched) -> None:
    assert run.sent[1, "display_data"] == 1
    assert 2 <= run.sent[2, "update_display_data"] <= 12  # of 40 steps


def test_the_end_of_a_cell_shows_what_was_done_in_it(run: Watched) -> None:
    assert run.sent[3, "update_display_data"] >= 1
    assert "tiny · 9 tokens · branch 2 of 2" in text_of(shown(run, 1))


def test_the_latest_display_is_the_one_that_goes_on(run: Watched) -> None:
    assert run.sent[4, "display_data"] == 1
    assert run.sent[5, "update_display_data"] == 1
    assert "tiny · 2 tokens · branch 2 of 2" in text_of(shown(run, 4))


def test_text_and_three_charts_without_scripts_or_requests(run: Watched) -> None:
    html = shown(run, 4)
    assert html.count("<svg") == 3
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert not re.search(r"<script|<img|<link|url\(|href|src=|on\w+=", html)
