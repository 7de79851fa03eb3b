"""When a worker is warm for a case, and which sample a failed warm-up is followed by."""

import time
from dataclasses import dataclass

from sparkscale.contract.case import Case, show_fraction
from sparkscale.contract.record import Observation, Outcome, RunRecord
from workloads import registry
from workloads.base import Engine

AGREEMENT = 0.1
"""A JVM is warm when two passes in a row differ by no more than this share of the longer one ..."""
AGREEMENT_SECONDS = 0.1
"""... or by no more than this: a Spark job of half a second varies so much on a busy machine."""
WARMUP_SECONDS = 10.0
"""No third or further pass begins when a warm-up has taken this long, scoring between its passes included."""
LONG_SECONDS = 30.0
"""No second pass follows a first one that took this long."""
IDLE_SECONDS = 45.0
"""Processes that an engine keeps may have ended when its last execution is older than this. Spark ends a Python
worker that was idle for a minute (PythonWorkerFactory.IDLE_WORKER_TIMEOUT_NS), joblib one that was for 300 s."""

RAN: frozenset[Outcome] = frozenset({"ok", "invalid"})
"""Outcomes of executions that went through every phase."""
LOST = frozenset({"WorkerDied", "ScratchError"})
"""Errors that say nothing about the case: the worker was lost."""
NOT_OF_THE_SAMPLE = LOST | {"ClusterError", "DriverDied", "DeadlineExceeded"}
"""Errors that a larger sample does not avoid."""

NEXT, FOUR_TIMES = 1, 2
"""Steps from one sample to another, which is twice as large, or four times."""


@dataclass
class Passes:
    """The passes of one case's warm-ups in one worker. A further warm-up of a warm JVM may have one pass only, where
    that agrees with the last one before."""

    case: Case
    _last: float | None = None
    _began: float | None = None

    def begin(self) -> None:
        """Begins a warm-up: the first one, or a further one."""
        self._began = None

    def enough(self, record: RunRecord) -> bool:
        """True if the worker is warm after this pass, which has just ended.

        A node engine is warm after its first: its libraries are loaded. A JVM compiles what runs often, so a Spark
        engine goes on until two passes agree, or its time is spent. The first pass of a new JVM alone may take that
        time, and what follows it is still half as slow again as later on. Passes without a valid time never agree.
        """
        now = time.monotonic()
        limit = WARMUP_SECONDS
        if self._began is None:
            limit = LONG_SECONDS
            self._began = now - sum(record.seconds.values())  # starting the worker is no part of it
        before, self._last = self._last, _time_to_model(record)
        if self.case.placement == "node" or now - self._began >= limit:
            return True
        if before is None or self._last is None:
            return False
        return abs(self._last - before) <= max(AGREEMENT * max(self._last, before), AGREEMENT_SECONDS)


def still_warm(case: Case, last: float | None) -> bool:
    """Whether a worker needs no warm-up for this case. `last` is when phases of such a case last ended there, as
    time.monotonic(); None if it was never warm for it.
    """
    if last is None:
        return False
    return not _engine(case).keeps_processes or time.monotonic() - last <= IDLE_SECONDS


def found_warm(case: Case, observation: Observation) -> bool:
    """Whether an execution found the processes that it needs, as far as it can be seen.

    With a GPU Spark's Python workers serve one task each, so each execution starts its own. An executor that takes a
    lost one's place starts them, too: of such an execution no time is counted anyhow.
    """
    engine = _engine(case)
    may_start = engine.starts_processes or (case.placement == "spark" and case.device == "gpu")
    lost = observation.spark is not None and observation.spark.executors_lost > 0
    return may_start or lost or not observation.python_started


def _engine(case: Case) -> type[Engine]:
    return registry.workloads()[case.workload].engine(case.engine)


def _time_to_model(record: RunRecord) -> float | None:
    """None where the record has no seconds: it is not ok."""
    phases = registry.patterns()[record.case.pattern].time_to_model
    return sum(record.seconds[phase] for phase in phases) if record.outcome == "ok" else None


def step(failed: RunRecord) -> int:
    """How far the next sample to try is from one on which a warm-up failed; 0 when none is worth a try.

    Data that cannot be trained on is known before a phase begins, so the next sample is cheap to try. An engine that
    fails may do so on any sample, and its worker is replaced each time: fewer samples are tried.
    """
    if failed.error is None or failed.error.type in NOT_OF_THE_SAMPLE:
        return 0
    if failed.error.type == "DatasetError":
        return NEXT
    return FOUR_TIMES if failed.outcome in ("failed", "unsupported") else 0


def sample_text(case: Case) -> str:
    """The sample of a warm-up, as part of a sentence."""
    share = "all" if case.fraction == 1 else show_fraction(case.fraction)
    return f"{share} of the data ({case.rows:,} rows)"
