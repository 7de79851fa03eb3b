"""Real namespaces, links and daemons: emulated hosts are limited and apart, and leave nothing behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

import pytest

from cluster import lifecycle, network, processes, state, throughput
from cluster.budget import budget
from cluster.lifecycle import Cluster
from cluster.network import Network
from cluster.profile import Emulated
from cluster.state import ClusterState
from sparkscale.contract.errors import ClusterError
from tests.cluster.using import examined, found_java, written
from tests.conftest import Call

PATIENCE = 120.0
RATE = 1e8


def profile(name: str = "emulated-test") -> Emulated:
    return Emulated(name=name, kind="emulated", memory="2g", driver_memory="2g", rate="100mbit", oversubscribe=True)


@cache
def obstacle() -> str:
    """Why no network of emulated hosts can be made here. Empty if it can."""
    planned = None
    try:
        planned = Network.plan(profile())
        planned.build()
    except ClusterError as error:
        return str(error)
    finally:
        if planned:
            planned.remove()
    return ""


@pytest.fixture
def links() -> None:
    if obstacle():
        pytest.skip(obstacle())


def parts(of: Network) -> list[str]:
    """The parts of a network that exist."""
    shown = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout
    named = [path.name for path in network.NAMESPACES.glob("*") if of.token in path.name]
    return named + [line.split()[1] for line in shown.splitlines() if of.token in line]


def tool(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def built(links: None) -> Iterator[Network]:  # noqa: ARG001 - skips without rights
    made = Network.plan(profile())
    made.build()
    yield made
    made.remove()


def test_the_rate_is_limited_in_both_directions(built: Network) -> None:
    forth, back = throughput.measure(built)
    assert forth == pytest.approx(RATE, rel=0.25)
    assert back == pytest.approx(RATE, rel=0.25)


def test_hosts_reach_only_each_other_and_the_driver(built: Network) -> None:
    name = built.namespace(1).name
    routes = subprocess.run(["ip", "-n", name, "route"], capture_output=True, text=True, check=True).stdout
    assert [line.split()[0] for line in routes.splitlines()] == [f"198.18.{built.subnet}.0/24"]
    assert built.exists


def test_outside_of_its_namespaces_a_network_has_only_the_link_of_the_driver(links: None) -> None:  # noqa: ARG001
    before = tool("ip", "-o", "link"), tool("ip", "route"), tool("ip", "rule")
    made = Network.plan(profile())
    made.build()
    try:
        added = [line for line in tool("ip", "-o", "link").splitlines() if line not in before[0].splitlines()]
        assert [line.split()[1].partition("@")[0] for line in added] == [made.driver_end]
        routes = [line for line in tool("ip", "route").splitlines() if line not in before[1].splitlines()]
        assert [line.split()[0] for line in routes] == [f"198.18.{made.subnet}.0/24"]
    finally:
        made.remove()
    assert (tool("ip", "-o", "link"), tool("ip", "route"), tool("ip", "rule")) == before


@pytest.mark.parametrize("broken", ["driver", "host", "switch"])
def test_a_removed_network_leaves_nothing_even_if_it_is_half_made(built: Network, broken: str) -> None:
    assert len(parts(built)) == 2 + 1 + 1  # the hosts' namespaces, the switch's, and the driver's end of its link
    command = {
        "driver": ["ip", "link", "del", built.driver_end],
        "host": ["ip", "netns", "del", built.namespace(1).name],
        "switch": ["ip", "netns", "del", built.switch],
    }[broken]
    tool(*command)
    assert not built.exists
    built.remove()
    assert parts(built) == []
    built.remove()


def test_a_network_that_cannot_be_removed_is_named(built: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("PATH", "")
        with pytest.raises(ClusterError, match=f"cannot be removed .*{built.driver_end}.*as root"):
            built.remove()
    assert built.exists


@pytest.mark.usefixtures("links")
def test_addresses_that_a_route_covers_are_not_used() -> None:
    made = Network.plan(profile())
    made.build()
    try:
        others = ["198.18.0.0/17", "198.18.128.0/18", "198.18.192.0/19", "198.18.224.0/20", "198.18.240.0/21"]
        for wide in [*others, "128.0.0.0/1"]:  # a VPN's own default route leaves the addresses free
            tool("ip", "route", "add", wide, "dev", made.driver_end)
        assert {Network.plan(profile()).subnet >= 248 for _ in range(20)} == {True}
        tool("ip", "route", "add", "198.18.0.0/15", "dev", made.driver_end)
        with pytest.raises(ClusterError, match=r"in use by routes of this machine .*VPN"):
            Network.plan(profile())
    finally:
        made.remove()


def test_a_driver_that_hosts_cannot_reach_is_named(built: Network) -> None:
    throughput.check_driver(built)
    tool("ip", "-n", built.switch, "link", "set", "driver", "down")
    with pytest.raises(ClusterError, match=r"cannot connect to the driver at 198\.18\..*firewall"):
        throughput.check_driver(built)


def test_links_that_do_not_limit_the_rate_are_refused(built: Network) -> None:
    tool("tc", "-n", built.switch, "qdisc", "del", "dev", built.port(2), "root")
    tool("tc", "-n", built.namespace(1).name, "qdisc", "del", "dev", "eth0", "root")
    with pytest.raises(
        ClusterError, match=r"do not limit the rate: .* bit/s were measured, but 1e[+]08 are requested"
    ):
        throughput.measure(built)


@pytest.mark.parametrize("arguments", [["emulate"], ["run", "--cluster", "emulated-2x1", "--suite", "quick"]])
def test_without_rights_the_reason_is_said(arguments: list[str], tmp_path: Path) -> None:
    """Before any data is prepared."""
    bare = ["setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin"] if os.geteuid() == 0 else []
    done = subprocess.run(
        [*bare, sys.executable, "-m", "sparkscale", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "XDG_CACHE_HOME": str(tmp_path)},
        cwd=tmp_path,
    )
    assert done.returncode == 2
    assert done.stderr.startswith(
        "Error: Cluster 'emulated-2x1' cannot be emulated: network namespaces and links need"
    )
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "sparkscale" / "data").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--rate", "1gb"],
            "--rate 1gb: '1gb' is no rate between 1mbit and 100gbit: write it like 1gbit or 100mbit.",
        ),
        (["--hosts", "1"], "--hosts 1: Input should be greater than or equal to 2."),
        (
            ["--memory", "much"],
            "--memory much: write a share of the host like '75%', or an amount like '8g' or '512m'.",
        ),
        (["--name", "mine"], "Cluster 'mine' has emulated hosts, so its name must begin with 'emulated'"),
        (["--name", "emulated-2x1", "--cores", "2"], "sparkscale has a cluster 'emulated-2x1' with other settings"),
        (["--write", "mine.toml"], "Cluster 'mine' has emulated hosts"),
        (["--write", "emulated.txt"], "--write emulated.txt is no TOML file"),
        (
            ["--write", "emulated-a.toml", "--name", "emulated-b"],
            "--write emulated-a.toml names the cluster emulated-a",
        ),
    ],
)
def test_a_wrong_option_is_named(sparkscale: Call, arguments: list[str], message: str) -> None:
    done = sparkscale("emulate", *arguments)
    assert done.returncode == 2
    assert done.stderr.startswith(f"Error: {message}")


def test_a_written_profile_is_the_same(sparkscale: Call, tmp_path: Path) -> None:
    path = tmp_path / "emulated-mine.toml"
    done = sparkscale("emulate", "--hosts", "3", "--rate", "300mbit", "--delay", "1ms", "--write", str(path))
    assert done.returncode == 0, done.stderr
    (found,) = state.profiles([str(path)])
    assert isinstance(found, Emulated)
    assert (found.hosts, found.rate, found.delay, found.cores) == (3, "300mbit", "1ms", 1)


@pytest.fixture(scope="module")
def emulated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster of two emulated hosts, for tests that leave it whole."""
    if obstacle():
        pytest.skip(obstacle())
    folder, where = tmp_path_factory.mktemp("emulated"), profile()
    with lifecycle.cluster_for(where, budget(where), found_java(), folder / "cluster", folder / "logs") as found:
        made = written(found)
        yield found
    check_nothing_is_left(made)


def check_nothing_is_left(of: ClusterState) -> None:
    """Waits a moment for the end of processes."""
    assert of.network is not None
    assert parts(of.network) == []
    assert [process for daemon in of.daemons for process in processes.processes_of(daemon.pid)] == []
    assert [daemon.cgroup for daemon in of.daemons if daemon.cgroup and daemon.cgroup.exists()] == []
    assert state.find(of.profile.name) is None
    assert not of.folder.exists()


@pytest.mark.spark
def test_each_worker_is_on_a_host_of_its_own(emulated: Cluster) -> None:
    made = written(emulated)
    assert made.network is not None
    own = Path("/proc/self/ns/net").readlink()
    spaces = [Path(f"/proc/{daemon.pid}/ns/net").readlink() for daemon in made.daemons]
    assert spaces[0] == own
    assert len({*spaces}) == 3
    for host in (1, 2):
        command = ["ss", "-N", made.network.namespace(host).name, "-ltnH"]
        listening = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
        addresses = {line.split()[3].rpartition(":")[0].strip("[]").removeprefix("::ffff:") for line in listening}
        assert addresses == {made.network.address(host)}


@pytest.mark.spark
def test_the_link_is_measured_before_it_is_used(emulated: Cluster) -> None:
    link = emulated.endpoint.link
    assert link is not None
    assert link.bits_per_second == RATE
    assert all(rate == pytest.approx(RATE, rel=0.25) for rate in link.measured)


@pytest.mark.spark
def test_its_executors_pass_all_checks(emulated: Cluster, tmp_path: Path) -> None:
    assert examined(emulated, tmp_path / "examined").executors


@pytest.mark.slow
@pytest.mark.spark
def test_a_killed_worker_comes_back_on_its_host(emulated: Cluster) -> None:
    before = written(emulated)
    os.kill(before.daemons[2].pid, signal.SIGKILL)
    deadline = time.monotonic() + PATIENCE
    while not emulated.lost() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert emulated.restore() == ["worker-2"]
    after = written(emulated)
    assert (after.network, after.link) == (before.network, before.link)
    assert before.network is not None
    space = os.stat(before.network.namespace(2)).st_ino  # noqa: PTH116 - of the namespace, not of a link to it
    assert os.stat(f"/proc/{after.daemons[2].pid}/ns/net").st_ino == space  # noqa: PTH116


OWNER = """
import sys, time
from pathlib import Path
from cluster import java, lifecycle
from cluster.budget import budget
from cluster.profile import Emulated, cache_folder
folder = Path(sys.argv[1])
where = Emulated(name="emulated-orphan", kind="emulated", memory="2g", driver_memory="2g", oversubscribe=True)
lifecycle.bring_up(where, budget(where), java.find(cache_folder()), folder / "cluster", folder / "logs", kept=True)
time.sleep(300)
"""


def state_when(until: Callable[[ClusterState], bool], process: "subprocess.Popen[bytes]", name: str) -> ClusterState:
    """The state of a cluster as soon as it is so."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        found = state.find(name)
        if found is not None and until(found):
            return found
        time.sleep(0.01)
    raise AssertionError("the cluster did not come so far")


@pytest.mark.spark
@pytest.mark.usefixtures("links")
@pytest.mark.parametrize("moment", ["while links are made", "while daemons start", "before a daemon is saved"])
def test_what_a_killed_start_left_is_removed_by_the_next_command_that_measures(tmp_path: Path, moment: str) -> None:
    until = {
        "while links are made": lambda found: found.network is not None,
        "while daemons start": lambda found: len(found.daemons) == 2,
        "before a daemon is saved": lambda found: len(found.daemons) == 3,
    }[moment]
    with subprocess.Popen([sys.executable, "-c", OWNER, str(tmp_path)]) as owner:
        try:
            orphan = state_when(until, owner, "emulated-orphan")
        finally:
            owner.kill()
    orphan = state.find("emulated-orphan") or orphan
    assert orphan.stale
    if moment == "before a daemon is saved":
        orphan.model_copy(update={"daemons": orphan.daemons[1:2], "ready": False}).save()
    assert orphan.network is not None
    assert moment == "while links are made" or parts(orphan.network)
    assert "emulated-orphan" in lifecycle.sweep()
    processes.sweep_limits()  # as every command that measures does next
    check_nothing_is_left(orphan)


@pytest.mark.slow
@pytest.mark.spark
@pytest.mark.usefixtures("links")
def test_emulate_status_and_down(sparkscale: Call) -> None:
    up = sparkscale("emulate", "--memory", "2g", "--rate", "100mbit", "--name", "emulated-up")
    if "cores, but only" in up.stderr:
        pytest.skip(up.stderr)
    assert up.returncode == 0, up.stderr
    assert "Its hosts are emulated. Each link: 100 Mbit/s requested; measured from host 1 to host 2 " in up.stdout
    made = state.find("emulated-up") or pytest.fail("no state")
    assert [one.name for one in state.profiles(["emulated-up"])] == ["emulated-up"]
    assert "measured from host 1 to" in " ".join(sparkscale("cluster", "status", "emulated-up").stdout.split())
    down = sparkscale("cluster", "down", "emulated-up")
    assert (down.returncode, down.stdout) == (0, "Cluster emulated-up is down: 3 daemons ended.\n")
    check_nothing_is_left(made)


@pytest.mark.slow
@pytest.mark.spark
@pytest.mark.usefixtures("links")
def test_an_interrupted_start_leaves_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sparkscale", "emulate", "--memory", "2g", "--name", "emulated-orphan"]
    with (tmp_path / "stderr").open("w") as stderr, subprocess.Popen(command, stderr=stderr) as process:
        try:
            made = state_when(lambda found: len(found.daemons) == 3, process, "emulated-orphan")
            process.send_signal(signal.SIGINT)
            assert process.wait(PATIENCE) == 130, (tmp_path / "stderr").read_text()
        finally:
            with suppress(ProcessLookupError):
                process.kill()
    check_nothing_is_left(made)
