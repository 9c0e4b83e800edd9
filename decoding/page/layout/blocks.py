"""The page's blocks, which leave no event loops behind."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

import gradio as gr

from decoding.live.live_model import LiveModel
from decoding.page.visitors.runs import Runs
from decoding.page.visitors.traces import Traces

T = TypeVar("T")


class App(gr.Blocks):
    """The page's blocks.

    Attributes:
        model: the one that all visitors share.
        runs: each visitor's run.
        traces: the files of the runs.
    """

    model: LiveModel
    runs: Runs
    traces: Traces

    def __init__(self, **options: Any) -> None:
        beside_a_loop(lambda: super(App, self).__init__(**options))

    def queue(self, *args: Any, **options: Any) -> Any:
        """As Gradio's."""
        return beside_a_loop(lambda: super(App, self).queue(*args, **options))

    def launch(self, *args: Any, **options: Any) -> Any:
        """As Gradio's."""
        return beside_a_loop(lambda: super(App, self).launch(*args, **options))


def beside_a_loop(make: Callable[[], T]) -> T:
    """What `make` gives, called where an event loop runs, which is closed afterwards.

    Where none runs Gradio makes one for each of its locks and closes none: the garbage collector
    takes them apart in any order, which ends in a traceback for each.
    """

    async def made() -> T:
        return make()

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        loop = asyncio.new_event_loop()  # not `asyncio.run`, which takes Ctrl-C for its own
        try:
            return loop.run_until_complete(made())
        finally:
            loop.close()
    return make()
