"""Real daemons: how they start, what they may use, who can talk to them, and that none is left."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import psutil
import pytest

from cluster import lifecycle, processes, standalone, state
from cluster.budget import budget
from cluster.lifecycle import Cluster
from cluster.price import Price
from cluster.profile import Standalone
from cluster.state import ClusterState
from sparkscale.contract.errors import ClusterError, ConfigError
from tests.cluster.using import examined, external, found_java, written
from tests.conftest import standalone_cluster

pytestmark = pytest.mark.spark

PATIENCE = 60.0
FIXED_PORTS = {6066, 7077, 8080, 8081, 15002}


def tree(cluster: Cluster) -> list[psutil.Process]:
    return [process for daemon in written(cluster).daemons for process in processes.processes_of(daemon.pid)]


def test_ready_means_that_the_master_lists_every_worker(cluster: Cluster) -> None:
    assert standalone.alive_workers(written(cluster).web) == 2
    assert [daemon.name for daemon in written(cluster).daemons] == ["master", "worker-1", "worker-2"]
    assert all(daemon.log.read_text() for daemon in written(cluster).daemons)
    assert written(cluster).whole


def test_each_worker_has_its_own_cpus_and_memory(cluster: Cluster) -> None:
    workers = written(cluster).daemons[1:]
    for worker, grant in zip(workers, cluster.budget.daemons, strict=True):
        assert set(psutil.Process(worker.pid).cpu_affinity()) == set(grant.cpus)
        if worker.cgroup:
            assert str(worker.pid) in (worker.cgroup / "cgroup.procs").read_text().split()
    if len(os.sched_getaffinity(0)) > 1:
        first, second = (set(grant.cpus) for grant in cluster.budget.daemons)
        assert not first & second


def test_daemons_listen_on_free_ports_of_the_loopback_interface_only(cluster: Cluster) -> None:
    listening = [
        connection.laddr
        for process in tree(cluster)
        for connection in process.net_connections(kind="tcp")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert listening
    assert {address.ip for address in listening} <= {"127.0.0.1", "::ffff:127.0.0.1", "::1"}
    assert not {address.port for address in listening} & FIXED_PORTS


def test_the_secret_is_on_no_command_line_and_in_no_open_file(cluster: Cluster) -> None:
    found = written(cluster)
    assert len(found.secret) == 64
    assert all(found.secret not in " ".join(process.cmdline()) for process in tree(cluster))
    assert state.state_path(found.profile.name).stat().st_mode & 0o077 == 0
    for settings in found.folder.rglob("spark-defaults.conf"):
        assert settings.stat().st_mode & 0o077 == 0
        assert settings.parent.stat().st_mode & 0o077 == 0
    assert found.secret not in "".join(daemon.log.read_text() for daemon in found.daemons)


def test_a_wrong_secret_is_refused_at_once_and_named(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THEIR_SECRET", "wrong")
    with pytest.raises(ClusterError, match=r"'theirs' does not let this session in: its spark.authenticate.secret"):
        examined(external(cluster), tmp_path)


def test_a_secret_that_is_not_set_is_named(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("THEIR_SECRET", raising=False)
    with pytest.raises(
        ConfigError, match=r"reads spark.authenticate.secret from the environment variable THEIR_SECRET"
    ):
        assert external(cluster).endpoint


@pytest.mark.parametrize("address", ["spark://127.0.0.1:1", "spark://127.0.0.1:1,127.0.0.1:2"])
def test_no_route_to_a_master_is_said_at_once(cluster: Cluster, address: str) -> None:
    with pytest.raises(ClusterError, match=r"'theirs' cannot be reached at spark://.*Connection refused"):
        assert external(cluster, master=address, secrets={}).endpoint


@pytest.mark.slow
def test_more_executors_than_come_is_an_error_not_a_slow_run(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THEIR_SECRET", written(cluster).secret)
    with pytest.raises(ClusterError, match=r"Cluster 'theirs' started 2 of 3 executors within 8 s"):
        examined(external(cluster, executors=3, patience_seconds=8), tmp_path)


def test_a_running_cluster_with_other_settings_is_not_taken(cluster: Cluster) -> None:
    other = cluster.profile.model_copy(update={"heap_share": 0.5})
    with pytest.raises(ConfigError, match="up with other settings"):
        lifecycle.running(other, cluster.budget, cluster.jdk)
    price = Price(per_hour=1.0, currency="EUR", source="ours", date=date(2026, 11, 28))
    again = lifecycle.running(cluster.profile.model_copy(update={"price": price}), cluster.budget, cluster.jdk)
    assert again is not None
    assert again.state == cluster.state


@pytest.mark.slow
def test_what_ends_is_restored_and_what_is_ended_is_gone(tmp_path: Path) -> None:
    """Encrypted, too: a worker is killed, then the master."""
    with standalone_cluster(tmp_path, "mortal", encrypt=True) as mortal:
        daemons = written(mortal).daemons
        os.kill(daemons[1].pid, signal.SIGKILL)
        await_lost(mortal, 1)
        assert mortal.watch() == ["worker-1"]
        assert written(mortal).daemons[2] == daemons[2]
        assert standalone.alive_workers(written(mortal).web) == 2
        os.kill(daemons[0].pid, signal.SIGKILL)
        await_lost(mortal, 1)
        assert mortal.restore() == ["master"]
        assert standalone.alive_workers(written(mortal).web) == 2
        left = [daemon.pid for daemon in (*daemons, *written(mortal).daemons)]
    assert [process for pid in left for process in processes.processes_of(pid)] == []
    assert state.find("mortal") is None
    assert not (tmp_path / "cluster").exists()


def await_lost(cluster: Cluster, count: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while len(cluster.lost()) < count and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(cluster.lost()) == count


def test_a_daemon_that_does_not_start_is_quoted_and_leaves_nothing(tmp_path: Path) -> None:
    where = Standalone(name="broken", kind="standalone", memory="1g", driver_memory="1g")
    granted = budget(where)
    tiny = granted.daemons[0].model_copy(update={"memory_bytes": 2**20})  # the master's limit is its own
    starved = granted.model_copy(update={"daemons": (tiny,)})
    with pytest.raises(ClusterError, match=r"Spark's worker-1 did not start\. The last lines of .*worker-1\.log"):
        lifecycle.bring_up(where, starved, found_java(), tmp_path / "cluster", tmp_path / "logs", kept=False)
    assert state.find("broken") is None


OWNER = """
import sys
from pathlib import Path
from cluster import java, lifecycle
from cluster.budget import budget
from cluster.profile import Standalone, cache_folder
folder, kept = Path(sys.argv[1]), sys.argv[2] == "kept"
where = Standalone(name="orphan", kind="standalone", workers=1, memory="1500m", driver_memory="1g")
lifecycle.bring_up(where, budget(where), java.find(cache_folder()), folder / "cluster", folder / "logs", kept=kept)
import time
time.sleep(300)
"""


def owned(folder: Path, kept: str, until: Callable[[ClusterState], bool]) -> ClusterState:
    """A cluster whose owner was killed as soon as its state was so."""
    with subprocess.Popen([sys.executable, "-c", OWNER, str(folder), kept]) as owner:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            found = state.find("orphan")
            if found is not None and until(found):
                owner.kill()
                owner.wait()
                return state.find("orphan") or found
            time.sleep(0.02)
        owner.kill()
    raise AssertionError("the cluster did not come up")


def test_daemons_of_a_run_end_with_it_however_it_ends(tmp_path: Path) -> None:
    orphan = owned(tmp_path, "not kept", lambda found: found.ready)
    assert orphan.stale
    deadline = time.monotonic() + PATIENCE
    while any(daemon.alive for daemon in orphan.daemons) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(daemon.alive for daemon in orphan.daemons)
    assert "orphan" in lifecycle.sweep()
    assert state.find("orphan") is None


def test_a_cluster_whose_start_was_killed_is_ended_by_the_next_start(
    tmp_path: Path, sparkscale: Callable[..., "subprocess.CompletedProcess[str]"]
) -> None:
    """Its daemons are to outlive the command that starts them: nothing but the state file tells of them."""
    orphan = owned(tmp_path, "kept", lambda found: len(found.daemons) == 2)
    assert any(daemon.alive for daemon in orphan.daemons)
    shown = sparkscale("cluster", "status", "orphan")
    assert shown.returncode == 1
    assert "stale" in shown.stdout
    assert "orphan" in lifecycle.sweep()
    assert [process for daemon in orphan.daemons for process in processes.processes_of(daemon.pid)] == []
    assert not orphan.folder.exists()
