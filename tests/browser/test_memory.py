"""The panels on memory in a real Chromium: layers, forecast and other models."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from browser_page import (
    BROWSER_MARKS,
    ENDED,
    Served,
    ask,
    frames_pass,
    look_at,
    plotted,
    run_to_end,
    shows,
    size_text,
    tiny_page_model,
    work_of,
    work_to_end,
)
from tiny import byte_tokenizer, tiny_model

from decoding import LanguageModel, forecast_memory
from decoding.live.model_source import GivenModel
from decoding.records.requests import ModelChoice

pytestmark = BROWSER_MARKS

Visit = Callable[..., Any]
Serve = Callable[..., str]
MARKUP = "<img src=x onerror=alert(1)>"


@pytest.fixture
def tiny(served: Callable[[str], Served]) -> Served:
    return served("tiny")


@pytest.fixture
def address(tiny: Served) -> str:
    return tiny.address


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Another model on the disk: of two layers, with a formula of its own."""
    model = tiny_model("qwen2", num_hidden_layers=2, tie_word_embeddings=False)
    model.generation_config.eos_token_id = None
    model.save_pretrained(tmp_path / "other")
    byte_tokenizer().save_pretrained(tmp_path / "other")
    return tmp_path / "other"


def column_heights(page: Any) -> list[float]:
    """How much of its height each drawn column of the layers' chart fills."""
    return list(
        page.evaluate(
            "[...document.querySelectorAll('#layers-chart .held')]"
            ".map(held => held.transform.baseVal.consolidate().matrix.d)"
        )
    )


def reading(page: Any, panel: str) -> str:
    return str(page.locator(f"#{panel}-panel .reading").first.inner_text())


def open_model(page: Any) -> None:
    page.evaluate("document.querySelector('#model .label-wrap').classList.contains('open')") or (
        page.click("#model .label-wrap")
    )


def choose_model(page: Any, name: str) -> None:
    open_model(page)
    page.fill("#model-name :is(input, textarea)", name)
    frames_pass(page)
    page.click("#model-load")


def loaded(page: Any) -> dict[str, Any]:
    return dict(page.evaluate("decodingLive.store.loaded"))


def test_the_layers_follow_the_cursor_with_measurement_and_formula(
    visit: Visit, address: str
) -> None:
    page = visit(address)
    steps = run_to_end(page, "Layers", charts=False, tokens=12)
    look_at(page, "layers")
    page.focus("#layers-chart")
    last_positions = steps[-1]["kv"][0]
    for key, index in [("Home", 0), ("ArrowRight", 1), ("End", 11), ("ArrowLeft", 10)]:
        page.keyboard.press(key)
        positions, held = steps[index]["kv"]
        shows(page, "#layers-panel", f"{positions} positions, {size_text(held)} in the cache")
        assert held == positions * 384
        formula = (
            f"2 · 3 layers · 2 KV heads · 8 head size · {positions} positions · 4 bytes "
            f"= {size_text(held)} · as measured"
        )
        shows(page, "#layers-panel", formula)
        assert column_heights(page) == pytest.approx([positions / last_positions] * 3, abs=1e-3)
        used = size_text(steps[index]["m"][0])
        shows(page, "#layers-panel", f"the process: {used}")


def test_layers_with_a_sliding_window_are_cut(visit: Visit, serve: Serve) -> None:
    page = visit(serve(LanguageModel(tiny_model("mistral"), byte_tokenizer(), name="window")))
    steps = run_to_end(page, "A window slides", charts=False, tokens=6)
    look_at(page, "layers")
    shows(page, "#layers-panel", "No formula for the whole: some layers keep only the last")
    assert "as measured" not in page.inner_text("#layers-panel")
    positions, held = steps[-1]["kv"]
    assert steps[-1]["L"] == [[3, 5, held // 3]]
    assert column_heights(page) == pytest.approx([5 / positions] * 3, abs=1e-3)
    page.hover("#layers-chart [data-layer='1']")
    shows(
        page,
        "#layers-panel .pointed",
        f"layer 2 · sliding window · 2 KV heads of 8 · 5 of {positions}",
    )


def test_a_state_is_drawn_as_what_does_not_grow(visit: Visit, serve: Serve) -> None:
    page = visit(serve(LanguageModel(tiny_model("mamba"), byte_tokenizer(), name="states")))
    steps = run_to_end(page, "A state", charts=False, tokens=6)
    look_at(page, "layers")
    shows(page, "#layers-panel", "No formula for the whole: a layer with a state holds the same")
    shows(page, "#layers-panel", "3 × state space, a state")
    assert {step["kv"][1] for step in steps} == {3 * 3072}
    assert page.locator("#layers-chart .layer .state").count() == 3
    assert column_heights(page) == []
    look_at(page, "forecast")
    shows(page, "#forecast-panel", "A text of any length fits here")


def test_layers_that_store_nothing_are_hatched(visit: Visit, serve: Serve) -> None:
    page = visit(serve(LanguageModel(tiny_model("gemma4_text"), byte_tokenizer(), name="shared")))
    run_to_end(page, "Shared", charts=False, tokens=6)
    look_at(page, "layers")
    shows(page, "#layers-panel", "read the keys and values of an earlier one")
    assert page.locator("#layers-chart .layer.shared [fill='url(#shared-layer)']").count() == 2
    assert page.locator("#layers-chart path.source").count() == 2
    assert len(column_heights(page)) == 4
    page.hover("#layers-chart [data-layer='5']")
    shows(page, "#layers-panel .pointed", "layer 6 · shared, stores nothing · reads layer 4")


def test_a_run_without_a_cache_says_so(visit: Visit, address: str) -> None:
    page = visit(address)
    ask(page, "No", tokens=2)
    page.wait_for_function(ENDED)
    page.set_checked("#setting-use_cache input", False)
    steps = run_to_end(page, "No cache", charts=False, tokens=6)
    assert [step["kv"] for step in steps] == [None] * 6
    look_at(page, "layers")
    shows(page, "#layers-panel", "There is no cache in this run")
    assert page.locator("#layers-chart").is_hidden()


def test_the_forecast_is_the_engines(visit: Visit, tiny: Served) -> None:
    page = visit(tiny.address)
    look_at(page, "forecast")
    facts = loaded(page)
    expected = replace(
        forecast_memory(tiny.lm), free_bytes=facts["free_bytes"], total_bytes=facts["total_bytes"]
    )
    assert facts["weight_bytes"] == expected.weight_bytes
    outgrows, longest = expected.outgrows_weights_at(), expected.longest_context()
    assert outgrows is not None
    assert outgrows < 8192 < longest
    shows(page, "#forecast-panel", f"outgrows the weights at {outgrows:,} tokens.")
    shows(
        page,
        "#forecast-panel",
        f"context of 8,192 tokens fits here; memory would last for {longest:,}.",
    )
    page.wait_for_function(
        "document.querySelector('#forecast-chart .js-plotly-plot')?.data?.[0]?.x.length > 0"
    )
    lengths = page.evaluate("document.querySelector('#forecast-chart .js-plotly-plot').data[0].x")
    curves = plotted(page, "forecast-chart")
    for batch in (1, 8, 32):
        wanted = [expected.cache_bytes(length, batch) for length in lengths]
        assert curves[f"batch_{batch}"] == wanted


def test_another_model_takes_over_and_the_run_that_is_shown_keeps_its_numbers(
    visit: Visit, serve: Serve, folder: Path
) -> None:
    page = visit(serve(tiny_page_model(name="first")))
    run_to_end(page, "Before", charts=False, tokens=6)
    look_at(page, "layers")
    before = reading(page, "layers")
    choose_model(page, str(folder))
    page.wait_for_function("decodingLive.store.loaded.name !== 'first'")
    facts = loaded(page)
    assert (facts["architecture"], facts["layers"]) == ("Qwen2ForCausalLM", 2)
    shows(page, "#model-facts", "Qwen2ForCausalLM")
    shows(page, "#model-facts", size_text(facts["weight_bytes"]))
    shows(page, "#summary", facts["name"])
    shows(page, "#status .note", f"{facts['name']} is loaded, in float32")
    look_at(page, "layers")
    assert page.evaluate("decodingLive.store.model.name") == "first"
    assert reading(page, "layers") == before
    assert page.locator("#layers-chart [data-layer]").count() == 3

    page.click("#caching-start")
    shows(page, "#caching-panel", "This text was written by first")
    assert work_of(page, "caching")["rows"] == []

    run_to_end(page, "After", charts=False, tokens=6)
    look_at(page, "layers")
    shows(page, "#layers-panel", "2 · 2 layers · 2 KV heads")
    assert page.evaluate("decodingLive.store.model.name") == facts["name"]
    assert page.locator("#layers-chart [data-layer]").count() == 2
    job = work_to_end(page, "caching")
    assert (job["state"], job["head"]["model"]) == ("finished", facts["name"])


@pytest.mark.parametrize("name", ["./there-is-no-such-folder", MARKUP])
def test_a_refused_model_is_told_as_text_and_the_old_one_stays(
    visit: Visit, address: str, name: str
) -> None:
    page = visit(address)
    choose_model(page, name)
    shows(page, "#status .note", name)
    assert page.locator("#status img").count() == 0
    assert loaded(page)["name"] == "tiny"
    run_to_end(page, "Still here", charts=False, tokens=3)
    assert page.evaluate("decodingLive.store.model.name") == "tiny"


def test_a_load_that_is_cancelled_leaves_the_old_model(visit: Visit, serve: Serve) -> None:
    class LoadsSlowly(GivenModel):
        def load(self, choice: ModelChoice, progress: Any, room: Any) -> LanguageModel:
            if choice == ModelChoice():
                return super().load(choice, progress, room)
            for done in range(1, 200):
                progress("load", done, 200)
                time.sleep(0.05)
            raise AssertionError("nobody cancelled")

    lm = LanguageModel(tiny_model("llama"), byte_tokenizer(), name="kept")
    page = visit(serve(LoadsSlowly(lm)))
    choose_model(page, "some/model")
    shows(page, "#status .note", "Loading the model")
    page.wait_for_selector("#status .note progress")
    page.click("#model-stop")
    shows(page, "#status .note", "Loading was cancelled.")
    page.wait_for_selector("#model-stop", state="hidden")
    assert loaded(page)["name"] == "kept"
