"""Engines whose tasks have other threads take turns in one JVM of Spark's local mode."""

import os
import time
from itertools import pairwise
from pathlib import Path

import psutil
import pytest

from sparkscale.contract.case import Case
from sparkscale.contract.record import RunRecord
from sparkscale.measure import run as running
from sparkscale.measure.run import Request
from sparkscale.measure.store import Store
from tests.measure.observing import Silent

SUITE = """
rounds = 1
[[measure]]
workload = "data_parallel.gradient_boosting"
engines = ["mllib", "xgboost-spark"]
fractions = ["1/64", "1/16"]
params = { trees = 2 }
[[measure]]
workload = "data_parallel.gradient_boosting"
engines = ["xgboost-spark"]
params = { trees = 2 }
isolate = true
"""


WORKER = "sparkscale.measure.worker"

pytestmark = [
    pytest.mark.spark,
    pytest.mark.slow,
    pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="a task of several threads needs as many cores"),
    pytest.mark.usefixtures("data"),
]


class KillingJvm(Silent):
    """Ends the JVM once, between the cases of two sessions."""

    killed = False
    engine = ""

    def executing(self, case: Case, label: str) -> None:  # noqa: ARG002
        if not type(self).killed and self.engine and self.engine != case.engine:
            type(self).killed = True
            workers = (one for one in psutil.Process().children() if WORKER in one.cmdline())
            (jvm,) = (one for worker in workers for one in worker.children(recursive=True) if one.name() == "java")
            jvm.kill()
            while jvm.is_running() and jvm.status() != psutil.STATUS_ZOMBIE:  # its parent does not wait for it
                time.sleep(0.05)
        self.engine = case.engine


def measured(tmp_path: Path, observer: type[Silent]) -> tuple[list[RunRecord], dict[str, str]]:
    """The records in their order, and each engine's `spark.task.cpus`."""
    suite = tmp_path / "both.toml"
    suite.write_text(SUITE)
    running.measure(Request(suite=str(suite), out=tmp_path / "out"), observer)
    with Store.existing(tmp_path / "out") as store:
        records = sorted(store.records(), key=lambda record: record.started_at)
        conf = {
            record.case.engine: store.description(record.session or "").content["spark_conf"] for record in records
        }
    assert {record.outcome for record in records} == {"ok"}, [record.error for record in records]
    return records, {engine: found["spark.task.cpus"] for engine, found in conf.items()}


def test_sessions_of_other_threads_share_a_worker_and_its_jvm(tmp_path: Path) -> None:
    records, cpus = measured(tmp_path, Silent)
    assert len({record.jvm for record in records}) == 1
    assert cpus["mllib"] == "1"
    assert int(cpus["xgboost-spark"]) > 1
    assert [record.position for record in records] == list(range(len(records)))
    assert records[0].isolated
    assert all(record.spark and record.spark.tasks for record in records)
    shared = [record.case.engine for record in records[1:]]
    assert sum(before != after for before, after in pairwise(shared)) == 1


def test_where_no_other_session_starts_the_worker_is_replaced(tmp_path: Path) -> None:
    records, cpus = measured(tmp_path, KillingJvm)
    assert KillingJvm.killed
    assert len({record.jvm for record in records}) == 2
    assert int(cpus["xgboost-spark"]) > int(cpus["mllib"]) == 1
    assert [record.position for record in records].count(0) == 2
