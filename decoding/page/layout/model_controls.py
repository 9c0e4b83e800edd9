"""The controls with which a visitor has another model loaded."""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr

from decoding.page.layout.components import View, Worded
from decoding.page.requests.model_choice import (
    DEFAULT,
    DTYPES,
    MAX_NAME_CHARS,
    OWN,
    QUANTIZATIONS,
    UNQUANTIZED,
    Offer,
)


@dataclass
class ModelControls:
    """The parts that events read; `typed` is not shown where names may not be typed."""

    entry: gr.Dropdown
    typed: gr.Textbox
    quantization: gr.Dropdown
    dtype: gr.Dropdown
    load: gr.Button
    cancel: gr.Button

    @property
    def inputs(self) -> list[gr.components.Component]:
        """All that a choice is made of, in the order in which it is read."""
        return [self.entry, self.typed, self.quantization, self.dtype]


def build_model_controls(offer: Offer, worded: Worded) -> ModelControls:
    """Lays them out inside the `gr.Blocks` that is being built."""
    with worded.add(gr.Accordion, {"label": "model"}, open=False, elem_id="model"):
        with gr.Row(elem_id="model-controls"):
            entry = worded.add(
                gr.Dropdown,
                {"label": "model_choice", "info": "model_choice_help"},
                choices=offer.entries(),
                value=DEFAULT if offer.own is None else OWN,
                elem_id="model-choice",
            )
            typed = worded.add(
                gr.Textbox,
                {"label": "model_name", "info": "model_name_help"},
                max_lines=1,
                max_length=MAX_NAME_CHARS,
                visible=offer.any_model,
                elem_id="model-name",
            )
            quantization = worded.add(
                gr.Dropdown,
                {"label": "model_quantization", "info": "model_quantization_help"},
                choices=list(QUANTIZATIONS),
                value=offer.quantization or UNQUANTIZED,
                elem_id="model-quantization",
            )
            dtype = worded.add(
                gr.Dropdown,
                {"label": "model_dtype", "info": "model_dtype_help"},
                choices=list(DTYPES),
                value=offer.dtype,
                elem_id="model-dtype",
            )
            with gr.Column(elem_id="model-buttons"):
                load = worded.add(gr.Button, {"value": "model_load"}, elem_id="model-load")
                cancel = worded.add(gr.Button, {"value": "model_cancel"}, elem_id="model-stop")
        View("model", elem_id="model-facts")
    return ModelControls(entry, typed, quantization, dtype, load, cancel)
