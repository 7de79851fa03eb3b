"""Real sessions: the collector that their JVMs run, and the threads of native libraries in them."""

import os
from pathlib import Path
from typing import Any

import psutil
import pytest

from cluster import java, jvm, lifecycle, processes
from cluster.budget import budget
from cluster.profile import PROFILE, cache_folder
from cluster.session import SparkRuntime
from sparkscale.contract.threads import thread_variables
from sparkscale.measure.worker.startup import Session, open_worker, restart_session

pytestmark = pytest.mark.spark

ONE_CORE: dict[str, dict[str, Any]] = {
    "local": {"cores": 1, "memory": "2g"},
    "standalone": {"workers": 1, "memory": "1g", "driver_memory": "2g"},
    "connect": {"cores": 1, "memory": "2g", "driver_memory": "1g"},
}
ROLES = {"local": ["driver"], "standalone": ["driver", "executor"], "connect": ["server"]}
MIB = 2**20


def jvms(sessions: tuple[int, ...]) -> list[psutil.Process]:
    """The JVMs that compute, of all in these process trees."""
    found = (process for session in sessions for process in processes.processes_of(session))
    return [process for process in found if any(word in process.cmdline() for word in jvm.ROLES)]


@pytest.mark.parametrize("kind", ["local", "standalone", "connect"])
def test_on_one_core_every_jvm_runs_the_pinned_collector_and_one_thread_of_blas(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Left alone a JVM would run Serial here; the Python process that starts it keeps all of its threads."""
    monkeypatch.delenv("JAVA_TOOL_OPTIONS", raising=False)
    where = PROFILE.validate_python({"name": f"pinned-{kind}", "kind": kind, **ONE_CORE[kind]})
    granted = budget(where)
    wide = granted.driver.model_copy(update={"cpus": tuple(sorted(os.sched_getaffinity(0)))})
    granted = granted.model_copy(update={"driver": wide})
    jdk = java.find(cache_folder())
    with lifecycle.cluster_for(where, granted, jdk, tmp_path / "cluster", tmp_path / "logs") as cluster:
        worker, ready = open_worker(where, granted, Session("spark", 1), tmp_path / "log", tmp_path / "work", cluster)
        try:
            found = {one["jvm"]: one for one in ready.session["collectors"]}
            assert sorted(found) == ROLES[kind]
            assert {one["collector"] for one in found.values()} == {"Parallel"}
            computing = found["executor" if kind == "standalone" else ROLES[kind][0]]
            assert computing["threads"] == (len(wide.cpus) if kind == "local" else 1)
            sessions = (worker.process.pid, *cluster.endpoint.daemons)
            assert len(jvms(sessions)) == len(ROLES[kind])
            for process in jvms(sessions):
                assert process.environ().items() >= thread_variables(1).items()
            assert ready.session["thread_variables"] == thread_variables(len(wide.cpus))
        finally:
            worker.kill()


def test_a_driver_collects_more_than_spark_would_by_default(spark: SparkRuntime) -> None:
    """1,120 MiB; Spark's default of spark.driver.maxResultSize is 1 GiB. `sklearn-driver` collects all rows."""
    rows = spark.spark.range(0, 140, 1, 140).selectExpr(f"repeat('x', {8 * MIB}) AS text")
    assert rows.toArrow().nbytes > 1120 * MIB


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="a task of two threads needs two cores")
def test_another_session_in_the_same_jvm_differs_in_the_threads_of_its_tasks_alone(tmp_path: Path) -> None:
    """The JVM's own libraries keep one thread: MLlib's tasks, of which each core runs one, may follow."""
    where = PROFILE.validate_python({"name": "again", "kind": "local", "memory": "3g"})
    granted, jdk = budget(where), java.find(cache_folder())
    with lifecycle.cluster_for(where, granted, jdk, tmp_path / "cluster", tmp_path / "logs") as cluster:
        worker, first = open_worker(where, granted, Session("spark", 2), tmp_path / "log", tmp_path / "work", cluster)
        try:
            found = [first]
            (process,) = jvms((worker.process.pid,))
            assert process.environ().items() >= thread_variables(1).items()
            for threads in (1, 2):
                found.append(restart_session(worker, threads))
                assert jvms((worker.process.pid,)) == [process]
        finally:
            worker.kill()
    confs = [ready.session["spark_conf"] for ready in found]
    assert [conf["spark.task.cpus"] for conf in confs] == ["2", "1", "2"]
    names = {"spark.task.cpus", *(f"spark.executorEnv.{name}" for name in thread_variables(1))}
    assert {key for key in confs[0] if confs[0][key] != confs[1].get(key)} == names
    assert confs[0] == confs[2]
