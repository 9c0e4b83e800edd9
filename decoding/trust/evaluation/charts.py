"""The figures of an evaluation as one HTML file of charts; no script, and nothing to fetch."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from decoding.records.svg import Curve, square_chart
from decoding.trust.evaluation.answering import JudgedAnswer
from decoding.trust.evaluation.figures import scored
from decoding.trust.evaluation.statistics import roc_points

STYLE = """
:root { color-scheme: light dark; font: 15px/1.45 system-ui, sans-serif; }
body { max-width: 56rem; margin: 2rem auto; padding: 0 1rem; }
main { display: flex; flex-wrap: wrap; gap: 1.5rem; }
figure { margin: 0; width: 25rem; max-width: 100%; }
figcaption { margin-bottom: .3rem; } small { opacity: .75; display: block; }
svg { width: 100%; height: auto; } text { fill: currentColor; font-size: 11px; }
"""


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


def _roc(found: dict[str, Any], answers: Sequence[JudgedAnswer]) -> str:
    reported = [answer for answer in answers if answer.half == "reported"]
    areas = {one["name"]: one["auroc"] for one in found["signals"]}
    curves = [
        Curve(f"{name} ({kind}), area {areas[name]:.3f}", roc_points(*scored(reported, kind, name)))
        for kind, name in found["best"].items()
        if name is not None and areas[name] is not None
    ]
    axes = "wrong answers that score as much", "right answers that do"
    return square_chart("Right against wrong answers, by score", axes, curves, True)


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
    return square_chart(
        "Marked words", ("doubt from which a word is marked", "share"), curves, False
    )


def _retained(found: dict[str, Any]) -> str:
    kinds = (("by answer_confidence", "retained"), ("by the best sampled", "retained_sampled"))
    curves = [
        Curve(name, [(one["left_out"], one["accuracy"]) for one in found[field]])
        for name, field in kinds
        if found[field]
    ]
    axes = "share left out, the least sure first", "accuracy of the rest"
    return square_chart("Accuracy when some are left out", axes, curves, False)


def _reliability(found: dict[str, Any]) -> str:
    bins = [one for one in found["reliability"] if one["accuracy"] is not None]
    points = [(one["confidence"], one["accuracy"]) for one in bins]
    counts = tuple(f"{one['count']}" for one in bins)
    curves = [Curve("answers, their number beside", points, counts)] if bins else []
    title = "Reliability of answer_confidence" + ("" if bins else ": too few answers")
    return square_chart(title, ("confidence", "accuracy"), curves, True)
