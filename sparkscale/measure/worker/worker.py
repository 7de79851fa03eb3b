"""A worker: chains an engine's phases, times them, scores what came out."""

import gc
import logging
import os
import re
import sys
import time
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TextIO

import pyarrow.parquet as pq

from cluster import processes
from cluster.gpu import Binding
from cluster.jvm import collectors
from cluster.session import SparkRuntime, describe
from cluster.session import start as start_session
from sparkscale.contract import errors
from sparkscale.contract.case import Case
from sparkscale.contract.context import Context
from sparkscale.contract.dataset import PreparedDataset
from sparkscale.contract.model import PreparedModel
from sparkscale.contract.profile import not_used
from sparkscale.contract.record import Observation, Outcome, SparkMetrics
from sparkscale.measure.outcomes import Ended, Evidence, decide
from sparkscale.measure.worker import cold_cache, descriptions
from sparkscale.measure.worker.executors import examine
from sparkscale.measure.worker.gpu_tasks import hold_all
from sparkscale.measure.worker.imports import import_all
from sparkscale.measure.worker.phases import PhaseClock
from sparkscale.measure.worker.protocol import (
    Examine,
    Examined,
    Held,
    HoldGpus,
    Import,
    Imported,
    Measure,
    Measured,
    Message,
    ModelPrepared,
    Open,
    PhasesEnded,
    PhaseStarted,
    Prepare,
    Prepared,
    PrepareModel,
    Ready,
    Restart,
)
from workloads import registry
from workloads.base import Workload
from workloads.libraries.tasks import Processes, SparkTasks, Tasks

log = logging.getLogger(__name__)


PY4J = re.compile(r"^An error occurred while calling \S+\n: ")


class Worker:
    """Serves requests until it is closed. `opening` says what it may use."""

    def __init__(self, opening: Open, replies: TextIO) -> None:
        self.opening = opening
        self.replies = replies
        self.budget = opening.budget
        self.grant = opening.budget.grant(opening.placement)
        self.runtime: SparkRuntime | None = None
        self.bind_gpu = Binding(tuple(map(str, self.grant.gpus)))
        self._bound = ExitStack()
        self._limit = processes.MemoryLimit(self.grant.memory_bytes, opening.cgroup)
        self._restarts = 0
        self.imported: tuple[str, ...] = ()
        """The modules that were imported when the phases of the last case ended."""

    def open(self) -> Ready:
        """Takes on the limits, then starts the session. Restart starts another."""
        opening = self.opening
        os.sched_setaffinity(0, self.grant.cpus)
        if opening.device == "gpu" and opening.placement == "node":
            self._bound.enter_context(self.bind_gpu())  # for good: a process in which CUDA runs cannot be bound again
        if opening.limited:
            self._limit.apply()
        return self._ready(opening.scratch)

    def restart(self, threads: int) -> Ready:
        """Raises ClusterError in a worker without a session, or where the JVM starts no other."""
        self._spark.stop()
        self.opening = self.opening.model_copy(update={"threads": threads})
        self._restarts += 1
        return self._ready(self.opening.scratch / f"session-{self._restarts}")

    def _ready(self, scratch: Path) -> Ready:
        """Starts the session, if there is to be one. What Spark writes goes below `scratch`."""
        opening, session_seconds = self.opening, None
        if opening.endpoint:
            started = time.perf_counter()
            self.runtime = start_session(
                opening.profile, self.budget, opening.endpoint, opening.threads, opening.device, scratch
            )
            session_seconds = time.perf_counter() - started
            if self.runtime.events:
                self.runtime.events.take()
        return Ready(
            jvm=self.runtime.jvm if self.runtime else None,
            session_seconds=session_seconds,
            software=descriptions.software(self.runtime.java() if self.runtime else None),
            session=descriptions.session(
                cluster=describe(opening.profile),
                threads=opening.threads,
                budget=self.budget.model_dump(mode="json"),
                cpus=self.grant.cpus,
                memory_bytes=self.grant.memory_bytes,
                memory_limit=self._limit.mechanism if opening.limited else None,
                collectors=collectors(self._sessions) if self.runtime else None,
                conf=self.runtime.conf() if self.runtime else None,
            ),
        )

    def serve(self, request: Prepare | PrepareModel | Measure | Examine | HoldGpus | Import | Restart) -> Message:
        match request:
            case Prepare():
                reply: Message = self.prepare(request)
            case PrepareModel():
                reply = self.prepare_model(request)
            case Examine():
                reply = self.examine()
            case HoldGpus():
                reply = Held(holdings=hold_all(self._spark, request.tasks, request.seconds))
            case Import():
                reply = Imported(modules=import_all(request.modules) if request.modules else self.imported)
            case Restart():
                reply = self.restart(request.threads)
            case Measure():
                reply = self.measure(request)
        return reply

    def examine(self) -> Examined:
        """Raises ClusterError when the executors do not fit."""
        profile = self.opening.profile
        threads = self.opening.threads
        found = examine(self._spark, self.budget.cores, threads, profile.storage_location, profile.name)
        return Examined(executors=found)

    @property
    def _spark(self) -> Any:
        """Raises ClusterError in a worker without a session."""
        if self.runtime is None:
            raise errors.ClusterError("This worker has no session.")
        return self.runtime.spark

    def prepare(self, request: Prepare) -> Prepared:
        """By the session's executors, or by processes of this node where there is no session."""
        tasks: Tasks = Processes(request.tasks or len(self.grant.cpus), processes.die_with_parent)
        if self.runtime:
            tasks = SparkTasks(self.runtime.spark, request.tasks)

        said = ""

        def progress(done: int, total: int) -> None:
            nonlocal said
            text = f"{done} of {total} parts"
            if text != said:
                said = text
                self.say(PhaseStarted(name=text))

        with Notes() as notes:
            data = request.source.prepare(request.storage, tasks, request.sample_seeds, progress)
        found = [not_used(data.profile.get("columns", [])), *data.profile.get("notes", [])]
        found += data.profile.get("warnings", [])
        return Prepared(data=data, notes=[*notes.texts, *filter(None, found)])

    def prepare_model(self, request: PrepareModel) -> ModelPrepared:
        """With all this process's cores, for the case may have one thread."""
        run = self._context(request.case.model_copy(update={"threads": len(self.grant.cpus)}), request.data)
        engine = registry.workloads()[run.case.workload].engine(run.case.engine)()
        with run.stack:
            return ModelPrepared(model=engine.prepared_model(run))

    def _context(self, case: Case, data: PreparedDataset, model: PreparedModel | None = None) -> Context:
        """What a case may touch in this worker."""
        return Context(
            case=case,
            data=data,
            cores=self.budget.cores_of(self.opening.placement),
            slots=self._slots(),
            storage=self.opening.profile.storage_location,
            spark=self.runtime.spark if self.runtime else None,
            model=model,
            gpus=len(self.grant.gpus) if self.opening.device == "gpu" else 0,
            executor_memory_bytes=self.budget.executor_memory_bytes,
            bind_gpu=self.bind_gpu,
            declared=registry.workloads()[case.workload].figure_names,
        )

    def measure(self, request: Measure) -> Measured:
        """Executes one case; whatever the engine raises becomes the record's outcome."""
        if self.runtime:
            self.runtime.tidy()
        gc.collect()
        run = self._context(request.case, request.data, request.model)
        clock = PhaseClock(self.say, self._sessions, self.budget.node.cpus)
        ended, quality = self._execute(run, clock, request.cold_cache)
        outcome: Outcome = ended.outcome if ended else "ok"
        spark = self._spark_metrics(request.case.label)
        names = registry.workloads()[run.case.workload].pattern.tables
        made = names if outcome == "ok" else [name for name in names if name in run.tables]
        tables = _write_tables(run, made, request.tables)
        return Measured(
            observation=Observation(
                outcome=outcome,
                error=ended.error if ended else None,
                seconds=clock.seconds,
                quality=quality,
                figures=run.figures,
                cpu_seconds=clock.cpu_seconds if self._counts_cpu else None,
                spark=spark,
                python_started=len(clock.python_started) if self._observable else None,
                foreign_cpu_seconds=clock.foreign if self._counts_cpu else None,
                stolen_cpu_seconds=clock.stolen if self._observable else None,
            ),
            tables=tables,
        )

    @property
    def _sessions(self) -> tuple[int, ...]:
        """The process trees on this host that work for a case: this worker's, and those of the cluster's daemons."""
        endpoint = self.opening.endpoint
        return (os.getsid(0), *(endpoint.daemons if endpoint else ()))

    @property
    def _counts_cpu(self) -> bool:
        """Whether all that a case uses is counted: on this host, and Spark's Python workers, which nobody reaps, by a
        control group; the daemons' trees are counted as this worker's own is.
        """
        return self._observable and (self.runtime is None or processes.counts_unreaped(os.getsid(0)))

    @property
    def _observable(self) -> bool:
        """Whether all that a case uses runs on this host."""
        return self.opening.endpoint is None or self.opening.endpoint.observable

    def _slots(self) -> int:
        """How many tasks of Spark, or single-threaded processes of a node engine, can run at once."""
        placement = self.opening.placement
        slots = self.budget.cores_of(placement) // (self.opening.threads if placement == "spark" else 1)
        if self.opening.device == "gpu":
            return min(slots, self.budget.gpus_of(placement) * self.budget.tasks_per_gpu)
        return slots

    def _spark_metrics(self, label: str) -> SparkMetrics | None:
        if self.runtime is None or self.runtime.events is None:
            return None
        try:
            return self.runtime.events.take()
        except Exception:  # of a dead JVM there are no metrics; null says so, and the outcome stands
            log.exception("no task metrics for %s", label)
            return None

    def _execute(self, run: Context, clock: PhaseClock, cold: bool) -> tuple[Ended | None, dict[str, float]]:
        """How a case ended that did not end well, and the qualities of one that did."""
        case = run.case
        workload = registry.workloads()[case.workload]
        engine = workload.made(case.engine, case.parameter_set)
        try:
            with run.stack:
                workload.quality.check(run)
                engine.prepare(run)
                if cold:  # after the check, which reads labels
                    cold_cache.drop(run.data, run.model)
                    for made in run.made:
                        cold_cache.drop(made)
                result = clock.run(engine, workload.pattern.phases, run)
                self.imported = tuple(sys.modules)  # scoring imports more, outside of what is measured
                self.say(PhasesEnded())
                quality = _declared(workload, workload.quality.score(run, result))
                if self._observable:
                    clock.check_budget(len(self.grant.cpus))
        except Exception as error:
            meant = _meant(error)
            if meant not in ("unsupported", "invalid"):
                log.exception("%s failed", case.label)
            died = self.runtime is not None and not self.runtime.alive()
            return decide(Evidence(type(error).__name__, _message(error), meant, died)), {}
        return None, quality

    def say(self, message: Message) -> None:
        self.replies.write(message.model_dump_json() + "\n")
        self.replies.flush()


class Notes(logging.Handler):
    """Collects the warnings that are logged while a data set is prepared."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())

    def __enter__(self) -> "Notes":
        logging.getLogger("workloads").addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        logging.getLogger("workloads").removeHandler(self)


def _declared(workload: Workload, found: dict[str, float]) -> dict[str, float]:
    """The qualities of a result. Raises ValueError for one that the workload does not declare."""
    names = {quality.name for quality in workload.quality.declared}
    if strange := sorted(found.keys() - names):
        raise ValueError(f"The quality {strange[0]} is not declared: add it to the qualities of {workload.name}.")
    return found


def _meant(error: Exception) -> Outcome | None:
    """The outcome that the kind of error stands for; None if that does not tell."""
    kinds: dict[type[Exception], Outcome] = {
        errors.EngineUnsupported: "unsupported",
        errors.InvalidResult: "invalid",
        MemoryError: "oom",
    }
    return next((outcome for kind, outcome in kinds.items() if isinstance(error, kind)), None)


def _message(error: Exception) -> str:
    """What it says; of a failure in the JVM without py4j's first line, which says only which call it was."""
    return PY4J.sub("", str(error)) or "it says no more"


def _write_tables(run: Context, names: Iterable[str], folder: Path) -> dict[str, Path]:
    """Raises KeyError for a table that the case did not make."""
    written = {}
    for name in names:
        table = run.tables[name]
        written[name] = folder / f"{name}.parquet"
        pq.write_table(table, written[name], compression="zstd")
    return written
