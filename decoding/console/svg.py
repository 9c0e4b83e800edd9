"""A run of numbers -> a small line chart as SVG; it needs no script and no network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT, PAD = 300, 84, 3
MOST_COLUMNS = 150  # of a line, each with its least and its largest number
STROKES = ('stroke="#1f8f96"', 'stroke="#c8682d" stroke-dasharray="4 2"')


@dataclass(frozen=True, slots=True)
class Line:
    """Numbers along the text, at the steps 0, 1, …; what is not finite is left out."""

    name: str
    values: Sequence[float]

    @property
    def points(self) -> list[tuple[int, float]]:
        """(step, number), no more of them than can be seen."""
        points = [(i, value) for i, value in enumerate(self.values) if math.isfinite(value)]
        wide = math.ceil(len(points) / MOST_COLUMNS)
        if wide < 3:
            return points
        columns = (points[start : start + wide] for start in range(0, len(points), wide))
        ends = ({min(c, key=_height), max(c, key=_height)} for c in columns)
        return sorted(point for column in ends for point in column)


def small_chart(title: str, lines: Sequence[Line], largest: str) -> str:
    """The lines in one frame that begins at 0.

    Args:
        title: what is drawn, and in which unit.
        lines: at most two.
        largest: the top of the frame in words, given by whoever knows the unit.
    """
    points = [line.points for line in lines]
    top = max((value for line in points for _, value in line), default=0.0) or 1.0
    last = max((index for line in points for index, _ in line), default=0) or 1
    drawn = "".join(
        f'<polyline fill="none" stroke-width="1.4" {stroke} points="{_path(line, last, top)}"/>'
        for line, stroke in zip(points, STROKES, strict=False)
    )
    told = escape(f"{title}; largest {largest}")
    names = " · ".join(
        f"{'– –' if place else '––'} {escape(line.name)}" for place, line in enumerate(lines)
    )
    return (
        f"<figure><figcaption>{escape(title)} <small>{names}</small></figcaption>"
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{told}">'
        f'<path d="M0 {HEIGHT - PAD}H{WIDTH}" stroke="currentColor" stroke-opacity="0.3"/>'
        f'{drawn}<text x="0" y="10" font-size="10" fill="currentColor" fill-opacity="0.7">'
        f"{escape(largest)}</text></svg></figure>"
    )


def _path(points: list[tuple[int, float]], last: int, top: float) -> str:
    low, high = HEIGHT - PAD, HEIGHT - 2 * PAD - 10
    if len(points) == 1:
        points = [points[0], (last, points[0][1])]
    return " ".join(f"{i / last * WIDTH:.1f},{low - value / top * high:.1f}" for i, value in points)


def _height(point: tuple[int, float]) -> float:
    return point[1]
