"""How much memory is in use, free and there at all; it knows devices, not models."""

from __future__ import annotations

import ctypes
import gc
import os
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import psutil
import torch

from decoding.records.step import MemoryInUse

CGROUPS = Path("/sys/fs/cgroup")
OWN_CGROUPS = Path("/proc/self/cgroup")
NO_LIMIT = 1 << 60  # cgroup v1 writes "none" as the largest number of pages


def memory_in_use(*devices: torch.device) -> MemoryInUse | None:
    """What the allocator of a device holds now, of several together; of the CPU, the process.

    Counters only: the devices are not made to finish their work first.

    Args:
        devices: all of one type.
    """
    found = [_in_use(device) for device in devices]
    counted = [memory for memory in found if memory is not None]
    if not counted:
        return None
    reserved = [memory.reserved_bytes for memory in counted if memory.reserved_bytes is not None]
    return MemoryInUse(
        counted[0].kind,
        sum(memory.bytes for memory in counted),
        sum(reserved) if reserved else None,
    )


def free_memory(*devices: torch.device) -> int:
    """Bytes that new allocations could get on a device, or on several together.

    CUDA: what the driver has left and what torch keeps without using it. MPS: what the
    recommended working set leaves. Else what the operating system has available, within the
    limits of the process's control groups.
    """
    return sum(map(_free, devices))


def total_memory(*devices: torch.device) -> int:
    """Bytes of memory that a device has, or several together; of the CPU, what is allowed."""
    return sum(map(_total, devices))


def devices_in_words(devices: Sequence[torch.device]) -> str:
    """What is summed over, for people: `cuda:0`, `2 GPUs`, `2 GPUs and the CPU`."""
    if len(devices) == 1:
        return str(devices[0])
    count = sum(device.type != "cpu" for device in devices)
    gpus = "1 GPU" if count == 1 else f"{count} GPUs"
    return gpus if count == len(devices) else f"{gpus} and the CPU"


def _in_use(device: torch.device) -> MemoryInUse | None:
    if device.type == "cuda":
        allocated, reserved = torch.cuda.memory_allocated, torch.cuda.memory_reserved
        return MemoryInUse("cuda", allocated(device), reserved(device))
    if device.type == "mps":
        mps = torch.mps
        return MemoryInUse("mps", mps.current_allocated_memory(), mps.driver_allocated_memory())
    if device.type != "cpu":
        return None
    return MemoryInUse("process", _process(os.getpid()).memory_info().rss, None)


def _free(device: torch.device) -> int:
    if device.type == "cuda":
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        free: int = torch.cuda.mem_get_info(device)[0]
        return free + unused
    if device.type == "mps":
        left: int = torch.mps.recommended_max_memory() - torch.mps.current_allocated_memory()
        return max(left, 0)
    limits = (max(limit - used, 0) for limit, used in _cgroup_limits())
    return int(min([psutil.virtual_memory().available, *limits]))


def _total(device: torch.device) -> int:
    if device.type == "cuda":
        total: int = torch.cuda.mem_get_info(device)[1]
        return total
    if device.type == "mps":
        return int(torch.mps.recommended_max_memory())
    limits = (limit for limit, _ in _cgroup_limits())
    return int(min([psutil.virtual_memory().total, *limits]))


def release_memory() -> None:
    """Gives back what is no longer referred to, by Python, torch and the C library."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    if torch.backends.mps.is_available():
        torch.mps.empty_cache()
    if sys.platform == "linux":
        # Only glibc keeps freed memory until it is asked, and only glibc can be asked.
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


@cache
def _process(pid: int) -> psutil.Process:
    """By its id: a process that was forked must not go on to measure its parent."""
    return psutil.Process(pid)


def _cgroup_limits() -> Iterator[tuple[int, int]]:
    """(limit, bytes used that cannot be reclaimed) of the groups that this process is in."""
    try:
        lines = OWN_CGROUPS.read_text().splitlines()
    except OSError:  # no Linux, or no /proc: no control groups
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            names = ("memory.max", "memory.current", "inactive_file")
            yield from _limits_up(CGROUPS, path, names)
        elif "memory" in controllers.split(","):
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
            yield from _limits_up(CGROUPS / "memory", path, names)


def _limits_up(root: Path, path: str, names: tuple[str, str, str]) -> Iterator[tuple[int, int]]:
    """From a group up to the root: inside a container only the root may be visible."""
    group = root / path.lstrip("/")
    for folder in (group, *group.parents):
        if not folder.is_relative_to(root):
            return
        limit = _number(folder / names[0])
        if limit is not None and limit < NO_LIMIT:
            used = _number(folder / names[1]) or 0
            yield limit, used - _statistic(folder / "memory.stat", names[2])


def _number(file: Path) -> int | None:
    try:
        return int(file.read_text())
    except (OSError, ValueError):  # there is no such file, or it says "max"
        return None


def _statistic(file: Path, name: str) -> int:
    """One line of a group's statistics; 0 where they cannot be read."""
    try:
        lines = file.read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.split()[0] == name), 0)
