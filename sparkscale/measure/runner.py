"""The runner: rounds of executions in fresh workers, each under a deadline, each record stored as it arrives.

It never imports pyspark: what runs Spark or an engine is a worker process.
"""

import shutil
import time
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from cluster.budget import Budget
from cluster.lifecycle import Cluster
from cluster.profile import ClusterProfile
from sparkscale.contract.case import Case
from sparkscale.contract.dataset import PreparedDataset
from sparkscale.contract.errors import ModelError, SparkscaleError
from sparkscale.contract.model import PreparedModel
from sparkscale.contract.record import ErrorInfo, Observation, Outcome, RunRecord, Temperature
from sparkscale.measure import plan
from sparkscale.measure.ledger import Ledger
from sparkscale.measure.opening import Session, open_worker
from sparkscale.measure.plan import Execution
from sparkscale.measure.preparing import Models
from sparkscale.measure.progress import Observer
from sparkscale.measure.protocol import Measure, Measured
from sparkscale.measure.records import Recorder, Used
from sparkscale.measure.worker_process import (
    DeadlineExceeded,
    GpuSampler,
    MemorySampler,
    Sampler,
    WorkerDied,
    WorkerProcess,
    out_of_memory,
)

WARMUP_ATTEMPTS = 2
"""A worker that dies in a warm-up, or whose cluster is hit, is replaced once: the case has not been tried yet."""


@dataclass
class Runner:
    """Measures executions on one profile. `logs` takes the workers' logs, `scratch` what they write; `cluster` is
    what Spark's sessions connect to, where there are any.
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

    def run(self, executions: list[Execution]) -> None:
        """Measures them all, in random order within rounds. Each leaves a record, whatever happens to it."""
        possible = [execution for execution in executions if execution.unsupported is None]
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

    def spawn(self, session: Session) -> WorkerProcess:
        """A worker that is open: limits taken on, session started. Raises ClusterError or WorkerDied."""
        if session.placement == "spark" and self.cluster is not None and self.cluster.is_renewable:
            self.cluster.renew()
        name = f"{self.profile.name}-{len(list(self.logs.iterdir())) + 1:03d}-{session.placement}"
        scratch = self.scratch / name
        scratch.mkdir()
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
        worker.software = self.recorder.store.describe("software", ready.software)
        worker.session = self.recorder.store.describe("session", ready.session)
        return worker


@dataclass
class _Group:
    """Executions that share a worker; one that is lost is replaced before the next execution."""

    runner: Runner
    worker: WorkerProcess | None = None
    cold: dict[tuple[str, ...], RunRecord] = field(default_factory=dict)
    """Warm-ups that failed: what needs them is not tried again in this group."""
    disturbed: bool = False
    """Whether a daemon ended during the last execution: its worker's session is not what it was."""

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
        self._restore(execution)
        if execution.isolated:
            self._drop()
            self._execute(execution, execution.case, warming=False)
        elif failed := self._warm_up(execution):
            self._skip(execution, failed)
        elif not self._execute(execution, execution.case, warming=False):
            self._measure(execution)

    def _restore(self, execution: Execution) -> None:
        """What has ended of the cluster since the last case is started again, and its sessions with it."""
        cluster = self.runner.cluster
        if execution.case.placement == "spark" and cluster is not None and cluster.lost():
            self._drop()
            with self.runner.ledger.time("starting"):
                self._say_restored(cluster.restore())

    def _say_restored(self, names: list[str]) -> None:
        if names:
            self.disturbed = True
            self.runner.observer.note(
                f"{self.runner.profile.name}: {', '.join(names)} had ended, and was started again"
            )

    def _warm_up(self, execution: Execution) -> RunRecord | None:
        """Unless this worker has run the engine before; returns the record of a warm-up that failed."""
        engine = execution.warmup.engine_key
        for _ in range(WARMUP_ATTEMPTS):
            if self.worker and engine in self.worker.warmed:
                return None
            if engine in self.cold:
                return self.cold[engine]
            executed = self._execute(execution, execution.warmup, warming=True)
            if executed is None:
                return self._warm_up(execution)
            record = executed
            if self.disturbed:
                error = ErrorInfo(type="ClusterError", message="A daemon of the cluster ended.")
                record = record.model_copy(update={"outcome": "failed", "error": error})
            elif record.outcome in ("ok", "invalid"):
                return None
            elif record.error is None or record.error.type != "WorkerDied":
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

    def _execute(self, execution: Execution, case: Case, warming: bool) -> RunRecord | None:
        """Sends one case to the worker and stores what becomes of it.

        None, and nothing is stored, when memory ran out in a worker where other cases had left some of theirs: the
        case is to have another turn, in the new one that the next call starts.
        """
        runner = self.runner
        started_at, begun = datetime.now(UTC), time.monotonic()
        kind = " isolated" if execution.isolated else " warm-up" if warming else ""
        label = f"round {execution.round}, {case.label}{kind}"
        runner.observer.executing(case, label)
        tables: dict[str, Path] = {}
        worker = self.worker
        sampler, gpus = None, self._gpu_sampler(case)
        kills = self._daemon_kills(case)
        self.disturbed = False
        try:
            model = runner.models.get(case.id)
            if isinstance(model, ModelError):
                raise model
            worker = self._opened(case)
            sampler = self._sampler(worker, case) if execution.isolated else None
            measured = self._ask(worker, case, model, [found for found in (sampler, gpus) if found])
            observation, tables = measured.observation, measured.tables
            if observation.outcome != "ok":
                observation = self._memory_ran_out(worker, case, kills, observation)
        except (WorkerDied, DeadlineExceeded, SparkscaleError) as problem:
            observation = self._lost(problem)
        own = 1 if warming or execution.isolated else 2  # a case's warm-up is its own, too
        if observation.outcome == "oom" and worker and worker.executions > own:
            self._drop()
            runner.observer.note(
                f"{label}: out of memory, but its worker had executed others before ({worker.executions - own}): "
                "tried in a new one"
            )
            return None
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
            self._used(execution, sampler, gpus) if observation.outcome == "ok" else Used(),
            tables,
        )
        for path in tables.values():
            shutil.rmtree(path.parent, ignore_errors=True)
        if observation.outcome in ("failed", "oom") or self.disturbed:
            self._drop()  # what an engine leaves behind when it breaks must not touch the next case
        elif self.worker:
            self.worker.warmed.add(case.engine_key)
        runner.observer.finished(record, time.monotonic() - begun)
        return record

    def _opened(self, case: Case) -> WorkerProcess:
        if self.worker is None:
            self.runner.observer.doing(f"starting a {case.placement} worker")
            with self.runner.ledger.time("starting"):
                self.worker = self.runner.spawn(Session(case.placement, case.threads, case.device))
        self.worker.executions += 1
        return self.worker

    def _sampler(self, worker: WorkerProcess, case: Case) -> MemorySampler | None:
        """None where a case shares its processes with others: a Connect server's, or those of another host."""
        if case.placement == "node" or self.runner.cluster is None:
            return MemorySampler(worker.process.pid)
        endpoint = self.runner.cluster.endpoint
        return MemorySampler(worker.process.pid, endpoint.whole, endpoint.executors) if endpoint.observable else None

    def _gpu_sampler(self, case: Case) -> GpuSampler | None:
        """None where a case has no GPU of this host."""
        gpus = self.runner.budget.node.gpus
        return GpuSampler(gpus) if case.device == "gpu" and gpus and case.cluster_kind != "external" else None

    def _used(self, execution: Execution, memory: MemorySampler | None, gpus: GpuSampler | None) -> Used:
        """Peaks are of executions that had their processes, and devices, to themselves."""
        return Used(
            peak_pss_bytes=memory.peak() if memory else None,
            gpu_peak_bytes=gpus.peak_bytes() if gpus and execution.isolated else None,
            gpu_energy_joules=gpus.joules() if gpus else None,
        )

    def _daemon_kills(self, case: Case) -> int:
        """How often memory has run out in the daemons' trees so far."""
        cluster = self.runner.cluster
        return cluster.out_of_memory() if cluster is not None and case.placement == "spark" else 0

    def _watch(self) -> None:
        """While a Spark case runs: a worker daemon that has ended is replaced."""
        if self.runner.cluster is not None:
            self._say_restored(self.runner.cluster.watch())

    def _ask(
        self, worker: WorkerProcess, case: Case, model: PreparedModel | None, samplers: list[Sampler]
    ) -> Measured:
        runner = self.runner
        folder = runner.scratch / f"tables-{uuid.uuid4().hex}"
        folder.mkdir()
        data = runner.data[case.dataset]
        cold_cache = runner.recorder.invocation.cold_cache
        request = Measure(case=case, data=data, tables=folder, model=model, cold_cache=cold_cache)
        begun = time.monotonic()
        try:
            watch = self._watch if case.placement == "spark" else lambda: None
            reply = worker.request(request, runner.deadline_seconds, samplers, runner.observer.phase, watch)
        except (WorkerDied, DeadlineExceeded):
            runner.ledger.spent["phases"] += time.monotonic() - begun
            raise
        assert isinstance(reply, Measured)
        runner.ledger.spent["phases"] += sum(reply.observation.seconds.values())
        return reply

    def _memory_ran_out(self, worker: WorkerProcess, case: Case, kills: int, observation: Observation) -> Observation:
        """What a library says when the kernel has ended a process of its own is seldom the reason."""
        granted = worker.limit.limit_bytes
        if not worker.limit.reached(worker.process.pid):
            if self._daemon_kills(case) == kills:
                return observation
            granted = self.runner.budget.daemons[0].memory_bytes
        said = observation.error or ErrorInfo(type="MemoryError", message="")
        error = ErrorInfo(type=said.type, message=_passed(granted, worker.limit.mechanism, said.message))
        return observation.model_copy(update={"outcome": "oom", "error": error})

    def _lost(self, problem: Exception) -> Observation:
        """Ends a worker that gave no answer, and says what became of the case."""
        worker = self.worker
        outcome: Outcome = "failed"
        message = str(problem)
        if worker and (worker.limit.reached(worker.process.pid) or out_of_memory(message)):
            outcome = "oom"
            message = _passed(worker.limit.limit_bytes, worker.limit.mechanism, message)
        elif isinstance(problem, DeadlineExceeded):
            outcome = "timeout"
            phase = f" in `{worker.phase}`" if worker and worker.phase else ""
            message = f"No result within {self.runner.deadline_seconds:g} s{phase}."
        self._drop()
        return Observation(outcome=outcome, error=ErrorInfo(type=type(problem).__name__, message=message))


def _passed(limit_bytes: int, mechanism: str, message: str) -> str:
    return f"Passed the memory limit of {limit_bytes / 2**20:.0f} MiB ({mechanism}). {message}".strip()
