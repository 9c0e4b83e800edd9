"""The page's own Gradio components: constant templates that hand over to the page's scripts."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

import gradio as gr

from decoding.page.texts import DEFAULT_LANGUAGE, texts

B = TypeVar("B", bound=gr.blocks.Block)

# A template with model text in it would be run as a program, so no template holds a value:
# the scripts in assets/ build each view, and write text as text.
MOUNT = "(window.decodingLiveQueue ??= []).push([{name}, element]); window.decodingLive?.flush();"
RECEIVE = """
const queue = (window.decodingLiveQueue ??= []);
queue.push(["feed", element, {server, props}]);
window.decodingLive?.flush();
watch("value", () => {
  if (window.decodingLive) window.decodingLive.receive(props.value);
  else queue.push(["frame", props.value]);
});
"""


class View(gr.HTML):
    """An empty element that a script of the same name fills."""

    def __init__(self, name: str, *, elem_id: str) -> None:
        super().__init__(
            html_template="<div class='view'></div>",
            js_on_load=MOUNT.format(name=json.dumps(name)),
            apply_default_css=False,
            elem_id=elem_id,
        )


def title_view(panel: str) -> View:
    """A panel's title, above the controls that stand between it and what they bring."""
    return View(f"{panel}-title", elem_id=f"{panel}-title")


class Feed(gr.HTML):
    """The frames' way into the page; its value is the newest frame, a JSON string."""

    def __init__(
        self, *, elem_id: str, server_functions: list[Callable[..., str]] | None = None
    ) -> None:
        super().__init__(
            html_template="<i></i>",
            js_on_load=RECEIVE,
            apply_default_css=False,
            elem_id=elem_id,
            server_functions=server_functions,
        )

    def postprocess(self, value: str | None) -> str | None:
        """The frame as it is; that its text may look like markup is nobody's business here."""
        return value


class NumberSlider(gr.Slider):
    """A slider whose number may be missing: what is sent is for the readers to check."""

    is_template = True  # the parent's look

    def preprocess(self, payload: Any) -> Any:
        """The number as it is; `None` where its field is empty, which stands for the default."""
        return payload


class Worded:
    """Gradio's own controls with the words that change with the language.

    Attributes:
        controls: in the order in which they were made.
        keys: for each of them, properties and their keys in the texts' `page`.
    """

    def __init__(self) -> None:
        self.controls: list[gr.blocks.Block] = []
        self.keys: list[dict[str, str]] = []

    def add(self, kind: Callable[..., B], keys: dict[str, str], **options: Any) -> B:
        """A control in the default language, remembered for the others."""
        words = texts()[DEFAULT_LANGUAGE]["page"]
        control = kind(**{name: words[key] for name, key in keys.items()}, **options)
        self.controls.append(control)
        self.keys.append(keys)
        return control


def job_panel(kind: str, worded: Worded) -> gr.Button:
    """A longer job's title, button and view; returns the button."""
    with gr.Column(elem_id=kind):
        title_view(kind)
        with gr.Row(elem_id=f"{kind}-controls"):
            start = start_button(kind, worded)
        View(kind, elem_id=f"{kind}-panel")
    return start


def start_button(kind: str, worded: Worded) -> gr.Button:
    """A longer job's button; the page's scripts allow it once it can work."""
    keys = {"value": f"{kind}_start"}
    return worded.add(gr.Button, keys, interactive=False, elem_id=f"{kind}-start")
