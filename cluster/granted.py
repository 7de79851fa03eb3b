"""CPUs, CPU time and memory that the system grants this process, within the limits of its control groups."""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from cluster.processes import CGROUP_ROOT, memberships
from cluster.topology import apart, topology

UNLIMITED = 2**60
"""Version 1 has no word for "no limit", but a number of bytes that no host has."""

Memberships = Sequence[tuple[list[str], Path]]


@dataclass(frozen=True)
class Limits:
    """Limits of control groups: `cpus` is CPU time in seconds per second. None: no limit."""

    cpus: float | None
    memory_bytes: int | None


def limits(root: Path = CGROUP_ROOT, groups: Memberships | None = None) -> Limits:
    """The lowest limits of the process's control groups, versions 1 and 2, and of all their parents.

    `root` is where the hierarchies are mounted. `groups` are those that the process is in; None: /proc names them. A
    container does not see the parents of its own group, so their limits stay unknown.
    Source: the kernel's cgroup-v2.rst (`cpu.max`, `memory.max`), scheduler/sched-bwc.rst (`cpu.cfs_quota_us`) and
    cgroup-v1/memory.rst (`memory.limit_in_bytes`).
    """
    found = memberships() if groups is None else groups
    quotas = [quota for folder in _folders(root, found) for quota in _quotas(folder)]
    memories = [limit for folder in _folders(root, found) for limit in _memory_limits(folder)]
    return Limits(min(quotas, default=None), min(memories, default=None))


def _folders(root: Path, groups: Memberships) -> Iterator[Path]:
    """The folder of each group and of its parents, up to where its hierarchy is mounted."""
    for controllers, below in groups:
        mounts = ["", "unified"] if controllers == [""] else [*controllers, ",".join(controllers)]
        inside = Path() if ".." in below.parts else below  # a group outside of the process's own view
        for mount in dict.fromkeys(mounts):
            yield from (root / mount / level for level in (inside, *inside.parents))


def _quotas(folder: Path) -> Iterator[float]:
    version_2 = _words(folder / "cpu.max")
    version_1 = _words(folder / "cpu.cfs_quota_us") + _words(folder / "cpu.cfs_period_us")
    for words in (version_2, version_1):
        if len(words) == 2 and all(word.isdigit() for word in words):  # else "max", or -1
            yield int(words[0]) / int(words[1])


def _memory_limits(folder: Path) -> Iterator[int]:
    for file in ("memory.max", "memory.limit_in_bytes"):
        for word in _words(folder / file):
            if word.isdigit() and int(word) < UNLIMITED:
                yield int(word)


def _words(file: Path) -> list[str]:
    try:
        return file.read_text().split()
    except OSError:
        return []


def granted_memory_bytes() -> int:
    """The host's memory, or less where a control group of this process, or a parent of it, has a lower limit."""
    total = psutil.virtual_memory().total
    return min(total, limits().memory_bytes or total)


def granted_cpus() -> tuple[int, ...]:
    """The CPUs that this process may run on, those of different physical cores first.

    A quota of its control groups bounds their number: take them from the front.
    """
    return within_quota(apart(os.sched_getaffinity(0), topology()), limits().cpus)


def within_quota(cpus: Iterable[int], quota: float | None) -> tuple[int, ...]:
    """The first CPUs, as many as a quota is worth. It is rounded down, but one CPU is left."""
    found = tuple(cpus)
    return found if quota is None else found[: max(1, int(quota))]


def quota_in_words() -> str:
    """Follows a number of usable cores; empty without a quota."""
    quota = limits().cpus
    return "" if quota is None else f" (a control group grants the time of {quota:g} CPUs)"
