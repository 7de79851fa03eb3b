"""The outcome of a case that its worker gave no answer for, and whether the worker can be used again."""

from sparkscale.contract.record import ErrorInfo, Observation, Outcome
from sparkscale.measure.worker.process import CaseLimits, DeadlineExceeded, WorkerProcess, out_of_memory


def lost(problem: Exception, worker: WorkerProcess | None, limits: CaseLimits) -> Observation:
    """The observation of a case that ended with this problem, while its worker's processes are still there."""
    outcome: Outcome = "failed"
    message = str(problem)
    if worker and (worker.limit.reached(worker.process.pid) or out_of_memory(message)):
        outcome = "oom"
        message = passed_limit(worker.limit.limit_bytes, worker.limit.mechanism, message)
    elif isinstance(problem, DeadlineExceeded):
        outcome, message = _late(problem, worker, limits)
    phase = worker.phase if worker and outcome == "timeout" else None
    return Observation(outcome=outcome, error=ErrorInfo(type=type(problem).__name__, message=message), phase=phase)


def _late(problem: DeadlineExceeded, worker: WorkerProcess | None, limits: CaseLimits) -> tuple[Outcome, str]:
    """Phases have the deadline that the suite sets. A case that is late outside of them has failed."""
    if problem.stage == "checks":
        return "failed", f"The checks before the first phase were not done within {limits.outside:g} s."
    if problem.stage == "scoring":
        return "failed", f"All phases ended in time, but scoring was not done within {limits.outside:g} s."
    phase = f" in `{worker.phase}`" if worker and worker.phase else ""
    return "timeout", f"No result within {limits.phases:g} s{phase}."


def passed_limit(limit_bytes: int, mechanism: str, message: str) -> str:
    """Says that memory ran out, and what was said besides."""
    return f"Passed the memory limit of {limit_bytes / 2**20:.0f} MiB ({mechanism}). {message}".strip()


def left_something(observation: Observation) -> bool:
    """True if the engine broke, for its remains could change the next case.

    Data that was refused before the first phase leaves nothing.
    """
    refused = observation.error and observation.error.type == "DatasetError" and not observation.seconds
    return observation.outcome in ("failed", "oom") and not refused
