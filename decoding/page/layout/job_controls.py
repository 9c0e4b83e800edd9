"""What memory costs: the panels below the charts, and the buttons of the longer jobs."""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr

from decoding.page.jobs.measurements import OTHER_CACHES, UNCACHED
from decoding.page.layout.components import View, Worded, job_panel, start_button, title_view


@dataclass
class JobControls:
    """The parts that events read.

    Attributes:
        run_id: filled by the page with the id of the run that it shows.
    """

    run_id: gr.Textbox
    other: gr.Dropdown
    caching: gr.Button
    precision: gr.Button
    roofline: gr.Button
    stop: gr.Button


def build_memory_section(worded: Worded) -> JobControls:
    """Lays the panels out inside the `gr.Blocks` that is being built."""
    with gr.Column(elem_id="memory"):
        for name in ("layers", "forecast"):
            View(name, elem_id=f"{name}-panel")
        with gr.Row(elem_id="work-controls"):
            stop = worded.add(gr.Button, {"value": "work_stop"}, elem_id="work-stop")
        with gr.Column(elem_id="caching"):
            title_view("caching")
            with gr.Row(elem_id="caching-controls"):
                other = worded.add(
                    gr.Dropdown,
                    {"label": "caching_other", "info": "caching_other_help"},
                    choices=list(OTHER_CACHES),
                    value=UNCACHED,
                    elem_id="caching-other",
                )
                caching = start_button("caching", worded)
            View("caching", elem_id="caching-panel")
        precision = job_panel("precision", worded)
        roofline = job_panel("roofline", worded)
        run_id = gr.Textbox("", visible="hidden", elem_id="shown-run")
    return JobControls(run_id, other, caching, precision, roofline, stop)
