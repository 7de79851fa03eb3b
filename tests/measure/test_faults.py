"""What goes wrong in a run, caused for real: killed, hanging and greedy workers, Ctrl-C, a second run."""

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
from sparkscale.contract.record import GROUPS, RunRecord
from sparkscale.measure.outcomes import Evidence, decide
from sparkscale.measure.run import run as running
from sparkscale.measure.run import runner
from sparkscale.measure.run.run import Request
from sparkscale.store.store import Store
from tests.measure.observing import PATIENCE, Silent, Start, busy_jvm_of, outcomes, records, worker_of

SLOW = """
[[measure]]
workload = "data_parallel.gradient_boosting"
engines = ["sklearn"]
fractions = ["1/64"]
params = { trees = 100000 }
isolate = true
"""

FAST = """
[[measure]]
workload = "data_parallel.gradient_boosting"
engines = ["xgboost"]
fractions = ["1/64", "1/32"]
params = { trees = 5 }
"""

ONE = """
[[measure]]
workload = "data_parallel.gradient_boosting"
engines = ["xgboost"]
fractions = ["1/64"]
params = { trees = 5 }
isolate = true
"""

ON_SPARK = """
[[measure]]
workload = "data_parallel.gradient_boosting"
engines = ["mllib"]
fractions = ["1/64"]
params = { trees = 5000 }
isolate = true
"""

GREEDY = """
[[measure]]
workload = "data_parallel.gradient_boosting"
engines = ["sklearn"]
isolate = true
params = { trees = 200 }
"""

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


REST_OK = {("xgboost", 1 / 64): "ok", ("xgboost", 1 / 32): "ok"}


def test_a_killed_worker_costs_its_case_only(start: Start, tmp_path: Path) -> None:
    process = start(f"rounds = 1\n{SLOW}{FAST}")
    worker = worker_of(process, busy_seconds=8)
    os.kill(worker, signal.SIGKILL)
    stdout, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    found = records(tmp_path / "out")
    assert outcomes(found) == {("sklearn", 1 / 64): "failed", **REST_OK}
    failed = next(record for record in found if record.outcome == "failed")
    assert failed.error is not None
    assert "signal 9" in failed.error.message
    assert failed.seconds == {}
    assert "Cases without a result" in stdout
    assert processes.processes_of(worker) == []


def test_a_case_over_its_deadline_is_a_timeout(start: Start, tmp_path: Path) -> None:
    process = start(f"rounds = 1\ndeadline_seconds = 12\n{SLOW}{FAST}")
    process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    found = records(tmp_path / "out")
    assert outcomes(found) == {("sklearn", 1 / 64): "timeout", **REST_OK}
    late = next(record for record in found if record.outcome == "timeout")
    assert late.error is not None
    assert late.error.message == "No result within 12 s in `fit`."
    assert late.deadline_seconds == 12  # a table can say "> 12"


def outside_of_phases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: float, scoring: float) -> RunRecord:
    """The record of a case with a deadline of 8 s, and these seconds added before its phases and to its scoring."""
    slow = f"""
import gc, time
import scipy.stats
collect, ranks = gc.collect, scipy.stats.rankdata
gc.collect = lambda: (time.sleep({before}), collect())[1]
scipy.stats.rankdata = lambda scores: (time.sleep({scoring}), ranks(scores))[1]
"""
    (tmp_path / "sitecustomize.py").write_text(slow)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    path = tmp_path / "mine.toml"
    path.write_text(f"rounds = 1\ndeadline_seconds = 8\n{ONE}")
    (record,) = running.measure(Request(suite=str(path), out=tmp_path / "out"), Silent).records
    return record


def test_the_deadline_is_of_the_phases_and_neither_of_checks_nor_of_scoring(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All told it takes twice the deadline, which was a timeout."""
    record = outside_of_phases(tmp_path, monkeypatch, before=8.5, scoring=8.5)
    assert (record.outcome, record.error) == ("ok", None)
    assert sum(record.seconds.values()) < 8 == record.deadline_seconds
    assert (record.resources.peak_pss_bytes or 0) > 50 * 2**20


@pytest.mark.parametrize(
    ("before", "scoring", "reason"),
    [
        (60.0, 0.0, "The checks before the first phase were not done within 8 s."),
        (0.0, 60.0, "All phases ended in time, but scoring was not done within 8 s."),
    ],
)
def test_what_is_late_outside_of_phases_has_failed_and_is_no_timeout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: float, scoring: float, reason: str
) -> None:
    monkeypatch.setattr(runner, "OUTSIDE_SECONDS", 1.0)
    record = outside_of_phases(tmp_path, monkeypatch, before, scoring)
    assert record.outcome == "failed"
    assert record.error is not None
    assert record.error.message == reason
    assert record.seconds == {}


@pytest.mark.parametrize("whole_run", [False, True], ids=["the worker's", "the run's"])
def test_a_scratch_folder_that_vanishes_costs_its_case_only(start: Start, tmp_path: Path, whole_run: bool) -> None:
    process = start(f"rounds = 1\n{SLOW}{FAST}")
    worker_of(process, busy_seconds=8)
    (folder,) = Path(tempfile.gettempdir()).glob("sparkscale-run-*/local-*-node")
    shutil.rmtree(folder.parent if whole_run else folder)
    _, stderr = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    found = records(tmp_path / "out")
    assert outcomes(found) == {("sklearn", 1 / 64): "failed", **REST_OK}
    failed = next(record for record in found if record.outcome == "failed")
    assert failed.error is not None
    assert failed.error.message == (
        f"The worker's scratch folder {folder} vanished while the case ran: something else on this machine removes "
        "files that are in use."
    )
    assert "Traceback" not in stderr
    assert list(Path(tempfile.gettempdir()).glob("sparkscale-run-*")) == []


@pytest.mark.slow
@pytest.mark.spark
def test_a_spark_worker_whose_folder_vanishes_is_replaced(start: Start, tmp_path: Path) -> None:
    process = start(f"rounds = 1\n{ON_SPARK}{FAST.replace('xgboost', 'mllib')}")
    busy_jvm_of(process)
    (folder,) = Path(tempfile.gettempdir()).glob("sparkscale-run-*")
    while folder.exists():
        shutil.rmtree(folder, ignore_errors=True)  # the run removes files of its own meanwhile
    _, stderr = process.communicate(timeout=2 * PATIENCE)
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
    suite.write_text(f'rounds = 1\ndeadline_seconds = 40\nclusters = ["{tmp_path / "small.toml"}"]\n{GREEDY}{FAST}')
    finished = running.measure(Request(suite=str(suite), out=tmp_path / "out"), Silent)
    found = [record for record in finished.records if not record.is_warmup]
    assert outcomes(found) == {("sklearn", 1.0): "oom", **REST_OK}
    with Store.existing(tmp_path / "out") as store:
        assert found[0].session is not None
        assert store.description(found[0].session).content["memory_limit"] == mechanism


class Noting(Silent):
    """Keeps notes."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.mark.parametrize(("leaked_mib", "outcome", "warmups"), [(600, "ok", 2), (1300, "oom", 2)])
def test_memory_that_other_cases_left_is_not_a_case_s_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, leaked_mib: int, outcome: str, warmups: int
) -> None:
    """Each execution leaks: the memory is enough for a warm-up and a case, or else for a warm-up only."""
    leak = f"collect, held = gc.collect, []\ngc.collect = lambda: (held.append(b'x' * {leaked_mib << 20}), collect())"
    (tmp_path / "sitecustomize.py").write_text(f"import gc\n{leak}\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "small.toml").write_text('kind = "local"\nmemory = "1850m"\n')
    suite = tmp_path / "leaking.toml"
    suite.write_text(f'rounds = 1\nclusters = ["{tmp_path / "small.toml"}"]\n{FAST}')
    observer = Noting()
    finished = running.measure(Request(suite=str(suite), out=tmp_path / "out"), lambda: observer)
    found = [record for record in finished.records if not record.is_warmup]
    assert outcomes(found) == dict.fromkeys(REST_OK, outcome)
    assert len(finished.records) - len(found) == warmups
    assert len([note for note in observer.notes if "had executed others before (1)" in note]) == (outcome == "ok")


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
    suite = f"rounds = 4\n{FAST}"
    process = start(suite)
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("[3/8]"):
            break
    workers = [child.pid for child in psutil.Process(process.pid).children()]
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, stderr
    assert "--resume" in stderr
    assert [found for pid in workers for found in processes.processes_of(pid)] == []
    before = records(tmp_path / "out")
    assert 3 <= len(before) < 8

    process = start(suite, "--resume")
    process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    after = records(tmp_path / "out")
    assert after[: len(before)] == before
    assert len(after) == len({(record.case.id, record.round) for record in after}) == 8
    assert len({record.invocation for record in after}) == 1


@pytest.mark.slow
def test_retry_failed_repeats_what_is_not_ok_and_nothing_else(start: Start, tmp_path: Path) -> None:
    suite = f"rounds = 1\ndeadline_seconds = %d\n{SLOW.replace('100000', '2000')}{FAST}"
    assert start(suite % 6).wait(timeout=PATIENCE) == 1
    before = records(tmp_path / "out")
    assert outcomes(before) == {("sklearn", 1 / 64): "timeout", **REST_OK}
    assert start(suite % 240, "--retry-failed").wait(timeout=3 * PATIENCE) == 0
    added = records(tmp_path / "out")[len(before) :]
    assert outcomes(added) == {("sklearn", 1 / 64): "ok"}


def test_killing_the_runner_leaves_no_worker(start: Start) -> None:
    process = start(f"rounds = 1\n{SLOW}")
    worker = worker_of(process, busy_seconds=4)
    process.kill()
    process.wait()
    deadline = time.monotonic() + PATIENCE
    while processes.processes_of(worker) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert processes.processes_of(worker) == []


def test_a_second_run_on_the_machine_is_refused(
    start: Start, tmp_path: Path, sparkscale: Callable[..., "subprocess.CompletedProcess[str]"]
) -> None:
    process = start(f"rounds = 1\n{SLOW}")
    worker_of(process, busy_seconds=1)
    second = sparkscale("run", "--out", str(tmp_path / "second"))
    assert second.returncode == 2
    assert second.stderr.startswith(f"Error: Another run is measuring on this machine (process {process.pid})")
    assert not (tmp_path / "second").exists()


@pytest.mark.spark
def test_a_killed_spark_worker_takes_its_jvm_along_and_costs_its_case_only(start: Start, tmp_path: Path) -> None:
    process = start(f"rounds = 1\n{ON_SPARK}{FAST}")
    worker = busy_jvm_of(process)
    os.kill(worker, signal.SIGKILL)
    process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert outcomes(records(tmp_path / "out")) == {("mllib", 1 / 64): "failed", **REST_OK}
    assert processes.processes_of(worker) == []


@pytest.mark.slow
@pytest.mark.spark
def test_cpu_time_that_nothing_counts_is_not_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without control groups what PySpark's daemon did not reap is missing, and nobody could tell how much."""
    monkeypatch.setattr(processes, "CGROUP_ROOT", tmp_path)
    suite = tmp_path / "uncounted.toml"
    suite.write_text(f"rounds = 1\n{ON_SPARK.replace('5000', '2')}{FAST}")
    finished = running.measure(Request(suite=str(suite), out=tmp_path / "out"), Silent)
    found = [record for record in finished.records if not record.is_warmup]
    assert outcomes(found) == {("mllib", 1 / 64): "ok", **REST_OK}
    told = {record.case.engine: record.resources.cpu_seconds is not None for record in found}
    assert told == {"mllib": False, "xgboost": True}


@pytest.mark.slow
@pytest.mark.spark
def test_ctrl_c_ends_the_jvm(start: Start, tmp_path: Path) -> None:
    process = start(f"rounds = 1\n{ON_SPARK}")
    worker = busy_jvm_of(process)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=PATIENCE)
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
