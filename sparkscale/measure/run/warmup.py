"""Decides when a worker is warm for a case, and which sample is tried after a failed warm-up."""

import time
from dataclasses import dataclass

from sparkscale.contract.case import Case, show_fraction
from sparkscale.contract.record import Observation, Outcome, RunRecord
from workloads import registry
from workloads.base import Engine

AGREEMENT = 0.1
"""A JVM is warm when two passes in a row differ by no more than this share of the longer pass."""
AGREEMENT_SECONDS = 0.1
"""A JVM is also warm when two passes differ by no more than this.

On a busy machine, a Spark job of half a second varies that much.
"""
WARMUP_SECONDS = 10.0
"""A warm-up that has taken this long gets no third or further pass. This time includes scoring between its passes."""
LONG_SECONDS = 30.0
"""A first pass that took this long is not followed by a second."""
IDLE_SECONDS = 45.0
"""If the last execution of an engine is older than this, the processes that it keeps may have ended.

Spark ends a Python worker that was idle for a minute (PythonWorkerFactory.IDLE_WORKER_TIMEOUT_NS), and joblib ends a
process after 300 s.
"""

RAN: frozenset[Outcome] = frozenset({"ok", "invalid"})
"""Outcomes of executions that went through every phase."""
LOST = frozenset({"WorkerDied", "ScratchError"})
"""Errors that say nothing about the case, because the worker was lost."""
INDEPENDENT_OF_SAMPLE = LOST | {"ClusterError", "DriverDied", "DeadlineExceeded"}
"""Errors that a larger sample cannot avoid."""

NEXT, FOUR_TIMES = 1, 2
"""Steps from one sample to another that is two or four times as large."""


@dataclass
class Passes:
    """The passes of one case's warm-ups in one worker.

    A further warm-up of a warm JVM may need only one pass: one that agrees with the last pass before it.
    """

    case: Case
    _last: float | None = None
    _began: float | None = None

    def begin(self) -> None:
        """Begins a warm-up: the first one, or a further one."""
        self._began = None

    def enough(self, record: RunRecord) -> bool:
        """True if the worker is warm after this pass, which has just ended.

        A node engine is warm after its first pass, because its libraries are then loaded. A JVM compiles code that
        runs often, so a Spark engine continues until two passes agree, or its time is over. The first pass has a
        longer limit: in a new JVM it may take WARMUP_SECONDS alone, and the next pass still takes half as long again
        as later passes. Passes without a valid time never agree.
        """
        now = time.monotonic()
        limit = WARMUP_SECONDS
        if self._began is None:
            limit = LONG_SECONDS
            self._began = now - sum(record.seconds.values())  # without the start of the worker
        previous, self._last = self._last, _time_to_model(record)
        if self.case.placement == "node" or now - self._began >= limit:
            return True
        if previous is None or self._last is None:
            return False
        return abs(self._last - previous) <= max(AGREEMENT * max(self._last, previous), AGREEMENT_SECONDS)


def still_warm(case: Case, last: float | None) -> bool:
    """Returns true if a worker needs no warm-up for this case.

    `last` is when phases of such a case last ended in this worker, as time.monotonic(); None if it was never warm.
    """
    if last is None:
        return False
    return not _engine(case).keeps_processes or time.monotonic() - last <= IDLE_SECONDS


def was_warm(case: Case, observation: Observation) -> bool:
    """Returns true if an execution found the processes that it needs, as far as this can be seen.

    With a GPU, each of Spark's Python workers serves one task, so each execution starts new workers. An executor that
    replaces a lost executor also starts new workers; the time of such an execution is not counted anyway.
    """
    engine = _engine(case)
    may_start = engine.starts_processes or (case.placement == "spark" and case.device == "gpu")
    lost = observation.spark is not None and observation.spark.executors_lost > 0
    return may_start or lost or not observation.python_started


def _engine(case: Case) -> type[Engine]:
    return registry.workloads()[case.workload].engine(case.engine)


def _time_to_model(record: RunRecord) -> float | None:
    """Returns the seconds to the model; None if the record is not ok and so has no seconds."""
    phases = registry.patterns()[record.case.pattern].time_to_model
    return sum(record.seconds[phase] for phase in phases) if record.outcome == "ok" else None


def step(failed: RunRecord) -> int:
    """Returns by how many steps the next sample is larger after a failed warm-up; 0 if no other sample can help.

    Unsuitable data is found before a phase begins, so the next sample is cheap to try. An engine that fails may fail
    on any sample, and its worker is replaced each time, so fewer samples are tried.
    """
    if failed.error is None or failed.error.type in INDEPENDENT_OF_SAMPLE:
        return 0
    if failed.error.type == "DatasetError":
        return NEXT
    return FOUR_TIMES if failed.outcome in ("failed", "unsupported") else 0


def sample_text(case: Case) -> str:
    """Returns the sample of a warm-up as a part of a sentence."""
    share = "all" if case.fraction == 1 else show_fraction(case.fraction)
    return f"{share} of the data ({case.rows:,} rows)"
