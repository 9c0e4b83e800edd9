"""What a text's probabilities are worth: texts to be scored, sampled answers, calibration."""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr

from decoding.page.layout.components import View, Worded, job_panel, title_view

SHOWN_LINES = 3
MOST_LINES = 12


@dataclass
class TrustControls:
    """The parts that events read.

    Attributes:
        text: to be scored.
        stop: ends the longer job under way.
    """

    text: gr.Textbox
    score: gr.Button
    sampled: gr.Button
    calibration: gr.Button
    stop: gr.Button


def build_trust_section(worded: Worded) -> TrustControls:
    """Lays the panels out inside the `gr.Blocks` that is being built."""
    with gr.Column(elem_id="trust"):
        with gr.Column(elem_id="score"):
            title_view("score")
            with gr.Row(elem_id="score-controls"):
                text = worded.add(
                    gr.Textbox,
                    {"label": "score_text", "placeholder": "score_placeholder"},
                    lines=SHOWN_LINES,
                    max_lines=MOST_LINES,
                    elem_id="score-text",
                )
                score = worded.add(gr.Button, {"value": "score_go"}, elem_id="score-go")
            View("score", elem_id="score-panel")
        with gr.Row(elem_id="trust-controls"):
            stop = worded.add(gr.Button, {"value": "trust_stop"}, elem_id="trust-stop")
        sampled = job_panel("sampled", worded)
        calibration = job_panel("calibration", worded)
    return TrustControls(text, score, sampled, calibration, stop)
