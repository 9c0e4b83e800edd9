"""Bytes for people, in decimal units."""

from __future__ import annotations

UNITS = ("bytes", "kB", "MB", "GB", "TB")


def bytes_in_words(count: float) -> str:
    """Bytes with three digits, as a sentence tells them: `538 MB`, `4.93 GB`."""
    size, unit = _scaled(count, below=999.5)
    return f"{size:,.0f} {unit}" if abs(size) >= 100 else f"{size:.3g} {unit}"


def bytes_in_table(count: float) -> str:
    """Bytes with one decimal, as columns line up: `538.1 MB`."""
    size, unit = _scaled(count, below=999.95)
    return f"{size:.0f} {unit}" if unit == UNITS[0] else f"{size:,.1f} {unit}"


def _scaled(count: float, *, below: float) -> tuple[float, str]:
    """A number that rounds to less than a thousand, and its unit; of the last one, any."""
    size, unit = float(count), 0
    while abs(size) >= below and unit < len(UNITS) - 1:
        size, unit = size / 1000, unit + 1
    return size, UNITS[unit]
