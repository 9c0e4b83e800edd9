"""Bytes in words, also where rounding goes over into the next unit."""

from __future__ import annotations

import pytest

from decoding.records.units import bytes_in_table, bytes_in_words


@pytest.mark.parametrize(
    ("count", "words", "cell"),
    [
        (0, "0 bytes", "0 bytes"),
        (999, "999 bytes", "999 bytes"),
        (1_000, "1 kB", "1.0 kB"),
        (92_871_040, "92.9 MB", "92.9 MB"),
        (538_060_288, "538 MB", "538.1 MB"),
        (999_700_000, "1 GB", "999.7 MB"),
        (999_960_000, "1 GB", "1.0 GB"),
        (4_934_000_000, "4.93 GB", "4.9 GB"),
        (2_500_000_000_000, "2.5 TB", "2.5 TB"),
        (2_500_000_000_000_000, "2,500 TB", "2,500.0 TB"),
        (-1_500_000, "-1.5 MB", "-1.5 MB"),
    ],
)
def test_bytes(count: int, words: str, cell: str) -> None:
    assert bytes_in_words(count) == words
    assert bytes_in_table(count) == cell
