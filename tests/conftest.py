"""How the tests are run, tiny models made once, and the real default model."""

from __future__ import annotations

import gc
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest
from alone import Turns

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# For this process, before torch is imported, and for those that the tests start: a tiny model
# has nothing to share out, and several threads in each of two processes stand in each other's way.
os.environ.setdefault("OMP_NUM_THREADS", "1")

if TYPE_CHECKING:
    from decoding import LanguageModel

# How fast an example is, is the machine's affair.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

LONG = ("browser", "default_model", "slow")
TURNS = pytest.StashKey[Turns]()
FOLDER = pytest.StashKey[str]()


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Three processes for folders, as much of their time is waiting; what is named runs here."""
    return 0 if any("::" in name or name.endswith(".py") for name in config.args) else 3


def pytest_configure(config: pytest.Config) -> None:
    worker: dict[str, Any] | None = getattr(config, "workerinput", None)
    if worker is None:
        config.stash[FOLDER] = tempfile.mkdtemp(prefix="turns-")
    else:
        config.stash[TURNS] = Turns(Path(worker["turns"]), worker["workerid"])


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    node.workerinput["turns"] = node.config.stash[FOLDER]


def pytest_unconfigure(config: pytest.Config) -> None:
    if FOLDER in config.stash:
        shutil.rmtree(config.stash[FOLDER], ignore_errors=True)


@pytest.hookimpl(tryfirst=True)  # before `-m` chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks as quick what is not marked as anything that takes its time."""
    for item in items:
        if not any(item.get_closest_marker(mark) for mark in LONG):
            item.add_marker("quick")
    # First, while the other process has short ones to wait for.
    items.sort(key=lambda item: item.get_closest_marker("serial") is None)


def pytest_collection_finish() -> None:
    """What is imported stays: the many tests that collect garbage need not look through it."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True, tryfirst=True)  # waiting for a turn is no part of a test's time
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    turns = item.config.stash.get(TURNS, None)
    if turns is None:
        turn: Any = nullcontext()
    else:
        turn = turns.alone() if item.get_closest_marker("serial") else turns.beside_others()
    with turn:
        return (yield)


@pytest.fixture(scope="session")
def tiny_lms() -> Callable[[str], LanguageModel]:
    """`tiny_lms(family)`: that family's tiny model, made once."""
    from tiny import tiny_lm

    return tiny_lm


@pytest.fixture(scope="session")
def tiny_lm(tiny_lms: Callable[[str], LanguageModel]) -> LanguageModel:
    return tiny_lms("llama")


@pytest.fixture(scope="session")
def default_lm() -> Iterator[LanguageModel]:
    """The real default model, fetched and prepared on first use."""
    from decoding import load_model

    yield load_model()
    gc.collect()
