"""Starts Spark's own Master and Workers on this machine, through `spark-class`."""

import json
import time
import urllib.request
from pathlib import Path

from cluster import gpu, java
from cluster.budget import Grant
from cluster.daemon import LOOPBACK, POLL_SECONDS, START_SECONDS, Daemon, daemon_environment
from cluster.network import Network
from cluster.profile import SparkDaemons
from cluster.settings import security, write_settings
from sparkscale.contract.errors import ClusterError

MASTER = "org.apache.spark.deploy.master.Master"
WORKER = "org.apache.spark.deploy.worker.Worker"
LISTENING = r"Starting Spark master at (spark://\S+)"
PAGE = r"started at (http://\S+)"
DIRECTLY = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Opens pages without a proxy, because no proxy reaches the addresses of this machine."""


def start_master(
    profile: SparkDaemons,
    secret: str,
    jdk: java.Java,
    grant: Grant,
    folder: Path,
    logs: Path,
    outlives: bool,
    network: Network | None = None,
) -> Daemon:
    """Starts the master. It writes below `folder` and `logs`.

    It listens on free ports of the loopback interface, or at the driver's address in the network of emulated hosts.
    """
    address = network.driver_address if network else LOOPBACK
    settings = write_settings(
        folder / "conf-master",
        # Spark's master always has a web page; its server for submissions is not needed, and has a fixed port
        {**security(profile, secret), "spark.master.rest.enabled": "false", "spark.ui.killEnabled": "false"},
    )
    return Daemon.start(
        "master",
        [_spark_class(), MASTER, "--host", address, "--port", "0", "--webui-port", "0"],
        grant,
        {**daemon_environment(jdk, address), **settings},
        logs / "master.log",
        outlives,
        limited=False,
    )


def addresses(master: Daemon) -> tuple[str, str]:
    """Returns the addresses of the master and of its web page. Raises ClusterError if the master does not start."""
    return master.await_text(LISTENING).group(1), master.await_text(PAGE).group(1)


def start_worker(
    profile: SparkDaemons,
    number: int,
    grant: Grant,
    master: str,
    secret: str,
    jdk: java.Java,
    folder: Path,
    logs: Path,
    outlives: bool,
    network: Network | None = None,
) -> Daemon:
    """Starts one Spark worker with its own settings, work directory, shuffle folder, CPUs, memory and GPUs.

    With a network, it runs on the emulated host `number`.
    """
    address = network.address(number) if network else LOOPBACK
    worker_folder = folder / f"worker-{number}-{time.time_ns()}"
    conf = {**security(profile, secret), "spark.worker.cleanup.enabled": "true", "spark.ui.killEnabled": "false"}
    if grant.gpus:
        conf |= {
            "spark.worker.resource.gpu.amount": str(len(grant.gpus)),
            "spark.worker.resource.gpu.discoveryScript": str(gpu.discovery_script(worker_folder, grant.gpus)),
        }
    environment = {
        **daemon_environment(jdk, address),
        **write_settings(worker_folder / "conf", conf),
        **(gpu.ORDER if grant.gpus else {}),
        "SPARK_LOCAL_DIRS": str(worker_folder / "local"),
    }
    options = ["--host", address, "--port", "0", "--webui-port", "0", "--work-dir", str(worker_folder / "work")]
    size = ["--cores", str(profile.cores), "--memory", f"{grant.memory_bytes // 2**20}M"]
    log = logs / f"worker-{number}.log"
    return Daemon.start(
        f"worker-{number}",
        [_spark_class(), WORKER, *options, *size, master],
        grant,
        environment,
        log,
        outlives,
        namespace=network.namespace(number) if network else None,
    )


def await_workers(page: str, count: int, daemons: tuple[Daemon, ...]) -> None:
    """Waits until the master lists `count` Spark workers. Raises ClusterError if a daemon ends or time runs out."""
    deadline = time.monotonic() + START_SECONDS
    while alive_workers(page) != count:
        for daemon in daemons:
            if not daemon.alive:
                raise ClusterError(f"Spark's {daemon.name} did not start. {daemon.last_words()}")
        if time.monotonic() > deadline:
            raise ClusterError(
                f"Spark's master did not list {count} workers within {START_SECONDS:.0f} s: see {page} and the logs "
                f"in {daemons[0].log.parent}."
            )
        time.sleep(POLL_SECONDS)


def alive_workers(page: str) -> int | None:
    """Returns the number of living Spark workers that the master lists; None if the master does not answer."""
    try:
        with DIRECTLY.open(f"{page}/json/", timeout=10) as answer:
            return int(json.load(answer)["aliveworkers"])
    except (OSError, ValueError, KeyError):
        return None


def _spark_class() -> str:
    return str(java.spark_home() / "bin" / "spark-class")
