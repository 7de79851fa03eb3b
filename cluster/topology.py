"""Finds physical cores and their hyper-threads, and deals out CPUs to executors, by physical core if possible."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

CPUS = Path("/sys/devices/system/cpu")

Core = tuple[int, int]
"""A physical core: the number of its package, and its number within the package."""

Topology = Mapping[int, Core]
"""Maps the number of each CPU (as CPU affinity uses it) to its physical core."""


def topology(folder: Path = CPUS) -> dict[int, Core]:
    """Returns the physical core of each CPU as Linux describes it. A CPU without a description is left out.

    Source: Documentation/admin-guide/cputopology.rst of the kernel. A virtual machine may hide hyper-threads. Then
    each CPU counts as a physical core.
    """
    cores = {}
    for cpu_folder in folder.glob("cpu[0-9]*/topology"):
        package = _number(cpu_folder / "physical_package_id", 0)
        sibling = _number(cpu_folder / "thread_siblings_list", None)
        core = _number(cpu_folder / "core_id", None) if sibling is None else sibling
        if package is not None and core is not None:
            cores[int(cpu_folder.parent.name.removeprefix("cpu"))] = (package, core)
    return cores


def _number(file: Path, default: int | None) -> int | None:
    """Returns the first number in a file, such as the lowest sibling of the list "4-5" or "4,12".

    Returns the default if the file is missing or contains no number.
    """
    try:
        number = re.match(r"-?\d+", file.read_text())
    except OSError:
        return default
    return int(number[0]) if number else default


def physical_cores(cpus: Iterable[int], cores: Topology) -> int:
    """Returns the number of physical cores to which these CPUs belong."""
    return len({_core(cpu, cores) for cpu in cpus})


def cores_first(cpus: Iterable[int], cores: Topology) -> tuple[int, ...]:
    """Returns the CPUs in a new order: one CPU of each physical core, then a second CPU of each core, and so on.

    The physical cores of one package (socket) come before the physical cores of the next.
    """
    counts: dict[Core, int] = defaultdict(int)
    ranks = {}
    for cpu in sorted(cpus):
        core = _core(cpu, cores)
        ranks[cpu] = (counts[core], core, cpu)
        counts[core] += 1
    return tuple(sorted(ranks, key=ranks.__getitem__))


def deal(cpus: Iterable[int], cores: Topology, shares: int, each: int) -> list[tuple[int, ...]]:
    """Divides the CPUs into `shares` sets of at most `each` CPUs.

    If possible, the CPUs of one physical core stay in the same set.

    Raises ValueError if the sets do not have room for all CPUs.
    """
    ordered = sorted(cpus)
    if len(ordered) > shares * each:
        raise ValueError(f"{len(ordered)} CPUs do not fit into {shares} sets of {each}")
    siblings: dict[Core, list[int]] = defaultdict(list)
    for cpu in ordered:
        siblings[_core(cpu, cores)].append(cpu)
    dealt: list[list[int]] = [[] for _ in range(shares)]
    for core in sorted(siblings, key=lambda core: (-len(siblings[core]), core)):
        left = siblings[core]
        while left:
            room = [each - len(share) for share in dealt]
            large_enough = (number for number, free in enumerate(room) if free >= len(left))
            number = next(large_enough, max(range(shares), key=room.__getitem__))
            dealt[number] += left[: room[number]]
            left = left[room[number] :]
    return [tuple(sorted(share)) for share in dealt]


def _core(cpu: int, cores: Topology) -> Core:
    """Returns the physical core of a CPU. A CPU that the topology does not contain counts as a core of its own."""
    return cores.get(cpu, (2**31, cpu))
