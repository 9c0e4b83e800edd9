"""The longer jobs in a real Chromium: comparisons and measurement, from the click to the end."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from browser_page import (
    BROWSER_MARKS,
    HOSTILE,
    Served,
    look_at,
    plotted,
    run_to_end,
    shows,
    size_text,
    wait_for_work,
    work_of,
    work_to_end,
)

pytestmark = BROWSER_MARKS

Visit = Callable[..., Any]
Serve = Callable[..., str]
PANELS = ("layers", "forecast", "caching", "precision", "roofline")
(PLAIN_SECONDS, OTHER_SECONDS, PLAIN_FED, OTHER_FED) = range(2, 6)
(PLAIN_BYTES, OTHER_BYTES, LARGEST, KL, SAME) = range(6, 11)


@pytest.fixture
def address(served: Callable[[str], Served]) -> str:
    return served("tiny").address


@pytest.fixture
def slow_address(served: Callable[[str], Served]) -> str:
    return served("slow").address


def counts(page: Any) -> tuple[float, float]:
    """Nodes and listeners of the page that the collector leaves, once nothing is drawn any more."""
    devtools = page.context.new_cdp_session(page)
    devtools.send("Performance.enable")
    seen: list[tuple[float, float]] = []
    while len(seen) < 2 or seen[-1] != seen[-2]:
        page.wait_for_timeout(800)
        devtools.send("HeapProfiler.collectGarbage")
        metrics = devtools.send("Performance.getMetrics")["metrics"]
        named = {metric["name"]: metric["value"] for metric in metrics}
        seen.append((named["Nodes"], named["JSEventListeners"]))
    devtools.detach()
    return seen[-1]


def choose_other(page: Any, other: str) -> None:
    page.click("#caching-other input")
    page.get_by_role("option", name=other, exact=True).click()


def assert_no_keys(page: Any) -> None:
    text = page.inner_text("body")
    assert "views." not in text
    assert "messages." not in text


def test_a_comparison_of_caches_from_click_to_sums(visit: Visit, address: str) -> None:
    page = visit(address)
    steps = run_to_end(page, "Worth", charts=False, tokens=12)
    job = work_to_end(page, "caching")
    assert job["state"] == "finished"
    rows, summary = job["rows"], job["summary"]
    assert [row[:2] for row in rows] == [[i, 5 + i] for i in range(12)]
    assert [token_id for token_id, _text in job["head"]["tokens"]] == [step["id"] for step in steps]
    assert [row[PLAIN_FED] for row in rows] == [5] + [1] * 11
    assert [row[OTHER_FED] for row in rows] == [row[1] for row in rows]
    assert [row[PLAIN_BYTES] for row in rows] == [384 * row[1] for row in rows]
    for name, column in (("plain_seconds", PLAIN_SECONDS), ("other_seconds", OTHER_SECONDS)):
        assert summary[name] == pytest.approx(sum(row[column] for row in rows), rel=1e-3)
    assert summary["largest_logit_difference"] == max(row[LARGEST] for row in rows)
    assert summary["mean_kl_nats"] == pytest.approx(sum(row[KL] for row in rows) / 12, rel=1e-3)
    assert summary["changed"] == sum(not row[SAME] for row in rows) == 0
    assert (summary["plain_bytes"], summary["other_bytes"]) == (384 * 16, None)
    shows(page, "#caching-panel", "Over 12 inferences")
    shows(page, "#caching-panel", "The cache changes the cost, not the answer.")
    shows(page, "#caching-panel", size_text(384 * 16))
    page.wait_for_selector("#caching-chart .js-plotly-plot")
    times = plotted(page, "caching-chart")
    assert times["plain"] is not None
    assert page.evaluate("document.body.dataset.workState") == "ready"


def test_other_caches_are_chosen_from_the_list(visit: Visit, address: str) -> None:
    page = visit(address)
    steps = run_to_end(page, "Other caches", charts=False, tokens=6)
    for other, name in (("static", "static cache"), ("quantized", "8-bit cache")):
        choose_other(page, other)
        job = work_to_end(page, "caching")
        assert (job["state"], job["head"]["other"]) == ("finished", other), job["message"]
        assert [row[OTHER_FED] for row in job["rows"]] == [step["in"] for step in steps]
        shows(page, "#caching-panel", name)
    assert job["summary"]["mean_kl_nats"] > 0
    assert job["summary"]["other_bytes"] < job["summary"]["plain_bytes"]
    if not torch.cuda.is_available():
        choose_other(page, "offloaded")
        assert work_to_end(page, "caching")["state"] == "error"
        shows(page, "#caching-panel", "accelerator")


def test_lost_frames_of_a_job_are_fetched_again(visit: Visit, address: str) -> None:
    page = visit(address)
    run_to_end(page, "Gaps", charts=False, tokens=60)
    page.evaluate(
        """() => {
            const { receive } = decodingLive;
            window.lost = 0;
            decodingLive.receive = (text) => {
                if (JSON.parse(text).state === "finished") receive(text);
                else window.lost += 1;
            };
        }"""
    )
    work_to_end(page, "caching")
    shows(page, "#caching-panel", "Over 60 inferences")
    job = work_of(page, "caching")
    assert page.evaluate("window.lost") > 0
    assert [row[0] for row in job["rows"]] == list(range(60))
    assert len(job["head"]["tokens"]) == 60


def test_a_model_that_cannot_be_quantized_here_is_back_after_the_refusal(
    visit: Visit, address: str
) -> None:
    page = visit(address)
    run_to_end(page, "Precision", charts=False, tokens=4)
    job = work_to_end(page, "precision")
    assert job["state"] == "error"
    shows(page, "#precision-panel", "cannot be had in another number format")
    run_to_end(page, "Back", charts=False, tokens=4)


@pytest.mark.parametrize(("four_bit", "is_dear"), [(2.0, True), (0.5, False)])
def test_quantization_is_called_slow_only_where_it_was(
    visit: Visit, address: str, four_bit: float, is_dear: bool
) -> None:
    page = visit(address)
    models = [
        {
            "precision": precision, "weight_bytes": 1000, "perplexity": 2.0,
            "seconds_per_token": seconds, "mean_kl_nats": 0.1, "changed": 0,
        }
        for precision, seconds in (("float32", 1.0), ("8bit", 1.5), ("4bit", four_bit))
    ]  # fmt: skip
    head = {"model": "tiny", "precisions": ["float32", "8bit", "4bit"], "tokens": [[97, "a"]]}
    frame = {
        "work": "measured", "kind": "precision", "state": "finished", "message": None,
        "progress": None, "total": 1, "start": 0, "rows": [[1, 0, -1.0, 0.1, 1]], "head": head,
        "summary": {"models": models},
    }  # fmt: skip
    page.evaluate("text => decodingLive.receive(text)", json.dumps(frame))
    look_at(page, "precision")
    shows(page, "#precision-panel", "4bit has 100")
    told = page.inner_text("#precision-panel")
    assert ("saves memory and costs time" in told) is is_dear


def test_without_a_run_there_is_nothing_to_compare(visit: Visit, address: str) -> None:
    page = visit(address)
    for kind in ("caching", "precision"):
        look_at(page, kind)
        assert page.is_disabled(f"#{kind}-start")
        shows(page, f"#{kind}-panel", "Generate a text first")


def test_the_roofline_is_measured(visit: Visit, address: str) -> None:
    page = visit(address)
    job = work_to_end(page, "roofline")
    assert job["state"] == "finished", job["message"]
    points = {point["phase"]: point for point in job["summary"]["points"]}
    assert set(points) == {"prefill", "decode"}
    assert points["prefill"]["tokens"] == job["head"]["prompt_tokens"]
    shows(page, "#roofline-panel", "FLOP")
    page.wait_for_selector("#roofline-chart .js-plotly-plot")


def test_a_comparison_is_stopped(visit: Visit, slow_address: str) -> None:
    page = visit(slow_address)
    run_to_end(page, "Stop", charts=False, tokens=200)
    page.click("#caching-start")
    page.wait_for_selector("#work-stop", state="visible")
    look_at(page, "caching")
    shows(page, "#caching-panel", "of 200 …")
    page.click("#work-stop")
    job = wait_for_work(page, "caching", "")
    assert job["state"] == "stopped"
    assert 0 < len(job["rows"]) < 200
    shows(page, "#caching-panel", "Stopped.")
    page.wait_for_selector("#work-stop", state="hidden")
    run_to_end(page, "Goes on", charts=False, tokens=3)


def test_a_closed_tab_ends_its_comparison(visit: Visit, slow_address: str) -> None:
    first, second = visit(slow_address), visit(slow_address)
    run_to_end(second, "Second", charts=False, tokens=2)
    run_to_end(first, "First", charts=False, tokens=200)
    first.click("#caching-start")
    first.wait_for_selector("#work-stop", state="visible")
    # What loads the model itself begins when nothing else has begun.
    second.click("#precision-start")
    look_at(second, "precision")
    shows(second, "#precision-panel", "Waiting in line, 1 before")
    first.close()
    # All of its tokens would take longer.
    job = wait_for_work(second, "precision", "", seconds=10)
    assert (job["state"], job["message"]["key"]) == ("error", "error")


@pytest.fixture
def default_address(serve: Serve) -> str:
    return serve()


@pytest.mark.default_model
@pytest.mark.timeout(400)
def test_the_default_model_in_three_precisions(visit: Visit, default_address: str) -> None:
    page = visit(default_address)
    steps = run_to_end(page, "Why is the sky blue?", charts=False, tokens=6, chat=True)
    before = page.evaluate("decodingLive.store.loaded.weight_bytes")
    job = work_to_end(page, "precision", seconds=200)
    assert job["state"] == "finished", job["message"]
    tokens, models = len(steps), job["summary"]["models"]
    assert [row[:2] for row in job["rows"]] == [[m, i] for m in range(3) for i in range(tokens)]
    assert [model["precision"] for model in models] == job["head"]["precisions"]
    sizes = [model["weight_bytes"] for model in models]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] == before
    for index, model in enumerate(models):
        rows = [row for row in job["rows"] if row[0] == index]
        perplexity = math.exp(-sum(row[2] for row in rows) / tokens)
        assert model["perplexity"] == pytest.approx(perplexity, rel=1e-3)
        shows(page, "#precision-panel", size_text(model["weight_bytes"]))
        if index:
            kl = sum(row[3] for row in rows) / tokens
            assert model["mean_kl_nats"] == pytest.approx(kl, rel=1e-3)
            assert model["changed"] == sum(not row[4] for row in rows)
    page.wait_for_selector("#precision-chart .js-plotly-plot")

    page.click("#precision-start")
    # Pressed in the frame in which it appears: from here it may have ended by the time of a click.
    page.wait_for_function(
        "() => { const stop = document.querySelector('#work-stop');"
        " if (!stop?.offsetParent) return false; stop.click(); return true; }"
    )
    assert wait_for_work(page, "precision", job["id"])["state"] == "stopped"
    run_to_end(page, "It is back", charts=False, tokens=2)
    assert page.evaluate("decodingLive.store.loaded.weight_bytes") == before


def test_hostile_tokens_stay_text_in_a_comparison(
    visit: Visit, served: Callable[[str], Served]
) -> None:
    texts = tuple(dict.fromkeys(text for text in HOSTILE if len(text) < 200))
    page = visit(served("hostile").address)
    run_to_end(page, "go", charts=False, tokens=len(texts))
    job = work_to_end(page, "caching")
    assert job["state"] == "finished", job["message"]
    shown = [text for _id, text in job["head"]["tokens"]]
    assert len(set(shown) & set(texts)) > len(texts) * 0.5
    box = "#caching-panel .marked-text"
    assert page.evaluate(f"document.querySelector({box!r}).textContent") == "".join(shown)
    assert job["summary"]["changed"] > 0
    assert page.locator(f"{box} mark").count() == job["summary"]["changed"]
    assert page.locator("#memory :is(b:not([class]), img, script, a[href])").count() == 0
    assert page.evaluate("window.pw") is None


def test_comparisons_leave_nothing_behind(visit: Visit, address: str) -> None:
    page = visit(address)
    run_to_end(page, "Growth", charts=False, tokens=8)
    for _ in range(2):
        work_to_end(page, "caching")
    nodes, listeners = counts(page)
    for _ in range(3):
        work_to_end(page, "caching")
    later_nodes, later_listeners = counts(page)
    assert later_nodes <= nodes + 40
    assert later_listeners <= listeners


def test_the_section_speaks_the_readers_language(visit: Visit, address: str) -> None:
    page = visit(address, locale="zh-TW")
    for panel in PANELS:
        look_at(page, panel)
        assert_no_keys(page)
    run_to_end(page, "你好", charts=False, tokens=6)
    for kind in ("caching", "roofline"):
        assert work_to_end(page, kind)["state"] == "finished"
    page.click("#model .label-wrap")
    for panel in PANELS:
        look_at(page, panel)
        assert_no_keys(page)
    shows(page, "#layers-panel", "層")


def test_the_section_fits_a_narrow_page(visit: Visit, address: str) -> None:
    page = visit(address, viewport={"width": 420, "height": 900})
    run_to_end(page, "Narrow", charts=False, tokens=40)
    for kind in ("caching", "roofline"):
        work_to_end(page, kind)
    page.click("#model .label-wrap")
    for panel in PANELS:
        look_at(page, panel)
    assert page.evaluate("document.documentElement.scrollWidth") <= 420
