"""One branch's own steps, each encoded once; what else the page is told of a tree."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from decoding.page.wire.frames import number, shown_text, step_fields, to_json
from decoding.records.step import DecodingStep
from decoding.records.tree import Restoration, SettingsChange
from decoding.trust.doubt import WordMarker

VALUE_CHARS = 200


class BranchLog:
    """What one branch has produced so far.

    Attributes:
        parent: number of the branch that it left; `None` for the first.
        at: index of its first own step.
        steps: its own, each as JSON.
        tokens: of each of them, (token id, printable text).
        read: each of them as a later branch's words need it, without what is large.
        sent: index on its path up to which frames have carried its steps.
        changes: `[index, settings]` of every change, the settings of the beginning included.
        notes: `[index, reused, fed, seconds, reason]` of every restoration.
    """

    def __init__(
        self,
        parent: int | None = None,
        at: int = 0,
        prompt: str = "",
        before: Iterable[DecodingStep] = (),
    ) -> None:
        """It has no step of its own yet.

        Args:
            parent: number of the branch that it left.
            at: index of its first own step.
            prompt: the text before all steps.
            before: the steps on the way to it.
        """
        self.parent = parent
        self.at = at
        self._marker = WordMarker(prompt)
        for step in before:
            self._marker.add(step)
        self.steps: list[str] = []
        self.tokens: list[tuple[int, str]] = []
        self.read: list[DecodingStep] = []
        self.changes: list[list[Any]] = []
        self.notes: list[list[Any]] = []
        self.sent = at

    @property
    def length(self) -> int:
        """Steps on the way from the prompt to its end."""
        return self.at + len(self.steps)

    def add(self, step: DecodingStep) -> None:
        """Takes its next step."""
        self.tokens.append((step.token_id, _printable(step)))
        self.read.append(replace(step, candidates=(), kv_cache=None))
        doubt = self._marker.add(step)
        doubts = (None if value is None else number(value) for value in (doubt.value, doubt.own))
        self.steps.append(to_json({**step_fields(step), "w": [doubt.start, *doubts]}))

    def note(self, changes: Iterable[SettingsChange], restorations: Iterable[Restoration]) -> None:
        """Takes what was recorded before its next steps."""
        self.changes += ([change.index, plain_settings(change.settings)] for change in changes)
        self.notes += map(_note_fields, restorations)


def _note_fields(note: Restoration) -> list[Any]:
    return [
        note.index,
        note.reused_positions,
        note.fed_tokens,
        number(note.seconds),
        note.reason,
    ]


def plain_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings by name, as JSON has them and in few words."""
    return {name: _plain_value(value) for name, value in settings.items()}


def _plain_value(value: object) -> Any:
    """A setting's value; what is no plain one, in words."""
    if isinstance(value, float):
        return number(value)
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, list | tuple) and all(isinstance(item, str | int) for item in value):
        return list(value)
    return str(value)[:VALUE_CHARS]


def _printable(step: DecodingStep) -> str:
    """The text it released; of an incomplete character, its bytes as the candidates spell them."""
    own = (c.text for c in step.candidates if c.token_id == step.token_id)
    return shown_text(step) or next(own, "")
