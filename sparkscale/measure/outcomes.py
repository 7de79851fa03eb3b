"""Finds the outcome of a case that did not end well, from evidence.

In a worker, the evidence is the error that was raised. The runner also knows limits, deadlines and kills.
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
"""Parts of messages that say that memory ran out. Under RLIMIT_DATA, the stack of a thread counts as memory, too.

The last entries are Spark's messages about an executor that ended: 52 is its exit status after an OutOfMemoryError
(org.apache.spark.util.SparkExitCode.OOM), the others come from Kubernetes (describeExitCode of
ExecutorPodsLifecycleManager) and YARN (YarnAllocator).
"""

MESSAGE_CHARACTERS = 4000
"""A record keeps this many characters of a message."""

DEADLINE = "DeadlineExceeded"
"""The error type that is recorded if a worker did not answer in time."""


@dataclass(frozen=True)
class CaseLimits:
    """The seconds that a case may take: `phases` for all its phases together, `outside` for the work around them.

    `outside` is the limit of the checks and the tidying before the first phase, and also the limit of scoring.
    """

    phases: float
    outside: float

    def of(self, stage: Stage) -> float:
        """Returns the limit of this stage, in seconds."""
        return self.phases if stage == "phases" else self.outside


@dataclass(frozen=True)
class PassedLimit:
    """A memory limit that processes of a case reached. `mechanism` is how it is enforced, such as `cgroup`."""

    limit_bytes: int
    mechanism: str

    def explained(self, message: str) -> str:
        """Returns a message that names this limit first and then quotes `message`."""
        return f"Passed the memory limit of {self.limit_bytes / 2**20:.0f} MiB ({self.mechanism}). {message}".strip()


@dataclass(frozen=True)
class Evidence:
    """Everything that is known about a case that did not end well.

    `error` is the type of the error, and `message` its text. If the worker died, the text has its exit status and the
    last lines of its log. `meant` is the outcome that the kind of error stands for. `driver_died` is true if the JVM
    of Spark's driver has ended. `limit` is the memory limit that was reached: by the worker, or by the cluster's
    daemons, because their control groups count kills. `worker_limit` is the memory limit of a worker that gave no
    answer. `stage` and `phase` say where time ran out.
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
    """The outcome of a case and its error. `phase` is the phase of a timeout, if it is known."""

    outcome: Outcome
    error: ErrorInfo
    phase: str | None = None

    def observation(self) -> Observation:
        """Returns an observation that has only this outcome and its error."""
        return Observation(outcome=self.outcome, error=self.error, phase=self.phase)


def decide(evidence: Evidence) -> Ended:
    """Returns the first outcome that the evidence supports.

    Memory comes first, because a library seldom knows that the kernel has ended one of its processes. The whole
    message is searched for signs of this, but only its beginning is kept.
    """
    error, message = evidence.error, evidence.message[:MESSAGE_CHARACTERS]
    has_memory_signs = "MemoryError" in error or any(sign in evidence.message for sign in OUT_OF_MEMORY)
    memory_ran_out = evidence.meant is None and has_memory_signs
    limit = evidence.limit or (evidence.worker_limit if memory_ran_out else None)
    if limit:
        return Ended("oom", ErrorInfo(type=error, message=limit.explained(message)))
    outcome: Outcome = evidence.meant or ("oom" if memory_ran_out else "failed")
    if evidence.driver_died:
        return Ended(outcome, ErrorInfo(type="DriverDied", message=f"The JVM of Spark's driver ended. {message}"))
    if outcome == "failed" and error == DEADLINE and evidence.limits:
        return _late(evidence, evidence.limits)
    return Ended(outcome, ErrorInfo(type=error, message=message))


def _late(evidence: Evidence, limits: CaseLimits) -> Ended:
    """Returns `timeout` if the phases exceeded the deadline that the suite sets, otherwise `failed`."""
    if evidence.stage == "checks":
        text = f"The checks before the first phase were not done within {limits.outside:g} s."
        return Ended("failed", ErrorInfo(type=DEADLINE, message=text))
    if evidence.stage == "scoring":
        text = f"All phases ended in time, but scoring was not done within {limits.outside:g} s."
        return Ended("failed", ErrorInfo(type=DEADLINE, message=text))
    in_phase = f" in `{evidence.phase}`" if evidence.phase else ""
    text = f"No result within {limits.phases:g} s{in_phase}."
    return Ended("timeout", ErrorInfo(type=DEADLINE, message=text), evidence.phase)


def may_disturb_next_case(observation: Observation) -> bool:
    """Returns true if the case may have left something in its worker that changes the next case.

    That is so if its engine failed. Data that was refused before the first phase leaves nothing.
    """
    refused = observation.error and observation.error.type == "DatasetError" and not observation.seconds
    return observation.outcome in ("failed", "oom") and not refused
