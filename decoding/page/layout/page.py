"""The page's layout: Gradio's own controls, and the empty views that the scripts fill."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import gradio as gr

from decoding.models.catalogue import catalogue
from decoding.page.layout.components import Feed, NumberSlider, View, Worded
from decoding.page.layout.job_controls import JobControls, build_memory_section
from decoding.page.layout.model_controls import ModelControls, build_model_controls
from decoding.page.layout.trust_controls import TrustControls, build_trust_section
from decoding.page.layout.wheel_controls import (
    TraceUpload,
    WheelControls,
    build_step_panels,
    build_trace_section,
    build_wheel,
)
from decoding.page.requests.model_choice import Offer
from decoding.page.requests.settings import PAGE_SETTINGS, Limits, Setting, within
from decoding.page.serving import FILES_ADDRESS
from decoding.page.texts import DEFAULT_LANGUAGE, evaluation, examples, texts

SCRIPTS = ("page.js", "controls.js")
STYLES = (
    "styles/page.css",
    "styles/memory.css",
    "styles/wheel.css",
    "styles/keys.css",
    "styles/inspector.css",
    "styles/trace.css",
    "styles/trust.css",
    "styles/score.css",
    "styles/marks.css",
)


@dataclass
class Page:
    """The parts of the page that events read or change.

    Attributes:
        settings: the controls by the settings' names.
        chips: the examples' buttons, in the examples' order.
        relabel: pressed by the scripts when the language changed.
        ask_again: pressed by the scripts when what was asked was not answered.
        worded: the controls whose words are told by their keys.
    """

    prompt: gr.Textbox
    generate: gr.Button
    stop: gr.Button
    chat: gr.Checkbox
    system: gr.Textbox
    feed: Feed
    model_feed: Feed
    job_feed: Feed
    accordion: gr.Accordion
    relabel: gr.Button
    ask_again: gr.Button
    model: ModelControls
    trust: TrustControls
    jobs: JobControls
    wheel: WheelControls
    open_trace: TraceUpload
    worded: Worded
    settings: dict[str, gr.components.Component] = field(default_factory=dict)
    chips: list[gr.Button] = field(default_factory=list)

    @property
    def controls(self) -> list[gr.components.Component]:
        """All that one request is made of, in the order in which it is read."""
        return [self.prompt, self.chat, self.system, *self.settings.values()]


def build_page(limits: Limits, offer: Offer, answers: Sequence[Callable[..., str]]) -> Page:
    """Lays the page out inside the `gr.Blocks` that is being built.

    Args:
        limits: what each visitor may ask for.
        offer: the models that may be loaded.
        answers: what the page's scripts ask the server by the functions' names.
    """
    words, worded = texts()[DEFAULT_LANGUAGE]["page"], Worded()
    View("header", elem_id="page-header")
    with gr.Column(elem_id="ask"):
        with gr.Row(elem_id="ask-row"):
            with gr.Column(elem_id="ask-prompt"):
                prompt = gr.Textbox(
                    label=words["prompt"],
                    placeholder=words["prompt_placeholder"],
                    show_label=False,
                    container=False,
                    lines=1,
                    max_lines=6,
                    elem_id="prompt",
                )
                with gr.Row(elem_id="examples"):
                    chips = [_chip(example) for example in examples()]
            with gr.Column(elem_id="ask-run"):
                with gr.Row(elem_id="run-buttons"):
                    # The scripts allow it once the controls hold what the address asks for,
                    # and the other one while something runs.
                    generate = gr.Button(
                        words["generate"], variant="primary", interactive=False, elem_id="generate"
                    )
                    stop = gr.Button(words["stop"], interactive=False, elem_id="stop")
                View("summary", elem_id="summary")
        with gr.Accordion(words["settings"], open=False, elem_id="settings") as accordion:
            with gr.Row():
                chat = gr.Checkbox(
                    True, label=words["chat"], info=words["chat_help"], elem_id="setting-chat"
                )
                system = gr.Textbox(
                    label=words["system"], info=words["system_help"], elem_id="setting-system"
                )
            with gr.Row(elem_id="setting-grid"):
                settings = {s.name: _control(within(s, limits)) for s in PAGE_SETTINGS}
        model = build_model_controls(offer, worded)
    View("status", elem_id="status")
    wheel = build_wheel()
    with gr.Row(elem_id="panels"):
        View("text", elem_id="text-panel")
        View("distribution", elem_id="distribution-panel")
    build_step_panels()
    with gr.Row(elem_id="charts"):
        for name in ("confidence", "kv-cache", "latency"):
            View(name, elem_id=f"{name}-panel")
    open_trace = build_trace_section(worded)
    trust = build_trust_section(worded)
    jobs = build_memory_section(worded)
    feed, model_feed, job_feed = (
        Feed(elem_id=elem_id, server_functions=list(answers))
        for elem_id in ("feed", "model-feed", "work-feed")
    )
    return Page(
        prompt=prompt,
        generate=generate,
        stop=stop,
        chat=chat,
        system=system,
        feed=feed,
        model_feed=model_feed,
        job_feed=job_feed,
        accordion=accordion,
        relabel=gr.Button("", elem_id="language-changed", visible="hidden"),
        ask_again=gr.Button("", elem_id="ask-again", visible="hidden"),
        model=model,
        trust=trust,
        jobs=jobs,
        wheel=wheel,
        open_trace=open_trace,
        worded=worded,
        settings=settings,
        chips=chips,
    )


def _chip(example: dict[str, Any]) -> gr.Button:
    return gr.Button(example["label"][DEFAULT_LANGUAGE], size="sm", elem_classes="chip")


def _control(setting: Setting) -> gr.components.Component:
    words = texts()[DEFAULT_LANGUAGE]["settings"][setting.name]
    common: dict[str, Any] = {
        "label": words["label"],
        "info": words["help"],
        "elem_id": f"setting-{setting.name}",
    }
    if setting.kind == "switch":
        return gr.Checkbox(setting.default, **common)
    if setting.kind == "text":
        return gr.Textbox(setting.default, lines=1, max_lines=4, **common)
    if setting.kind == "lines":
        return gr.Textbox("\n".join(setting.default), lines=1, max_lines=4, **common)
    if setting.kind == "choice":
        return gr.Dropdown(list(setting.choices), value=setting.default, **common)
    if setting.kind == "seed":
        # A number field shows 0 where no number is.
        return gr.Textbox("", max_lines=1, max_length=len(str(setting.high)), **common)
    return NumberSlider(setting.low, setting.high, setting.default, step=setting.step, **common)


def head(limits: Limits) -> str:
    """What the page's `<head>` loads: the words, Plotly's own script, and the page's scripts."""
    shown = [_within(example, limits) for example in examples()]
    modules = "".join(
        f'<script type="module" src="{FILES_ADDRESS}/{name}"></script>' for name in SCRIPTS
    )
    styles = "".join(f'<link rel="stylesheet" href="{FILES_ADDRESS}/{name}">' for name in STYLES)
    return (
        f"{_data('decoding-live-texts', texts())}{_data('decoding-live-examples', shown)}"
        f"{_data('decoding-live-catalogue', [asdict(entry) for entry in catalogue()])}"
        f"{_data('decoding-live-evaluation', evaluation())}"
        f"{styles}"
        f'<script src="{FILES_ADDRESS}/plotly.min.js" defer></script>{modules}'
    )


def _within(example: dict[str, Any], limits: Limits) -> dict[str, Any]:
    """The example, asking for no more than the operator allows."""
    asked = example["settings"]["max_new_tokens"]
    return {
        **example,
        "settings": {**example["settings"], "max_new_tokens": min(asked, limits.new_tokens)},
    }


def _data(elem_id: str, value: object) -> str:
    data = json.dumps(value, ensure_ascii=False).replace("<", "\\u003c")
    return f'<script type="application/json" id="{elem_id}">{data}</script>'
