"""The runner: measures rounds of executions in fresh workers, with deadlines, and stores each record at once.

It never imports pyspark, because only worker processes run Spark and engines.
"""

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cluster.budget import Budget
from cluster.lifecycle import Cluster
from cluster.profile import ClusterProfile
from cluster.settings import heap_bytes
from sparkscale.contract.case import Case
from sparkscale.contract.dataset import PreparedDataset
from sparkscale.contract.errors import ScratchError
from sparkscale.contract.phrases import with_threads
from sparkscale.contract.record import ErrorInfo, Observation
from sparkscale.measure.outcomes import CaseLimits
from sparkscale.measure.plan.rounds import Execution, worker_queues
from sparkscale.measure.run.idle import IdleWorkers
from sparkscale.measure.run.ledger import Ledger
from sparkscale.measure.run.preparation import Models
from sparkscale.measure.run.progress import Observer
from sparkscale.measure.run.records import Recorder
from sparkscale.measure.run.worker_queue import WorkerQueue
from sparkscale.measure.worker.process import WorkerProcess
from sparkscale.measure.worker.startup import Session, open_worker

OUTSIDE_SECONDS = 300.0
"""The time limit for the checks before a case's phases, and for scoring after the phases.

If the suite's deadline for the phases is longer, the limit is as long as this deadline.
"""

GRACE_SECONDS = 10.0
"""A case that runs when the time of the command is over is stopped after this many seconds."""
LEAST_SCORING_SECONDS = 60.0
"""Scoring always has this much time, because a case that is not scored is lost."""


@dataclass(frozen=True)
class Times:
    """The times (time.monotonic()) that limit one go of a run.

    At `ends_at`, the time of the command is over: no execution begins later, and a running one is stopped. After
    `last_start`, the go is later than expected: an execution that runs goes on, but no other one begins.
    """

    ends_at: float
    last_start: float


@dataclass
class Runner:
    """Measures executions on one profile.

    `logs` is the folder of the workers' logs, and `scratch` the folder of their temporary files. `cluster` is the
    cluster for Spark sessions; None if no case needs one. `times` limits the next call of `run`; None if it has no
    limit. If `keeps_worker` is true, the last worker waits for the next call of `run`, which uses it for executions
    of the same round.
    """

    recorder: Recorder
    observer: Observer
    ledger: Ledger
    profile: ClusterProfile
    budget: Budget
    cluster: Cluster | None
    deadline_seconds: float
    logs: Path
    scratch: Path
    data: dict[str, PreparedDataset]
    models: Models
    times: Times | None = None
    keeps_worker: bool = False
    _open: tuple[tuple[int, Session], WorkerQueue] | None = None

    def __post_init__(self) -> None:
        self.idle = IdleWorkers(self.spawn)

    @property
    def is_over(self) -> bool:
        """True if the time of the command is over."""
        return self.times is not None and time.monotonic() >= self.times.ends_at

    @property
    def is_late(self) -> bool:
        """True if no further execution should begin."""
        return self.times is not None and time.monotonic() >= min(self.times.ends_at, self.times.last_start)

    def limits(self) -> CaseLimits:
        """Returns the time limits of a case that begins now."""
        outside = max(self.deadline_seconds, OUTSIDE_SECONDS)
        if self.times is not None:
            left = float(round(max(self.times.ends_at - time.monotonic(), 0.0) + GRACE_SECONDS))
            outside = min(outside, max(left, LEAST_SCORING_SECONDS))
            if left < self.deadline_seconds:
                return CaseLimits(left, outside, "the time of the command was over")
        return CaseLimits(self.deadline_seconds, outside)

    def label(self, case: Case) -> str:
        """Returns the label of a case in messages. It states the threads if the suite limits them."""
        is_limited = case.placement == "node" and case.known_threads < len(self.budget.node.cpus)
        return with_threads(case.label, case.threads if is_limited else None)

    def run(self, executions: list[Execution]) -> None:
        """Measures all executions, in random order within rounds. Failed executions get a record, too."""
        possible = [execution for execution in executions if execution.unsupported is None]
        for execution in executions:
            if execution.unsupported is not None:
                self._unsupported(execution, execution.unsupported)
        self.observer.planned([(execution.case, execution.isolated) for execution in possible])
        for executions_of_worker in worker_queues(possible, self.recorder.invocation.seed):
            self._queue(executions_of_worker).run(executions_of_worker)
        if not self.keeps_worker:
            self.close()

    def _queue(self, executions: list[Execution]) -> WorkerQueue:
        """Returns the queue for these executions: that of the last worker if it fits, else a new one.

        Executions share a worker only within a round. An isolated one needs a worker in which nothing ran before.
        """
        first = executions[0]
        key = first.round, first.worker
        if self._open and self._open[0] == key and not first.isolated and self._open[1].is_alive:
            return self._open[1]
        self.close()
        queue = WorkerQueue(self)
        self._open = key, queue
        return queue

    @property
    def waiting(self) -> tuple[int, Session, frozenset[str]] | None:
        """The worker that waits for further executions: its round, its properties, and the keys of its warm-ups.

        None if no worker waits.
        """
        if self._open is None or not self.keeps_worker:
            return None
        (number, session), queue = self._open
        if queue.worker is None or not queue.is_alive:
            return None
        return number, session, frozenset(queue.worker.warmed)

    def close(self) -> None:
        """Ends the worker that waits for further executions."""
        if self._open:
            self._open[1].close()
        self._open = None

    def _unsupported(self, execution: Execution, reason: str) -> None:
        error = ErrorInfo(type="EngineUnsupported", message=reason)
        observation = Observation(outcome="unsupported", error=error)
        self.recorder.keep(execution, execution.case, datetime.now(UTC), observation, "warm")

    def spawn(self, session: Session) -> WorkerProcess:
        """Returns a new worker that has applied its limits and started its session.

        Raises ClusterError, ScratchError or WorkerDied.
        """
        self._remake_scratch()
        if session.placement == "spark" and self.cluster is not None and self.cluster.is_renewable:
            self.cluster.renew()
        name = f"{self.profile.name}-{len(list(self.logs.iterdir())) + 1:03d}-{session.placement}"
        scratch = self.scratch / name
        worker, ready = open_worker(
            self.profile,
            self.budget,
            session,
            log=self.logs / f"{name}.log",
            scratch=scratch,
            cluster=self.cluster if session.placement == "spark" else None,
        )
        worker.jvm = ready.jvm
        worker.session_seconds = ready.session_seconds
        worker.heap_bytes = heap_bytes(self.profile, ready.session["spark_conf"])
        worker.software = self.recorder.store.describe("software", ready.software)
        worker.session = self.recorder.store.describe("session", ready.session)
        return worker

    def _remake_scratch(self) -> None:
        """Makes removed folders of the run and its daemons again. Raises ScratchError if this fails."""
        state = self.cluster.state if self.cluster else None
        try:
            for folder in (self.scratch, *([state.folder] if state else [])):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise ScratchError(f"The run's scratch folder was removed and cannot be made again: {error}.") from error
