"""Real sessions: the collector that their JVMs run, and the threads of native libraries in them."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from cluster import jvm, lifecycle, processes
from cluster.budget import budget
from cluster.lifecycle import Cluster
from cluster.profile import PROFILE
from cluster.session import SparkRuntime
from sparkscale.contract.threads import thread_variables
from sparkscale.measure.worker.process import WorkerProcess
from sparkscale.measure.worker.protocol import Examine, Examined, Ready
from sparkscale.measure.worker.startup import Session, open_worker, restart_session
from tests.cluster.using import found_java

pytestmark = pytest.mark.spark

ONE_CORE: dict[str, dict[str, Any]] = {
    "standalone": {"workers": 1, "memory": "1g", "driver_memory": "2g"},
    "connect": {"cores": 1, "memory": "2g", "driver_memory": "1g"},
}
ROLES = {"local": ["driver"], "standalone": ["driver", "executor"], "connect": ["server"]}
LOCAL_THREADS = min(2, len(os.sched_getaffinity(0)))
PATIENCE = 120.0
MIB = 2**20


def jvms(sessions: tuple[int, ...]) -> list[psutil.Process]:
    """The JVMs that compute, of all in these process trees."""
    found = (process for session in sessions for process in processes.processes_of(session))
    return [process for process in found if any(word in process.cmdline() for word in jvm.ROLES)]


@dataclass(frozen=True)
class Opened:
    """A worker with a session on a cluster, and what it said of them."""

    worker: WorkerProcess
    ready: Ready
    cluster: Cluster

    @property
    def jvms(self) -> list[psutil.Process]:
        return jvms((self.worker.process.pid, *self.cluster.endpoint.daemons))


@contextmanager
def opened(folder: Path, threads: int, **settings: Any) -> Iterator[Opened]:
    """A worker on a cluster with these settings, with a driver on every CPU and this many threads for a task.

    The environment of other tests names a collector for each JVM, and then sparkscale chooses none.
    """
    where = PROFILE.validate_python({"name": f"pinned-{settings['kind']}", **settings})
    granted = budget(where)
    wide = granted.driver.model_copy(update={"cpus": tuple(sorted(os.sched_getaffinity(0)))})
    granted = granted.model_copy(update={"driver": wide})
    with ExitStack() as stack:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("JAVA_TOOL_OPTIONS", "-XX:TieredStopAtLevel=1")
            cluster = stack.enter_context(
                lifecycle.cluster_for(where, granted, found_java(), folder / "cluster", folder / "logs")
            )
            session = Session("spark", threads)
            worker, ready = open_worker(where, granted, session, folder / "log", folder / "work", cluster)
            stack.callback(worker.kill)
        yield Opened(worker, ready, cluster)


def check_threads_of_tasks(found: Opened, threads: int) -> None:
    """Every variable and the pools of BLAS and Arrow name this many threads."""
    reply = found.worker.request(Examine(), PATIENCE)
    assert isinstance(reply, Examined)
    for executor in reply.executors:
        assert {"OMP_NUM_THREADS", "the pool of Arrow", "the pool of openblas"} <= executor.threads.keys()
        assert set(executor.threads.values()) == {threads}


def check_collectors_and_threads(found: Opened) -> None:
    """Every JVM runs the pinned collector, with one thread for native libraries.

    The Python process that starts the JVM keeps all of its threads.
    """
    kind = found.cluster.profile.kind
    collectors = {one["jvm"]: one for one in found.ready.session["collectors"]}
    assert sorted(collectors) == ROLES[kind]
    assert {one["collector"] for one in collectors.values()} == {"Parallel"}
    cpus = len(os.sched_getaffinity(0))
    computing = collectors["executor" if kind == "standalone" else ROLES[kind][0]]
    assert computing["threads"] == (cpus if kind == "local" else 1)
    assert len(found.jvms) == len(ROLES[kind])
    for process in found.jvms:
        assert process.environ().items() >= thread_variables(1).items()
    assert found.ready.session["thread_variables"] == thread_variables(cpus)


@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted(ONE_CORE))
def test_on_one_core_every_jvm_runs_the_pinned_collector_and_one_thread(kind: str, tmp_path: Path) -> None:
    """Left alone a JVM would run Serial here."""
    with opened(tmp_path, threads=1, kind=kind, **ONE_CORE[kind]) as found:
        check_collectors_and_threads(found)
        check_threads_of_tasks(found, 1)


@pytest.fixture(scope="module")
def local() -> Iterator[Opened]:
    """A worker in local mode, whose tasks have as many threads as LOCAL_THREADS.

    Its folder has a short path: a JVM gets no folder for temporary files if the path of that is too long for sockets.
    """
    with (
        tempfile.TemporaryDirectory(dir="/tmp") as folder,
        opened(Path(folder), threads=LOCAL_THREADS, kind="local", memory="3g") as found,
    ):
        yield found


def test_in_local_mode_the_jvm_runs_the_pinned_collector_and_one_thread(local: Opened) -> None:
    check_collectors_and_threads(local)
    check_threads_of_tasks(local, LOCAL_THREADS)


@pytest.mark.skipif(LOCAL_THREADS < 2, reason="a task of two threads needs two cores")
def test_another_session_in_the_same_jvm_differs_in_the_threads_of_its_tasks_alone(local: Opened) -> None:
    """The JVM's own libraries keep one thread: MLlib's tasks, of which each core runs one, may follow."""
    (process,) = local.jvms
    assert process.environ().items() >= thread_variables(1).items()
    found = [local.ready]
    for threads in (1, 2):
        found.append(restart_session(local.worker, threads))
        assert local.jvms == [process]
        check_threads_of_tasks(local, threads)
    confs = [ready.session["spark_conf"] for ready in found]
    assert [conf["spark.task.cpus"] for conf in confs] == ["2", "1", "2"]
    names = {"spark.task.cpus", *(f"spark.executorEnv.{name}" for name in thread_variables(1))}
    assert {key for key in confs[0] if confs[0][key] != confs[1].get(key)} == names
    assert confs[0] == confs[2]


def test_a_driver_collects_more_than_spark_would_by_default(spark: SparkRuntime) -> None:
    """1,120 MiB; Spark's default of spark.driver.maxResultSize is 1 GiB. `sklearn-driver` collects all rows."""
    rows = spark.spark.range(0, 140, 1, 140).selectExpr(f"repeat('x', {8 * MIB}) AS text")
    assert rows.toArrow().nbytes > 1120 * MIB
