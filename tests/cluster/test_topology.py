"""Physical cores: made-up topologies, and this host's own."""

import os
from pathlib import Path

import psutil
import pytest

from cluster.topology import Core, cores_first, deal, physical_cores, topology

Cores = dict[int, Core]


def threaded(numbering: str) -> Cores:
    """Four physical cores of two hyper-threads: siblings are N and N + 4, as on Intel's hosts, or 2N and 2N + 1."""
    if numbering == "far":
        return {cpu: (0, cpu % 4) for cpu in range(8)}
    return {cpu: (0, cpu // 2 * 2) for cpu in range(8)}


@pytest.mark.parametrize("numbering", ["far", "near"])
@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_as_many_cores_as_there_are_physical_ones_share_none(numbering: str, count: int) -> None:
    cores = threaded(numbering)
    assert physical_cores(cores_first(range(8), cores)[:count], cores) == count


@pytest.mark.parametrize(("numbering", "order"), [("far", (0, 1, 2, 3)), ("near", (0, 2, 4, 6))])
def test_the_order_is_one_thread_of_each_core_then_the_second_ones(numbering: str, order: tuple[int, ...]) -> None:
    ordered = cores_first(range(8), threaded(numbering))
    assert ordered[:4] == order
    assert sorted(ordered) == list(range(8))


def test_two_executors_are_two_physical_cores() -> None:
    cores = threaded("near")
    first, second = deal(cores_first(range(8), cores)[:2], cores, shares=2, each=1)
    assert (first, second) == ((0,), (2,))
    assert physical_cores((*first, *second), cores) == 2


def test_siblings_stay_in_one_executor_where_all_threads_are_used() -> None:
    cores: Cores = {0: (0, 0), 1: (0, 0), 2: (0, 2), 3: (0, 2)}
    assert deal(range(4), cores, shares=2, each=2) == [(0, 1), (2, 3)]
    far: Cores = {0: (0, 0), 1: (0, 1), 2: (0, 0), 3: (0, 1)}
    assert deal(range(4), far, shares=2, each=2) == [(0, 2), (1, 3)]


def test_executors_of_three_cores_share_no_physical_core_where_four_are_there() -> None:
    cores = threaded("near")
    first, second = deal(cores_first(range(8), cores)[:6], cores, shares=2, each=3)
    assert (len(first), len(second)) == (3, 3)
    assert not {cores[cpu] for cpu in first} & {cores[cpu] for cpu in second}


def test_every_cpu_is_dealt_once_where_cores_must_be_shared() -> None:
    cores = threaded("far")
    shares = deal(range(8), cores, shares=8, each=1)
    assert sorted(cpu for share in shares for cpu in share) == list(range(8))
    assert {len(share) for share in shares} == {1}


def test_more_cpus_than_the_shares_have_room_for_are_refused() -> None:
    with pytest.raises(ValueError, match="3 CPUs do not fit into 2 sets of 1"):
        deal(range(3), {}, shares=2, each=1)


def test_cores_of_one_package_come_before_the_next_packages() -> None:
    cores: Cores = {0: (0, 0), 1: (1, 1), 2: (0, 2), 3: (1, 3)}
    assert cores_first(range(4), cores) == (0, 2, 1, 3)


def test_a_cpu_of_which_nothing_is_known_is_a_core() -> None:
    assert cores_first((3, 1), {}) == (1, 3)
    assert physical_cores((3, 1), {}) == 2


def written(folder: Path, cpu: int, **files: str) -> None:
    place = folder / f"cpu{cpu}" / "topology"
    place.mkdir(parents=True)
    for name, text in files.items():
        (place / name).write_text(f"{text}\n")


def test_siblings_are_read_as_the_kernel_writes_them(tmp_path: Path) -> None:
    for cpu, siblings in enumerate(["0,2", "1,3", "0,2", "1,3"]):
        written(tmp_path, cpu, thread_siblings_list=siblings, physical_package_id="0", core_id="7")
    written(tmp_path, 4, thread_siblings_list="4-5", physical_package_id="1")
    written(tmp_path, 5, core_id="9", physical_package_id="1")  # an old kernel
    (tmp_path / "cpufreq").mkdir()
    assert topology(tmp_path) == {0: (0, 0), 1: (0, 1), 2: (0, 0), 3: (0, 1), 4: (1, 4), 5: (1, 9)}


def test_the_topology_of_this_host_is_read() -> None:
    found = topology()
    assert os.sched_getaffinity(0) <= found.keys()
    physical = psutil.cpu_count(logical=False)
    if physical is None or psutil.cpu_count() != len(found):
        pytest.skip("psutil does not know how many physical cores this host has, or some CPUs are off")
    assert physical_cores(found, found) == physical
