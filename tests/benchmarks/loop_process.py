"""A process that runs the default model on request: in a plain script, or in the serving app.

The benchmarks talk to it in lines of JSON: a method's name and its arguments in, what it
returns out. It refuses to measure anything but the model; the browser is the benchmark's.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).parents[2]
PROMPT = "Write a long story about a lighthouse keeper and the sea."
RECORDED_STEPS = 64


class LoopProcess:
    """The parent's end: `process.ask("advance", 16)` calls the child's `advance(16)`."""

    def __init__(self, kind: str, core: int | None = None) -> None:
        """Starts the child; `core` is set before it imports torch, which counts its cores."""
        pin = None if core is None else partial(os.sched_setaffinity, 0, {core})
        self._process = subprocess.Popen(
            [sys.executable, __file__, kind],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={
                **os.environ,
                "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}",
                "TQDM_DISABLE": "1",
            },
            preexec_fn=pin,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._process.stdin.close()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise

    def ask(self, method: str, *arguments: Any) -> Any:
        self._process.stdin.write(json.dumps([method, *arguments]) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the {method!r} request ended the process: see its messages above")
        return json.loads(answer)


class PlainScript:
    """The model loaded and run on the main thread, and nothing else in the process."""

    def __init__(self) -> None:
        from decoding import load_model

        self.lm: Any = load_model()
        self._loop: Iterator[Any] = iter(())

    def run(self, function: Callable[[], Any]) -> Any:
        return function()

    def machine(self) -> str:
        from machine import machine

        return str(self.run(machine))

    def begin(self, tokens: int) -> None:
        """A new bare loop; `advance` makes its inferences."""
        self.run(partial(self._begin, tokens))

    def advance(self, tokens: int) -> float:
        """Seconds of the loop's next tokens."""
        return float(self.run(partial(self._advance, tokens)))

    def processor(self) -> float:
        """Seconds of processor time that the process has used, all threads together."""
        return time.process_time()

    def memory(self) -> int:
        """Bytes of the process in memory now."""
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * resource.getpagesize()

    def _begin(self, tokens: int) -> None:
        import torch
        from decode_overhead import bare_loop

        from decoding.core.prompts import prompt_token_ids

        ids = prompt_token_ids(self.lm, [{"role": "user", "content": PROMPT}])
        self._loop = bare_loop(self.lm, torch.tensor([ids], device=self.lm.device), tokens)

    def _advance(self, tokens: int) -> float:
        began = time.perf_counter()
        for _ in range(tokens):
            next(self._loop)
        return time.perf_counter() - began


class ServedApp(PlainScript):
    """The app as `app.py` serves it; torch runs on its worker's thread only."""

    def __init__(self) -> None:
        from ports import free_port

        import app

        demo = app.build_app(self._load)
        self._model = demo.runs.model
        self._worker = self._model.worker
        self._paused = threading.Event()
        self._chosen: list[float] = []
        self._script: tuple[int, float, int] | None = None
        self._recorded: list[Any] = []
        self._loop = iter(())
        self._model.shared.wait()
        stream = self._worker.stream
        self._worker.stream = lambda start: stream(lambda ended: self._watched(start(ended)))
        options = {**app.launch_options(port=free_port()), "prevent_thread_lock": True}
        _, self._address, _ = demo.launch(**options)

    def _load(self, progress: Any) -> Any:
        from decoding import load_model

        self.lm = load_model(progress=progress)
        return self.lm

    def run(self, function: Callable[[], Any]) -> Any:
        future: Future[Any] = self._worker.submit(function)
        return future.result()

    def address(self) -> str:
        return str(self._address)

    def chosen(self) -> list[float]:
        """When each token of the newest run was chosen, in seconds of the system's clock."""
        return list(self._chosen)

    def script(self, at_once: int, a_second: float, total: int) -> None:
        """From now on runs replay recorded steps: `at_once` of them, then `a_second`.

        Only the model is replaced: the frames, the server and the page are the real ones.
        """
        self._script = (at_once, a_second, total)
        # No session hears of a pause.
        self._model.pause = lambda _run: self._paused.set()

    def _watched(self, events: Iterator[Any]) -> Iterator[Any]:
        self._chosen = []
        try:
            head = next(events)
            yield head
            if self._script is not None:
                events = self._replayed(events, len(head.prompt), *self._script)
            for step in events:
                self._chosen.append(time.time())
                yield step
        finally:
            events.close()  # type: ignore[attr-defined]

    def _replayed(
        self, events: Iterator[Any], prompt: int, at_once: int, a_second: float, total: int
    ) -> Iterator[Any]:
        if not self._recorded:
            self._recorded = [event.step for event in islice(events, RECORDED_STEPS)]
        events.close()  # type: ignore[attr-defined]
        decoded = self._recorded[1:]
        from decoding.records.tree import RunStep

        began = time.monotonic()
        self._paused.clear()
        for index in range(total):
            if self._paused.is_set():
                return
            if index >= at_once:
                time.sleep(max(0, began + (index - at_once) / a_second - time.monotonic()))
            step = decoded[(index - 1) % len(decoded)] if index else self._recorded[0]
            each = step.kv_cache.bytes // step.kv_cache.tokens
            size = replace(step.kv_cache, tokens=prompt + index, bytes=each * (prompt + index))
            reason = "length" if index == total - 1 else None
            yield RunStep(replace(step, index=index, kv_cache=size, finish_reason=reason))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=("plain", "served"))
    kind = parser.parse_args().kind
    # What libraries print must not come between the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    program = ServedApp() if kind == "served" else PlainScript()
    for line in sys.stdin:
        method, *arguments = json.loads(line)
        answers.write(json.dumps(getattr(program, method)(*arguments)) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
