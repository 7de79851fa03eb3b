"""A worker: runs the phases of an engine one after another, times them, and scores the result."""

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
"""Matches the first line of py4j's errors. This line says only which call failed."""


class Worker:
    """Serves the runner's requests. `opening` is the first request, with the resources that the worker may use."""

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
        """Applies the limits, and then starts the session if the worker has one. Returns the reply."""
        opening = self.opening
        os.sched_setaffinity(0, self.grant.cpus)
        if opening.device == "gpu" and opening.placement == "node":
            self._bound.enter_context(self.bind_gpu())  # for good: a process in which CUDA runs cannot be bound again
        if opening.limited:
            self._limit.apply()
        return self._ready(opening.scratch)

    def restart(self, threads: int) -> Ready:
        """Ends the Spark session and starts a new one in the same JVM.

        Raises ClusterError if the worker has no session, or if the new session does not start.
        """
        self._spark.stop()
        self.opening = self.opening.model_copy(update={"threads": threads})
        self._restarts += 1
        return self._ready(self.opening.scratch / f"session-{self._restarts}")

    def _ready(self, scratch: Path) -> Ready:
        """Starts a session if the worker has an endpoint. Spark writes its files below `scratch`."""
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
                collectors=collectors(self._process_trees) if self.runtime else None,
                conf=self.runtime.conf() if self.runtime else None,
                link=opening.endpoint.link.model_dump(mode="json")
                if opening.endpoint and opening.endpoint.link
                else None,
            ),
        )

    def serve(self, request: Prepare | PrepareModel | Measure | Examine | HoldGpus | Import | Restart) -> Message:
        """Executes a request and returns the reply. The caller must handle errors."""
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
        """Checks the executors. Raises ClusterError if an executor fails a check."""
        profile = self.opening.profile
        threads = self.opening.threads
        executors = examine(self._spark, self.budget.cores, threads, profile.storage_location, profile.name)
        return Examined(executors=executors)

    @property
    def _spark(self) -> Any:
        """The Spark session. Raises ClusterError if the worker has no session."""
        if self.runtime is None:
            raise errors.ClusterError("This worker has no Spark session.")
        return self.runtime.spark

    def prepare(self, request: Prepare) -> Prepared:
        """Prepares data with the session's executors, or with processes on this node if there is no session."""
        tasks: Tasks = Processes(request.tasks or len(self.grant.cpus), processes.die_with_parent)
        if self.runtime:
            tasks = SparkTasks(self.runtime.spark, request.tasks)

        last_text = ""

        def progress(done: int, total: int) -> None:
            nonlocal last_text
            text = f"{done} of {total} parts"
            if text != last_text:
                last_text = text
                self.say(PhaseStarted(name=text))

        with Notes() as notes:
            data = request.source.prepare(request.storage, tasks, request.sample_seeds, progress)
        table_notes = [not_used(data.profile.get("columns", [])), *data.profile.get("notes", [])]
        table_notes += data.profile.get("warnings", [])
        return Prepared(data=data, notes=[*notes.texts, *filter(None, table_notes)])

    def prepare_model(self, request: PrepareModel) -> ModelPrepared:
        """Makes the model with all cores of this process, because the case itself may have one thread."""
        run = self._context(request.case.model_copy(update={"threads": len(self.grant.cpus)}), request.data)
        engine = registry.workloads()[run.case.workload].engine(run.case.engine)()
        with run.stack:
            return ModelPrepared(model=engine.prepared_model(run))

    def _context(self, case: Case, data: PreparedDataset, model: PreparedModel | None = None) -> Context:
        """Returns the context of a case: the data, resources and limits that it may use in this worker."""
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
        """Executes one case. An error of the engine becomes the outcome of the record."""
        if self.runtime:
            self.runtime.tidy()
        gc.collect()
        run = self._context(request.case, request.data, request.model)
        clock = PhaseClock(self.say, self._process_trees, self.budget.node.cpus)
        ended, quality = self._execute(run, clock, request.cold_cache)
        outcome: Outcome = ended.outcome if ended else "ok"
        spark = self._spark_metrics(request.case.label)
        declared_names = registry.workloads()[run.case.workload].pattern.tables
        table_names = declared_names if outcome == "ok" else [name for name in declared_names if name in run.tables]
        tables = _write_tables(run, table_names, request.tables)
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
    def _process_trees(self) -> tuple[int, ...]:
        """The ids of the process trees on this host that work for a case: this worker's and the daemons'."""
        endpoint = self.opening.endpoint
        return (os.getsid(0), *(endpoint.daemons if endpoint else ()))

    @property
    def _counts_cpu(self) -> bool:
        """True if all CPU time of a case is counted.

        All processes must run on this host. With Spark, a control group must count the CPU time, because nobody
        reaps Spark's Python workers. Process trees of daemons are counted in the same way as the tree of this
        worker.
        """
        return self._observable and (self.runtime is None or processes.counts_unreaped(os.getsid(0)))

    @property
    def _observable(self) -> bool:
        """True if all processes that work for a case run on this host."""
        return self.opening.endpoint is None or self.opening.endpoint.observable

    def _slots(self) -> int:
        """Returns how many Spark tasks, or single-threaded processes of a node engine, can run at once."""
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
        except Exception:  # a dead JVM has no metrics: the record has null, and the outcome stays as it is
            log.exception("no task metrics for %s", label)
            return None

    def _execute(self, run: Context, clock: PhaseClock, cold: bool) -> tuple[Ended | None, dict[str, float]]:
        """Runs the phases of a case and scores the result. Returns None and the qualities if the case is ok.

        Otherwise, returns the outcome with its error, and no qualities. If `cold` is true, the case's files are
        dropped from the page cache before the phases.
        """
        case = run.case
        workload = registry.workloads()[case.workload]
        engine = workload.create_engine(case.engine, case.parameter_set)
        try:
            with run.stack:
                workload.quality.check(run)
                engine.prepare(run)
                if cold:  # after the check, because the check reads labels
                    cold_cache.drop(run.data, run.model)
                    for dataset in run.made:
                        cold_cache.drop(dataset)
                result = clock.run(engine, workload.pattern.phases, run)
                self.imported = tuple(sys.modules)  # before scoring, which imports further modules
                self.say(PhasesEnded())
                quality = _declared(workload, workload.quality.score(run, result))
                if self._observable:
                    clock.check_budget(len(self.grant.cpus))
        except Exception as error:
            meant = _meant(error)
            if meant not in ("unsupported", "invalid"):
                log.exception("%s failed", case.label)
            driver_died = self.runtime is not None and not self.runtime.alive()
            return decide(Evidence(type(error).__name__, _message(error), meant, driver_died)), {}
        return None, quality

    def say(self, message: Message) -> None:
        """Sends a reply to the runner."""
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


def _declared(workload: Workload, qualities: dict[str, float]) -> dict[str, float]:
    """Returns the qualities unchanged. Raises ValueError if the workload does not declare one of them."""
    names = {quality.name for quality in workload.quality.declared}
    if undeclared := sorted(qualities.keys() - names):
        raise ValueError(f"The quality {undeclared[0]} is not declared: add it to the qualities of {workload.name}.")
    return qualities


def _meant(error: Exception) -> Outcome | None:
    """Returns the outcome that the type of this error implies; None if it implies none."""
    kinds: dict[type[Exception], Outcome] = {
        errors.EngineUnsupported: "unsupported",
        errors.InvalidResult: "invalid",
        MemoryError: "oom",
    }
    return next((outcome for kind, outcome in kinds.items() if isinstance(error, kind)), None)


def _message(error: Exception) -> str:
    """Returns the message of an error, without py4j's first line."""
    return PY4J.sub("", str(error)) or "the error has no message"


def _write_tables(run: Context, names: Iterable[str], folder: Path) -> dict[str, Path]:
    """Writes tables to Parquet files. Returns the paths by name. Raises KeyError if the case lacks a table."""
    written = {}
    for name in names:
        table = run.tables[name]
        written[name] = folder / f"{name}.parquet"
        pq.write_table(table, written[name], compression="zstd")
    return written
