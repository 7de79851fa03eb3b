"""The worker process: chains an engine's phases, times them, scores what came out.

Started by the runner as `python -m sparkscale.measure.worker REQUESTS REPLIES`, two inherited pipe descriptors.
Its standard output and error go to a log file; nothing is printed while a clock runs.
"""

import gc
import logging
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any, TextIO

import pyarrow.parquet as pq

from cluster import processes
from cluster.profile import Budget
from cluster.session import SparkRuntime
from cluster.session import start as start_session
from sparkscale.contract import errors
from sparkscale.contract.context import Context
from sparkscale.contract.record import ErrorInfo, Observation, Outcome
from sparkscale.measure import environment
from sparkscale.measure.protocol import (
    REQUEST,
    Close,
    Closed,
    Measure,
    Measured,
    Message,
    Open,
    PhaseStarted,
    Prepare,
    Prepared,
    Ready,
    Refused,
)
from sparkscale.measure.worker_process import out_of_memory
from workloads import registry
from workloads.tasks import Processes, SparkTasks, Tasks

log = logging.getLogger(__name__)

CPU_TOLERANCE = 1.1
"""CPU seconds may exceed cores × wall by this factor before a case is invalid: the clocks tick differently."""


class Worker:
    """Serves requests until it is closed. `opening` says what it may use."""

    def __init__(self, opening: Open, replies: TextIO) -> None:
        self.opening = opening
        self.replies = replies
        self.budget = Budget(opening.cpus, opening.memory_bytes, opening.heap_bytes)
        self.runtime: SparkRuntime | None = None

    def open(self) -> Ready:
        """Takes on the limits, then starts the session."""
        os.sched_setaffinity(0, self.opening.cpus)
        limit = processes.MemoryLimit(self.opening.memory_bytes, self.opening.cgroup)
        if self.opening.limited:
            limit.apply()
        if self.opening.placement == "spark":
            self.runtime = start_session(
                self.opening.profile, self.budget, self.opening.threads, self.opening.scratch
            )
            self.runtime.events.take()
        return Ready(
            jvm=self.runtime.jvm if self.runtime else None,
            software=environment.software(self.runtime.java() if self.runtime else None),
            session=environment.session(
                cluster=self.opening.profile.name,
                threads=self.opening.threads,
                cpus=self.opening.cpus,
                memory_bytes=self.opening.memory_bytes,
                memory_limit=limit.mechanism if self.opening.limited else None,
                conf=self.runtime.conf() if self.runtime else None,
            ),
        )

    def serve(self, request: Prepare | Measure) -> Message:
        if isinstance(request, Prepare):
            return self.prepare(request)
        return self.measure(request)

    def prepare(self, request: Prepare) -> Prepared:
        """By the session's executors, or by processes of this node where there is no session."""
        tasks: Tasks = Processes(request.tasks or self.budget.cores, processes.die_with_parent)
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
            data = request.source.prepare(request.storage, tasks, request.sample_seed, progress)
        return Prepared(data=data, notes=[*notes.texts, *data.profile.get("warnings", [])])

    def measure(self, request: Measure) -> Measured:
        """Executes one case; whatever the engine raises becomes the record's outcome."""
        if self.runtime:
            self.runtime.tidy()
        gc.collect()
        run = Context(
            case=request.case,
            data=request.data,
            cores=self.budget.cores,
            storage=self.opening.profile.storage_location,
            spark=self.runtime.spark if self.runtime else None,
        )
        clock = PhaseClock(self.say)
        outcome, error, quality = self._execute(run, clock)
        spark = None
        if self.runtime:
            try:
                spark = self.runtime.events.take()
            except Exception:  # of a dead JVM there are no metrics; null says so, and the outcome stands
                log.exception("no task metrics for %s", request.case.label)
        names = registry.workloads()[run.case.workload].pattern.tables
        tables = _write_tables(run, names, request.tables) if outcome == "ok" else {}
        return Measured(
            observation=Observation(
                outcome=outcome,
                error=error,
                seconds=clock.seconds,
                quality=quality,
                figures=run.figures,
                cpu_seconds=clock.cpu_seconds,
                spark=spark,
            ),
            tables=tables,
        )

    def _execute(self, run: Context, clock: "PhaseClock") -> tuple[Outcome, ErrorInfo | None, dict[str, float]]:
        case = run.case
        workload = registry.workloads()[case.workload]
        engine = workload.engine(case.engine)()
        try:
            with run.stack:
                result = clock.run(engine, workload.pattern.phases, run)
                quality = workload.pattern.score(run, result)
                clock.check_budget(self.budget.cores)
        except errors.EngineUnsupported as error:
            return "unsupported", _info(error), {}
        except errors.InvalidResult as error:
            return "invalid", _info(error), {}
        except Exception as error:
            log.exception("%s failed", case.label)
            return (
                ("oom" if isinstance(error, MemoryError) or out_of_memory(str(error)) else "failed"),
                _info(error),
                {},
            )
        return "ok", None, quality

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


class PhaseClock:
    """Brackets each phase, and nothing else, with a wall clock and the CPU time of the process tree."""

    def __init__(self, say: Any) -> None:
        self._say = say
        self.seconds: dict[str, float] = {}
        self.cpu_seconds = 0.0

    def run(self, engine: Any, phases: tuple[str, ...], run: Context) -> Any:
        """Chains the phases: each gets the context and what the phase before it returned."""
        arguments: tuple[Any, ...] = (run,)
        for phase in phases:
            self._say(PhaseStarted(name=phase))
            method = getattr(engine, phase)
            spent = processes.cpu_seconds(os.getsid(0))
            started = time.perf_counter()
            try:
                result = method(*arguments)
            finally:
                self.seconds[phase] = time.perf_counter() - started
                self.cpu_seconds += max(0.0, processes.cpu_seconds(os.getsid(0)) - spent)
            arguments = (run, result)
        return arguments[1]

    def check_budget(self, cores: int) -> None:
        """Raises InvalidResult when more CPU was used than the budget's cores can give."""
        wall = sum(self.seconds.values())
        if self.cpu_seconds > CPU_TOLERANCE * cores * wall + 0.1:
            raise errors.InvalidResult(
                f"Used {self.cpu_seconds:.1f} CPU seconds in {wall:.1f} s on a budget of {cores} cores."
            )


def _info(error: Exception) -> ErrorInfo:
    return ErrorInfo(type=type(error).__name__, message=str(error)[:4000])


def _write_tables(run: Context, names: tuple[str, ...], folder: Path) -> dict[str, Path]:
    """The tables that the pattern declares. Raises KeyError for one that the case did not make."""
    written = {}
    for name in names:
        table = run.tables[name]
        written[name] = folder / f"{name}.parquet"
        pq.write_table(table, written[name], compression="zstd")
    return written


def _refusal(error: Exception) -> Refused:
    log.exception("request refused")
    return Refused(error=type(error).__name__, message=str(error))


def main() -> None:
    """Answers each request in turn; ends at Close or when the runner's pipe does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the runner, which ends its workers itself
    processes.die_with_parent()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    requests = os.fdopen(int(sys.argv[1]), "r", encoding="utf-8")
    replies = os.fdopen(int(sys.argv[2]), "w", encoding="utf-8")
    worker: Worker | None = None
    for line in iter(requests.readline, ""):
        request = REQUEST.validate_json(line)
        if isinstance(request, Open):
            worker = Worker(request, replies)
            try:
                worker.say(worker.open())
            except Exception as error:
                worker.say(_refusal(error))
        elif worker is None:
            raise RuntimeError("The first request must be `open`.")
        elif isinstance(request, Close):
            if worker.runtime:
                worker.runtime.stop()
            worker.say(Closed())
            return
        else:
            try:
                reply = worker.serve(request)
            except Exception as error:
                reply = _refusal(error)
            worker.say(reply)


if __name__ == "__main__":
    main()
