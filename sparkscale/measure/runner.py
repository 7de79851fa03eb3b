"""The runner: rounds of executions in fresh workers, each under a deadline, each record stored as it arrives.

It never imports pyspark: what runs Spark or an engine is a worker process.
"""

import shutil
import time
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from cluster import java
from cluster.profile import Budget, ClusterProfile, cache_folder
from sparkscale.contract.case import Case, Placement
from sparkscale.contract.dataset import PreparedDataset
from sparkscale.contract.errors import SparkscaleError
from sparkscale.contract.record import ErrorInfo, Observation, Outcome, RunRecord, Temperature
from sparkscale.measure import plan
from sparkscale.measure.ledger import Ledger
from sparkscale.measure.opening import open_worker
from sparkscale.measure.plan import Execution
from sparkscale.measure.progress import Observer
from sparkscale.measure.protocol import Measure, Measured
from sparkscale.measure.records import Recorder
from sparkscale.measure.worker_process import (
    DeadlineExceeded,
    MemorySampler,
    WorkerDied,
    WorkerProcess,
    out_of_memory,
)

WARMUP_ATTEMPTS = 2
"""A worker that dies in a warm-up is replaced once: the case itself has not been tried yet."""


@dataclass
class Runner:
    """Measures executions on one profile. `logs` takes the workers' logs, `scratch` what they write."""

    recorder: Recorder
    observer: Observer
    ledger: Ledger
    profile: ClusterProfile
    budget: Budget
    deadline_seconds: float
    logs: Path
    scratch: Path
    data: dict[str, PreparedDataset]

    def run(self, executions: list[Execution]) -> None:
        """Measures them all, in random order within rounds. Each leaves a record, whatever happens to it.

        Raises ClusterError, before anything is measured, when Spark is needed and starts on no Java.
        """
        possible = [execution for execution in executions if execution.unsupported is None]
        if any(execution.case.placement == "spark" for execution in possible):
            with self.ledger.time("starting"):
                self._java  # noqa: B018
        for execution in executions:
            if execution.unsupported is not None:
                self._unsupported(execution, execution.unsupported)
        self.observer.planned([(execution.case, execution.isolated) for execution in possible])
        for group in plan.groups(possible, self.recorder.invocation.seed):
            _Group(self).run(group)

    def _unsupported(self, execution: Execution, reason: str) -> None:
        error = ErrorInfo(type="EngineUnsupported", message=reason)
        observation = Observation(outcome="unsupported", error=error)
        self.recorder.keep(execution, execution.case, datetime.now(UTC), observation, "warm")

    def spawn(self, placement: Placement, threads: int, limited: bool = True) -> WorkerProcess:
        """A worker that is open: limits taken on, session started. Raises ClusterError or WorkerDied."""
        name = f"{self.profile.name}-{len(list(self.logs.iterdir())) + 1:03d}-{placement}"
        scratch = self.scratch / name
        scratch.mkdir()
        worker, ready = open_worker(
            self.profile,
            self.budget,
            placement,
            threads,
            log=self.logs / f"{name}.log",
            scratch=scratch,
            jdk=self._java if placement == "spark" else None,
            limited=limited,
        )
        worker.jvm = ready.jvm
        worker.software = self.recorder.store.describe("software", ready.software)
        worker.session = self.recorder.store.describe("session", ready.session)
        return worker

    @cached_property
    def _java(self) -> java.Java:
        return java.find(cache_folder())


@dataclass
class _Group:
    """Executions that share a worker; one that is lost is replaced before the next execution."""

    runner: Runner
    worker: WorkerProcess | None = None
    cold: dict[tuple[str, ...], RunRecord] = field(default_factory=dict)
    """Warm-ups that failed: what needs them is not tried again in this group."""

    def run(self, executions: list[Execution]) -> None:
        try:
            for execution in executions:
                self._measure(execution)
        except BaseException:
            self._drop()
            raise
        if self.worker:
            self.worker.close()

    def _drop(self) -> None:
        if self.worker:
            self.worker.kill()
        self.worker = None

    def _measure(self, execution: Execution) -> None:
        """The case itself: after its engine's warm-up in this worker, or isolated, cold in a new one."""
        if execution.isolated:
            self._drop()
            self._execute(execution, execution.case, warming=False)
        elif failed := self._warm_up(execution):
            self._skip(execution, failed)
        else:
            self._execute(execution, execution.case, warming=False)

    def _warm_up(self, execution: Execution) -> RunRecord | None:
        """Unless this worker has run the engine before; returns the record of a warm-up that failed."""
        engine = execution.warmup.engine_key
        for _ in range(WARMUP_ATTEMPTS):
            if self.worker and engine in self.worker.warmed:
                return None
            if engine in self.cold:
                return self.cold[engine]
            record = self._execute(execution, execution.warmup, warming=True)
            if record.outcome in ("ok", "invalid"):
                return None
            if record.error is None or record.error.type != "WorkerDied":
                break
        self.cold[engine] = record
        return record

    def _skip(self, execution: Execution, warmup: RunRecord) -> None:
        """A case without a warm-up has no warm time: it ends as its warm-up did."""
        kind, message = (warmup.error.type, warmup.error.message) if warmup.error else ("", "")
        error = ErrorInfo(type=kind, message=f"In its warm-up: {message}")
        observation = Observation(outcome=warmup.outcome, error=error)
        self.runner.observer.executing(execution.case, f"round {execution.round}, {execution.case.label}")
        record = self.runner.recorder.keep(
            execution, execution.case, datetime.now(UTC), observation, "warm", self.worker
        )
        self.runner.observer.finished(record, 0.0)

    def _execute(self, execution: Execution, case: Case, warming: bool) -> RunRecord:
        """Sends one case to the worker and stores what becomes of it."""
        runner = self.runner
        started_at, begun = datetime.now(UTC), time.monotonic()
        kind = " isolated" if execution.isolated else " warm-up" if warming else ""
        label = f"round {execution.round}, {case.label}{kind}"
        runner.observer.executing(case, label)
        tables: dict[str, Path] = {}
        worker = self.worker
        sampler = None
        try:
            worker = self._opened(case)
            sampler = MemorySampler(worker.process.pid) if execution.isolated else None
            measured = self._ask(worker, case, sampler)
            observation, tables = measured.observation, measured.tables
            if observation.outcome != "ok" and worker.limit.reached(worker.process.pid):
                observation = observation.model_copy(update={"outcome": "oom"})
        except (WorkerDied, DeadlineExceeded, SparkscaleError) as problem:
            observation = self._lost(problem)
        temperature: Temperature = "warm"
        if warming or execution.isolated:
            temperature = "warmup" if worker and worker.executions > 1 else "cold"
        record = runner.recorder.keep(
            execution,
            case,
            started_at,
            observation,
            temperature,
            worker,
            sampler.peak() if sampler and observation.outcome == "ok" else None,
            tables,
        )
        for path in tables.values():
            shutil.rmtree(path.parent, ignore_errors=True)
        if observation.outcome in ("failed", "oom"):
            self._drop()  # what an engine leaves behind when it breaks must not touch the next case
        elif self.worker:
            self.worker.warmed.add(case.engine_key)
        runner.observer.finished(record, time.monotonic() - begun)
        return record

    def _opened(self, case: Case) -> WorkerProcess:
        if self.worker is None:
            self.runner.observer.doing(f"starting a {case.placement} worker")
            with self.runner.ledger.time("starting"):
                self.worker = self.runner.spawn(case.placement, case.threads)
        self.worker.executions += 1
        return self.worker

    def _ask(self, worker: WorkerProcess, case: Case, sampler: MemorySampler | None) -> Measured:
        runner = self.runner
        folder = runner.scratch / f"tables-{uuid.uuid4().hex}"
        folder.mkdir()
        request = Measure(case=case, data=runner.data[case.dataset], tables=folder)
        begun = time.monotonic()
        try:
            reply = worker.request(request, runner.deadline_seconds, sampler, runner.observer.phase)
        except (WorkerDied, DeadlineExceeded):
            runner.ledger.spent["phases"] += time.monotonic() - begun
            raise
        assert isinstance(reply, Measured)
        runner.ledger.spent["phases"] += sum(reply.observation.seconds.values())
        return reply

    def _lost(self, problem: Exception) -> Observation:
        """Ends a worker that gave no answer, and says what became of the case."""
        worker, limit_mib = self.worker, self.runner.budget.memory_bytes / 2**20
        outcome: Outcome = "failed"
        message = str(problem)
        if worker and (worker.limit.reached(worker.process.pid) or out_of_memory(message)):
            outcome = "oom"
            message = f"Passed the memory limit of {limit_mib:.0f} MiB ({worker.limit.mechanism}). {message}"
        elif isinstance(problem, DeadlineExceeded):
            outcome = "timeout"
            phase = f" in `{worker.phase}`" if worker and worker.phase else ""
            message = f"No result within {self.runner.deadline_seconds:g} s{phase}."
        self._drop()
        return Observation(outcome=outcome, error=ErrorInfo(type=type(problem).__name__, message=message))
