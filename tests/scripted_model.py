"""A model for the tests of longer jobs: it runs them, and knows no torch."""

from __future__ import annotations

import json
from types import SimpleNamespace

from run_records import FACTS

from decoding.live.worker import Worker
from decoding.records.requests import ModelStatus

LM = SimpleNamespace(name="m", device="cpu", dtype="float32", quantization=None, vocab_size=100)


class ScriptedModel:
    """Runs jobs on a thread of its own; `alone` tells which forms were loaded."""

    def __init__(self):
        self.status = ModelStatus(state="ready", facts=FACTS)
        self.worker = Worker("scripted")
        self.lm = LM
        self.alone = []

    def use(self, make):
        return self.worker.stream(lambda is_stopped: make(self.lm, is_stopped))

    def use_alone(self, make):
        def load(quantization):
            self.alone.append(quantization)
            return self.lm

        return self.worker.stream(lambda is_stopped: make(load, is_stopped))


def read(frames):
    return [json.loads(frame) for frame in frames]
