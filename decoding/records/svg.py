"""Numbers -> charts as SVG, each told in words too; no script, no network."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

# Told apart without colour too.
LOOKS = (
    'stroke="#1f8f96"',
    'stroke="#c8682d" stroke-dasharray="7 3"',
    'stroke="#8a63b8" stroke-dasharray="2 3"',
)
SIGNS = ("––", "– –", "· ·")
FAINT = 'stroke="currentColor" stroke-opacity="0.25"'

WIDTH, HEIGHT, PAD = 300, 84, 3  # of a small chart
MOST_COLUMNS = 150  # of a line, each with its least and its largest number
SIZE, LEFT, BOTTOM, TOP = 320, 44, 40, 10  # of a square one
TICKS = (0.0, 0.25, 0.5, 0.75, 1.0)

Points = Sequence[tuple[float, float]]


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
        ends = ({min(c, key=_number), max(c, key=_number)} for c in columns)
        return sorted(point for column in ends for point in column)


@dataclass(frozen=True, slots=True)
class Curve:
    """Points between 0 and 1 on both axes.

    Attributes:
        name: what it stands for.
        points: (x, y), in the order in which they are joined.
        notes: of each point, what is written at it; such a curve's points are not joined.
    """

    name: str
    points: Points
    notes: tuple[str, ...] = ()


def small_chart(title: str, lines: Sequence[Line], largest: str) -> str:
    """The lines in one frame that begins at 0.

    Args:
        title: what is drawn, and in which unit.
        lines: at most three.
        largest: the top of the frame in words, given by whoever knows the unit.
    """
    points = [line.points for line in lines]
    top = max((value for line in points for _, value in line), default=0.0) or 1.0
    last = max((index for line in points for index, _ in line), default=0) or 1
    drawn = "".join(
        _polyline(_scaled(line, last, top), f'{look} stroke-width="1.4"')
        for line, look in zip(points, LOOKS, strict=False)
    )
    floor = f'<path d="M0 {HEIGHT - PAD}H{WIDTH}" {FAINT}/>'
    top_in_words = (
        '<text x="0" y="10" font-size="10" fill="currentColor" fill-opacity="0.7">'
        f"{escape(largest)}</text>"
    )
    told, names = f"{title}; largest {largest}", [line.name for line in lines]
    return _figure(title, names, (WIDTH, HEIGHT), told, floor + drawn + top_in_words)


def square_chart(
    title: str, axes: tuple[str, str], curves: Sequence[Curve], is_diagonal: bool
) -> str:
    """Curves in a square from 0 to 1.

    Args:
        title: above it.
        axes: what x and y are.
        curves: at most three.
        is_diagonal: whether to draw y = x beneath.
    """
    drawn = "".join(_drawn(curve, look) for curve, look in zip(curves, LOOKS, strict=False))
    diagonal = _polyline(_placed([(0, 0), (1, 1)]), FAINT) if is_diagonal else ""
    told = "; ".join(f"{curve.name}: {_ends(curve)}" for curve in curves)
    return _figure(
        title,
        [curve.name for curve in curves],
        (SIZE + LEFT + 10, SIZE + TOP + BOTTOM),
        f"{title}. {told}",
        _square(axes) + diagonal + drawn,
    )


def _figure(title: str, names: Iterable[str], size: tuple[int, int], told: str, drawn: str) -> str:
    signed = (f"{sign} {escape(name)}" for sign, name in zip(SIGNS, names, strict=False))
    return (
        f"<figure><figcaption>{escape(title)} <small>{', '.join(signed)}</small></figcaption>"
        f'<svg viewBox="0 0 {size[0]} {size[1]}" role="img" aria-label="{escape(told)}">'
        f"{drawn}</svg></figure>"
    )


def _polyline(points: Points, look: str) -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline fill="none" {look} points="{path}"/>'


def _scaled(points: list[tuple[int, float]], last: int, top: float) -> Points:
    """Where the points of a line are drawn in a small chart; one alone becomes a stroke."""
    low, high = HEIGHT - PAD, HEIGHT - 2 * PAD - 10
    if len(points) == 1:
        points = [points[0], (last, points[0][1])]
    return [(i / last * WIDTH, low - value / top * high) for i, value in points]


def _number(point: tuple[int, float]) -> float:
    return point[1]


def _drawn(curve: Curve, look: str) -> str:
    look = f'{look} stroke-width="1.8"'
    placed = _placed(curve.points)
    if not curve.notes:
        return _polyline(placed, look)
    return "".join(
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="none" {look}/>'
        f'<text x="{x + 7:.1f}" y="{y + 4:.1f}">{escape(note)}</text>'
        for (x, y), note in zip(placed, curve.notes, strict=True)
    )


def _square(axes: tuple[str, str]) -> str:
    """Its lines across, their numbers, and what the axes are."""
    marks = "".join(
        f'<text x="{_x(tick):.0f}" y="{_y(0) + 14:.0f}" text-anchor="middle">{tick:g}</text>'
        f'<text x="{LEFT - 5}" y="{_y(tick) + 4:.0f}" text-anchor="end">{tick:g}</text>'
        f"{_polyline(_placed([(0, tick), (1, tick)]), FAINT)}"
        for tick in TICKS
    )
    across, up = map(escape, axes)
    middle = _y(0.5)
    return (
        f'{marks}<text x="{_x(0.5):.0f}" y="{_y(0) + 32:.0f}" text-anchor="middle">{across}</text>'
        f'<text x="11" y="{middle:.0f}" text-anchor="middle" '
        f'transform="rotate(-90 11 {middle:.0f})">{up}</text>'
    )


def _ends(curve: Curve) -> str:
    """A curve in words: its ends, or all of few points."""
    points = curve.points if curve.notes or len(curve.points) <= 6 else curve.points[::10]
    return ", ".join(f"{y:.2f} at {x:.2f}" for x, y in points)


def _placed(points: Points) -> Points:
    return [(_x(x), _y(y)) for x, y in points]


def _x(share: float) -> float:
    return LEFT + share * SIZE


def _y(share: float) -> float:
    return TOP + (1 - share) * SIZE
