"""Physical cores and their hyper-threads: CPUs are chosen and dealt out so that executors share no core."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

CPUS = Path("/sys/devices/system/cpu")

Core = tuple[int, int]
"""A physical core: the number of its package, and a number that is its own within the package."""

Topology = Mapping[int, Core]
"""The physical core of each CPU, by the numbers that CPU affinity uses."""


def topology(folder: Path = CPUS) -> dict[int, Core]:
    """The physical cores as Linux describes them; a CPU that it says nothing of is missing.

    Source: Documentation/admin-guide/cputopology.rst of the kernel. A virtual machine may hide hyper-threads: then
    each CPU is a core.
    """
    found = {}
    for place in folder.glob("cpu[0-9]*/topology"):
        package = _number(place / "physical_package_id", 0)
        sibling = _number(place / "thread_siblings_list", None)
        core = _number(place / "core_id", None) if sibling is None else sibling
        if package is not None and core is not None:
            found[int(place.parent.name.removeprefix("cpu"))] = (package, core)
    return found


def _number(file: Path, default: int | None) -> int | None:
    """The first number of a file: of the list "4-5" or "4,12" the lowest sibling."""
    try:
        found = re.match(r"-?\d+", file.read_text())
    except OSError:
        return default
    return int(found[0]) if found else default


def physical_cores(cpus: Iterable[int], cores: Topology) -> int:
    """How many physical cores these CPUs are hyper-threads of."""
    return len({_core(cpu, cores) for cpu in cpus})


def apart(cpus: Iterable[int], cores: Topology) -> tuple[int, ...]:
    """The CPUs in another order: first one of each physical core, then the second ones, and so on.

    Cores of one package come before those of the next.
    """
    taken: dict[Core, int] = defaultdict(int)
    ranks = {}
    for cpu in sorted(cpus):
        core = _core(cpu, cores)
        ranks[cpu] = (taken[core], core, cpu)
        taken[core] += 1
    return tuple(sorted(ranks, key=ranks.__getitem__))


def deal(cpus: Iterable[int], cores: Topology, shares: int, each: int) -> list[tuple[int, ...]]:
    """These CPUs in `shares` sets of `each`. Hyper-threads of one physical core go to the same set where they fit.

    Raises ValueError when the sets have no room for all.
    """
    dealt = sorted(cpus)
    if len(dealt) > shares * each:
        raise ValueError(f"{len(dealt)} CPUs do not fit into {shares} sets of {each}")
    groups: dict[Core, list[int]] = defaultdict(list)
    for cpu in dealt:
        groups[_core(cpu, cores)].append(cpu)
    found: list[list[int]] = [[] for _ in range(shares)]
    for core in sorted(groups, key=lambda core: (-len(groups[core]), core)):
        left = groups[core]
        while left:
            room = [each - len(share) for share in found]
            whole = (number for number, free in enumerate(room) if free >= len(left))
            number = next(whole, max(range(shares), key=room.__getitem__))
            found[number] += left[: room[number]]
            left = left[room[number] :]
    return [tuple(sorted(share)) for share in found]


def _core(cpu: int, cores: Topology) -> Core:
    """A CPU that the topology does not name is a core by itself."""
    return cores.get(cpu, (2**31, cpu))
