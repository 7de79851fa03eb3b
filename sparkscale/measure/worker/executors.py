"""Checks executors: their versions against the driver's, the threads of a task, and access to the storage."""

import importlib.metadata
import os
import platform
import socket
import uuid
from typing import Any

from pydantic import BaseModel, ConfigDict

from sparkscale.contract.errors import ClusterError
from sparkscale.contract.location import join, to_read
from sparkscale.contract.phrases import count
from sparkscale.contract.threads import THREAD_VARIABLES
from workloads.io.filesystem import resolve
from workloads.libraries.tasks import SparkTasks

PACKAGES = ("pyspark", "pandas", "pyarrow", "numpy", "scikit-learn", "xgboost", "torch")
"""Packages that sparkscale's code uses on executors. Results may differ if their versions differ."""

OPENMP = "OMP_NUM_THREADS"
"""The environment variable that limits OpenMP's threads. If it is not set, libraries such as XGBoost start one
thread per core of the host."""

PROBE = "sparkscale"
"""The content of a file that executors must be able to read."""


class Executor(BaseModel):
    """The report of a Python process on an executor's host.

    `threads` holds the numbers of threads that a task's libraries would use. The keys are environment variables
    that are set, and the thread pools of BLAS and Arrow. OMP_NUM_THREADS is always a key, with None if the
    variable is not set. `unreachable` is the reason why the process cannot read the storage; None if it can.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str
    python: str
    packages: dict[str, str | None]
    threads: dict[str, int | None] = {}
    unreachable: str | None = None


def examine(spark: Any, tasks: int, threads: int, storage: str, cluster: str) -> list[Executor]:
    """Checks the executors of a cluster, and returns one report per host.

    Runs `tasks` Spark tasks that report on their executors, and reads the storage through Spark. Each task may use
    `threads` threads. `cluster` is the name of the cluster. Raises ClusterError if an executor fails a check. The
    message names the host and the fault.
    """
    probe = join(storage, f"sparkscale-probe-{uuid.uuid4().hex}")
    own = describe()
    system, path = resolve(probe)
    system.create_dir(path.rpartition("/")[0], recursive=True)
    with system.open_output_stream(path) as stream:
        stream.write(f"{PROBE}\n".encode())
    try:
        try:
            executors = SparkTasks(spark).map(_look, [probe] * tasks)
        except Exception as error:
            raise ClusterError(
                f"The executors of cluster '{cluster}' cannot run sparkscale's code: {_reason(error)}"
            ) from error
        _check_versions(own, executors, cluster)
        _check_threads(threads, executors, cluster)
        _check_storage(spark, probe, storage, executors, cluster)
    finally:
        system.delete_file(path)
    return list({executor.host: executor for executor in executors}.values())


def describe() -> Executor:
    """Returns a report on the calling process, with its host and versions only."""
    return Executor(
        host=socket.gethostname(),
        python=platform.python_version(),
        packages={name: _version(name) for name in PACKAGES},
    )


def _look(probe: str) -> Executor:
    system, path = resolve(probe)
    reason = None
    try:
        with system.open_input_stream(path) as stream:
            stream.read()
    except OSError as error:
        reason = str(error)
    return describe().model_copy(update={"unreachable": reason, "threads": _threads()})


def _threads() -> dict[str, int | None]:
    import numpy as np  # noqa: F401 - loads the BLAS, so that its pool is seen
    import pyarrow as pa
    from threadpoolctl import threadpool_info

    variables = {name: os.environ.get(name, "").partition(",")[0] for name in THREAD_VARIABLES}
    threads: dict[str, int | None] = {name: int(value) for name, value in variables.items() if value.isdecimal()}
    threads.setdefault(OPENMP, None)
    for pool in [*threadpool_info(), {"internal_api": "Arrow", "num_threads": pa.cpu_count()}]:
        name = f"the pool of {pool['internal_api']}"
        threads[name] = max(int(pool["num_threads"]), threads.get(name) or 0)
    return threads


def _check_versions(own: Executor, executors: list[Executor], cluster: str) -> None:
    """Raises ClusterError if an executor has other versions than this process (`own`).

    A build tag such as +cpu is ignored, because the driver's host often has no GPU.
    """

    def versions(executor: Executor) -> dict[str, str]:
        packages = {name: (version or "missing").partition("+")[0] for name, version in executor.packages.items()}
        return {"Python": executor.python, **packages}

    ours = versions(own)
    for executor in executors:
        theirs = versions(executor)
        differing = [f"{name} {theirs[name]} (here {ours[name]})" for name in ours if theirs[name] != ours[name]]
        if differing:
            raise ClusterError(
                f"An executor of cluster '{cluster}' on {executor.host} has other versions than this process: "
                f"{', '.join(differing)}. Install the same versions on both."
            )


def _check_threads(threads: int, executors: list[Executor], cluster: str) -> None:
    """Raises ClusterError if a task would use more than `threads` threads.

    Such tasks would take cores from each other.
    """
    for executor in executors:
        excess = [
            f"{name} {'is not set' if number is None else number}"
            for name, number in executor.threads.items()
            if number is None or number > threads
        ]
        if excess:
            raise ClusterError(
                f"A task of cluster '{cluster}' on {executor.host} may use {count(threads, 'thread')}, but its "
                f"libraries would use more: {', '.join(excess)}. Set {', '.join(THREAD_VARIABLES)} to {threads} in "
                "the environment in which Spark starts Python."
            )


def _check_storage(spark: Any, probe: str, storage: str, executors: list[Executor], cluster: str) -> None:
    reasons = [f"{executor.host}: {executor.unreachable}" for executor in executors if executor.unreachable]
    if not reasons:
        try:
            if spark.read.text(to_read(probe)).collect()[0].value != PROBE:
                reasons = ["Spark reads another file there, so its storage is not this one"]
        except Exception as error:
            reasons = [f"Spark: {_reason(error)}"]
    if reasons:
        raise ClusterError(
            f"The executors of cluster '{cluster}' cannot read the storage {storage} ({reasons[0]}): set "
            "`storage` in the profile to a shared folder or a URI."
        )


def _reason(error: Exception) -> str:
    """Returns the line of an error's message that names the cause.

    This is the last line that names an error, as in the traceback of a Python worker. If there is none, it is the
    first line.
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    error_lines = [line for line in lines if "Error: " in line or "MISMATCH" in line or "Exception: " in line]
    return (error_lines or lines or [type(error).__name__])[-1 if error_lines else 0]


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
