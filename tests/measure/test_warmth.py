"""A worker stays warm for an engine only as long as the processes that the engine keeps do."""

import time
from pathlib import Path

import psutil
import pytest

from sparkscale.analysis.executions import of_report
from sparkscale.contract.case import Case
from sparkscale.measure.run import warmup
from tests.measure.observing import Silent, measured_in_order
from tests.measure.toy_suites import tiny

SUITE = f"""
rounds = 1
{tiny(4000)}
[[measure]]
workload = "data_parallel.toy"
engines = ["toy", "toy-tasks"]
datasets = ["tiny"]
fractions = ["1/4", "1"]
"""

pytestmark = [pytest.mark.spark, pytest.mark.slow, pytest.mark.usefixtures("toy")]


class EndingIdleWorkers(Silent):
    """Ends Spark's Python workers, as Spark does when they were idle, before the first case after a warm-up."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.ended = 0

    def note(self, text: str) -> None:
        self.notes.append(text)

    def executing(self, case: Case, label: str) -> None:
        if case.engine == "toy-tasks" and not self.ended and not label.endswith("warm-up"):
            children = [child for child in psutil.Process().children(recursive=True) if is_python_worker(child)]
            for child in children:
                child.kill()
            self.ended = len(children)
            time.sleep(1.0)  # until Spark's daemon has reaped them


def is_python_worker(process: psutil.Process) -> bool:
    """Whether it is one that PySpark's daemon forked."""
    try:
        parent = process.parent()
        return parent is not None and "pyspark.daemon" in process.cmdline() and "pyspark.daemon" in parent.cmdline()
    except psutil.NoSuchProcess:
        return False


@pytest.mark.usefixtures("one_pass")
def test_an_execution_that_starts_its_processes_is_not_warm_and_is_measured_again(tmp_path: Path) -> None:
    observer = EndingIdleWorkers()
    records = measured_in_order(tmp_path, SUITE, lambda: observer)
    assert observer.ended
    spark = [record for record in records if record.case.engine == "toy-tasks"]
    (cold,) = [record for record in spark if record.python_started and record.case.fraction > 1 / 64]
    again = spark[spark.index(cold) + 1]
    assert (cold.temperature, again.temperature) == ("warmup", "warm")
    assert (again.case, again.round, again.python_started) == (cold.case, cold.round, 0)
    assert cold.id in again.warmed_by
    assert [note for note in observer.notes if "so the worker was not warm: it is measured again" in note]
    assert len(of_report("data_parallel", records)) == 4


def test_engines_that_keep_processes_are_warmed_up_again_when_these_may_be_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(warmup, "IDLE_SECONDS", 0.0)
    records = measured_in_order(tmp_path, SUITE, Silent)
    warmups: dict[str, list[int]] = {"toy": [], "toy-tasks": []}
    for record in records:
        if record.temperature == "warm":
            warmups[record.case.engine].append(len(record.warmed_by))
    assert warmups["toy"] == [1, 1]
    first, second = warmups["toy-tasks"]
    assert 2 <= first < second
