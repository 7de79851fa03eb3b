"""Opens a worker: creates its memory limit, its process and its session, within the budget of a profile."""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cluster import processes
from cluster.budget import Budget
from cluster.lifecycle import Cluster
from cluster.profile import ClusterProfile, External
from sparkscale.contract import private
from sparkscale.contract.case import Device, Placement
from sparkscale.contract.errors import ClusterError
from sparkscale.contract.threads import thread_variables
from sparkscale.measure.worker.process import TEMPORARY, DeadlineExceeded, WorkerProcess
from sparkscale.measure.worker.protocol import Open, Ready, Restart

OPEN_SECONDS = 180.0
REFUSED = re.compile(r"Exception while bootstrapping client|SaslException")
"""Matches the messages that Spark logs if the driver and the cluster have different secrets.

The message depends on whether the connection is encrypted.
"""


@dataclass(frozen=True)
class Session:
    """The properties of a Spark session, or of a worker without a session.

    Executions with equal properties can share the session, or the worker.
    """

    placement: Placement
    threads: int
    device: Device = "cpu"


def open_worker(
    profile: ClusterProfile,
    budget: Budget,
    session: Session,
    log: Path,
    scratch: Path,
    cluster: Cluster | None,
    limited: bool = True,
) -> tuple[WorkerProcess, Ready]:
    """Returns a worker that has applied its limits and started its session, and the worker's first reply.

    Without Spark, the worker gets one CPU of the budget for each thread of `session`. `cluster` is the cluster for a
    Spark session; None if the worker needs no session. If `limited` is false, the worker has no memory limit. Raises
    ClusterError if the worker is not ready in time, and WorkerDied if it ends.
    """
    own_budget = budget.with_threads(session.placement, session.threads)
    grant = own_budget.grant(session.placement)
    endpoint = cluster.endpoint if cluster else None
    limit = processes.MemoryLimit.create(grant.memory_bytes)
    temporary = scratch / TEMPORARY
    temporary.mkdir(parents=True, exist_ok=True)
    threads = len(grant.cpus) if session.placement == "spark" else session.threads
    # without its own folder, joblib keeps shared rows in /dev/shm, where nobody removes them after a kill
    variables = {**thread_variables(threads), "TMPDIR": str(temporary), "JOBLIB_TEMP_FOLDER": str(temporary)}
    if cluster is not None:
        variables |= cluster.jdk.environment()
    begun = time.monotonic()
    # executors of an existing cluster may run as another user, and must be able to read what this user writes
    umask = private.users_umask() if isinstance(profile, External) else -1
    worker = WorkerProcess.spawn(log, scratch, limit, variables, umask)
    opening = Open(
        profile=profile,
        budget=own_budget,
        endpoint=endpoint,
        placement=session.placement,
        threads=session.threads,
        device=session.device,
        cgroup=limit.cgroup,
        limited=limited,
        scratch=scratch,
    )
    seconds = OPEN_SECONDS + (profile.patience_seconds if isinstance(profile, External) else 0.0)
    try:
        ready = _ready(worker, opening, seconds, watch=lambda: _check_not_refused(profile, log))
    except BaseException:
        worker.kill()
        raise
    worker.threads = session.threads
    worker.start_seconds = time.monotonic() - begun
    return worker, ready


def restart_session(worker: WorkerProcess, threads: int) -> Ready:
    """Ends the worker's Spark session and starts a new one in the same JVM, with `threads` threads per task.

    Raises ClusterError if the new session is not ready in time, and WorkerDied if the worker ends.
    """
    ready = _ready(worker, Restart(threads=threads), OPEN_SECONDS)
    worker.threads = threads
    worker.warmed.clear()  # the next session's Python workers are new
    return ready


def _ready(
    worker: WorkerProcess, request: Open | Restart, seconds: float, watch: Callable[[], None] = lambda: None
) -> Ready:
    try:
        ready = worker.request(request, seconds, watch=watch)
    except DeadlineExceeded:
        raise ClusterError(f"A worker was not ready after {seconds:g} s: its log is {worker.log_path}.") from None
    assert isinstance(ready, Ready)
    return ready


def _check_not_refused(profile: ClusterProfile, log: Path) -> None:
    """Raises ClusterError if the worker's log says that the cluster refused its secret.

    Spark's driver mentions a wrong secret only in its log. It retries for a minute, and then gives no reason.
    """
    if REFUSED.search(log.read_text(errors="replace")):
        raise ClusterError(
            f"Cluster '{profile.name}' does not let this session in: its spark.authenticate.secret is another. "
            f"Check `secrets` in the profile (log: {log})."
        )
