"""The figures of an evaluation as Markdown; it computes none."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

Row = Sequence[Any]
RATES = ("precision", "recall", "false_marks")
NAMES = ("doubt from", "marked", "of them wrong", "precision", "recall")
# An underscore inside a word is one.
_MARKDOWN = re.compile(r"([\\`*\[\]<>|~#&]|(?<!\w)_|_(?!\w))")


def evaluation_tables(found: dict[str, Any]) -> str:
    """An evaluation's tables; what a model wrote stands in them as text."""
    return (
        "\n\n".join(
            [
                _head(found),
                "## Signals\n\n" + _signals(found),
                "## Topics\n\n" + _topics(found),
                "## Accuracy when the least sure answers are left out\n\n" + _retained(found),
                "## Marked words\n\n" + _marks(found),
                "## Marked words by topic\n\n" + _marks_by_topic(found),
                "## Examples of marks\n\n" + _examples(found),
                "## Calibration of the answers' confidence\n\n" + _calibration(found),
            ]
        )
        + "\n"
    )


def table(names: Row, rows: Iterable[Row]) -> str:
    """A Markdown table; numbers stand to the right."""
    lines = [[cell(value) for value in row] for row in rows]
    sides = ["---:" if _is_number(row) else "---" for row in zip(*lines, strict=True)]
    head = [cell(name) for name in names]
    return "\n".join(
        f"| {' | '.join(row)} |" for row in [head, sides or ["---"] * len(head), *lines]
    )


def cell(value: Any) -> str:
    """A value in a cell: a share with three digits, what is not known as a dash."""
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.3f}"
    return _MARKDOWN.sub(r"\\\1", " ".join(str(value).split()))


def _is_number(column: Sequence[str]) -> bool:
    return all(re.fullmatch(r"–|[-+]?[\d.]+", text) for text in column)


def _head(found: dict[str, Any]) -> str:
    reported, selection = found["halves"]["reported"], found["halves"]["selection"]
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    return (
        f"# What {cell(found['model'])} knows, and whether it shows\n\n"
        f"{found['right']} of {found['questions']} questions answered right; {found['dtype']}, "
        f"greedy, at most {found['max_new_tokens']} tokens; {found['samples']} sampled answers "
        f"each, at temperature {found['sampling_temperature']:g}; {cell(versions)}; "
        f"{found['created']}.\n\n"
        f"Chosen on the {selection['questions']} questions of the selection half "
        f"({selection['right']} right), measured on the {reported['questions']} of the reported "
        f"half ({reported['right']} right)."
    )


def _signals(found: dict[str, Any]) -> str:
    rows = [
        (*(one[name] for name in ("name", "kind", "auroc", "low", "high", "selection")),)
        for one in sorted(found["signals"], key=lambda one: -(one["auroc"] or 0))
    ]
    names = ("signal", "kind", "AUROC, reported half", "95 % from", "to", "AUROC, selection half")
    best = found["best"]
    return (
        f"Best on the selection half: {cell(best['live'])} (live), {cell(best['sampled'])} "
        f"(sampled).\n\n{table(names, rows)}"
    )


def _topics(found: dict[str, Any]) -> str:
    fields = ("questions", "right", "reported", "auroc", "low", "high")
    rows = [(topic, *(of[name] for name in fields)) for topic, of in found["by_topic"].items()]
    return table(
        ("topic", "questions", "right", "in the reported half", "AUROC there", "95 % from", "to"),
        rows,
    )


def _retained(found: dict[str, Any]) -> str:
    sampled = [one["accuracy"] for one in found["retained_sampled"]]
    rows = [
        (f"{one['left_out']:.0%}", one["accuracy"], sampled[place] if sampled else None)
        for place, one in enumerate(found["retained"])
    ]
    return table(("left out", "by answer_confidence", "by the best sampled signal"), rows)


def _marks(found: dict[str, Any]) -> str:
    words, threshold = found["words"], found["threshold"]
    chosen = "none" if threshold is None else f"{threshold:g}"
    fields = ("threshold", "marked", "wrong", *RATES)
    doubt, own = words["areas"]["doubt"], words["areas"]["own"]
    return (
        f"Of {words['words']} words in first sentences {words['claims']} claim something and "
        f"{words['wrong']} of these are wrong. AUROC by claim word, of doubt: "
        f"{cell(doubt['auroc'])} ({cell(doubt['low'])} to {cell(doubt['high'])}); of the word's "
        f"own doubt alone: {cell(own['auroc'])} ({cell(own['low'])} to {cell(own['high'])}). "
        f"Threshold chosen on the selection half: {chosen}. {_single(found)}\n\n"
        + table(
            (*NAMES, "right claims marked"),
            [[one[name] for name in fields] for one in found["marks"]],
        )
    )


def _single(found: dict[str, Any]) -> str:
    one = found["single_claims"]
    rates = ", ".join(f"{name.replace('_', ' ')} {cell(one.get(name))}" for name in RATES)
    return (
        f"Of the {one['words']} answers that claim just one word, whose label is beyond doubt, "
        f"{one['all_wrong']} are wrong: AUROC {cell(one['auroc'])} ({cell(one['low'])} to "
        f"{cell(one['high'])}), at that threshold {rates}."
    )


def _marks_by_topic(found: dict[str, Any]) -> str:
    return table(
        ("topic", "claim words", "wrong words", *NAMES[1:], "right claims marked"),
        [
            (
                one["topic"],
                one["words"]["claims"],
                one["words"]["wrong"],
                *(one[name] for name in ("marked", "wrong", *RATES)),
            )
            for one in found["marks_by_topic"]
        ],
    )


def _examples(found: dict[str, Any]) -> str:
    return table(
        ("question", "answer", "marked word", "doubt", "the word is"),
        [
            (one["question"], one["answer"], one["word"], one["doubt"], _judged(one["is_wrong"]))
            for one in found["examples"]
        ],
    )


def _judged(is_wrong: bool) -> str:
    return "wrong" if is_wrong else "right"


def _calibration(found: dict[str, Any]) -> str:
    return (
        f"Expected calibration error {cell(found['ece'])} over {found['answers']} answers; "
        f"{cell(found['chance_ece'])} would be chance. The temperature that calibrates the "
        f"{found['temperature_answers']} answers of the selection half: "
        f"{cell(found['temperature'])}.\n\n"
        + table(
            ("confidence from", "to", "answers", "mean confidence", "accuracy"),
            [
                [one[name] for name in ("low", "high", "count", "confidence", "accuracy")]
                for one in found["reliability"]
            ],
        )
    )
