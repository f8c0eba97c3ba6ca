"""What the machine has: the memory that a process could still be given, pages of files to hand back, and bfloat16."""

from __future__ import annotations

import functools
import mmap
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import psutil


def available_bytes(*, root: Path = Path("/")) -> float:
    """Return the memory that this process could still be given: by the machine, its container, its `ulimit -v`.

    Pages of files count as free: the system takes them back when memory is asked for.

    Parameters
    ----------
    root : Path
        Where `proc/self/cgroup` and `sys/fs/cgroup` are looked up.
    """
    me = psutil.Process()
    limits = [float(psutil.virtual_memory().available), *_cgroup_bytes(root)]
    if hasattr(me, "rlimit") and (most := me.rlimit(psutil.RLIMIT_AS)[0]) != psutil.RLIM_INFINITY:
        limits.append(most - me.memory_info().vms)
    return max(0.0, min(limits))


def _cgroup_bytes(root: Path) -> Iterator[float]:
    """Yield what each control group around this process has left, of version 1 or 2 (Linux: admin-guide/cgroup-v2)."""
    base = root / "sys/fs/cgroup"
    mounts: tuple[Path, ...]
    names: tuple[str, ...]
    for line in _words(root / "proc/self/cgroup"):
        _, controllers, group = line.split(":", 2)
        if not controllers:  # in the second, other controllers are of version 1
            mounts, names = (base, base / "unified"), ("memory.max", "memory.high", "memory.current")
        elif "memory" in controllers.split(","):
            mounts, names = (base / "memory",), ("memory.limit_in_bytes", "memory.usage_in_bytes")
        else:
            continue
        # Limits hold for all groups below. A container may be told the machine's name of its group, and see only its
        # own as the root.
        inner = PurePosixPath(group.lstrip("/"))
        for folder in (mount / part for mount in mounts for part in (inner, *inner.parents)):
            *limits, used = ([int(word) for word in _words(folder / name) if word.isdigit()] for name in names)
            stat = dict(entry.split(" ", 1) for entry in _words(folder / "memory.stat"))
            total = "total_" if "total_active_file" in stat else ""  # version 1: with the groups below
            cached = sum(int(stat.get(f"{total}{kind}_file", 0)) for kind in ("active", "inactive"))
            if used:
                yield from (most - max(0, used[0] - cached) for limit in limits for most in limit)


def _words(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []


@functools.cache
def processor_has_bfloat16() -> bool:
    """Return whether the processor multiplies bfloat16 (of x86: avx512_bf16 or amx_bf16)."""
    flags = {word for line in _words(Path("/proc/cpuinfo")) if line.startswith("flags") for word in line.split()}
    if not flags:
        import cpuinfo  # asks a process of its own: a second

        flags = set(cpuinfo.get_cpu_info().get("flags", ()))
    return bool({"avx512_bf16", "amx_bf16"} & flags)


def release_pages(clip: Any) -> None:
    """Unmap the pages of a memory-mapped array that were read: else they count as the process's to the end."""
    if isinstance(clip, np.memmap) and clip.mode == "r" and hasattr(mmap, "MADV_DONTNEED"):
        owner: Any = clip
        while isinstance(owner, np.ndarray):
            owner = owner.base
        owner.madvise(mmap.MADV_DONTNEED)
