"""Decides from evidence which outcome a case has: in its worker, from what was raised; in the runner, from limits,
deadlines and kills, too.
"""

from dataclasses import dataclass
from typing import Literal

from sparkscale.contract.record import ErrorInfo, Observation, Outcome

Stage = Literal["checks", "phases", "scoring"]
"""The stages of a case in its worker, in this order."""

OUT_OF_MEMORY = (
    "bad_alloc",
    "OutOfMemoryError",
    "MemoryError",
    "Cannot allocate memory",
    "Unable to allocate",
    "can't start new thread",
    "CUDA out of memory",
    "Command exited with code 52",
    "(JVM OOM)",
    "possible container OOM",
    "killed by YARN for exceeding",
)
"""What libraries say when memory runs out; under RLIMIT_DATA a thread's stack is memory, too.

The last ones are Spark's, of an executor that did not survive it: 52 is its exit status after an OutOfMemoryError
(org.apache.spark.util.SparkExitCode.OOM), the others come from Kubernetes (describeExitCode of
ExecutorPodsLifecycleManager) and YARN (YarnAllocator).
"""

LONGEST = 4000
"""Characters of a message that a record keeps."""

DEADLINE = "DeadlineExceeded"
"""The type of the error of a worker that did not answer in time."""


@dataclass(frozen=True)
class CaseLimits:
    """Seconds that a case may take: for its phases together, and for what lies outside of them.

    `outside` holds for the checks and the tidying before the first phase, and once more for scoring.
    """

    phases: float
    outside: float

    def of(self, stage: Stage) -> float:
        return self.phases if stage == "phases" else self.outside


@dataclass(frozen=True)
class PassedLimit:
    """A limit on memory that processes of a case have reached."""

    limit_bytes: int
    mechanism: str

    def words(self, message: str) -> str:
        """Says that memory ran out, and what was said besides."""
        return f"Passed the memory limit of {self.limit_bytes / 2**20:.0f} MiB ({self.mechanism}). {message}".strip()


@dataclass(frozen=True)
class Evidence:
    """What is known of a case that did not end well.

    `error` is the type of what was raised and `message` what it says: with a worker's exit status and the last lines
    of its log, if it died. `meant` is the outcome that the kind of error stands for. `driver_died` if the JVM of
    Spark's driver has ended. `limit` is the limit on memory that was reached, by the worker or, as their control
    groups count kills, by the cluster's daemons. `worker_limit` is the limit of a worker that gave no answer. `stage`
    and `phase` say where time ran out.
    """

    error: str
    message: str
    meant: Outcome | None = None
    driver_died: bool = False
    limit: PassedLimit | None = None
    worker_limit: PassedLimit | None = None
    stage: Stage | None = None
    phase: str | None = None
    limits: CaseLimits | None = None


@dataclass(frozen=True)
class Ended:
    """How a case ended. `phase` is where a timeout was."""

    outcome: Outcome
    error: ErrorInfo
    phase: str | None = None

    def observation(self) -> Observation:
        """Of a case of which nothing else is known."""
        return Observation(outcome=self.outcome, error=self.error, phase=self.phase)


def decide(evidence: Evidence) -> Ended:
    """The outcome: the first that the evidence speaks for.

    Memory comes first, because a library seldom knows that the kernel has ended one of its processes. Signs are
    looked for in the whole message, of which the beginning is kept.
    """
    error, message = evidence.error, evidence.message[:LONGEST]
    signs = "MemoryError" in error or any(sign in evidence.message for sign in OUT_OF_MEMORY)
    said = evidence.meant is None and signs
    limit = evidence.limit or (evidence.worker_limit if said else None)
    if limit:
        return Ended("oom", ErrorInfo(type=error, message=limit.words(message)))
    outcome: Outcome = evidence.meant or ("oom" if said else "failed")
    if evidence.driver_died:
        return Ended(outcome, ErrorInfo(type="DriverDied", message=f"The JVM of Spark's driver ended. {message}"))
    if outcome == "failed" and error == DEADLINE and evidence.limits:
        return _late(evidence, evidence.limits)
    return Ended(outcome, ErrorInfo(type=error, message=message))


def _late(evidence: Evidence, limits: CaseLimits) -> Ended:
    """Phases have the deadline that the suite sets. A case that is late outside of them has failed."""
    if evidence.stage == "checks":
        text = f"The checks before the first phase were not done within {limits.outside:g} s."
        return Ended("failed", ErrorInfo(type=DEADLINE, message=text))
    if evidence.stage == "scoring":
        text = f"All phases ended in time, but scoring was not done within {limits.outside:g} s."
        return Ended("failed", ErrorInfo(type=DEADLINE, message=text))
    where = f" in `{evidence.phase}`" if evidence.phase else ""
    text = f"No result within {limits.phases:g} s{where}."
    return Ended("timeout", ErrorInfo(type=DEADLINE, message=text), evidence.phase)


def left_something(observation: Observation) -> bool:
    """True if the engine broke, for its remains could change the next case.

    Data that was refused before the first phase leaves nothing.
    """
    refused = observation.error and observation.error.type == "DatasetError" and not observation.seconds
    return observation.outcome in ("failed", "oom") and not refused
