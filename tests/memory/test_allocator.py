"""Memory in use, free and there: of this process, of control groups, of accelerators."""

from __future__ import annotations

import gc
import mmap
import os
import weakref
from pathlib import Path

import psutil
import pytest
import torch

from decoding.memory import allocator as memory
from decoding.memory.allocator import (
    devices_in_words,
    free_memory,
    memory_in_use,
    release_memory,
    total_memory,
)
from decoding.records.step import MemoryInUse

CPU = torch.device("cpu")
CUDA = torch.device("cuda", 0)
MPS = torch.device("mps")


def test_what_the_process_holds_grows_with_its_tensors() -> None:
    # Pages of its own: an allocator may take a tensor's from what earlier tests left it.
    pages = mmap.mmap(-1, 64_000_000)
    before = memory_in_use(CPU)
    held = torch.frombuffer(pages, dtype=torch.float32).fill_(1)
    after = memory_in_use(CPU)
    assert before is not None
    assert after is not None
    assert (after.kind, after.reserved_bytes) == ("process", None)
    assert after.bytes - before.bytes == pytest.approx(held.nbytes, rel=0.2)
    assert memory_in_use(torch.device("meta")) is None


def test_a_process_that_was_forked_measures_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    memory_in_use(CPU)
    parent = os.getppid()
    monkeypatch.setattr(os, "getpid", lambda: parent)
    in_use = memory_in_use(CPU)
    assert in_use is not None
    assert in_use.bytes == pytest.approx(psutil.Process(parent).memory_info().rss, rel=0.2)


def test_cuda_by_torchs_own_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda _d: 300)
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda _d: 500)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _d: (1000, 4000))
    assert memory_in_use(CUDA) == MemoryInUse("cuda", 300, 500)
    assert free_memory(CUDA) == 1000 + 200
    assert total_memory(CUDA) == 4000


def test_several_devices_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda d: 300 + d.index)
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda d: 500 + d.index)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda d: (1000 + 10 * d.index, 4000))
    both = (CUDA, torch.device("cuda", 1))
    assert memory_in_use(*both) == MemoryInUse("cuda", 601, 1001)
    assert (free_memory(*both), total_memory(*both)) == (1200 + 1210, 8000)
    assert [devices_in_words(d) for d in (both, (*both, CPU), (CUDA, CPU), (CUDA,))] == [
        "2 GPUs",
        "2 GPUs and the CPU",
        "1 GPU and the CPU",
        "cuda:0",
    ]


def test_mps_by_torchs_own_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.mps, "current_allocated_memory", lambda: 300)
    monkeypatch.setattr(torch.mps, "driver_allocated_memory", lambda: 500)
    monkeypatch.setattr(torch.mps, "recommended_max_memory", lambda: 2000)
    assert memory_in_use(MPS) == MemoryInUse("mps", 300, 500)
    assert (free_memory(MPS), total_memory(MPS)) == (1700, 2000)


def test_free_is_what_the_system_has_where_no_group_sets_a_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "OWN_CGROUPS", tmp_path / "there-is-none")
    assert total_memory(CPU) == psutil.virtual_memory().total
    assert free_memory(CPU) == pytest.approx(psutil.virtual_memory().available, rel=0.1)


def write(folder: Path, **files: object) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_text(f"{content}\n")


def test_the_tightest_group_counts_and_its_page_cache_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Version 2: this process is in /outer/inner; the outer one has less left."""
    own = tmp_path / "own"
    own.write_text("0::/outer/inner\n")
    root = tmp_path / "groups"
    write(root, memory__max="max")
    write(
        root / "outer",
        memory__max=9_000_000,
        memory__current=7_000_000,
        memory__stat="anon 6000000\ninactive_file 500000",
    )
    write(root / "outer/inner", memory__max=8_000_000, memory__current=1_000_000)
    monkeypatch.setattr(memory, "OWN_CGROUPS", own)
    monkeypatch.setattr(memory, "CGROUPS", root)
    assert free_memory(CPU) == 9_000_000 - 6_500_000
    assert total_memory(CPU) == 8_000_000


def test_the_first_version_of_control_groups(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Inside a container the group's own path is not there: the root stands for it."""
    own = tmp_path / "own"
    own.write_text("5:devices:/\n4:memory,hugetlb:/docker/abc\n0::/\n")
    root = tmp_path / "groups"
    write(
        root / "memory",
        memory__limit_in_bytes=5_000_000,
        memory__usage_in_bytes=4_000_000,
        memory__stat="cache 1\ntotal_inactive_file 1000000",
    )
    monkeypatch.setattr(memory, "OWN_CGROUPS", own)
    monkeypatch.setattr(memory, "CGROUPS", root)
    assert (free_memory(CPU), total_memory(CPU)) == (2_000_000, 5_000_000)
    (root / "memory/memory.limit_in_bytes").write_text(f"{2**63 - 4096}\n")
    assert total_memory(CPU) == psutil.virtual_memory().total


def test_a_group_over_its_limit_has_nothing_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "own"
    own.write_text("0::/\n")
    write(tmp_path / "groups", memory__max=1000, memory__current=2000)
    monkeypatch.setattr(memory, "OWN_CGROUPS", own)
    monkeypatch.setattr(memory, "CGROUPS", tmp_path / "groups")
    assert free_memory(CPU) == 0


def test_memory_is_released(monkeypatch: pytest.MonkeyPatch) -> None:
    class Holder:
        pass

    emptied: list[str] = []
    for name in ("cuda", "mps"):
        monkeypatch.setattr(
            getattr(torch, name), "empty_cache", lambda name=name: emptied.append(name)
        )
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    holder = Holder()
    holder.tensor, holder.itself = torch.ones(8_000_000), holder  # type: ignore[attr-defined]
    tensor = weakref.ref(holder.tensor)  # type: ignore[attr-defined]
    gc.disable()
    try:
        del holder
        release_memory()
    finally:
        gc.enable()
    assert tensor() is None
    assert emptied == ["cuda", "mps"]
