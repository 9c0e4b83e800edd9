"""What takes the wheel: the panels, and the buttons that the page's scripts press."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from decoding.page.layout.components import View, Worded


@dataclass
class WheelControls:
    """The parts that events read.

    Attributes:
        order: filled by the page with how the run is to go on.
        go: pressed by the scripts to have the order carried out.
        pause: pressed by the scripts to have the run pause.
        apply: pressed by the scripts to have the page's controls take other values.
    """

    order: gr.Textbox
    go: gr.Button
    pause: gr.Button
    apply: gr.Button


class TraceUpload(gr.UploadButton):
    """A button whose file is read once and not kept; its name is nobody's business."""

    is_template = True  # the parent's look

    def preprocess(self, payload: Any) -> bytes | None:
        """The file's content; `None` where somebody else's opening took the same file away."""
        if payload is None:
            return None
        path = Path(payload.path)  # Gradio has checked that it is an uploaded one
        try:
            return path.read_bytes()
        except FileNotFoundError:
            return None
        finally:
            path.unlink(missing_ok=True)


def build_wheel() -> WheelControls:
    """Lays the bar out inside the `gr.Blocks` that is being built."""
    View("wheel", elem_id="wheel")
    return WheelControls(
        order=gr.Textbox("", visible="hidden", elem_id="wheel-order"),
        go=gr.Button("", visible="hidden", elem_id="wheel-go"),
        pause=gr.Button("", visible="hidden", elem_id="wheel-pause"),
        apply=gr.Button("", visible="hidden", elem_id="apply-settings"),
    )


def build_step_panels() -> None:
    """What is known of one step, and the branches around it."""
    View("inspector", elem_id="inspector-panel")
    View("branches", elem_id="branches-panel")


def build_trace_section(worded: Worded) -> TraceUpload:
    """What can be kept of a run, and the button that opens what was kept."""
    with gr.Column(elem_id="trace"):
        View("trace", elem_id="trace-panel")
        with gr.Row(elem_id="trace-controls"):
            return worded.add(
                TraceUpload,
                {"label": "trace_open"},
                file_types=[".json"],
                size="sm",
                elem_id="open-trace",
            )
