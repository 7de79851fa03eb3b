"""Decides the outcome, such as `oom` or `timeout`, of a case that did not end as `ok`.

A worker decides from the error that was raised. The runner also knows of memory limits, deadlines and killed
processes.
"""

from dataclasses import dataclass
from typing import Literal

from sparkscale.contract.record import TIME_OVER, ErrorInfo, Observation, Outcome

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
"""Parts of error messages. A message that contains one of these texts means that memory ran out.

The stack of a new thread counts as memory under RLIMIT_DATA, so "can't start new thread" is one of them. The last
four texts are from Spark's messages about an executor that ended. 52 is the exit status after an OutOfMemoryError
(org.apache.spark.util.SparkExitCode.OOM). The next two texts come from Kubernetes (describeExitCode of
ExecutorPodsLifecycleManager), and the last one from YARN (YarnAllocator).
"""

MESSAGE_CHARACTERS = 4000
"""A record keeps at most this many characters of the original error message."""

DEADLINE = "DeadlineExceeded"
"""The error type that is recorded if a worker did not answer in time."""


@dataclass(frozen=True)
class CaseLimits:
    """The time limits of a case, in seconds. `phases` limits all phases together.

    `outside` limits the work before the first phase, which is checks and tidying. Scoring, after the last phase,
    has a limit of the same length. `reason` says why the limit of the phases is shorter than the suite's deadline.
    It is empty if it is not.
    """

    phases: float
    outside: float
    reason: str = ""

    def of(self, stage: Stage) -> float:
        """Returns the limit of a stage of the case (checks, phases or scoring), in seconds."""
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

    `error` is the type of the error, and `message` its text. If the worker died, the text has the worker's exit
    status and the last lines of its log. `meant` is the outcome that the type of the error implies; None if it
    implies none. `driver_died` is true if the JVM of Spark's driver has ended. `limit` is a memory limit that the
    worker or one of the cluster's daemons is known to have reached. `worker_limit` is the memory limit of a worker
    that gave no result. This limit counts only if the message shows that memory ran out. `stage` is the stage
    (checks, phases or scoring) in which a deadline passed, and `phase` the last phase that began; None if there is
    none. `limits` are the time limits of the case; None in a worker, which does not know them.
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
    """The outcome and the error of a case. `phase` is the phase in which time ran out; None if it is not known."""

    outcome: Outcome
    error: ErrorInfo
    phase: str | None = None

    def observation(self) -> Observation:
        """Returns an observation that has only this outcome, error and phase."""
        return Observation(outcome=self.outcome, error=self.error, phase=self.phase)


def decide(evidence: Evidence) -> Ended:
    """Returns the outcome that follows from the evidence, with its error.

    Memory is checked first, because a library seldom knows that the kernel has killed one of its processes. The
    whole message is searched for signs that memory ran out, but only its beginning is kept.
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
    """Returns `timeout` if the phases took too long, and `failed` if the checks or scoring took too long.

    The error has the type TIME_OVER if the limits are shorter than the suite's deadline.
    """
    kind, because = (TIME_OVER, f", because {limits.reason}") if limits.reason else (DEADLINE, "")
    if evidence.stage == "checks":
        text = f"The checks before the first phase were not done within {limits.outside:g} s{because}."
        return Ended("failed", ErrorInfo(type=kind, message=text))
    if evidence.stage == "scoring":
        text = f"All phases ended in time, but scoring was not done within {limits.outside:g} s{because}."
        return Ended("failed", ErrorInfo(type=kind, message=text))
    in_phase = f" in `{evidence.phase}`" if evidence.phase else ""
    text = f"No result within {limits.phases:g} s{in_phase}{because}."
    return Ended("timeout", ErrorInfo(type=kind, message=text), evidence.phase)


def may_disturb_next_case(observation: Observation) -> bool:
    """Returns true if the case may have left something in its worker that changes the next case.

    The result is true for the outcomes `failed` and `oom`. It is false if the data was refused before the first
    phase, because the engine did not run.
    """
    refused = observation.error and observation.error.type == "DatasetError" and not observation.seconds
    return observation.outcome in ("failed", "oom") and not refused
