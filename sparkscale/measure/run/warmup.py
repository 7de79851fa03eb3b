"""Decides when a worker is warm for a case, and which sample is tried after a failed warm-up."""

import time
from dataclasses import dataclass

from sparkscale.contract.case import Case, show_fraction
from sparkscale.contract.record import TIME_OVER, Observation, Outcome, RunRecord
from workloads import registry
from workloads.base import Engine

AGREEMENT = 0.1
"""A JVM is warm when two passes in a row differ by no more than this share of the longer pass.

A pass is one execution of a warm-up.
"""
AGREEMENT_SECONDS = 0.1
"""A JVM is also warm when two passes in a row differ by no more than this many seconds.

On a busy machine, the time of a Spark job of half a second varies by as much.
"""
WARMUP_SECONDS = 10.0
"""After this time, a warm-up gets no third or further pass. The time includes scoring between the passes."""
LONG_SECONDS = 30.0
"""If the first pass takes this long, there is no second pass."""
IDLE_SECONDS = 45.0
"""After this time without an execution, the processes that an engine keeps may have ended.

Spark ends a Python worker that was idle for a minute (PythonWorkerFactory.IDLE_WORKER_TIMEOUT_NS), and joblib ends a
process after 300 s.
"""

RAN: frozenset[Outcome] = frozenset({"ok", "invalid"})
"""Outcomes of executions that went through every phase."""
LOST = frozenset({"WorkerDied", "ScratchError"})
"""Errors that say nothing about the case, because the worker was lost."""
INDEPENDENT_OF_SAMPLE = LOST | {"ClusterError", "DriverDied", "DeadlineExceeded", TIME_OVER}
"""Errors that a larger sample cannot avoid."""

NEXT, FOUR_TIMES = 1, 2
"""Results of `step`: how many samples further the next warm-up is tried. Each sample is twice as large as the one
before it."""


@dataclass
class Passes:
    """The passes of one case's warm-ups in one worker. A pass is one execution of a warm-up.

    A later warm-up needs only one pass if this pass agrees with the last pass of the warm-up before it.
    """

    case: Case
    _last: float | None = None
    _began: float | None = None

    def begin(self) -> None:
        """Begins a warm-up. Its time limit counts from its first pass."""
        self._began = None

    def enough(self, record: RunRecord) -> bool:
        """Returns true if the worker needs no further pass. `record` is the record of the last pass.

        A node engine is warm after its first pass, because its libraries are then loaded. A JVM compiles code that
        runs often, so a Spark engine continues until two passes agree, or until its time is over. After the first
        pass, the limit is LONG_SECONDS instead of WARMUP_SECONDS. In a new JVM, the first pass alone may take
        WARMUP_SECONDS, and the second pass still takes 1.5 times as long as later passes. Passes without a valid
        time never agree.
        """
        now = time.monotonic()
        limit = WARMUP_SECONDS
        if self._began is None:
            limit = LONG_SECONDS
            self._began = now - sum(record.seconds.values())  # excludes the start of the worker
        previous, self._last = self._last, _time_to_model(record)
        if self.case.placement == "node" or now - self._began >= limit:
            return True
        if previous is None or self._last is None:
            return False
        return abs(self._last - previous) <= max(AGREEMENT * max(self._last, previous), AGREEMENT_SECONDS)


def still_warm(case: Case, last: float | None) -> bool:
    """Returns true if a worker needs no warm-up for this case.

    `last` is the time (time.monotonic()) at which the phases of a case with the same warm-up last ended in the
    worker. It is None if the worker was never warm for such a case.
    """
    if last is None:
        return False
    return not _engine(case).keeps_processes or time.monotonic() - last <= IDLE_SECONDS


def was_warm(case: Case, observation: Observation) -> bool:
    """Returns false if the phases started Python processes that a warm worker would already have had.

    Some executions start processes even in a warm worker, so the result is true for them. Some engines always
    start processes. With a GPU, each of Spark's Python workers serves only one task. If an executor was lost, its
    replacement starts new processes, but the time of this execution is not counted anyway. The result is also true
    if the processes could not be observed.
    """
    engine = _engine(case)
    may_start = engine.starts_processes or (case.placement == "spark" and case.device == "gpu")
    lost = observation.spark is not None and observation.spark.executors_lost > 0
    return may_start or lost or not observation.python_started


def _engine(case: Case) -> type[Engine]:
    return registry.workloads()[case.workload].engine(case.engine)


def _time_to_model(record: RunRecord) -> float | None:
    """Returns the time to model in seconds; None if the outcome is not ok, because there are no times then."""
    phases = registry.patterns()[record.case.pattern].time_to_model
    return sum(record.seconds[phase] for phase in phases) if record.outcome == "ok" else None


def step(failed: RunRecord) -> int:
    """Returns by how many samples the next warm-up goes on after a failed one; 0 if no other sample can help.

    Each sample is twice as large as the one before it. So 1 is a sample that is twice as large, and 2 is a sample
    that is four times as large.

    Unsuitable data is found before a phase begins, so the next sample is cheap to try. An engine that fails may fail
    on any sample, and its worker is replaced each time, so fewer samples are tried.
    """
    if failed.error is None or failed.error.type in INDEPENDENT_OF_SAMPLE:
        return 0
    if failed.error.type == "DatasetError":
        return NEXT
    return FOUR_TIMES if failed.outcome in ("failed", "unsupported") else 0


def sample_text(case: Case) -> str:
    """Returns a text about the sample of a warm-up, such as "1/64 of the data (1,000 rows)"."""
    share = "all" if case.fraction == 1 else show_fraction(case.fraction)
    return f"{share} of the data ({case.rows:,} rows)"
