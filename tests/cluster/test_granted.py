"""Limits of control groups: made-up trees of versions 1 and 2, and a real group."""

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster import budget as budgets
from cluster import granted
from cluster.budget import budget
from cluster.granted import Limits, limits, within_quota
from cluster.processes import CGROUP_ROOT, memberships
from cluster.profile import PROFILE
from sparkscale.contract.errors import ConfigError

VERSION_2 = [([""], Path("machine/job/step"))]
VERSION_1 = [(["cpu", "cpuacct"], Path("docker/abc")), (["memory"], Path("docker/abc")), (["name=systemd"], Path())]
NONE_OF_VERSION_1 = "9223372036854771712"


def group(folder: Path, **files: str) -> None:
    """A control group's folder, with the files that it has; a name's double underscore is a dot."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(f"{text}\n")


def test_a_parents_quota_bounds_the_process_in_version_2(tmp_path: Path) -> None:
    group(tmp_path / "machine", cpu__max="250000 100000", memory__max=str(8 * 2**30))
    group(tmp_path / "machine/job", cpu__max="max 100000", memory__max="max")
    group(tmp_path / "machine/job/step", cpu__max="400000 100000", memory__max=str(16 * 2**30))
    assert limits(tmp_path, VERSION_2) == Limits(2.5, 8 * 2**30)


def test_a_quota_of_version_1_bounds_the_process_and_so_does_its_parents(tmp_path: Path) -> None:
    own, parent = tmp_path / "cpu/docker/abc", tmp_path / "cpu/docker"
    group(own, cpu__cfs_quota_us="-1", cpu__cfs_period_us="100000")
    group(parent, cpu__cfs_quota_us="150000", cpu__cfs_period_us="50000")
    group(tmp_path / "memory/docker/abc", memory__limit_in_bytes=NONE_OF_VERSION_1)
    group(tmp_path / "memory/docker", memory__limit_in_bytes=str(4 * 2**30))
    assert limits(tmp_path, VERSION_1) == Limits(3.0, 4 * 2**30)


def test_controllers_that_are_mounted_together_are_found(tmp_path: Path) -> None:
    group(tmp_path / "cpu,cpuacct/docker/abc", cpu__cfs_quota_us="50000", cpu__cfs_period_us="100000")
    assert limits(tmp_path, VERSION_1) == Limits(0.5, None)


def test_a_container_that_sees_its_group_as_the_root_is_bounded(tmp_path: Path) -> None:
    """Docker on version 1 names the host's path in /proc/self/cgroup, and mounts the group itself."""
    group(tmp_path / "cpu", cpu__cfs_quota_us="200000", cpu__cfs_period_us="100000")
    group(tmp_path / "memory", memory__limit_in_bytes=str(2**30))
    assert limits(tmp_path, VERSION_1) == Limits(2.0, 2**30)


def test_a_group_outside_of_the_containers_view_is_not_followed(tmp_path: Path) -> None:
    group(tmp_path / "outside", cpu__max="100000 100000")
    group(tmp_path / "mount", cpu__max="300000 100000")
    assert limits(tmp_path / "mount", [([""], Path("../outside"))]) == Limits(3.0, None)


def test_version_2_beside_version_1_is_found(tmp_path: Path) -> None:
    group(tmp_path / "unified/machine/job/step", memory__max=str(2**30))
    assert limits(tmp_path, VERSION_2) == Limits(None, 2**30)


def test_without_limits_there_are_none(tmp_path: Path) -> None:
    group(tmp_path / "cpu/docker/abc", cpu__cfs_quota_us="-1", cpu__cfs_period_us="100000")
    group(tmp_path / "memory/docker/abc", memory__limit_in_bytes=NONE_OF_VERSION_1)
    assert limits(tmp_path, VERSION_1) == Limits(None, None)


@pytest.mark.parametrize(("quota", "count"), [(None, 4), (8.0, 4), (3.0, 3), (2.9, 2), (1.0, 1), (0.4, 1)])
def test_a_quota_is_rounded_down_and_leaves_one_core(quota: float | None, count: int) -> None:
    assert within_quota((0, 2, 1, 3), quota) == (0, 2, 1, 3)[:count]


def test_a_budget_is_bounded_by_quota_and_memory_and_a_fractional_quota_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(granted, "limits", lambda: Limits(1.5, 2 * 2**30))
    local = PROFILE.validate_python({"name": "local", "kind": "local", "memory": "50%"})
    found = budget(local)
    assert (found.cores, found.node.memory_bytes) == (1, 2**30)
    greedy = PROFILE.validate_python({"name": "greedy", "kind": "standalone", "workers": 2, "memory": "900m"})
    with pytest.raises(ConfigError, match=r"but only 1 are usable \(a control group grants the time of 1\.5 CPUs\)"):
        budget(greedy)


def test_two_executors_and_two_of_four_cores_are_two_physical_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """CPUs 0 and 1 are hyper-threads of one core, 2 and 3 of another."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3})
    for module in (granted, budgets):
        monkeypatch.setattr(module, "topology", lambda: {cpu: (0, cpu // 2) for cpu in range(4)})
    pair = PROFILE.validate_python({"name": "pair", "kind": "standalone", "workers": 2, "memory": "900m"})
    assert [daemon.cpus for daemon in budget(pair).daemons] == [(0,), (2,)]
    half = PROFILE.validate_python({"name": "half", "kind": "local", "cores": 2})
    assert budget(half).node.cpus == (0, 2)
    whole = PROFILE.validate_python({**pair.model_dump(), "cores": 2})
    assert [daemon.cpus for daemon in budget(whole).daemons] == [(0, 1), (2, 3)]


@pytest.fixture
def quota_group() -> Iterator[Path]:
    """The folder of a real control group in a parent that has the time of one and a half CPUs."""
    parents = [
        CGROUP_ROOT / mount / below
        for controllers, below in memberships()
        for mount in (["cpu"] if "cpu" in controllers else [""] if controllers == [""] else [])
    ]
    for parent in parents:
        outer = parent / f"sparkscale-{os.getpid()}-{uuid.uuid4().hex[:12]}"
        inner = outer / "inner"
        try:
            outer.mkdir()
            if (outer / "cpu.max").exists():
                (outer / "cpu.max").write_text("150000 100000")
            else:
                (outer / "cpu.cfs_period_us").write_text("100000")
                (outer / "cpu.cfs_quota_us").write_text("150000")
            inner.mkdir()
        except OSError:
            if outer.exists():
                outer.rmdir()
            continue
        yield inner
        inner.rmdir()
        outer.rmdir()
        return
    pytest.skip("no control group with a quota can be made here")


def test_a_real_parents_quota_bounds_a_process(quota_group: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path\n"
        "Path(sys.argv[1], 'cgroup.procs').write_text(str(os.getpid()))\n"
        "from cluster.granted import granted_cpus, limits\n"
        "print(limits().cpus, len(granted_cpus()))"
    )
    command = [sys.executable, "-c", code, str(quota_group)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "1.5 1\n", done.stderr
