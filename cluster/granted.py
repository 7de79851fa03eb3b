"""The CPUs, the CPU time and the memory that the system and its control groups grant to this process."""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from cluster.processes import CGROUP_ROOT, memberships
from cluster.topology import cores_first, topology

UNLIMITED = 2**60
"""A limit of this many bytes or more means "no limit". If there is no limit, control groups of version 1 show a
number of bytes that no host has.
"""

Memberships = Sequence[tuple[list[str], Path]]


@dataclass(frozen=True)
class Limits:
    """The limits that control groups set. `cpus` is CPU time in seconds per second. None means no limit."""

    cpus: float | None
    memory_bytes: int | None


def limits(root: Path = CGROUP_ROOT, groups: Memberships | None = None) -> Limits:
    """Returns the lowest limits among the process's control groups (versions 1 and 2) and all their parents.

    `root` is the folder where the hierarchies are mounted. `groups` are the control groups of the process. They
    are read from /proc if `groups` is None. A container does not see the parents of its own control group, so
    their limits stay unknown. Source: the kernel's cgroup-v2.rst (`cpu.max`, `memory.max`),
    scheduler/sched-bwc.rst (`cpu.cfs_quota_us`) and cgroup-v1/memory.rst (`memory.limit_in_bytes`).
    """
    control_groups = memberships() if groups is None else groups
    quotas = [quota for folder in _folders(root, control_groups) for quota in _quotas(folder)]
    memories = [limit for folder in _folders(root, control_groups) for limit in _memory_limits(folder)]
    return Limits(min(quotas, default=None), min(memories, default=None))


def _folders(root: Path, groups: Memberships) -> Iterator[Path]:
    """Yields the folders of each control group and of all its parents, up to the mount point of the hierarchy."""
    for controllers, below in groups:
        mounts = ["", "unified"] if controllers == [""] else [*controllers, ",".join(controllers)]
        inside = Path() if ".." in below.parts else below  # the process does not see this control group
        for mount in dict.fromkeys(mounts):
            yield from (root / mount / level for level in (inside, *inside.parents))


def _quotas(folder: Path) -> Iterator[float]:
    version_2 = _words(folder / "cpu.max")
    version_1 = _words(folder / "cpu.cfs_quota_us") + _words(folder / "cpu.cfs_period_us")
    for words in (version_2, version_1):
        if len(words) == 2 and all(word.isdigit() for word in words):  # "max" or -1 mean that there is no limit
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
    """Returns the host's memory in bytes. If a control group's limit on this process is lower, returns the limit."""
    total = psutil.virtual_memory().total
    return min(total, limits().memory_bytes or total)


def granted_cpus() -> tuple[int, ...]:
    """Returns the CPUs that this process may run on.

    One CPU of each physical core comes first, then a second CPU of each core, and so on. A caller that needs fewer
    CPUs takes the first ones. If a control group sets a quota of CPU time, it limits the number of CPUs.
    """
    return within_quota(cores_first(os.sched_getaffinity(0), topology()), limits().cpus)


def within_quota(cpus: Iterable[int], quota: float | None) -> tuple[int, ...]:
    """Returns the first CPUs, as many as the quota allows.

    The quota is rounded down, but at least one CPU is returned. If `quota` is None, all CPUs are returned.
    """
    ordered = tuple(cpus)
    return ordered if quota is None else ordered[: max(1, int(quota))]


def quota_in_words() -> str:
    """Returns a remark about the quota, which messages put after a number of cores. Empty if there is no quota."""
    quota = limits().cpus
    return "" if quota is None else f" (a control group grants the time of {quota:g} CPUs)"
