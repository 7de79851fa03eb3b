"""Runs on emulated hosts: what their records say, and that no end of a run leaves a part of the network."""

import signal
import subprocess
from pathlib import Path

import pytest

from cluster import network, processes, state
from cluster.network import Network
from cluster.profile import Emulated, load
from cluster.state import ClusterState
from sparkscale.contract.errors import ClusterError
from sparkscale.store.store import Store
from tests.measure.observing import Start, records
from tests.measure.toy_suites import DATA, worker_in_fit

pytestmark = [pytest.mark.spark, pytest.mark.slow, pytest.mark.usefixtures("toy")]

PATIENCE = 240.0
NAME = "emulated-pair"
PROFILE = 'kind = "emulated"\nmemory = "2g"\ndriver_memory = "2g"\nrate = "100mbit"\noversubscribe = true\n'
SUITE = """
rounds = 1
deadline_seconds = 200
{data}
[[measure]]
workload = "data_parallel.toy"
engines = ["toy-executors"]
datasets = ["tiny"]
fractions = ["1"]
params = {{ marker = "{marker}", task_seconds = {seconds} }}
isolate = true
"""
BYSTANDER = f"""
rounds = 1
{DATA}
[[measure]]
workload = "data_parallel.toy"
engines = ["bystander"]
datasets = ["tiny"]
"""


@pytest.fixture
def pair(tmp_path: Path) -> str:
    """The path of a profile of two emulated hosts. Skips where they cannot be made."""
    path = tmp_path / f"{NAME}.toml"
    path.write_text(PROFILE)
    profile = load(str(path))
    assert isinstance(profile, Emulated)
    planned = None
    try:
        planned = Network.plan(profile)
        planned.build()
    except ClusterError as error:
        pytest.skip(str(error))
    finally:
        if planned:
            planned.remove()
    return str(path)


def suite(tmp_path: Path, seconds: float) -> str:
    return SUITE.format(data=DATA, marker=tmp_path / "in-fit", seconds=seconds)


def parts(of: Network) -> list[str]:
    """The parts of a network that exist."""
    shown = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout
    named = [path.name for path in network.NAMESPACES.glob("*") if of.token in path.name]
    return named + [line.split()[1] for line in shown.splitlines() if of.token in line]


def cluster_in_fit(process: "subprocess.Popen[str]", tmp_path: Path) -> ClusterState:
    """The state of the run's cluster, once a case computes on it."""
    worker_in_fit(process, tmp_path / "in-fit", PATIENCE)
    made = state.find(NAME)
    assert made is not None
    assert made.network is not None
    assert len(parts(made.network)) == 2 + 1 + 1
    return made


def check_nothing_is_left(of: ClusterState) -> None:
    assert of.network is not None
    assert parts(of.network) == []
    assert [process for daemon in of.daemons for process in processes.processes_of(daemon.pid)] == []
    assert [daemon.cgroup for daemon in of.daemons if daemon.cgroup and daemon.cgroup.exists()] == []
    assert state.find(NAME) is None


def test_records_say_that_the_hosts_were_emulated_and_what_their_links_carried(
    start: Start, tmp_path: Path, pair: str
) -> None:
    process = start(suite(tmp_path, 1.0), "--cluster", pair)
    made = cluster_in_fit(process, tmp_path)
    stdout, stderr = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, stderr
    (record,) = records(tmp_path / "out")
    assert (record.case.cluster, record.case.cluster_kind) == (NAME, "emulated")
    assert record.spark is not None
    assert (record.spark.executors, record.spark.hosts) == (2, 2)
    assert record.spark.shuffle_remote_bytes is not None
    assert 0 < record.spark.shuffle_remote_bytes < record.spark.shuffle_read_bytes
    with Store.existing(tmp_path / "out") as store:
        session = store.content(record.session) or {}
        origin = store.invocation().origin
        profile = store.content(origin[f"profile '{NAME}'"]) or {}
    assert session["link"]["bits_per_second"] == 1e8
    assert all(rate == pytest.approx(1e8, rel=0.25) for rate in session["link"]["measured"])
    assert session["profile"] == profile
    assert (profile["kind"], profile["rate"], profile["delay"], profile["hosts"]) == ("emulated", "100mbit", "", 2)
    assert "198.18." not in str(session)  # another start has other addresses
    shown = " ".join(stdout.split())
    assert "Spark ran on emulated hosts" in shown
    assert "Single-host" not in shown
    check_nothing_is_left(made)


def test_an_interrupted_run_leaves_nothing(start: Start, tmp_path: Path, pair: str) -> None:
    process = start(suite(tmp_path, 600.0), "--cluster", pair)
    made = cluster_in_fit(process, tmp_path)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, stderr
    check_nothing_is_left(made)


def test_what_a_killed_run_left_is_gone_after_the_next(start: Start, tmp_path: Path, pair: str) -> None:
    process = start(suite(tmp_path, 600.0), "--cluster", pair)
    made = cluster_in_fit(process, tmp_path)
    process.kill()
    process.communicate()
    assert made.network is not None
    assert parts(made.network)
    again = start(BYSTANDER)
    _, stderr = again.communicate(timeout=PATIENCE)
    assert again.returncode == 0, stderr
    check_nothing_is_left(made)
