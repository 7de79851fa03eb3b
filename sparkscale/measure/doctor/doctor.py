"""Checks that this machine can measure: Python, Java, Spark, cores, memory, disk and GPUs."""

import os
import platform
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from cluster import gpu, java, processes, profile
from cluster.budget import Budget
from cluster.budget import budget as budget_of
from cluster.granted import quota_in_words
from cluster.lifecycle import Cluster
from cluster.profile import ClusterProfile, cache_folder
from cluster.topology import physical_cores, topology
from sparkscale.contract.errors import SparkscaleError
from sparkscale.contract.location import local_path
from sparkscale.contract.phrases import count
from sparkscale.measure.worker.process import WorkerDied
from sparkscale.measure.worker.protocol import Ready
from sparkscale.measure.worker.startup import Session, open_worker

LEAST_MEMORY = 4 * 2**30
LEAST_DISK = 2 * 2**30


@dataclass(frozen=True)
class Check:
    """The result for one part of this machine, shown as one row of the report.

    `found` describes the part, or says why it cannot be used. `advice` tells the user what to do; empty if there
    is nothing to do. If `needed` is false, the part is optional.
    """

    name: str
    ok: bool
    found: str
    advice: str = ""
    needed: bool = True


def examine() -> list[Check]:
    """Runs all checks and returns their results. The start of Spark takes most of the time."""
    local = profile.load("local")
    budget = budget_of(local)
    return [
        Check("Python", True, platform.python_version()),
        *_spark(local, budget),
        _cores(budget),
        _memory(budget),
        _memory_limit(),
        _disk(local.storage_location),
        _gpus(),
    ]


def report(checks: list[Check]) -> Table:
    """Returns a table with one row for each check."""
    table = Table(header_style="bold")
    for column in ("check", "state", "found", "what to do"):
        table.add_column(column, overflow="fold")
    for check in checks:
        state = "ok" if check.ok else "missing" if check.needed else "missing (optional)"
        table.add_row(check.name, state, check.found, check.advice)
    return table


def _spark(local: ClusterProfile, budget: Budget) -> Iterator[Check]:
    """Finds Java, starts a worker with a Spark session, and checks which BLAS library the worker's JVM loads."""
    try:
        jdk = java.find(cache_folder())
    except SparkscaleError as error:
        yield Check("Java", False, str(error), "Install a JDK 17 or 21, or run `make setup`.")
        return
    yield Check("Java", True, f"{jdk.version} ({jdk.source}: {jdk.home})")
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="sparkscale-doctor-") as scratch:
        try:
            ready = _start(local, budget, jdk, Path(scratch))
        except (SparkscaleError, WorkerDied) as error:
            yield Check("Spark start-up", False, str(error), "Read the message, or try another JAVA_HOME.")
            return
    spark = ready.software["packages"]["pyspark"]
    yield Check("Spark start-up", True, f"Spark {spark} in {time.monotonic() - started:.1f} s")
    blas = ready.software["jvm_blas"]
    advice = "" if blas == "JNIBLAS" else "Works. A native library (Debian: libopenblas0) can speed up MLlib."
    yield Check("BLAS in the JVM", True, BLAS_NAMES.get(blas, blas), advice)


BLAS_NAMES = {
    "JNIBLAS": "native library (JNIBLAS)",
    "VectorBLAS": "Java's Vector API (VectorBLAS)",
    "Java11BLAS": "plain Java (Java11BLAS)",
    "Java8BLAS": "plain Java (Java8BLAS)",
    "F2jBLAS": "plain Java (F2jBLAS)",
}


def _start(local: ClusterProfile, budget: Budget, jdk: java.Java, scratch: Path) -> Ready:
    worker, ready = open_worker(
        local,
        budget,
        Session("spark", 1),
        log=scratch / "worker.log",
        scratch=scratch / "spark",
        cluster=Cluster(local, budget, jdk),
    )
    worker.close()
    return ready


def _cores(budget: Budget) -> Check:
    text = f"{budget.cores} usable of {os.cpu_count()}{quota_in_words()}"
    physical = physical_cores(budget.node.cpus, topology())
    if physical < budget.cores:
        text += f", hyper-threads of {count(physical, 'physical core')}"
    return Check("cores", True, text)


def _memory(budget: Budget) -> Check:
    granted, heap = budget.node.memory_bytes / 2**30, budget.driver.heap_bytes / 2**30
    text = f"{granted:.1f} GiB granted by `local`, {heap:.1f} GiB as heap"
    enough = budget.node.memory_bytes >= LEAST_MEMORY
    return Check("memory", enough, text, "" if enough else "Use a machine with more memory: 6 GiB or more.")


def _memory_limit() -> Check:
    limit = processes.MemoryLimit.create(LEAST_MEMORY)
    limit.remove()
    advice = "" if limit.cgroup else "Works. A writable memory cgroup would limit whole process trees."
    return Check("memory limits", True, limit.mechanism, advice)


def _disk(storage: str) -> Check:
    folder = local_path(storage)
    if folder is None:
        return Check("disk", True, f"{storage} is not on a disk of this machine")
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if not os.access(existing, os.W_OK):
        return Check("disk", False, f"{existing} cannot be written", "Set XDG_CACHE_HOME to another folder.")
    free = shutil.disk_usage(existing).free
    text = f"{free / 2**30:.1f} GiB free for {storage}"
    enough = free >= LEAST_DISK
    return Check(
        "disk", enough, text, "" if enough else "Free some space, or set XDG_CACHE_HOME to a folder on a larger disk."
    )


def _gpus() -> Check:
    gpus = gpu.discover()
    if not gpus.devices:
        advice = "Only for device=gpu: install the NVIDIA driver."
        return Check("GPUs", False, gpus.reason or "none", advice, needed=False)
    names = ", ".join(f"{device.name}, {device.memory_bytes / 2**30:.0f} GiB" for device in gpus.devices)
    return Check("GPUs", True, f"{names} (driver {gpus.driver})")
