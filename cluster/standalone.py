"""Spark's own Master and Workers on this machine, through `spark-class`."""

import json
import time
import urllib.request
from pathlib import Path

from cluster import gpu, java
from cluster.budget import Grant
from cluster.daemon import POLL_SECONDS, START_SECONDS, Daemon, environment_of
from cluster.profile import Standalone
from cluster.settings import security, write_settings
from sparkscale.contract.errors import ClusterError

MASTER = "org.apache.spark.deploy.master.Master"
WORKER = "org.apache.spark.deploy.worker.Worker"
LISTENING = r"Starting Spark master at (spark://\S+)"
PAGE = r"started at (http://\S+)"


def start_master(
    profile: Standalone, secret: str, jdk: java.Java, grant: Grant, folder: Path, logs: Path, outlives: bool
) -> Daemon:
    """Settings and logs go into these folders; it listens on free ports of the loopback interface."""
    settings = write_settings(
        folder / "conf-master",
        # Spark's master always has a web page, and needs none for submissions: that one has a fixed port
        {**security(profile, secret), "spark.master.rest.enabled": "false", "spark.ui.killEnabled": "false"},
    )
    return Daemon.start(
        "master",
        [_spark_class(), MASTER, "--host", "127.0.0.1", "--port", "0", "--webui-port", "0"],
        grant,
        {**environment_of(jdk), **settings},
        logs / "master.log",
        outlives,
        limited=False,
    )


def addresses(master: Daemon) -> tuple[str, str]:
    """Where the master listens, and where its page is. Raises ClusterError when it does not come up."""
    return master.await_text(LISTENING).group(1), master.await_text(PAGE).group(1)


def start_worker(
    profile: Standalone,
    number: int,
    grant: Grant,
    master: str,
    secret: str,
    jdk: java.Java,
    folder: Path,
    logs: Path,
    outlives: bool,
) -> Daemon:
    """One worker daemon, with its own settings, work directory, place for shuffled data, CPUs, memory and GPUs."""
    own = folder / f"worker-{number}-{time.time_ns()}"
    conf = {**security(profile, secret), "spark.worker.cleanup.enabled": "true", "spark.ui.killEnabled": "false"}
    if grant.gpus:
        conf |= {
            "spark.worker.resource.gpu.amount": str(len(grant.gpus)),
            "spark.worker.resource.gpu.discoveryScript": str(gpu.announcer(own, grant.gpus)),
        }
    environment = {
        **environment_of(jdk),
        **write_settings(own / "conf", conf),
        **(gpu.ORDER if grant.gpus else {}),
        "SPARK_LOCAL_DIRS": str(own / "local"),
    }
    place = ["--host", "127.0.0.1", "--port", "0", "--webui-port", "0", "--work-dir", str(own / "work")]
    size = ["--cores", str(profile.cores), "--memory", f"{grant.memory_bytes // 2**20}M"]
    log = logs / f"worker-{number}.log"
    return Daemon.start(
        f"worker-{number}", [_spark_class(), WORKER, *place, *size, master], grant, environment, log, outlives
    )


def await_workers(page: str, count: int, daemons: tuple[Daemon, ...]) -> None:
    """Returns when the master lists so many workers. Raises ClusterError when one ends or it takes too long."""
    deadline = time.monotonic() + START_SECONDS
    while alive_workers(page) != count:
        for daemon in daemons:
            if not daemon.alive:
                raise ClusterError(f"Spark's {daemon.name} did not start. {daemon.last_words()}")
        if time.monotonic() > deadline:
            raise ClusterError(
                f"Spark's master did not list {count} workers within {START_SECONDS:.0f} s: see {page}."
            )
        time.sleep(POLL_SECONDS)


def alive_workers(page: str) -> int | None:
    """How many workers the master lists; None when it does not answer."""
    try:
        with urllib.request.urlopen(f"{page}/json/", timeout=10) as answer:
            return int(json.load(answer)["aliveworkers"])
    except (OSError, ValueError, KeyError):
        return None


def _spark_class() -> str:
    return str(java.spark_home() / "bin" / "spark-class")
