"""One run that is measured in several goes, with and without a time at which it must end."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sparkscale.contract.record import RunRecord
from sparkscale.measure.plan.rounds import Execution
from sparkscale.measure.run.opened import OpenedRun
from sparkscale.measure.run.run import Request, open_run
from sparkscale.measure.run.runner import Times
from tests.measure.observing import Silent
from tests.measure.toy_suites import DATA

pytestmark = pytest.mark.usefixtures("toy")


def request(folder: Path, seconds: float = 0.0, rounds: int = 2) -> Request:
    path = folder / "goes.toml"
    path.write_text(f"""
rounds = {rounds}
deadline_seconds = 300
{DATA}
[[measure]]
workload = "data_parallel.toy"
engines = ["toy", "bystander"]
datasets = ["tiny"]
params = {{ seconds = {seconds} }}
""")
    return Request(suite=str(path), out=folder / "out")


def go(
    run: OpenedRun, chosen: Callable[[Execution], bool] = lambda _: True, times: Times | None = None
) -> list[RunRecord]:
    """Measures the chosen executions, and returns their records without warm-ups."""
    before = len(run.store.records(run.invocation.id))
    for cluster, executions in run.executions.items():
        run.measure(cluster, [execution for execution in executions if chosen(execution)], times)
    return [record for record in run.store.records(run.invocation.id)[before:] if not record.is_warmup]


def within(seconds: float, last_start: float = 3600.0) -> Times:
    """The limits of a go that begins now: when it ends, and after how many seconds nothing more begins."""
    return Times(time.monotonic() + seconds, time.monotonic() + last_start)


def test_each_go_measures_only_what_was_chosen_and_in_a_worker_of_its_own(tmp_path: Path) -> None:
    with open_run(request(tmp_path), Silent) as run:
        first = go(run, lambda one: one.round == 2 and one.case.engine == "toy")
        second = go(run, lambda one: one.case.engine == "bystander")
        warmups = [record for record in run.store.records(run.invocation.id) if record.is_warmup]
    assert [(record.case.engine, record.round, record.outcome) for record in first] == [("toy", 2, "ok")]
    assert [(record.case.engine, record.round) for record in second] == [("bystander", 1), ("bystander", 2)]
    assert {record.invocation for record in (*first, *second)} == {run.invocation.id}
    assert len(warmups) == 3
    assert {record.position for record in warmups} == {0}


def test_a_go_that_is_late_measures_nothing_and_stores_nothing(tmp_path: Path) -> None:
    with open_run(request(tmp_path), Silent) as run:
        assert go(run, times=within(0.0)) == []
        assert run.store.records(run.invocation.id) == []


def test_what_runs_when_time_is_over_is_a_timeout_with_this_reason_and_nothing_follows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sparkscale.measure.run.runner.GRACE_SECONDS", 1.0)
    with open_run(request(tmp_path, seconds=60.0, rounds=1), Silent) as run:
        assert go(run, lambda one: one.case.engine == "toy", within(3.0)) == []
        (late,) = run.store.records(run.invocation.id)
    assert late.is_warmup
    assert late.outcome == "timeout"
    assert late.error is not None
    assert late.error.message.endswith(" in `fit`, because the time of the command was over.")
    assert late.deadline_seconds is not None
    assert late.deadline_seconds <= 4.0


def test_a_go_that_is_later_than_expected_ends_after_the_case_that_runs(tmp_path: Path) -> None:
    with open_run(request(tmp_path, seconds=2.0), Silent) as run:
        (only,) = go(run, lambda one: one.case.engine == "toy", within(3600.0, last_start=1.5))
    assert (only.outcome, only.round) == ("ok", 1)


def test_a_worker_waits_for_the_next_go_of_its_round_only(tmp_path: Path) -> None:
    with open_run(request(tmp_path), Silent, keeps_worker=True) as run:
        (first,) = go(run, lambda one: (one.case.engine, one.round) == ("toy", 1))
        (second,) = go(run, lambda one: (one.case.engine, one.round) == ("bystander", 1))
        (other,) = go(run, lambda one: (one.case.engine, one.round) == ("bystander", 2))
    assert [record.position for record in (first, second, other)] == [1, 3, 1]
    assert first.start_seconds == second.start_seconds != other.start_seconds


def test_without_a_time_limit_the_suites_deadline_counts(tmp_path: Path) -> None:
    with open_run(request(tmp_path, rounds=1), Silent) as run:
        records = go(run, times=within(3600.0))
    assert {record.deadline_seconds for record in records} == {300.0}
