"""Do the executors fit? Versions beside the driver's, threads of a task, and whether they reach the storage."""

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
"""What our functions use on executors: of another version they may read, or compute, something else."""

OPENMP = "OMP_NUM_THREADS"
"""Without it each library of OpenMP, XGBoost say, starts a thread for every core of the host."""

PROBE = "sparkscale"
"""What stands in the file that executors must be able to read."""


class Executor(BaseModel):
    """What one process of Python on an executor's host said. `unreachable` is why it cannot use the storage.

    `threads` is how many a task's libraries would use: by those variables of the environment that are set, by
    OMP_NUM_THREADS in any case (None: it is not set), and in the pools of BLAS and Arrow.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str
    python: str
    packages: dict[str, str | None]
    threads: dict[str, int | None] = {}
    unreachable: str | None = None


def examine(spark: Any, tasks: int, threads: int, storage: str, cluster: str) -> list[Executor]:
    """Asks one task per core, each of which may use `threads` threads, and reads the storage through Spark, too.

    Raises ClusterError, naming hosts and versions, or the storage, unless all executors fit.
    """
    probe = join(storage, f"sparkscale-probe-{uuid.uuid4().hex}")
    own = describe()
    system, path = resolve(probe)
    system.create_dir(path.rpartition("/")[0], recursive=True)
    with system.open_output_stream(path) as stream:
        stream.write(f"{PROBE}\n".encode())
    try:
        try:
            found = SparkTasks(spark).map(_look, [probe] * tasks)
        except Exception as error:
            raise ClusterError(
                f"The executors of cluster '{cluster}' cannot run our code: {_reason(error)}"
            ) from error
        _check_versions(own, found, cluster)
        _check_threads(threads, found, cluster)
        _check_storage(spark, probe, storage, found, cluster)
    finally:
        system.delete_file(path)
    return list({executor.host: executor for executor in found}.values())


def describe() -> Executor:
    """Of the process that calls it."""
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
    import numpy as np  # noqa: F401 - loads the BLAS whose pool is looked at
    import pyarrow as pa
    from threadpoolctl import threadpool_info

    said = {name: os.environ.get(name, "").partition(",")[0] for name in THREAD_VARIABLES}
    found: dict[str, int | None] = {name: int(value) for name, value in said.items() if value.isdecimal()}
    found.setdefault(OPENMP, None)
    for pool in [*threadpool_info(), {"internal_api": "Arrow", "num_threads": pa.cpu_count()}]:
        name = f"the pool of {pool['internal_api']}"
        found[name] = max(int(pool["num_threads"]), found.get(name) or 0)
    return found


def _check_versions(own: Executor, found: list[Executor], cluster: str) -> None:
    """A build tag such as +cpu is no other version: drivers often have no GPU."""

    def versions(executor: Executor) -> dict[str, str]:
        packages = {name: (version or "missing").partition("+")[0] for name, version in executor.packages.items()}
        return {"Python": executor.python, **packages}

    ours = versions(own)
    for executor in found:
        theirs = versions(executor)
        differing = [f"{name} {theirs[name]} (here {ours[name]})" for name in ours if theirs[name] != ours[name]]
        if differing:
            raise ClusterError(
                f"An executor of cluster '{cluster}' on {executor.host} has other versions than this process: "
                f"{', '.join(differing)}. Install the same on both sides."
            )


def _check_threads(threads: int, found: list[Executor], cluster: str) -> None:
    """Tasks with more threads than they may use take each other's cores, and look slow."""
    for executor in found:
        more = [
            f"{name} {'is not set' if number is None else number}"
            for name, number in executor.threads.items()
            if number is None or number > threads
        ]
        if more:
            raise ClusterError(
                f"A task of cluster '{cluster}' on {executor.host} may use {count(threads, 'thread')}, and its "
                f"libraries would use more: {', '.join(more)}. Set {', '.join(THREAD_VARIABLES)} to {threads} in the "
                "environment in which Spark starts Python."
            )


def _check_storage(spark: Any, probe: str, storage: str, found: list[Executor], cluster: str) -> None:
    reasons = [f"{executor.host}: {executor.unreachable}" for executor in found if executor.unreachable]
    if not reasons:
        try:
            if spark.read.text(to_read(probe)).collect()[0].value != PROBE:
                reasons = ["Spark reads another file there"]
        except Exception as error:
            reasons = [f"Spark: {_reason(error)}"]
    if reasons:
        raise ClusterError(
            f"The executors of cluster '{cluster}' cannot read the storage {storage} ({reasons[0]}): name a shared "
            "folder or a URI as the profile's `storage`."
        )


def _reason(error: Exception) -> str:
    """Of a Python worker's traceback its last line says what was wrong."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if "Error: " in line or "MISMATCH" in line or "Exception: " in line]
    return (telling or lines or [type(error).__name__])[-1 if telling else 0]


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
