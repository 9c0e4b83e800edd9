"""One thread, in order, and every end of a stream: exhausted, failed, closed, never started."""

from __future__ import annotations

import gc
import itertools
import subprocess
import sys
import threading
import time
import traceback
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from decoding.live.line import on_behalf_of
from decoding.live.stream import TIME_FOR_OTHERS, IsStopped, Stopped, Stream
from decoding.live.worker import BACKGROUND_IN_A_ROW, BACKGROUND_SECONDS, Worker


@pytest.fixture
def worker() -> Iterator[Worker]:
    worker = Worker("test")
    yield worker
    worker.shutdown(5)


def take_all(stream: Stream[Any], seconds: float = 5) -> list[Any]:
    items, end = [], time.monotonic() + seconds
    while not stream.done:
        assert time.monotonic() < end, "the stream never ended"
        items += stream.take(0.05)
    return items


class Tap:
    """An iterator's start function whose items wait for `go`."""

    def __init__(self, count: int = 1000) -> None:
        self.count = count
        self.go = threading.Semaphore(0)
        self.reached = threading.Event()
        self.closed_on: str | None = None

    def __call__(self, is_stopped: IsStopped) -> Iterator[int]:
        try:
            for item in range(self.count):
                self.reached.set()
                assert self.go.acquire(timeout=5)
                yield item
        finally:
            self.closed_on = threading.current_thread().name


def test_everything_runs_on_one_thread_in_order(worker: Worker) -> None:
    names: list[tuple[int, str]] = []

    def note(number: int) -> int:
        names.append((number, threading.current_thread().name))
        return number

    def noting(is_stopped: IsStopped) -> Iterator[int]:
        yield note(1)
        yield note(2)

    first = worker.submit(note, 0)
    stream = worker.stream(noting)
    last = worker.submit(note, number=3)
    assert (first.result(5), take_all(stream), last.result(5)) == (0, [1, 2], 3)
    assert names == [(i, "test") for i in range(4)]


def test_a_submitted_error_reaches_the_caller_and_the_thread_lives_on(worker: Worker) -> None:
    def fail() -> None:
        raise KeyError("lost")

    future = worker.submit(fail)
    with pytest.raises(KeyError, match="lost") as caught:
        future.result(5)
    assert any(frame.name == "fail" for frame in traceback.extract_tb(caught.value.__traceback__))
    with pytest.raises(SystemExit):
        worker.submit(sys.exit, 3).result(5)
    assert worker.submit(int, "7").result(5) == 7


def test_a_cancelled_future_never_runs(worker: Worker) -> None:
    tap, ran = Tap(1), threading.Event()
    stream = worker.stream(tap)
    future = worker.submit(ran.set)
    assert future.cancel()
    tap.go.release()
    take_all(stream)
    worker.submit(int).result(5)
    assert not ran.is_set()


def test_a_failing_stream_hands_over_its_items_first_then_the_error(worker: Worker) -> None:
    def failing(is_stopped: IsStopped) -> Iterator[int]:
        yield from (1, 2, 3)
        raise ValueError("after three")

    stream, items = worker.stream(failing), []
    while len(items) < 3:
        items += stream.take(5)
    assert not stream.done
    with pytest.raises(ValueError, match="after three") as caught:
        stream.take(5)
    assert items == [1, 2, 3]
    assert stream.done
    assert stream.take(0) == []
    assert "failing" in [f.name for f in traceback.extract_tb(caught.value.__traceback__)]


def test_a_start_that_fails_is_an_error_of_the_stream(worker: Worker) -> None:
    def start(is_stopped: IsStopped) -> Iterator[int]:
        raise RuntimeError("no model")

    with pytest.raises(RuntimeError, match="no model"):
        worker.stream(start).take(5)


@pytest.mark.serial
def test_close_ends_the_iterator_on_the_workers_thread_at_its_next_item(worker: Worker) -> None:
    tap = Tap()
    stream = worker.stream(tap)
    tap.go.release(2)
    items = []
    while len(items) < 2:
        items += stream.take(5)
    assert stream.started
    begin = time.monotonic()
    stream.close()
    stream.close()
    assert time.monotonic() - begin < 0.1
    assert tap.closed_on is None
    tap.go.release()
    assert take_all(stream) == []
    assert items == [0, 1]
    assert worker.submit(lambda: tap.closed_on).result(5) == "test"


def test_items_that_were_ready_before_close_can_still_be_taken(worker: Worker) -> None:
    tap = Tap(3)
    stream = worker.stream(tap)
    tap.go.release(2)
    while len(stream._items) != 2:
        time.sleep(0.01)
    stream.close()
    tap.go.release()
    assert take_all(stream) == [0, 1]


def test_a_stream_closed_in_line_never_starts(worker: Worker) -> None:
    first, second, third = Tap(1), Tap(1), Tap(1)
    running, waiting, behind = (worker.stream(tap) for tap in (first, second, third))
    assert first.reached.wait(5)
    assert [s.position for s in (running, waiting, behind)] == [0, 1, 2]
    assert [s.started for s in (running, waiting, behind)] == [True, False, False]
    waiting.close()
    assert waiting.done
    assert waiting.take(0) == []
    assert behind.position == 1
    for tap in (first, third):
        tap.go.release()
    assert take_all(running) == take_all(behind) == [0]
    assert behind.position == 0
    assert not second.reached.is_set()
    assert not waiting.started


def test_a_stream_closed_before_the_thread_looked_never_starts(worker: Worker) -> None:
    tap = Tap(1)
    stream: Stream[int] = Stream(worker, tap)
    stream.close()
    stream.run()
    assert stream.done
    assert not tap.reached.is_set()


def test_is_stopped_and_stopped_end_long_work_before_the_first_item(worker: Worker) -> None:
    begun = threading.Event()

    def prefill(is_stopped: IsStopped) -> Iterator[int]:
        begun.set()
        while not is_stopped():
            time.sleep(0.005)
        raise Stopped

    stream = worker.stream(prefill)
    assert begun.wait(5)
    assert not stream.done
    stream.close()
    assert take_all(stream) == []


def test_an_iterator_needs_no_close(worker: Worker) -> None:
    assert take_all(worker.stream(lambda is_stopped: iter([1, 2]))) == [1, 2]


@pytest.mark.serial
def test_take_waits_no_longer_than_asked(worker: Worker) -> None:
    tap = Tap(1)
    stream = worker.stream(tap)
    begin = time.monotonic()
    assert stream.take(0.1) == []
    assert 0.09 < time.monotonic() - begin < 2
    assert not stream.done
    tap.go.release()
    take_all(stream)


# --- turns --------------------------------------------------------------------------------


@pytest.fixture
def short_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("decoding.live.worker.SECONDS_A_TURN", -1.0)


def owned(worker: Worker, owner: str, start: Any, **choices: Any) -> Stream[Any]:
    with on_behalf_of(owner):
        return worker.stream(start, **choices)


def held_up(worker: Worker) -> threading.Event:
    """Nothing begins before it is set."""
    go = threading.Event()
    worker.submit(go.wait, 5)
    return go


def test_streams_of_several_owners_take_turns(worker: Worker, short_turns: None) -> None:
    order: list[str] = []

    def counted(name: str, count: int) -> Callable[[IsStopped], Iterator[str]]:
        def start(_: IsStopped) -> Iterator[str]:
            for _index in range(count):
                order.append(name)
                yield name

        return start

    go = held_up(worker)
    streams = [owned(worker, name[0], counted(name, 3)) for name in ("a1", "a2", "b1", "c1")]
    go.set()
    assert [len(take_all(stream)) for stream in streams] == [3, 3, 3, 3]
    assert order == [*("a1", "b1", "c1") * 3, *["a2"] * 3]


def test_alone_nobody_gives_way(worker: Worker, short_turns: None) -> None:
    tap = Tap(3)
    stream = owned(worker, "ann", tap)
    own = owned(worker, "ann", lambda _: iter([1]))
    assert tap.reached.wait(5)
    tap.go.release(3)
    assert take_all(stream) == [0, 1, 2]
    assert take_all(own) == [1]


def test_time_for_others_is_no_item(worker: Worker, short_turns: None) -> None:
    go = held_up(worker)
    reading = owned(worker, "ann", lambda _: iter([TIME_FOR_OTHERS, TIME_FOR_OTHERS, 1]))
    other = owned(worker, "bob", lambda _: iter([2]))
    go.set()
    assert other.take(5) == [2]
    assert take_all(reading) == [1]


def test_a_stream_that_rests_says_so_and_can_be_closed(worker: Worker, short_turns: None) -> None:
    first, second = Tap(), Tap(2)
    go = held_up(worker)
    resting, running = owned(worker, "ann", first), owned(worker, "bob", second)
    go.set()
    first.go.release()
    assert resting.take(5) == [0]
    assert second.reached.wait(5)
    assert resting.started
    assert resting.is_resting
    assert not running.is_resting
    resting.close()
    second.go.release()
    assert take_all(resting) == []
    assert first.closed_on == "test"
    second.go.release()
    assert take_all(running) == [0, 1]
    assert not resting.is_resting


def test_what_is_alone_is_not_interrupted_and_interrupts_nothing(
    worker: Worker, short_turns: None
) -> None:
    order: list[str] = []

    def counted(name: str) -> Callable[[IsStopped], Iterator[str]]:
        def start(_: IsStopped) -> Iterator[str]:
            for _index in range(3):
                order.append(name)
                yield name

        return start

    go = held_up(worker)
    streams = [
        owned(worker, "a", counted("a")),
        owned(worker, "s", counted("switch"), is_alone=True),
        owned(worker, "b", counted("b")),
    ]
    go.set()
    for stream in streams:
        take_all(stream)
    assert order == [*["a"] * 3, *["switch"] * 3, *["b"] * 3]


def test_shutdown_closes_what_rests(short_turns: None) -> None:
    worker = Worker("test")
    first, second = Tap(), Tap()
    go = held_up(worker)
    resting, running = owned(worker, "ann", first), owned(worker, "bob", second)
    go.set()
    first.go.release()
    assert second.reached.wait(5)
    closing = threading.Thread(target=worker.shutdown, args=(5,))
    closing.start()
    second.go.release()
    closing.join(5)
    assert (first.closed_on, second.closed_on) == ("test", "test")
    assert take_all(resting) == [0]
    assert take_all(running) == []


# --- background tasks ---------------------------------------------------------------------


def test_a_background_task_runs_at_once_while_nothing_else_does(worker: Worker) -> None:
    name = worker.submit_background(lambda: threading.current_thread().name)
    assert name.result(5) == "test"
    assert worker.submit_background(int, "7").result(5) == 7


def test_a_background_task_runs_between_two_items_of_a_stream(worker: Worker) -> None:
    tap = Tap(3)
    stream = worker.stream(tap)
    assert tap.reached.wait(5)
    task, behind = worker.submit_background(threading.current_thread), worker.submit(int)
    assert not task.done(), "the first item is still being made"
    tap.go.release()
    assert task.result(5).name == "test"
    assert not stream.done
    assert not behind.done(), "what stands in line waits for the whole stream"
    tap.go.release(2)
    assert take_all(stream) == [0, 1, 2]


def test_many_background_tasks_do_not_hold_up_the_stream(worker: Worker) -> None:
    order: list[str] = []
    begun, asked = threading.Event(), threading.Event()

    def start(is_stopped: IsStopped) -> Iterator[int]:
        begun.set()
        assert asked.wait(5)
        for item in range(10):
            order.append("item")
            yield item

    stream = worker.stream(start)
    assert begun.wait(5)
    tasks = [worker.submit_background(order.append, "background") for _ in range(100)]
    behind = worker.submit(order.append, "job")
    asked.set()
    assert take_all(stream) == list(range(10))
    behind.result(5)
    tasks[-1].result(5)
    items = [place for place, what in enumerate(order) if what == "item"]
    gaps = [b - a - 1 for a, b in itertools.pairwise(items)]
    assert all(1 <= gap <= BACKGROUND_IN_A_ROW for gap in gaps)
    assert order.index("job") < len(order) - 1, "the line's next job waits for a few only"
    assert order.count("background") == 100


def test_slow_background_tasks_come_one_by_one(worker: Worker) -> None:
    order: list[str] = []
    tap = Tap(3)
    stream = worker.stream(tap)
    assert tap.reached.wait(5)

    def slow() -> None:
        time.sleep(1.5 * BACKGROUND_SECONDS)
        order.append("background")

    for _ in range(2):
        worker.submit_background(slow)
    for item in range(3):
        tap.reached.clear()
        tap.go.release()
        assert stream.take(5) == [item]
        assert item == 2 or tap.reached.wait(5)
        order.append("item")
    assert order[:4] == ["background", "item", "background", "item"]


def test_a_look_sees_what_it_holds_up_and_that_it_was_given_up(worker: Worker) -> None:
    seen: list[bool] = []
    begun, go = threading.Event(), threading.Event()

    def look(is_given_up: IsStopped) -> list[bool]:
        seen.append(worker.holds_up)
        begun.set()
        assert go.wait(5)
        return [worker.holds_up, is_given_up()]

    worker.submit(int).result(5)
    future = worker.submit_cancellable(look)
    assert begun.wait(5)
    waiting = worker.submit(int)
    go.set()
    assert future.result(5) == [True, False]
    assert seen == [False]
    waiting.result(5)

    begun.clear()
    go.clear()
    future = worker.submit_cancellable(look)
    assert begun.wait(5)
    assert not future.cancel(), "it runs, and is told all the same"
    go.set()
    assert future.result(5) == [False, True]


def test_a_look_between_two_items_holds_up_their_stream(worker: Worker) -> None:
    tap = Tap()
    stream = worker.stream(tap)
    assert tap.reached.wait(5)
    future = worker.submit_cancellable(lambda _: worker.holds_up)
    tap.go.release()
    assert future.result(5)
    stream.close()
    tap.go.release()
    take_all(stream)


def test_a_background_tasks_error_is_its_caller_s_and_the_stream_goes_on(worker: Worker) -> None:
    def fail() -> None:
        raise KeyError("lost")

    tap = Tap(2)
    stream = worker.stream(tap)
    task = worker.submit_background(fail)
    tap.go.release(2)
    assert take_all(stream) == [0, 1]
    with pytest.raises(KeyError, match="lost"):
        task.result(5)


def test_background_tasks_that_wait_are_cancelled_at_the_end() -> None:
    worker, tap = Worker(), Tap(1)
    worker.stream(tap)
    assert tap.reached.wait(5)
    tasks = [worker.submit_background(int) for _ in range(3 * BACKGROUND_IN_A_ROW)]
    ending = threading.Thread(target=worker.shutdown)
    ending.start()
    while not worker.has_ended:
        time.sleep(0.01)
    tap.go.release()
    ending.join(5)
    assert not worker._thread.is_alive()
    assert all(task.cancelled() for task in tasks)
    with pytest.raises(RuntimeError, match="shut down"):
        worker.submit_background(int)


def test_a_periodic_task_is_done_again_and_again_also_while_a_stream_runs() -> None:
    done = threading.Semaphore(0)
    worker = Worker("test", done.release, period_seconds=0.01)
    try:
        assert all(done.acquire(timeout=5) for _ in range(3))

        def start(is_stopped: IsStopped) -> Iterator[int]:
            for item in range(3):
                time.sleep(0.02)
                while done.acquire(blocking=False):
                    pass
                yield item
                assert done.acquire(blocking=False), "it was due between two items"

        assert take_all(worker.stream(start)) == [0, 1, 2]
    finally:
        worker.shutdown(5)


def test_a_failing_periodic_task_is_logged_and_the_thread_lives_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    failed = threading.Semaphore(0)

    def fail() -> None:
        failed.release()
        raise KeyError("lost")

    worker = Worker("test", fail, period_seconds=0.01)
    try:
        assert failed.acquire(timeout=5)
        assert failed.acquire(timeout=5)
        assert worker.submit(int, "7").result(5) == 7
        assert "A background task failed" in caplog.text
    finally:
        worker.shutdown(5)


# --- what stays alive ---------------------------------------------------------------------


class Tensors:
    """Something large that must not outlive its run."""


def _run_to_the_end(worker: Worker, refs: list[Any]) -> None:
    def start(is_stopped: IsStopped) -> Iterator[int]:
        held = Tensors()
        refs.append(weakref.ref(held))
        yield 1

    assert take_all(worker.stream(start)) == [1]


def _fail(worker: Worker, refs: list[Any]) -> None:
    def start(is_stopped: IsStopped) -> Iterator[int]:
        held = Tensors()
        refs.append(weakref.ref(held))
        raise ValueError("broken")
        yield 1

    with pytest.raises(ValueError, match="broken"):
        worker.stream(start).take(5)


def _submit(worker: Worker, refs: list[Any]) -> None:
    def work() -> None:
        held = Tensors()
        refs.append(weakref.ref(held))
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        worker.submit(work).result(5)


def _background(worker: Worker, refs: list[Any]) -> None:
    def work() -> None:
        held = Tensors()
        refs.append(weakref.ref(held))
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        worker.submit_background(work).result(5)


@pytest.mark.parametrize("use", [_run_to_the_end, _fail, _submit, _background])
def test_nothing_of_a_run_stays_alive_after_it(
    worker: Worker, use: Callable[[Worker, list[Any]], None]
) -> None:
    refs: list[Any] = []
    gc.collect()
    gc.disable()  # what only the collector would find counts as alive
    try:
        use(worker, refs)
        worker.submit(int).result(5)
        end = time.monotonic() + 2
        while refs[0]() is not None and time.monotonic() < end:
            time.sleep(0.01)
        assert refs[0]() is None
    finally:
        gc.enable()


def test_a_rest_ends_with_the_stream_and_not_with_its_items(worker: Worker) -> None:
    tap = Tap(count=2)
    stream = worker.stream(tap)
    tap.go.release()
    assert stream.take(5) == [0]
    began = time.monotonic()
    stream.rest(0.05)
    assert time.monotonic() - began >= 0.05
    threading.Timer(0.05, tap.go.release).start()
    stream.rest(30)
    assert time.monotonic() - began < 20
    assert stream.take(0) == [1]
    assert stream.done


def test_shutdown_ends_what_runs_and_what_waits() -> None:
    worker = Worker()
    endless = worker.stream(lambda is_stopped: iter(lambda: time.sleep(0.001), 1))
    assert endless.take(5)
    waiting, future = worker.stream(Tap(1)), worker.submit(int)
    worker.shutdown(5)
    assert not worker._thread.is_alive()
    assert waiting.done
    assert future.cancelled()
    endless.take(0)
    assert endless.done
    with pytest.raises(RuntimeError, match="shut down"):
        worker.submit(int)


def test_a_process_that_ends_in_the_middle_of_a_run_ends_cleanly() -> None:
    code = (
        "import itertools, time\n"
        "from decoding.live.worker import Worker\n"
        "def start(is_stopped):\n"
        "    for i in itertools.count():\n"
        "        time.sleep(0.001)\n"
        "        yield i\n"
        "stream = Worker().stream(start)\n"
        "print(stream.take(5)[0])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "0\n", "")


def test_the_worker_needs_no_torch() -> None:
    code = "import sys, decoding.live.worker; print('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout == "False\n"
