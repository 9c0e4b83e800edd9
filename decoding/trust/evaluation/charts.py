"""The figures of an evaluation as one HTML file of charts; no script, and nothing to fetch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from decoding.trust.evaluation.answering import JudgedAnswer
from decoding.trust.evaluation.figures import scored
from decoding.trust.evaluation.statistics import roc_points

SIZE, LEFT, BOTTOM, TOP = 320, 44, 40, 10
TICKS = (0.0, 0.25, 0.5, 0.75, 1.0)
# Told apart without colour too.
LOOKS = (
    'stroke="#1f8f96"',
    'stroke="#c8682d" stroke-dasharray="7 3"',
    'stroke="#8a63b8" stroke-dasharray="2 3"',
)
FAINT = 'stroke="currentColor" stroke-opacity="0.25"'
SIGNS = ("––", "– –", "· ·")
STYLE = """
:root { color-scheme: light dark; font: 15px/1.45 system-ui, sans-serif; }
body { max-width: 56rem; margin: 2rem auto; padding: 0 1rem; }
main { display: flex; flex-wrap: wrap; gap: 1.5rem; }
figure { margin: 0; width: 25rem; max-width: 100%; }
figcaption { margin-bottom: .3rem; } small { opacity: .75; display: block; }
svg { width: 100%; height: auto; } text { fill: currentColor; font-size: 11px; }
"""


@dataclass(frozen=True, slots=True)
class Curve:
    """Points between 0 and 1 on both axes.

    Attributes:
        name: what it stands for.
        points: (x, y), in the order in which they are joined.
        notes: of each point, what is written at it; such a curve's points are not joined.
    """

    name: str
    points: Sequence[tuple[float, float]]
    notes: tuple[str, ...] = ()


def evaluation_html(found: dict[str, Any], answers: Sequence[JudgedAnswer]) -> str:
    """One page of charts, all of the reported half.

    Args:
        found: see `evaluation_of`.
        answers: that it was made of.
    """
    title = escape(f"{found['model']}: right and wrong answers told apart")
    halves = found["halves"]["reported"]
    told = (
        f"{halves['right']} of {halves['questions']} answers right in the reported half; "
        f"{found['dtype']}, {found['created']}. The numbers stand in evaluation.md."
    )
    charts = "".join([_roc(found, answers), _marks(found), _retained(found), _reliability(found)])
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "style-src 'unsafe-inline'\">"
        f"<style>{STYLE}</style></head><body><h1>{title}</h1><p>{escape(told)}</p>"
        f"<main>{charts}</main></body></html>\n"
    )


def chart(title: str, axes: tuple[str, str], curves: Sequence[Curve], is_diagonal: bool) -> str:
    """Curves in a square from 0 to 1; what it shows is told in words too.

    Args:
        title: above it.
        axes: what x and y are.
        curves: at most three.
        is_diagonal: whether to draw y = x beneath.
    """
    drawn = "".join(_drawn(curve, look) for curve, look in zip(curves, LOOKS, strict=False))
    names = " ".join(
        f"<span>{sign} {escape(curve.name)}</span>"
        for curve, sign in zip(curves, SIGNS, strict=False)
    )
    told = "; ".join(f"{curve.name}: {_in_words(curve)}" for curve in curves)
    height = SIZE + TOP + BOTTOM
    return (
        f"<figure><figcaption>{escape(title)}<small>{names}</small></figcaption>"
        f'<svg viewBox="0 0 {SIZE + LEFT + 10} {height}" role="img" '
        f'aria-label="{escape(f"{title}. {told}")}">{_frame(axes)}'
        f"{_line([(0, 0), (1, 1)], FAINT) if is_diagonal else ''}{drawn}</svg></figure>"
    )


def _roc(found: dict[str, Any], answers: Sequence[JudgedAnswer]) -> str:
    reported = [answer for answer in answers if answer.half == "reported"]
    areas = {one["name"]: one["auroc"] for one in found["signals"]}
    curves = [
        Curve(f"{name} ({kind}), area {areas[name]:.3f}", roc_points(*scored(reported, kind, name)))
        for kind, name in found["best"].items()
        if name is not None and areas[name] is not None
    ]
    axes = "wrong answers that score as much", "right answers that do"
    return chart("Right against wrong answers, by score", axes, curves, True)


def _marks(found: dict[str, Any]) -> str:
    curves = [
        Curve(
            name,
            [(one["threshold"], one[name]) for one in found["marks"] if one[name] is not None],
        )
        for name in ("precision", "recall")
    ]
    threshold = found["threshold"]
    if threshold is not None:
        curves.append(Curve(f"chosen: {threshold:g}", [(threshold, 0.0), (threshold, 1.0)]))
    return chart("Marked words", ("doubt from which a word is marked", "share"), curves, False)


def _retained(found: dict[str, Any]) -> str:
    kinds = (("by answer_confidence", "retained"), ("by the best sampled", "retained_sampled"))
    curves = [
        Curve(name, [(one["left_out"], one["accuracy"]) for one in found[field]])
        for name, field in kinds
        if found[field]
    ]
    axes = "share left out, the least sure first", "accuracy of the rest"
    return chart("Accuracy when some are left out", axes, curves, False)


def _reliability(found: dict[str, Any]) -> str:
    bins = [one for one in found["reliability"] if one["accuracy"] is not None]
    points = [(one["confidence"], one["accuracy"]) for one in bins]
    counts = tuple(f"{one['count']}" for one in bins)
    curves = [Curve("answers, their number beside", points, counts)] if bins else []
    title = "Reliability of answer_confidence" + ("" if bins else ": too few answers")
    return chart(title, ("confidence", "accuracy"), curves, True)


def _drawn(curve: Curve, look: str) -> str:
    if not curve.notes:
        return _line(curve.points, f'{look} stroke-width="1.8"')
    return "".join(
        f'<circle cx="{_x(x):.1f}" cy="{_y(y):.1f}" r="4" fill="none" {look} stroke-width="1.8"/>'
        f'<text x="{_x(x) + 7:.1f}" y="{_y(y) + 4:.1f}">{escape(note)}</text>'
        for (x, y), note in zip(curve.points, curve.notes, strict=True)
    )


def _line(points: Sequence[tuple[float, float]], look: str) -> str:
    path = " ".join(f"{_x(x):.1f},{_y(y):.1f}" for x, y in points)
    return f'<polyline fill="none" {look} points="{path}"/>'


def _frame(axes: tuple[str, str]) -> str:
    marks = "".join(
        f'<text x="{_x(tick):.0f}" y="{_y(0) + 14:.0f}" text-anchor="middle">{tick:g}</text>'
        f'<text x="{LEFT - 5}" y="{_y(tick) + 4:.0f}" text-anchor="end">{tick:g}</text>'
        f"{_line([(0, tick), (1, tick)], FAINT)}"
        for tick in TICKS
    )
    across, up = map(escape, axes)
    middle = _y(0.5)
    return (
        f'{marks}<text x="{_x(0.5):.0f}" y="{_y(0) + 32:.0f}" text-anchor="middle">{across}</text>'
        f'<text x="11" y="{middle:.0f}" text-anchor="middle" '
        f'transform="rotate(-90 11 {middle:.0f})">{up}</text>'
    )


def _in_words(curve: Curve) -> str:
    """Its ends, or all of few points."""
    points = curve.points if curve.notes or len(curve.points) <= 6 else curve.points[::10]
    return ", ".join(f"{y:.2f} at {x:.2f}" for x, y in points)


def _x(share: float) -> float:
    return LEFT + share * SIZE


def _y(share: float) -> float:
    return TOP + (1 - share) * SIZE
