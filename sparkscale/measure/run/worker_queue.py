"""Runs the executions of a queue in one worker: warms the worker up, sends each case, and stores each result."""

import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sparkscale.contract.case import Case
from sparkscale.contract.errors import ModelError, SparkscaleError
from sparkscale.contract.model import PreparedModel
from sparkscale.contract.record import ErrorInfo, Observation, RunRecord, Temperature
from sparkscale.measure.outcomes import CaseLimits, Evidence, PassedLimit, decide, may_disturb_next_case
from sparkscale.measure.plan.rounds import Execution
from sparkscale.measure.run import warmup
from sparkscale.measure.run.idle import imported_by
from sparkscale.measure.run.records import ResourceUse
from sparkscale.measure.run.scratch import contents, tables_folder, vanished
from sparkscale.measure.worker.process import DeadlineExceeded, WorkerDied, WorkerProcess
from sparkscale.measure.worker.protocol import Measure, Measured
from sparkscale.measure.worker.samplers import GpuSampler, MemorySampler
from sparkscale.measure.worker.startup import Session, restart_session

if TYPE_CHECKING:
    from sparkscale.measure.run.runner import Runner

WARMUP_ATTEMPTS = 2
"""The most attempts at a warm-up if the worker or a daemon ends during it.

A warm-up is tried again because the case itself has not run yet.
"""

WARM_ATTEMPTS = 3
"""The most executions of a case in a warm worker, if Python processes begin in its phases.

Each execution leaves more of these processes running, so a later one may find all that it needs.
"""


@dataclass(frozen=True)
class Retry:
    """Stands in place of a record: the execution gave none, so the case must be executed again."""

    reason: str


@dataclass
class WorkerQueue:
    """Runs executions that share a worker, until it is closed. If the worker is lost, the next execution starts
    another worker.
    """

    runner: "Runner"
    worker: WorkerProcess | None = None
    failed: dict[str, RunRecord] = field(default_factory=dict)
    """Records of failed warm-ups, by the ids of their cases. These warm-ups are not tried again in this queue."""
    passes: dict[str, warmup.Passes] = field(default_factory=dict)
    """The passes of the warm-ups that this worker ran, by the ids of their cases."""
    limits: CaseLimits = field(init=False)
    """The time limits of the last execution."""
    disturbed: bool = False
    """True if a daemon ended during the last execution, so that the worker's session has changed."""

    def run(self, executions: list[Execution]) -> None:
        """Executes all executions in order. Afterwards, the worker waits for more of them, or for `close`."""
        try:
            for execution in executions:
                if self.runner.is_late:
                    break
                self._measure(execution)
        except BaseException:
            self._drop()
            raise

    @property
    def is_alive(self) -> bool:
        """False if the worker has ended by itself since its last execution."""
        return self.worker is None or self.worker.process.poll() is None

    def close(self) -> None:
        """Ends the worker."""
        if self.worker:
            self.worker.close()
        self.worker = None

    def _drop(self) -> None:
        """Ends the worker. The next execution starts another worker."""
        if self.worker:
            self.worker.kill()
        self.worker = None
        self.passes.clear()

    def _measure(self, execution: Execution) -> None:
        """Executes a case in this worker, after a warm-up of its engine.

        An isolated case gets a new worker, and no warm-up. If the time of the command is over after the warm-up, the
        case is not executed, and gets no record.
        """
        attempt = 1
        while True:
            self._restore(execution)
            failed = None
            if execution.isolated:
                self._drop()
            else:
                failed = self._warm_up(execution)
            if self.runner.is_over:
                return
            if failed:
                self._skip(execution, failed)
                return
            result = self._execute(execution, execution.case, warms=False, last=attempt == WARM_ATTEMPTS)
            if isinstance(result, Retry):
                self.runner.observer.note(f"{execution.case.label}: {result.reason}")
                continue
            if not result.is_warmup:
                return
            self.runner.observer.note(
                f"{result.case.label}: {result.python_started} Python process(es) began in its phases, so the worker "
                "was not warm: it is measured again"
            )
            attempt += 1

    def _restore(self, execution: Execution) -> None:
        """Restarts daemons that have ended. Ends the worker if it has lost a daemon or its scratch folder."""
        if self.worker and self.worker.scratch_vanished:
            self.runner.observer.note(f"the folder {self.worker.scratch} has vanished: its worker is replaced")
            self._drop()
        cluster = self.runner.cluster
        if execution.case.placement == "spark" and cluster is not None and cluster.lost():
            self._drop()
            with self.runner.ledger.time("starting"):
                self._note_restored(cluster.restore())

    def _note_restored(self, names: list[str]) -> None:
        if names:
            self.disturbed = True
            self.runner.observer.note(
                f"{self.runner.profile.name}: {', '.join(names)} had ended, and was started again"
            )

    def _warm_up(self, execution: Execution) -> RunRecord | None:
        """Warms the worker up for this case, unless it is still warm for it.

        Samples are tried from the smallest on. `warmup.step` chooses the next sample after a failure. Returns None
        if the worker is warm, and the record of the last warm-up if all failed.
        """
        if self.worker and warmup.still_warm(execution.case, self.worker.warmed.get(execution.warmup_key)):
            return None
        number, last = 0, len(execution.warmups) - 1
        while True:
            case = execution.warmups[number]
            record = self.failed.get(case.id) or self._warm_up_on(execution, case)
            if record is None:
                return None
            self.failed[case.id] = record
            step = warmup.step(record)
            if number == last or not step:
                return record
            number = min(number + step, last)

    def _warm_up_on(self, execution: Execution, case: Case) -> RunRecord | None:
        """Warms up on one sample; replaces a lost worker once. Returns the record of a failure, or None."""
        for _ in range(WARMUP_ATTEMPTS):
            record = self._passes(execution, case)
            if self.disturbed:
                error = ErrorInfo(type="ClusterError", message="A daemon of the cluster ended.")
                record = record.model_copy(update={"outcome": "failed", "error": error})
            elif record.outcome in warmup.RAN and self.worker:
                self.worker.warmed[execution.warmup_key] = self.worker.phases_ended
                return None
            elif not record.error or record.error.type not in warmup.LOST:
                break
        return record

    def _passes(self, execution: Execution, case: Case) -> RunRecord:
        """Repeats the warm-up `case` until the worker is warm or the warm-up fails. Returns the last record."""
        self._passes_of(case).begin()
        while True:
            result = self._execute(execution, case, warms=True)
            if isinstance(result, Retry):
                self.runner.observer.note(f"{case.label} warm-up: {result.reason}")
            elif self.disturbed or result.outcome not in warmup.RAN or self._passes_of(case).enough(result):
                return result

    def _passes_of(self, case: Case) -> warmup.Passes:
        """Returns the passes (see `Passes`) of this case's warm-ups in this worker. A new worker has none yet."""
        return self.passes.setdefault(case.id, warmup.Passes(case))

    def _skip(self, execution: Execution, failed: RunRecord) -> None:
        """Records a case after its warm-up has failed.

        The case cannot have a warm time, so it gets the outcome of its warm-up.
        """
        kind, message = (failed.error.type, failed.error.message) if failed.error else ("", "")
        error = ErrorInfo(type=kind, message=f"In its warm-up on {warmup.sample_text(failed.case)}: {message}")
        observation = Observation(outcome=failed.outcome, error=error, phase=failed.phase)
        self.runner.observer.executing(
            execution.case, f"round {execution.round}, {self.runner.label(execution.case)}"
        )
        record = self.runner.recorder.keep(
            execution,
            execution.case,
            datetime.now(UTC),
            observation,
            "warm",
            self.worker,
            deadline_seconds=failed.deadline_seconds,
        )
        self.runner.observer.finished(record, 0.0)

    def _execute(self, execution: Execution, case: Case, warms: bool, last: bool = False) -> RunRecord | Retry:
        """Sends one case to the worker and stores its record.

        `warms` is true for a warm-up. `last` is true for the last attempt at a case. This attempt is stored as
        warm even if Python processes began in it. If every attempt starts processes, they belong to the case's
        time.

        Returns `Retry`, and stores nothing, if memory ran out in a worker that had already run other cases. The
        next call starts a new worker.
        """
        runner = self.runner
        started_at, begun = datetime.now(UTC), time.monotonic()
        suffix = " isolated" if execution.isolated else " warm-up" if warms else ""
        label = f"round {execution.round}, {runner.label(case)}{suffix}"
        runner.observer.executing(case, label)
        tables: dict[str, bytes] = {}
        worker, position, usage = self.worker, None, ResourceUse()
        kills = self._daemon_kills(case)
        self.disturbed = False
        self.limits = runner.limits()
        try:
            model = runner.models.get(case.id)
            if isinstance(model, ModelError):
                raise model
            worker = self._worker_for(case)
            self.limits = runner.limits()  # the start of a worker takes seconds
            position = worker.executions - 1
            observation, usage, tables = self._request(worker, execution, case, model)
            if observation.outcome != "ok":
                observation = self._with_limit(worker, case, kills, observation)
        except (WorkerDied, DeadlineExceeded, SparkscaleError) as problem:
            observation = self._observe_loss(problem, case, kills)
            if position is None:  # the worker was lost before the case began
                worker = None
        if worker and worker.scratch_vanished:
            observation, tables = self._observe_loss(vanished(worker.scratch), case, kills), {}
        warmups = worker.warmups.setdefault(execution.warmup_key, []) if worker else []
        others = (position or 0) - len(warmups)
        if observation.outcome == "oom" and others > 0:
            self._drop()
            return Retry(
                f"memory ran out in a worker that had executed other cases before ({others}): the case is run again "
                "in a new worker"
            )
        temperature: Temperature = "warm"
        if warms or execution.isolated:
            temperature = "warmup" if position else "cold"
        elif observation.outcome == "ok" and not last and not warmup.was_warm(case, observation):
            temperature = "warmup"
        record = runner.recorder.keep(
            execution,
            case,
            started_at,
            observation,
            temperature,
            worker,
            usage if observation.outcome == "ok" else ResourceUse(),
            tables,
            position,
            self.limits.phases,
        )
        if record.is_warmup and record.outcome in warmup.RAN:
            warmups.append(record.id)
        if worker and worker.phases_ended and execution.warmup_key in worker.warmed:
            worker.warmed[execution.warmup_key] = worker.phases_ended
        if self.disturbed or may_disturb_next_case(observation):
            self._drop()
        runner.observer.finished(record, time.monotonic() - begun)
        return record

    def _worker_for(self, case: Case) -> WorkerProcess:
        """Returns a worker with the session that the case needs, and adds 1 to the worker's executions."""
        if self.worker is not None and self.worker.threads != case.known_threads:
            self._restart_session(self.worker, case.known_threads)
        if self.worker is None:
            self.runner.observer.doing(f"starting a {case.placement} worker")
            with self.runner.ledger.time("starting"):
                self.worker = self.runner.spawn(Session(case.placement, case.known_threads, case.device))
        self.worker.executions += 1
        return self.worker

    def _restart_session(self, worker: WorkerProcess, threads: int) -> None:
        """Starts a new session in the worker.

        Ends the worker if no session starts, for example because the JVM has ended.
        """
        try:
            with self.runner.ledger.time("starting"):
                ready = restart_session(worker, threads)
        except (WorkerDied, SparkscaleError):
            self.runner.observer.note(
                f"a new session did not start in the worker's JVM, so the worker is replaced (log: {worker.log_path})"
            )
            self._drop()
        else:
            worker.session = self.runner.recorder.store.describe("session", ready.session)

    def _sampler(self, worker: WorkerProcess, case: Case) -> MemorySampler | None:
        """Returns the sampler of the case's memory.

        Returns None if the case's processes run on other hosts or also serve other users.
        """
        if case.placement == "node" or self.runner.cluster is None:
            return MemorySampler(worker.process.pid)
        endpoint = self.runner.cluster.endpoint
        return MemorySampler(worker.process.pid, endpoint.whole, endpoint.executors) if endpoint.observable else None

    def _gpu_sampler(self, case: Case) -> GpuSampler | None:
        """Returns the sampler of the case's GPUs; None if the case uses no GPU of this host."""
        gpus = self.runner.budget.node.gpus
        return GpuSampler(gpus) if case.device == "gpu" and gpus and case.cluster_kind != "external" else None

    def _used(self, execution: Execution, memory: MemorySampler | None, gpus: GpuSampler | None) -> ResourceUse:
        """Returns the resources that the case used.

        Only isolated executions have peaks, because no other case has run in their processes.
        """
        return ResourceUse(
            peak_pss_bytes=memory.peak() if memory else None,
            gpu_peak_bytes=gpus.peak_bytes() if gpus and execution.isolated else None,
            gpu_energy_joules=gpus.joules() if gpus else None,
        )

    def _baseline(self, case: Case, memory: MemorySampler) -> int | None:
        """Returns the memory that the case's processes need without data, in bytes; None if it is not known.

        Call this method after the peak was read, because it may end the worker to measure an idle worker.
        """
        idle = self.runner.idle
        if case.placement == "spark":
            return memory.baseline
        if self.worker and idle.known(case) is None:
            try:
                modules = imported_by(self.worker)
            except (WorkerDied, DeadlineExceeded):
                return None
            self._drop()
            self.runner.observer.doing(f"measuring an idle worker: {case.engine}")
            with self.runner.ledger.time("starting"):
                return idle.measure(case, modules)
        return idle.known(case)

    def _daemon_kills(self, case: Case) -> int:
        """Returns how many processes of the cluster's daemons the kernel has killed so far at a memory limit."""
        cluster = self.runner.cluster
        return cluster.out_of_memory() if cluster is not None and case.placement == "spark" else 0

    def _watch(self, worker: WorkerProcess, case: Case) -> None:
        """Restarts Spark workers that ended. Raises ClusterError or ScratchError if the case cannot continue."""
        if worker.scratch_vanished:
            raise vanished(worker.scratch)
        if case.placement == "spark" and self.runner.cluster is not None:
            self._note_restored(self.runner.cluster.watch())

    def _request(
        self, worker: WorkerProcess, execution: Execution, case: Case, model: PreparedModel | None
    ) -> tuple[Observation, ResourceUse, dict[str, bytes]]:
        """Executes a case. Returns the observation, the resources that its phases used, and the tables."""
        runner = self.runner
        memory = self._sampler(worker, case) if execution.isolated else None
        if memory:
            memory.begin()
        gpus = self._gpu_sampler(case)
        usage = [ResourceUse()]
        begun = time.monotonic()
        with tables_folder(worker.scratch) as folder:
            request = Measure(
                case=case,
                data=runner.data[case.dataset],
                tables=folder,
                model=model,
                cold_cache=runner.recorder.invocation.cold_cache,
            )
            try:
                reply = worker.request(
                    request,
                    self.limits,
                    [sampler for sampler in (memory, gpus) if sampler],
                    runner.observer.phase,
                    lambda: usage.append(self._used(execution, memory, gpus)),
                    lambda: self._watch(worker, case),
                )
            except (WorkerDied, DeadlineExceeded):
                runner.ledger.spent["phases"] += time.monotonic() - begun
                raise
            assert isinstance(reply, Measured)
            runner.ledger.spent["phases"] += sum(reply.observation.seconds.values())
            tables = contents(reply.tables)
        if memory and reply.observation.outcome == "ok":
            usage.append(replace(usage[-1], baseline_bytes=self._baseline(case, memory)))
        return reply.observation, usage[-1], tables

    def _limit(self, worker: WorkerProcess | None, case: Case, kills: int) -> PassedLimit | None:
        """Returns the memory limit that the case has reached; None if it reached no limit.

        `kills` is the result of `_daemon_kills` before the case.
        """
        if worker and worker.limit.reached(worker.process.pid):
            return PassedLimit(worker.limit.limit_bytes, worker.limit.mechanism)
        if self._daemon_kills(case) == kills:
            return None
        mechanism = worker.limit.mechanism if worker else "cgroup"
        return PassedLimit(self.runner.budget.daemons[0].memory_bytes, mechanism)

    def _with_limit(self, worker: WorkerProcess, case: Case, kills: int, observation: Observation) -> Observation:
        """Returns the observation of a failed case. If a memory limit was reached, the outcome becomes `oom`."""
        limit = self._limit(worker, case, kills)
        if limit is None:
            return observation
        error = observation.error or ErrorInfo(type="MemoryError", message="")
        ended = decide(Evidence(error.type, error.message, limit=limit))
        return observation.model_copy(update={"outcome": ended.outcome, "error": ended.error})

    def _observe_loss(self, problem: Exception, case: Case, kills: int) -> Observation:
        """Ends a worker that gave no answer or lost its folder. Returns the outcome of the case as an observation."""
        worker = self.worker
        evidence = Evidence(
            type(problem).__name__,
            str(problem),
            limit=self._limit(worker, case, kills),
            worker_limit=PassedLimit(worker.limit.limit_bytes, worker.limit.mechanism) if worker else None,
            stage=problem.stage if isinstance(problem, DeadlineExceeded) else None,
            phase=worker.phase if worker else None,
            limits=self.limits,
        )
        self._drop()
        return decide(evidence).observation()
