"""The page's blocks and what Gradio leaves behind."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest

from decoding.page.layout.blocks import App, beside_a_loop


@pytest.fixture
def elsewhere():
    """Calls in a thread of its own: in this one the browser's tests may have a loop that runs."""
    with ThreadPoolExecutor(1) as pool:
        yield lambda *call: pool.submit(*call).result()


def test_no_event_loop_is_left_open(monkeypatch, elsewhere):
    loops = []
    make = asyncio.new_event_loop

    def new_event_loop():
        loops.append(make())
        return loops[-1]

    monkeypatch.setattr(asyncio, "new_event_loop", new_event_loop)
    elsewhere(lambda: App().queue(max_size=4))
    assert loops, "Gradio made locks"
    assert all(loop.is_closed() for loop in loops)


def test_a_loop_that_runs_already_goes_on(elsewhere):
    async def made():
        return beside_a_loop(asyncio.get_running_loop) is asyncio.get_running_loop()

    assert elsewhere(asyncio.run, made())
