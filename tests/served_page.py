"""The page as it is served, and a visitor of it without a browser."""

from __future__ import annotations

import contextlib
import json
import threading
import time

import httpx
from ports import free_port

import app
from decoding.page.layout.events import SETTING_NAMES
from decoding.page.requests.settings import DEFAULT_LIMITS, PAGE_SETTINGS


@contextlib.contextmanager
def serving(model, limits=DEFAULT_LIMITS, **options):
    demo = app.build_app(model, limits=limits, **options)
    _, url, _ = demo.launch(
        **app.launch_options(port=free_port()), prevent_thread_lock=True, inbrowser=False
    )
    try:
        yield demo, url
    finally:
        demo.close()
        demo.runs.model.worker.shutdown()


def until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.02)


def event(demo, name):
    return next(fn for fn in demo.fns.values() if fn.name == name)


def block(demo, elem_id):
    return next(b for b in demo.blocks.values() if getattr(b, "elem_id", None) == elem_id)


class Visitor:
    """Speaks to the page's events as a browser does."""

    def __init__(self, demo, url, name):
        self.demo, self.name = demo, name
        self.api = f"{url.rstrip('/')}/gradio_api"

    def press(self, name, data):
        body = {"data": data, "fn_index": event(self.demo, name)._id, "session_hash": self.name}
        return httpx.post(f"{self.api}/queue/join", json=body).raise_for_status()

    def generate(self, prompt, settings):
        defaults = {setting.name: setting.default for setting in PAGE_SETTINGS}
        values = {**defaults, "stop_strings": "", "seed": "", **settings}
        named = [values[name] for name in SETTING_NAMES]
        return self.press("generate", [prompt, False, "", *named, ""])

    def last_frame(self, name, data):
        """The last frame that a button's event answers with."""
        event_id = self.press(name, data).json()["event_id"]
        query = {"session_hash": self.name}
        with httpx.stream("GET", f"{self.api}/queue/data", params=query, timeout=60) as answers:
            return next(values_of(answers, event_id))

    def read(self):
        """Reads what was asked for to its end, on a thread of its own: what nobody reads ends."""

        def all_of_it():
            query = {"session_hash": self.name}
            with httpx.stream("GET", f"{self.api}/queue/data", params=query, timeout=60) as answers:
                for _ in answers.iter_lines():
                    continue

        threading.Thread(target=all_of_it, daemon=True).start()

    def stop(self, name="stop"):
        body = {"data": [], "fn_index": event(self.demo, name)._id, "session_hash": self.name}
        return httpx.post(f"{self.api}/run/predict", json=body)

    def is_running(self, what="run"):
        return (what, self.name) in self.demo.runs.queue.streams.values()


def values_of(answers, event_id):
    """What an event's answers say, as long as they come; each value is a frame."""
    for line in answers.iter_lines():
        message = json.loads(line[6:]) if line.startswith("data: ") else {}
        if message.get("event_id") != event_id:
            continue
        if message["msg"] == "process_completed":
            yield json.loads(message["output"]["data"][0])
            return
