"""What goes wrong in a run, caused for real: killed, hanging and greedy workers, Ctrl-C, a second run.

The workload that goes wrong is `data_parallel.toy` of tests/toy_package, in real workers.
"""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from cluster import processes
from sparkscale.contract.record import GROUPS, ErrorInfo, Outcome, RunRecord
from sparkscale.measure.outcomes import Evidence, decide
from sparkscale.measure.run import lock, runner
from sparkscale.measure.run import run as running
from sparkscale.measure.run.run import Request
from sparkscale.store.store import Store
from tests.measure.observing import PATIENCE, Silent, Start, outcomes, records
from tests.measure.toy_suites import BYSTANDERS, DATA, FOREVER, suite_of, worker_in_fit

pytestmark = pytest.mark.usefixtures("toy")

NO_MODELS = """
rounds = 1

[dataset.few]
kind = "devices"
rows = 2000
devices = 10
skew = 0.0

[[measure]]
workload = "per_group.ridge"
engines = ["pandas-loop"]
datasets = ["few"]
params = { most_model_bytes = 1 }
isolate = true
"""

REST_OK = {("bystander", 1 / 2): "ok", ("bystander", 1.0): "ok"}


def ended(process: "subprocess.Popen[str]") -> tuple[str, str]:
    """What a run has printed, to stdout and stderr, when it has ended."""
    return process.communicate(timeout=PATIENCE)


def ending_as(outcome: Outcome, found: list[RunRecord]) -> tuple[RunRecord, ErrorInfo]:
    """The record with this outcome, and its error."""
    record = next(record for record in found if record.outcome == outcome)
    assert record.error is not None
    return record, record.error


def wait_until_gone(worker: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while processes.processes_of(worker) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert processes.processes_of(worker) == []


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    return tmp_path / "in-fit"


def test_a_killed_worker_costs_its_case_only(start: Start, tmp_path: Path, marker: Path) -> None:
    process = start(suite_of(marker=str(marker), seconds=FOREVER))
    worker = worker_in_fit(process, marker)
    os.kill(worker, signal.SIGKILL)
    stdout, _ = ended(process)
    assert process.returncode == 1
    found = records(tmp_path / "out")
    assert outcomes(found) == {("toy", 1.0): "failed", **REST_OK}
    failed, error = ending_as("failed", found)
    assert "signal 9" in error.message
    assert failed.seconds == {}
    assert "Cases without a result" in stdout
    assert processes.processes_of(worker) == []


def test_a_case_over_its_deadline_is_a_timeout(start: Start, tmp_path: Path, marker: Path) -> None:
    """Also if it ignores the signals by which it is asked to end."""
    process = start(suite_of(deadline=3, marker=str(marker), seconds=FOREVER, ignores_signals=True))
    worker = worker_in_fit(process, marker)
    ended(process)
    assert process.returncode == 1
    found = records(tmp_path / "out")
    assert outcomes(found) == {("toy", 1.0): "timeout", **REST_OK}
    late, error = ending_as("timeout", found)
    assert error.message == "No result within 3 s in `fit`."
    assert late.deadline_seconds == 3  # a table can say "> 3"
    assert processes.processes_of(worker) == []


def test_what_an_engine_raises_and_prints_is_kept(start: Start, tmp_path: Path) -> None:
    """What it prints to stdout is no answer of its worker."""
    process = start(suite_of(output='{"kind": "done"}', error="no more seats"))
    stdout, _ = ended(process)
    assert process.returncode == 1
    found = records(tmp_path / "out")
    assert outcomes(found) == {("toy", 1.0): "failed", **REST_OK}
    _, error = ending_as("failed", found)
    assert (error.type, error.message) == ("RuntimeError", "no more seats")
    assert "no more seats" in stdout
    logs = "".join(path.read_text() for path in (tmp_path / "out" / "logs").rglob("*.log"))
    assert '{"kind": "done"}' in logs


def test_processes_that_an_engine_leaves_end_with_its_worker(start: Start, tmp_path: Path, marker: Path) -> None:
    process = start(suite_of(marker=str(marker), seconds=2.0, children=2, rest=""))
    worker = worker_in_fit(process, marker)
    children = [child.pid for child in psutil.Process(worker).children()]
    ended(process)
    assert process.returncode == 0
    assert len(children) == 2
    assert outcomes(records(tmp_path / "out")) == {("toy", 1.0): "ok"}
    assert not any(psutil.pid_exists(pid) for pid in children)


def outside_of_phases(tmp_path: Path, before: float, scoring: float) -> RunRecord:
    """The record of a case with a deadline of 2 s, and these seconds added before its phases and to its scoring."""
    path = tmp_path / "mine.toml"
    path.write_text(suite_of(deadline=2, rest="", memory_mib=50, seconds_before=before, seconds_of_scoring=scoring))
    (record,) = running.measure(Request(suite=str(path), out=tmp_path / "out"), Silent).records
    return record


def test_the_deadline_is_of_the_phases_and_neither_of_checks_nor_of_scoring(tmp_path: Path) -> None:
    """In total it takes more than twice the deadline."""
    record = outside_of_phases(tmp_path, before=2.5, scoring=2.5)
    assert (record.outcome, record.error) == ("ok", None)
    assert sum(record.seconds.values()) < 2 == record.deadline_seconds
    assert (record.resources.peak_pss_bytes or 0) > 50 * 2**20


@pytest.mark.parametrize(
    ("before", "scoring", "reason"),
    [
        (FOREVER, 0.0, "The checks before the first phase were not done within 2 s."),
        (0.0, FOREVER, "All phases ended in time, but scoring was not done within 2 s."),
    ],
)
def test_what_is_late_outside_of_phases_has_failed_and_is_no_timeout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: float, scoring: float, reason: str
) -> None:
    monkeypatch.setattr(runner, "OUTSIDE_SECONDS", 1.0)
    record = outside_of_phases(tmp_path, before, scoring)
    assert record.outcome == "failed"
    assert record.error is not None
    assert record.error.message == reason
    assert record.seconds == {}


@pytest.mark.parametrize("whole_run", [False, True], ids=["the worker's", "the run's"])
def test_a_scratch_folder_that_vanishes_costs_its_case_only(
    start: Start, tmp_path: Path, marker: Path, whole_run: bool
) -> None:
    process = start(suite_of(marker=str(marker), seconds=FOREVER))
    worker_in_fit(process, marker)
    (folder,) = Path(tempfile.gettempdir()).glob("sparkscale-run-*/local-*-node")
    shutil.rmtree(folder.parent if whole_run else folder)
    _, stderr = ended(process)
    assert process.returncode == 1
    found = records(tmp_path / "out")
    assert outcomes(found) == {("toy", 1.0): "failed", **REST_OK}
    _, error = ending_as("failed", found)
    assert error.message == (
        f"The worker's scratch folder {folder} vanished while the case ran: something else on this machine removes "
        "files that are in use."
    )
    assert "Traceback" not in stderr
    assert list(Path(tempfile.gettempdir()).glob("sparkscale-run-*")) == []


@pytest.mark.slow
@pytest.mark.spark
def test_a_spark_worker_whose_folder_vanishes_is_replaced(start: Start, tmp_path: Path, marker: Path) -> None:
    others = BYSTANDERS.replace("bystander", "toy-spark")
    process = start(suite_of("toy-spark", rest=others, marker=str(marker), seconds=FOREVER))
    worker_in_fit(process, marker)
    (folder,) = Path(tempfile.gettempdir()).glob("sparkscale-run-*")
    while folder.exists():
        shutil.rmtree(folder, ignore_errors=True)  # the run removes files of its own meanwhile
    _, stderr = ended(process)
    assert process.returncode == 1
    found = records(tmp_path / "out")
    assert sorted(record.outcome for record in found) == ["failed", "ok", "ok"]
    (failed,) = (record.error for record in found if record.outcome == "failed")
    assert failed is not None
    assert failed.message.startswith("The worker's scratch folder ")
    assert "\n" not in failed.message
    assert "Traceback" not in stderr


@pytest.mark.parametrize(("mechanism", "memory"), [("cgroup", "190m"), ("RLIMIT_DATA", "500m")])
def test_a_node_engine_beyond_its_memory_is_oom(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mechanism: str, memory: str
) -> None:
    """RLIMIT_DATA also counts what is reserved and never touched, such as the stacks of threads."""
    if mechanism == "RLIMIT_DATA":
        monkeypatch.setattr(processes, "CGROUP_ROOT", tmp_path)
    limit = processes.MemoryLimit.create(2**30)
    limit.remove()
    if limit.mechanism != mechanism:
        pytest.skip("no memory cgroup can be made here")
    (tmp_path / "small.toml").write_text(f'kind = "local"\nmemory = "{memory}"\n')
    suite = tmp_path / "greedy.toml"
    suite.write_text(f'clusters = ["{tmp_path / "small.toml"}"]\n{suite_of(deadline=40, memory_mib=1000)}')
    finished = running.measure(Request(suite=str(suite), out=tmp_path / "out"), Silent)
    found = [record for record in finished.records if not record.is_warmup]
    assert outcomes(found) == {("toy", 1.0): "oom", **REST_OK}
    with Store.existing(tmp_path / "out") as store:
        assert found[0].session is not None
        assert store.description(found[0].session).content["memory_limit"] == mechanism


class Noting(Silent):
    """Keeps notes."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.mark.parametrize(("leaked_mib", "outcome"), [(300, "ok"), (450, "oom")])
def test_memory_that_other_cases_left_is_not_a_case_s_own(tmp_path: Path, leaked_mib: int, outcome: str) -> None:
    """Each execution leaks: the memory is enough for a warm-up and a case, or else for a warm-up only."""
    (tmp_path / "small.toml").write_text('kind = "local"\nmemory = "850m"\n')
    suite = tmp_path / "leaking.toml"
    leaking = BYSTANDERS.replace('"bystander"', '"toy"') + f"params = {{ leaked_mib = {leaked_mib} }}\n"
    suite.write_text(f'rounds = 1\nclusters = ["{tmp_path / "small.toml"}"]\n{DATA}{leaking}')
    observer = Noting()
    finished = running.measure(Request(suite=str(suite), out=tmp_path / "out"), lambda: observer)
    found = [record for record in finished.records if not record.is_warmup]
    assert outcomes(found) == {("toy", 1 / 2): outcome, ("toy", 1.0): outcome}
    assert len(finished.records) - len(found) == 2
    assert len([note for note in observer.notes if "had executed other cases before (1)" in note]) == (
        outcome == "ok"
    )


@pytest.mark.parametrize(
    "said",
    [
        "ExecutorLostFailure (executor 1 exited caused by one of the running tasks) Reason: "
        "Command exited with code 52",
        "Container killed by YARN for exceeding physical memory limits. 5.5 GB of 5.5 GB physical memory used.",
        "The executor with id 3 exited with exit code 137(SIGKILL, possible container OOM).",
        "java.lang.OutOfMemoryError: Java heap space",
    ],
)
def test_what_spark_says_of_an_executor_without_memory_is_understood(said: str) -> None:
    assert decide(Evidence("Exception", said)).outcome == "oom"
    unrelated = "ExecutorLostFailure (executor 1 exited unrelated to the running tasks)"
    assert decide(Evidence("Exception", unrelated)).outcome == "failed"


def test_ctrl_c_keeps_what_was_measured_and_resume_measures_the_rest(start: Start, tmp_path: Path) -> None:
    suite = f"rounds = 2\n{DATA}{BYSTANDERS}"
    process = start(suite)
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("[1/4]"):
            break
    workers = [child.pid for child in psutil.Process(process.pid).children()]
    process.send_signal(signal.SIGINT)
    _, stderr = ended(process)
    assert process.returncode == 130, stderr
    assert "--resume" in stderr
    assert [found for pid in workers for found in processes.processes_of(pid)] == []
    before = records(tmp_path / "out")
    assert 1 <= len(before) < 4

    process = start(suite, "--resume")
    ended(process)
    assert process.returncode == 0
    after = records(tmp_path / "out")
    assert after[: len(before)] == before
    assert len(after) == len({(record.case.id, record.round) for record in after}) == 4
    assert len({record.invocation for record in after}) == 1


def test_retry_failed_repeats_what_is_not_ok_and_nothing_else(start: Start, tmp_path: Path) -> None:
    process = start(suite_of(deadline=1, seconds=2.0))
    ended(process)
    assert process.returncode == 1
    before = records(tmp_path / "out")
    assert outcomes(before) == {("toy", 1.0): "timeout", **REST_OK}
    process = start(suite_of(deadline=240, seconds=2.0), "--retry-failed")
    ended(process)
    assert process.returncode == 0
    added = records(tmp_path / "out")[len(before) :]
    assert outcomes(added) == {("toy", 1.0): "ok"}


def test_a_second_run_on_the_machine_is_refused_and_killing_the_first_leaves_no_worker(
    start: Start,
    tmp_path: Path,
    marker: Path,
    sparkscale: Callable[..., "subprocess.CompletedProcess[str]"],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    process = start(suite_of(marker=str(marker), seconds=FOREVER), lock=tmp_path / "lock")
    worker = worker_in_fit(process, marker)
    monkeypatch.setattr(lock, "lock_path", lambda: tmp_path / "lock")
    monkeypatch.delenv(lock.HOLDER)  # else the tests' own lock would do
    second = sparkscale("run", "--out", str(tmp_path / "second"))
    assert second.returncode == 2
    assert second.stderr.startswith(f"Error: Another run is measuring on this machine (process {process.pid})")
    assert not (tmp_path / "second").exists()
    process.kill()
    process.wait()
    wait_until_gone(worker)


@pytest.mark.slow
@pytest.mark.spark
def test_a_killed_spark_worker_takes_its_jvm_along_and_costs_its_case_only(
    start: Start, tmp_path: Path, marker: Path
) -> None:
    process = start(suite_of("toy-spark", marker=str(marker), seconds=FOREVER))
    worker = worker_in_fit(process, marker)
    assert "java" in {member.name() for member in processes.processes_of(worker)}
    os.kill(worker, signal.SIGKILL)
    ended(process)
    assert process.returncode == 1
    assert outcomes(records(tmp_path / "out")) == {("toy-spark", 1.0): "failed", **REST_OK}
    assert processes.processes_of(worker) == []


@pytest.mark.slow
@pytest.mark.spark
@pytest.mark.usefixtures("one_pass")
def test_cpu_time_that_nothing_counts_is_not_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without control groups what PySpark's daemon did not reap is missing, and nobody could tell how much."""
    monkeypatch.setattr(processes, "CGROUP_ROOT", tmp_path)
    suite = tmp_path / "uncounted.toml"
    suite.write_text(suite_of("toy-spark", seconds=0.1))
    finished = running.measure(Request(suite=str(suite), out=tmp_path / "out"), Silent)
    found = [record for record in finished.records if not record.is_warmup]
    assert outcomes(found) == {("toy-spark", 1.0): "ok", **REST_OK}
    has_cpu_time = {record.case.engine: record.resources.cpu_seconds is not None for record in found}
    assert has_cpu_time == {"toy-spark": False, "bystander": True}


@pytest.mark.slow
@pytest.mark.spark
def test_ctrl_c_ends_the_jvm(start: Start, tmp_path: Path, marker: Path) -> None:
    process = start(suite_of("toy-spark", rest="", marker=str(marker), seconds=FOREVER))
    worker = worker_in_fit(process, marker)
    process.send_signal(signal.SIGINT)
    _, stderr = ended(process)
    assert process.returncode == 130, stderr
    assert processes.processes_of(worker) == []
    assert records(tmp_path / "out") == []
    assert list(Path(tempfile.gettempdir()).glob("sparkscale-run-*")) == []


def test_an_invalid_case_keeps_the_table_that_says_why(tmp_path: Path) -> None:
    suite = tmp_path / "mine.toml"
    suite.write_text(NO_MODELS)
    running.measure(Request(suite=str(suite), out=tmp_path / "out"), Silent)
    with Store.existing(tmp_path / "out") as store:
        (record,) = store.records()
        assert record.outcome == "invalid"
        outcomes = store.table(record.id, GROUPS).column("outcome").to_pylist()
    assert outcomes == ["model too large"] * 10
