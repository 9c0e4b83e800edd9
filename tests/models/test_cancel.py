"""Loading cancelled half-way frees what was loaded; ten loads end where they began."""

from __future__ import annotations

import gc
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import byte_tokenizer, tiny_model

from decoding import LanguageModel, load_model
from decoding.live.stream import Stopped
from decoding.models.progress import Interrupted, interruptible

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tiny_model("llama", hidden_size=48).save_pretrained(tmp_path / "tiny")
    byte_tokenizer().save_pretrained(tmp_path / "tiny")
    return tmp_path / "tiny"


def parameters_of_that_model() -> int:
    gc.collect()
    # Not isinstance: it would look into lazy objects of libraries.
    tensors = (o for o in gc.get_objects() if type(o) is torch.nn.Parameter)
    return sum(48 in tensor.shape[-1:] for tensor in tensors)


@pytest.mark.parametrize("error", [Stopped(), KeyboardInterrupt(), ValueError("mine")])
def test_what_the_progress_raises_ends_the_load_and_comes_out_as_it_was(
    folder: Path, error: BaseException
) -> None:
    before = parameters_of_that_model()
    seen: list[int] = []

    def stop_half_way(stage: str, done: int, total: int) -> None:
        seen.append(done)
        if 2 * done > total:
            raise error

    with pytest.raises(type(error)) as caught:
        load_model(folder, progress=stop_half_way)
    assert caught.value is error
    assert error.__cause__ is None
    assert error.__context__ is None
    assert seen[-1] < (folder / "model.safetensors").stat().st_size
    assert parameters_of_that_model() == before
    assert isinstance(load_model(folder), LanguageModel), "nothing of it is left to be in the way"


def test_no_library_catches_the_interruption() -> None:
    def library(report: Any) -> None:
        try:
            report("load", 1, 2)
        except Exception:
            pytest.fail("caught")

    def raise_it(*_: Any) -> None:
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        interruptible(library, raise_it)
    assert not issubclass(Interrupted, Exception)


@pytest.mark.default_model
@pytest.mark.skipif(sys.platform != "linux", reason="the C library there is asked to give back")
def test_memory_returns_after_several_loads() -> None:
    """The same as the benchmark, with fewer loads, in a process of its own."""
    run = subprocess.run(
        [sys.executable, "tests/benchmarks/model_memory.py", "--loads", "3"],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    grown = re.search(r"after 3 models: ([+-][\d.]+)% against the start", run.stdout)
    assert grown, run.stdout
    assert abs(float(grown[1])) <= 5, run.stdout
