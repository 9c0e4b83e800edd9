"""Other models in the place of the first: switching, failing, stopping, working alone, budgets."""

from __future__ import annotations

import gc
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import bitsandbytes  # noqa: F401  what its import logs would keep a model alive in pytest
import pytest
import torch
from tiny import byte_tokenizer, tiny_model

from decoding import LanguageModel, ModelLoadError, ModelTooLargeError, decode, load_model
from decoding.live.live_model import LiveModel
from decoding.live.loaded_models import forget_frames
from decoding.live.model_source import GivenModel, ModelSource
from decoding.models import fit as room_of_fit
from decoding.records.errors import SessionError
from decoding.records.requests import ContinueOrder, InspectRequest, ModelChoice, RunRequest

GREEDY = {"do_sample": False, "max_new_tokens": 3}


def saved(folder: Path, family: str, **changes: Any) -> str:
    tiny_model(family, **changes).save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    base = tmp_path_factory.mktemp("models")
    names = {family: saved(base / family, family) for family in ("llama", "qwen3", "gpt2")}
    names["broken"] = saved(base / "broken", "qwen2")
    weights = base / "broken" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    return names


class Loads(ModelSource):
    """What the page hands to the live model, with a record of each load."""

    def __init__(self, own: str) -> None:
        super().__init__(own)
        self.own = own
        self.begun: list[str] = []
        self.models: list[weakref.ref[Any]] = []
        self.on_load: Callable[[int, int], None] = lambda done, total: None

    def load(self, choice: ModelChoice, progress: Any, room: Any) -> LanguageModel:
        self.begun.append(Path(choice.name or self.own).name)

        def told(stage: Any, done: int, total: int) -> None:
            progress(stage, done, total)
            self.on_load(done, total)

        lm = super().load(choice, told, room)
        self.models.append(weakref.ref(lm.model))
        return lm

    @property
    def alive(self) -> int:
        gc.collect()
        return sum(model() is not None for model in self.models)


@pytest.fixture
def loads(folders: dict[str, str]) -> Loads:
    return Loads(folders["llama"])


@pytest.fixture
def live(loads: Loads) -> Iterator[Callable[..., LiveModel]]:
    made: list[LiveModel] = []

    def make(**options: Any) -> LiveModel:
        made.append(LiveModel(loads, **options))
        made[-1].shared.wait()
        return made[-1]

    yield make
    for model in made:
        model.worker.shutdown()


def drain(stream: Any) -> list[Any]:
    items: list[Any] = []
    while not stream.done:
        items += stream.take(5)
    return items


def name_of(model: LiveModel) -> str:
    assert model.status.state == "ready"
    assert model.status.facts is not None
    return model.status.facts.name


# --- switching ----------------------------------------------------------------------------


def test_a_choice_takes_the_models_place(live: Any, loads: Loads, folders: dict[str, str]) -> None:
    model = live()
    alive: list[int] = []
    progress = set()

    def look(done: int, total: int) -> None:
        progress.add(model.status.progress)
        if not alive:
            alive.append(loads.alive)

    loads.on_load = look
    statuses = drain(model.shared.switch(ModelChoice(folders["qwen3"])))
    assert [status.state for status in statuses] == ["loading", "ready"]
    assert name_of(model) == "qwen3"
    assert alive == [0], "the old one was there when the new one was read"
    assert len(progress) > 5
    assert loads.alive == 1
    head = next(iter(drain(model.stream("run", RunRequest("a", GREEDY, 0), lambda *_: None))))
    assert head.model.name == "qwen3"
    assert loads.begun == ["llama", "qwen3"]


def test_the_operators_own_can_be_switched_back_to(
    live: Any, loads: Loads, folders: dict[str, str]
) -> None:
    model = live()
    drain(model.shared.switch(ModelChoice(folders["qwen3"])))
    drain(model.shared.switch(ModelChoice()))
    assert name_of(model) == "llama"
    drain(model.shared.switch(ModelChoice()))
    assert loads.begun == ["llama", "qwen3", "llama"], "what is loaded is not loaded again"
    assert loads.alive == 1


def test_a_refused_choice_leaves_the_model_where_it_is(
    live: Any, loads: Loads, folders: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = live()
    facts, here = model.status.facts, loads.models[0]()
    with pytest.raises(ModelLoadError, match="no folder"):
        drain(model.shared.switch(ModelChoice("./nowhere")))
    monkeypatch.setattr(room_of_fit, "free_memory", lambda device: 1_000)
    with pytest.raises(ModelTooLargeError):
        drain(model.shared.switch(ModelChoice(folders["qwen3"])))
    assert model.status.facts is facts
    assert name_of(model) == "llama"
    assert loads.models[0]() is here
    assert loads.begun == ["llama", "nowhere", "qwen3"]


def test_a_model_that_somebody_holds_does_not_make_way(
    folders: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    held = load_model(folders["llama"])
    free = room_of_fit.ROOM_TO_COMPUTE_BYTES + held.weight_bytes // 2

    class Holding(Loads):
        def load(self, choice: ModelChoice, progress: Any, room: Any) -> LanguageModel:
            return held if choice == ModelChoice() else super().load(choice, progress, room)

    loads = Holding(folders["llama"])
    model = LiveModel(loads)
    try:
        model.shared.wait()
        monkeypatch.setattr(room_of_fit, "free_memory", lambda device: free)
        with pytest.raises(ModelTooLargeError):
            drain(model.shared.switch(ModelChoice(folders["qwen3"])))
        assert name_of(model) == "llama"
        assert loads.models == []
    finally:
        model.worker.shutdown()


def test_when_the_new_one_fails_the_old_one_is_loaded_again(
    live: Any, loads: Loads, folders: dict[str, str]
) -> None:
    model = live()
    with pytest.raises(ModelLoadError, match="weights of broken"):
        drain(model.shared.switch(ModelChoice(folders["broken"])))
    assert name_of(model) == "llama"
    assert loads.begun == ["llama", "broken", "llama"]
    assert loads.alive == 1
    assert len(drain(model.stream("run", RunRequest("a", GREEDY, 0), lambda *_: None))) > 1


def test_a_choice_that_cannot_run_is_given_up(
    live: Any, loads: Loads, folders: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = live()

    def fail(lm: LanguageModel, on_prefill: Any) -> None:
        if lm.name == "qwen3":
            raise ModelLoadError("It cannot run.")

    monkeypatch.setattr("decoding.live.shared_model._warm_up", fail)
    with pytest.raises(ModelLoadError, match="cannot run"):
        drain(model.shared.switch(ModelChoice(folders["qwen3"])))
    assert name_of(model) == "llama"
    assert loads.alive == 1


def test_a_load_that_is_stopped_half_way_is_undone(
    live: Any, loads: Loads, folders: dict[str, str]
) -> None:
    model = live()
    half_way, stopped = threading.Event(), threading.Event()

    def wait_half_way(done: int, total: int) -> None:
        if total < 2 * done < 2 * total and not half_way.is_set():
            half_way.set()
            stopped.wait(20)

    loads.on_load = wait_half_way
    stream = model.shared.switch(ModelChoice(folders["qwen3"]))
    assert half_way.wait(60)
    assert model.status.state == "loading"
    stream.close()
    stopped.set()
    assert [status.state for status in drain(stream)] == ["loading"]
    assert name_of(model) == "llama"
    assert loads.begun == ["llama", "qwen3", "llama"]
    assert loads.alive == 1


@pytest.mark.parametrize(
    "where", ["decoding.live.shared_model._warm_up", "decoding.core.description.model_facts"]
)
def test_a_load_that_is_stopped_at_its_very_end_is_undone(
    live: Any, loads: Loads, monkeypatch: pytest.MonkeyPatch, folders: dict[str, str], where: str
) -> None:
    model = live()
    at_the_end, stopped = threading.Event(), threading.Event()
    module, name = where.rsplit(".", 1)
    real = getattr(sys.modules[module], name)

    def waits(lm: LanguageModel, *rest: Any) -> Any:
        if lm.name == "qwen3":
            at_the_end.set()
            stopped.wait(20)
        return real(lm, *rest)

    monkeypatch.setattr(where, waits)
    stream = model.shared.switch(ModelChoice(folders["qwen3"]))
    assert at_the_end.wait(20)
    stream.close()
    stopped.set()
    model.worker.submit(lambda: None).result(20)
    assert name_of(model) == "llama"
    assert model.status.state == "ready"
    assert loads.alive == 1


def test_one_that_waits_in_line_and_is_closed_never_loads(
    live: Any, loads: Loads, folders: dict[str, str]
) -> None:
    model = live()
    gate = threading.Event()
    first = model.worker.submit(gate.wait)
    stream = model.shared.switch(ModelChoice(folders["qwen3"]))
    assert stream.position == 1
    stream.close()
    gate.set()
    first.result(10)
    assert drain(stream) == []
    assert loads.begun == ["llama"]


def test_the_operators_own_comes_back_in_the_operators_form(
    folders: dict[str, str],
) -> None:
    model = LiveModel(ModelSource(folders["llama"], quantization="8bit", dtype="float32"))
    try:
        model.shared.wait()
        drain(model.shared.switch(ModelChoice(folders["qwen3"])))
        drain(model.shared.switch(ModelChoice()))
        assert model.status.facts is not None
        assert (name_of(model), model.status.facts.quantization) == ("llama", "8bit")
        plain = drain(model.shared.use_alone(lambda load, _: iter([load(None).quantization])))
        assert plain == [None], "a comparison asks for its own form"
    finally:
        model.worker.shutdown()


# --- a budget -----------------------------------------------------------------------------


def test_a_budget_keeps_what_was_used_last(
    live: Any, loads: Loads, folders: dict[str, str]
) -> None:
    size = load_model(folders["llama"]).weight_bytes
    model = live(budget=int(2.5 * size))
    qwen, gpt = ModelChoice(folders["qwen3"]), ModelChoice(folders["gpt2"])
    drain(model.shared.switch(qwen))
    assert loads.alive == 2
    drain(model.shared.switch(ModelChoice()))
    assert loads.begun == ["llama", "qwen3"], "it was kept"
    drain(model.shared.switch(gpt))
    assert loads.alive == 2
    drain(model.shared.switch(ModelChoice()))
    assert loads.begun == ["llama", "qwen3", "gpt2"]
    drain(model.shared.switch(qwen))
    assert loads.begun == ["llama", "qwen3", "gpt2", "qwen3"], "it was used longest ago"


def test_the_operators_own_comes_back_beside_what_fits(
    live: Any, loads: Loads, folders: dict[str, str]
) -> None:
    size = load_model(folders["llama"]).weight_bytes
    model = live(budget=int(2.5 * size))
    gpt = ModelChoice(folders["gpt2"])
    drain(model.shared.switch(ModelChoice(folders["qwen3"])))
    drain(model.shared.switch(gpt))
    drain(model.shared.switch(ModelChoice()))
    assert loads.begun == ["llama", "qwen3", "gpt2", "llama"], "it had to make way"
    drain(model.shared.switch(gpt))
    assert loads.begun == ["llama", "qwen3", "gpt2", "llama"], "only the oldest made way"


def test_what_is_larger_than_the_budget_is_refused(live: Any, folders: dict[str, str]) -> None:
    model = live(budget=1_000)
    with pytest.raises(ModelTooLargeError, match="the operator allows"):
        drain(model.shared.switch(ModelChoice(folders["qwen3"])))
    assert name_of(model) == "llama"


# --- work ---------------------------------------------------------------------------------


def test_work_gets_the_model_on_the_worker_s_thread(live: Any) -> None:
    model = live()

    def make(lm: LanguageModel, is_stopped: Callable[[], bool]) -> Iterator[Any]:
        yield lm.name, threading.current_thread().name
        yield is_stopped()

    assert drain(model.shared.use(make)) == [("llama", "torch"), False]


def alone(loads: Loads, log: list[Any]) -> Callable[..., Iterator[str]]:
    def make(load: Any, is_stopped: Any) -> Iterator[str]:
        log.append(loads.alive)
        for quantization in (None, "8bit"):
            lm = load(quantization)
            log.append((lm.name, lm.quantization, loads.alive))
            yield str(quantization)
            del lm

    return make


def test_work_alone_has_the_memory_to_itself_and_the_model_comes_back(
    live: Any, loads: Loads
) -> None:
    model = live()
    log: list[Any] = []
    assert drain(model.shared.use_alone(alone(loads, log))) == ["None", "8bit"]
    assert log == [0, ("llama", None, 1), ("llama", "8bit", 1)]
    assert name_of(model) == "llama"
    assert loads.alive == 1


def test_the_model_comes_back_when_work_alone_fails_or_is_stopped(live: Any, loads: Loads) -> None:
    model = live()

    def fails(load: Any, is_stopped: Any) -> Iterator[str]:
        held = load(None)
        yield held.name
        raise ModelLoadError("Enough.")

    with pytest.raises(ModelLoadError, match="Enough"):
        drain(model.shared.use_alone(fails))
    assert name_of(model) == "llama"
    assert loads.alive == 1

    def endless(load: Any, is_stopped: Any) -> Iterator[str]:
        while True:
            yield load(None).name

    stream = model.shared.use_alone(endless)
    assert stream.take(60)
    stream.close()
    drain(stream)
    assert name_of(model) == "llama"
    assert loads.alive == 1


def test_a_model_given_in_memory_has_one_form(tiny_lm: LanguageModel) -> None:
    model = LiveModel(GivenModel(tiny_lm))
    try:
        with pytest.raises(ModelLoadError, match="another number format"):
            drain(model.shared.switch(ModelChoice(quantization="8bit")))
        assert name_of(model) == "tiny-llama"

        def make(load: Any, is_stopped: Any) -> Iterator[str]:
            yield load(None).name
            load("8bit")

        with pytest.raises(ModelLoadError, match="another number format"):
            drain(model.shared.use_alone(make))
        assert name_of(model) == "tiny-llama"
    finally:
        model.worker.shutdown()


def test_where_an_accelerator_is_lent_there_is_one_model_and_no_work(
    live: Any, folders: dict[str, str]
) -> None:
    model = live(on_device=lambda steps: steps)
    for stream in (
        model.shared.switch(ModelChoice(folders["qwen3"])),
        model.shared.use(lambda lm, is_stopped: iter([1])),
        model.shared.use_alone(lambda load, is_stopped: iter([1])),
    ):
        with pytest.raises(ModelLoadError, match="lent for one run"):
            drain(stream)
    assert name_of(model) == "llama"


# --- sessions -----------------------------------------------------------------------------

LONGER = {"do_sample": True, "max_new_tokens": 8, "min_new_tokens": 8}


def ids(steps: Any) -> list[int]:
    return [step.token_id for step in steps]


def paused_run(model: LiveModel) -> list[int]:
    """A run that stopped after three tokens of eight, and was looked at."""
    shorter = dict.fromkeys(("max_new_tokens", "min_new_tokens"), 3)
    drain(model.stream("run", RunRequest("a", {**LONGER, **shorter}, 5), nothing))
    model.inspect("run", InspectRequest(0, 1, generation={"top_k": 3}, find="a")).result(10)
    return ids(model.tree("run").path(0))  # type: ignore[union-attr]


def on_from_two(model: LiveModel) -> list[int]:
    order = ContinueOrder(0, 2, steps=6, generation=dict(LONGER))
    return ids(event.step for event in drain(model.resume("run", order, nothing)))


def nothing(done: int, total: int) -> None:
    pass


def expected(folder: str) -> list[int]:
    return ids(decode(load_model(folder), "a", seed=5, **LONGER))


def test_a_session_lets_its_model_go_and_takes_it_back(
    live: Any, loads: Loads, folders: dict[str, str]
) -> None:
    model = live()
    before = paused_run(model)
    alive: list[int] = []

    def count_once(done: int, total: int) -> None:
        if not alive:
            alive.append(loads.alive)

    loads.on_load = count_once
    drain(model.shared.switch(ModelChoice(folders["qwen3"])))
    assert alive == [0], "the old one was there when the new one was read"
    assert loads.alive == 1
    with pytest.raises(SessionError, match=r"written by llama \(float32\), and now qwen3"):
        on_from_two(model)
    with pytest.raises(SessionError, match="llama"):
        model.inspect("run", InspectRequest(0, 1)).result(5)
    assert model.tree("run") is not None
    drain(model.shared.switch(ModelChoice()))
    assert before[:2] + on_from_two(model) == expected(folders["llama"])
    assert loads.alive == 1


def test_a_session_of_a_model_that_stays_in_memory_keeps_its_cache(
    live: Any, loads: Loads, folders: dict[str, str]
) -> None:
    model = live(budget=int(2.5 * load_model(folders["llama"]).weight_bytes))
    before = paused_run(model)
    drain(model.shared.switch(ModelChoice(folders["qwen3"])))
    assert loads.alive == 2
    with pytest.raises(SessionError, match="now qwen3"):
        on_from_two(model)
    drain(model.shared.switch(ModelChoice()))
    assert before[:2] + on_from_two(model) == expected(folders["llama"])
    restored = model.tree("run").branches[-1].restorations
    assert [restoration.fed_tokens for restoration in restored] == [0]


def test_a_refused_switch_costs_a_session_nothing(live: Any, folders: dict[str, str]) -> None:
    model = live()
    paused_run(model)
    with pytest.raises(ModelLoadError, match="no folder"):
        drain(model.shared.switch(ModelChoice("./nowhere")))
    on_from_two(model)
    restored = model.tree("run").branches[-1].restorations
    assert [restoration.fed_tokens for restoration in restored] == [0]


def test_a_failed_switch_leaves_a_session_that_goes_on(
    live: Any, loads: Loads, folders: dict[str, str]
) -> None:
    model = live()
    before = paused_run(model)
    with pytest.raises(ModelLoadError, match="weights of broken"):
        drain(model.shared.switch(ModelChoice(folders["broken"])))
    assert before[:2] + on_from_two(model) == expected(folders["llama"])
    assert loads.alive == 1


def test_work_alone_has_the_memory_of_the_sessions_too(
    live: Any, loads: Loads, folders: dict[str, str]
) -> None:
    model = live()
    before = paused_run(model)
    log: list[Any] = []
    seen: list[Any] = []
    make = alone(loads, log)

    def looked_at_meanwhile(load: Any, is_stopped: Any) -> Iterator[str]:
        for item in make(load, is_stopped):
            seen.append(model.inspect("run", InspectRequest(0, 1)))
            yield item

    drain(model.shared.use_alone(looked_at_meanwhile))
    assert log == [0, ("llama", None, 1), ("llama", "8bit", 1)]
    with pytest.raises(SessionError, match="not in memory just now"):
        seen[0].result(5)
    assert before[:2] + on_from_two(model) == expected(folders["llama"])
    assert loads.alive == 1


def test_an_errors_frames_let_go_of_what_they_held() -> None:
    def fail() -> None:
        held = torch.zeros(3)
        kept.append(weakref.ref(held))
        try:
            raise KeyError("inner")
        except KeyError as error:
            raise ModelLoadError("outer") from error

    kept: list[weakref.ref[torch.Tensor]] = []
    with pytest.raises(ModelLoadError) as caught:
        fail()
    assert kept[0]() is not None
    forget_frames(caught.value)
    assert kept[0]() is None
