"""Engines whose tasks have other threads take turns in one JVM of Spark's local mode."""

import os
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import psutil
import pytest

from sparkscale.contract.case import Case
from sparkscale.contract.record import RunRecord
from sparkscale.store.store import Store
from tests.cluster.using import PATIENCE
from tests.measure.observing import Silent, measured_in_order
from tests.measure.toy_suites import DATA

SUITE = f"""
rounds = 1
{DATA}
[[measure]]
workload = "data_parallel.toy"
engines = ["toy-spark"]
datasets = ["tiny"]
fractions = ["1/2", "1"]
sweep = {{ task_threads = [1, 2] }}
[[measure]]
workload = "data_parallel.toy"
engines = ["toy-spark"]
datasets = ["tiny"]
params = {{ task_threads = 2 }}
isolate = true
"""

WORKER = "sparkscale.measure.worker"

pytestmark = [
    pytest.mark.spark,
    pytest.mark.slow,
    pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="a task of several threads needs as many cores"),
    pytest.mark.usefixtures("toy", "one_pass"),
]


class KillingJvm(Silent):
    """Ends the JVM once, between the cases of two sessions."""

    def __init__(self) -> None:
        self.killed = False
        self.threads = 0

    def executing(self, case: Case, label: str) -> None:  # noqa: ARG002
        if not self.killed and self.threads and self.threads != case.known_threads:
            self.killed = True
            found = psutil.Process().children(recursive=True)
            workers = [one for one in found if one.status() != psutil.STATUS_ZOMBIE and WORKER in one.cmdline()]
            (jvm,) = (one for worker in workers for one in worker.children(recursive=True) if one.name() == "java")
            jvm.kill()
            ends = time.monotonic() + PATIENCE
            while jvm.is_running() and jvm.status() != psutil.STATUS_ZOMBIE:  # its parent does not wait for it
                assert time.monotonic() < ends
                time.sleep(0.05)
        self.threads = case.known_threads


def measured(tmp_path: Path, observer: Callable[[], Silent]) -> list[RunRecord]:
    """The records in their order. Those with other threads had another `spark.task.cpus`."""
    records = measured_in_order(tmp_path, SUITE, observer)
    with Store.existing(tmp_path / "out") as store:
        cpus = {
            (one.case.threads, int(store.description(one.session or "").content["spark_conf"]["spark.task.cpus"]))
            for one in records
        }
    assert cpus == {(1, 1), (2, 2)}
    return records


def test_sessions_of_other_threads_share_a_worker_and_its_jvm(tmp_path: Path) -> None:
    records = measured(tmp_path, Silent)
    assert len({record.jvm for record in records}) == 1
    assert [record.position for record in records] == list(range(len(records)))
    assert records[0].isolated
    assert all(record.spark and record.spark.tasks for record in records)
    shared = [record.case.threads for record in records[1:]]
    assert sum(before != after for before, after in pairwise(shared)) == 1


def test_where_no_other_session_starts_the_worker_is_replaced(tmp_path: Path) -> None:
    observer = KillingJvm()
    records = measured(tmp_path, lambda: observer)
    assert observer.killed
    assert len({record.jvm for record in records}) == 2
    assert [record.position for record in records].count(0) == 2
