"""Opens a worker: its memory limit, its process, its session, on what a profile grants."""

from pathlib import Path

from cluster import java, processes
from cluster.profile import Budget, ClusterProfile
from sparkscale.contract.case import Placement
from sparkscale.contract.errors import ClusterError
from sparkscale.measure.protocol import Open, Ready
from sparkscale.measure.worker_process import DeadlineExceeded, WorkerProcess

OPEN_SECONDS = 180.0


def open_worker(
    profile: ClusterProfile,
    budget: Budget,
    placement: Placement,
    threads: int,
    log: Path,
    scratch: Path,
    jdk: java.Java | None,
    limited: bool = True,
) -> tuple[WorkerProcess, Ready]:
    """A worker that has taken on its limits and started its session; `jdk` is what a Spark worker runs on.

    Raises ClusterError when it is not ready in time, WorkerDied when it ends.
    """
    limit = processes.MemoryLimit.create(budget.memory_bytes)
    variables = processes.thread_variables(budget.cores if placement == "spark" else threads)
    if jdk is not None:
        variables |= jdk.environment()
    worker = WorkerProcess.spawn(log, limit, variables)
    opening = Open(
        profile=profile,
        placement=placement,
        threads=threads,
        cpus=budget.cpus,
        memory_bytes=budget.memory_bytes,
        heap_bytes=budget.heap_bytes,
        cgroup=limit.cgroup,
        limited=limited,
        scratch=scratch,
    )
    try:
        ready = worker.request(opening, OPEN_SECONDS)
    except DeadlineExceeded:
        worker.kill()
        raise ClusterError(f"A worker was not ready after {OPEN_SECONDS:g} s: see {log}.") from None
    except BaseException:
        worker.kill()
        raise
    assert isinstance(ready, Ready)
    return worker, ready
