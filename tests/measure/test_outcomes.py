"""Outcomes from evidence: memory, deadlines by stage, what was raised on purpose, a dead driver."""

import pytest

from sparkscale.contract.record import Observation, Outcome
from sparkscale.measure.outcomes import CaseLimits, Evidence, PassedLimit, Stage, decide, may_disturb_next_case

LIMITS = CaseLimits(phases=5.0, outside=300.0)
LIMIT = PassedLimit(2**30, "cgroup")


@pytest.mark.parametrize(
    ("evidence", "outcome", "message"),
    [
        (Evidence("ValueError", "no"), "failed", "no"),
        (Evidence("XGBoostError", "std::bad_alloc"), "oom", "std::bad_alloc"),
        (Evidence("_ArrayMemoryError", "too large"), "oom", "too large"),
        (Evidence("Own", "too large", meant="oom"), "oom", "too large"),
        (Evidence("ValueError", "no", limit=LIMIT), "oom", "Passed the memory limit of 1024 MiB (cgroup). no"),
        (
            Evidence("WorkerDied", "OutOfMemoryError", worker_limit=LIMIT),
            "oom",
            "Passed the memory limit of 1024 MiB (cgroup). OutOfMemoryError",
        ),
        (Evidence("WorkerDied", "signal 9", worker_limit=LIMIT), "failed", "signal 9"),
        (
            Evidence("InvalidResult", "the first says: MemoryError", meant="invalid"),
            "invalid",
            "the first says: MemoryError",
        ),
        (Evidence("Own", "needs a GPU", meant="unsupported"), "unsupported", "needs a GPU"),
        (Evidence("Py4JError", "gone", driver_died=True), "failed", "The JVM of Spark's driver ended. gone"),
    ],
)
def test_the_outcome_follows_from_the_evidence(evidence: Evidence, outcome: Outcome, message: str) -> None:
    ended = decide(evidence)
    assert (ended.outcome, ended.error.message) == (outcome, message)
    assert ended.phase is None


@pytest.mark.parametrize(
    ("stage", "outcome", "said"),
    [
        ("checks", "failed", "The checks before the first phase were not done within 300 s."),
        ("phases", "timeout", "No result within 5 s in `fit`."),
        ("scoring", "failed", "All phases ended in time, but scoring was not done within 300 s."),
    ],
)
def test_a_deadline_is_a_timeout_in_phases_only(stage: Stage, outcome: Outcome, said: str) -> None:
    ended = decide(Evidence("DeadlineExceeded", "", stage=stage, phase="fit", limits=LIMITS))
    assert (ended.outcome, ended.error.message) == (outcome, said)
    assert ended.phase == ("fit" if outcome == "timeout" else None)


def test_a_deadline_that_is_shorter_than_the_suites_says_why() -> None:
    limits = CaseLimits(phases=5.0, outside=300.0, reason="the time of the command was over")
    ended = decide(Evidence("DeadlineExceeded", "", stage="phases", phase="fit", limits=limits))
    assert ended.error.message == "No result within 5 s in `fit`, because the time of the command was over."
    assert ended.error.type == "TimeOver"


@pytest.mark.parametrize("stage", ["checks", "scoring"])
def test_checks_and_scoring_that_the_end_of_the_command_stops_say_so(stage: Stage) -> None:
    limits = CaseLimits(phases=5.0, outside=60.0, reason="the time of the command was over")
    ended = decide(Evidence("DeadlineExceeded", "", stage=stage, limits=limits))
    assert ended.error.type == "TimeOver"
    assert ended.error.message.endswith(" within 60 s, because the time of the command was over.")


def test_the_cause_at_the_end_of_a_long_trace_is_seen() -> None:
    trace = "SparkException\n" + "\tat org.apache.spark\n" * 400 + "Caused by: java.lang.OutOfMemoryError"
    ended = decide(Evidence("Py4JJavaError", trace))
    assert ended.outcome == "oom"
    assert len(ended.error.message) == 4000


def test_a_late_case_that_passed_its_memory_limit_is_out_of_memory() -> None:
    late = Evidence("DeadlineExceeded", "", limit=LIMIT, stage="phases", phase="fit", limits=LIMITS)
    assert decide(late).outcome == "oom"


def test_only_an_engine_that_broke_leaves_something() -> None:
    def of(outcome: Outcome, error: str) -> Observation:
        return Observation(outcome=outcome, error=decide(Evidence(error, "")).error)

    assert may_disturb_next_case(of("failed", "ValueError"))
    assert may_disturb_next_case(of("oom", "MemoryError"))
    assert not may_disturb_next_case(of("failed", "DatasetError"))
    assert not may_disturb_next_case(of("invalid", "InvalidResult"))
