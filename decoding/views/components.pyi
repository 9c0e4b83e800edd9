"""The page's own Gradio components: constant templates that hand over to the page's scripts."""

from __future__ import annotations

import json
from collections.abc import Callable

import gradio as gr

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
    from typing import Callable, Literal, Sequence, Any, TYPE_CHECKING
    from gradio.blocks import Block

    if TYPE_CHECKING:
        from gradio.components import Timer
        from gradio.components.base import Component

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
    from typing import Callable, Literal, Sequence, Any, TYPE_CHECKING
    from gradio.blocks import Block

    if TYPE_CHECKING:
        from gradio.components import Timer
        from gradio.components.base import Component
