"""A whole run, on node and on Spark, and what its records say. Runs of several rounds: test_rounds.py."""

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from cluster import profile
from cluster.budget import budget
from sparkscale.analysis import metrics
from sparkscale.contract.record import SCORES, RunRecord
from sparkscale.measure.run import run as running
from sparkscale.measure.run import warmup
from sparkscale.measure.run.run import Request
from sparkscale.store.store import Store
from tests.measure.observing import Silent, warmups_before

SUITE = """
rounds = 1
[dataset.small]
kind = "classification"
rows = 4000
features = 4
[[measure]]
workload = "data_parallel.logistic_regression"
datasets = ["small"]
fractions = ["1/64", "1"]
engines = ["sklearn", "mllib"]
[[measure]]
workload = "data_parallel.logistic_regression"
datasets = ["small"]
fractions = ["1/64"]
engines = ["sklearn", "mllib"]
isolate = true
"""

FIELDS = {
    "id",
    "suite",
    "invocation",
    "started_at",
    "round",
    "jvm",
    "temperature",
    "isolated",
    "case",
    "outcome",
    "error",
    "seconds",
    "quality",
    "figures",
    "resources",
    "spark",
    "code",
    "host",
    "software",
    "session",
    "session_seconds",
    "start_seconds",
    "position",
    "warmed_by",
    "deadline_seconds",
    "phase",
    "python_started",
    "data",
    "model",
    "workload",
}
CASE_FIELDS = {
    "workload",
    "version",
    "pattern",
    "task",
    "engine",
    "placement",
    "cluster",
    "cluster_kind",
    "device",
    "dataset",
    "dataset_id",
    "rows",
    "fraction",
    "sample_seed",
    "model_seed",
    "threads",
    "params",
}


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of one run of a node and a Spark engine."""
    folder = tmp_path_factory.mktemp("run")
    suite = folder / "both.toml"
    suite.write_text(SUITE)
    running.measure(Request(suite=str(suite), out=folder / "out"), Silent)
    return folder / "out"


@pytest.fixture(scope="module")
def found(out: Path) -> list[RunRecord]:
    with Store.existing(out) as store:
        return store.records()


pytestmark = pytest.mark.spark


def of(found: list[RunRecord], engine: str) -> list[RunRecord]:
    return [record for record in found if record.case.engine == engine]


def test_every_execution_is_ok_and_every_case_is_there(found: list[RunRecord]) -> None:
    assert {record.outcome for record in found} == {"ok"}
    measured = [record for record in found if not record.is_warmup]
    assert len(measured) == 2 * 2 + 2


@pytest.mark.parametrize("engine", ["sklearn", "mllib"])
def test_every_measured_time_is_warm_and_an_isolated_one_is_the_first_of_its_worker(
    found: list[RunRecord], engine: str
) -> None:
    mine = of(found, engine)
    assert [r.temperature for r in mine if not r.is_warmup and not r.isolated] == ["warm"] * 2
    isolated = [mine.index(r) for r in mine if r.isolated]
    assert [mine[position].temperature for position in isolated] == ["cold"]


@pytest.mark.parametrize("engine", ["sklearn", "mllib"])
def test_records_say_what_warmed_their_worker_and_how_much_ran_in_it_before(
    found: list[RunRecord], engine: str
) -> None:
    """The smallest sample, though the worker began with an isolated execution. A node engine's worker ends after it,
    for an idle worker is measured then.
    """
    mine = of(found, engine)
    assert [record.isolated for record in mine] == [True] + [False] * (len(mine) - 1)
    warmups = [record for record in mine if record.is_warmup]
    assert {record.case.fraction for record in warmups} == {1 / 64}
    one_is_enough = engine == "sklearn" or sum(warmups[0].seconds.values()) >= warmup.LONG_SECONDS
    assert len(warmups) == 1 if one_is_enough else len(warmups) >= 2
    alone = 1 if engine == "sklearn" else 0
    assert [record.position for record in mine] == [*range(alone), *range(len(mine) - alone)]
    assert [record.warmed_by for record in mine] == warmups_before(mine)


def test_a_spark_engine_is_warmed_until_two_passes_agree(found: list[RunRecord]) -> None:
    by_id = {record.id: record for record in found}
    for record in of(found, "mllib"):
        if record.warmed_by and not record.is_warmup:
            passes = [by_id[warmup] for warmup in record.warmed_by]
            seconds = [warmup.seconds["load"] + warmup.seconds["fit"] for warmup in passes]
            tolerance = max(warmup.AGREEMENT * max(seconds[-2:]), warmup.AGREEMENT_SECONDS)
            agree = len(seconds) > 1 and abs(seconds[-1] - seconds[-2]) <= tolerance
            first, last = passes[0].started_at, passes[-1].started_at
            assert first is not None
            assert last is not None
            spent = last - first
            assert agree or spent.total_seconds() + sum(passes[-1].seconds.values()) > warmup.WARMUP_SECONDS * 0.8


def test_an_isolated_execution_is_a_first_run_with_the_start_of_its_worker(found: list[RunRecord]) -> None:
    for record in found:
        assert record.deadline_seconds == 300
        assert record.start_seconds is not None
        assert 0.1 < record.start_seconds - (record.session_seconds or 0.0) < 60
        assert (record.session_seconds is not None) == (record.case.placement == "spark")
        paid = metrics.first_run(record)
        assert (paid is not None) == record.isolated
        if paid is not None and record.start_seconds is not None:
            assert (record.position, record.temperature, record.warmed_by) == (0, "cold", ())
            assert paid == record.start_seconds + record.seconds["load"] + record.seconds["fit"]


def test_a_round_has_one_jvm_and_a_node_engine_has_none(found: list[RunRecord]) -> None:
    (jvm,) = {record.jvm for record in of(found, "mllib")}
    assert jvm is not None
    assert {record.jvm for record in of(found, "sklearn")} == {None}


def test_spark_metrics_belong_to_spark_cases(found: list[RunRecord]) -> None:
    for record in of(found, "mllib"):
        assert record.spark is not None
        assert record.resources.cores is not None
        assert record.spark.tasks > record.figures["iterations"]
        assert 0 < record.spark.executor_cpu_seconds < sum(record.seconds.values()) * record.resources.cores
        assert record.spark.failed_tasks == record.spark.executors_lost == 0
    assert {record.spark for record in of(found, "sklearn")} == {None}


def test_memory_is_read_only_where_a_tree_had_one_case(found: list[RunRecord]) -> None:
    for record in found:
        assert (record.resources.peak_pss_bytes is not None) == record.isolated
    peaks = {record.case.engine: record.resources.peak_pss_bytes or 0 for record in found if record.isolated}
    assert 50 * 2**20 < peaks["sklearn"] < 400 * 2**20 < peaks["mllib"]


def test_what_a_worker_needs_without_data_is_known_beside_its_peak(found: list[RunRecord]) -> None:
    """Imports are most of a small case's peak, a session is much of a Spark engine's."""
    for record in found:
        baseline, peak = record.resources.baseline_bytes, record.resources.peak_pss_bytes
        assert (baseline is not None) == record.isolated
        assert baseline is None or peak is None or 100 * 2**20 < baseline < peak
    (node,) = (record.resources for record in of(found, "sklearn") if record.isolated)
    assert (node.peak_pss_bytes or 0) - (node.baseline_bytes or 0) < 0.5 * (node.peak_pss_bytes or 0)


def test_a_spark_case_knows_its_heap(found: list[RunRecord]) -> None:
    heap = budget(profile.load("local")).heap_bytes
    assert {record.resources.heap_bytes for record in of(found, "mllib")} == {heap}
    assert {record.resources.heap_bytes for record in of(found, "sklearn")} == {None}


def test_without_cold_cache_the_page_cache_is_warm(out: Path, found: list[RunRecord]) -> None:
    assert {record.resources.page_cache for record in found} == {"warm"}
    with Store.existing(out) as store:
        assert not store.invocation().cold_cache


def test_cpu_seconds_fit_the_budget(found: list[RunRecord]) -> None:
    for record in found:
        assert record.resources.cpu_seconds is not None
        assert record.resources.cores is not None
        assert 0 < record.resources.cpu_seconds <= 1.1 * record.resources.cores * sum(record.seconds.values()) + 0.1


def test_phases_and_qualities_are_complete_and_repeatable(found: list[RunRecord]) -> None:
    for record in found:
        assert list(record.seconds) == ["load", "fit", "predict"]
        assert record.quality["auc"] > 0.6
    by_case: dict[str, set[float]] = {}
    for record in of(found, "sklearn"):
        by_case.setdefault(record.case.id, set()).add(record.quality["auc"])
    assert all(len(values) == 1 for values in by_case.values())


def test_scores_are_stored_with_the_record(out: Path, found: list[RunRecord]) -> None:
    from workloads.quality import scoring

    with Store.existing(out) as store:
        for record in found:
            table = store.table(record.id, SCORES)
            label, score = table.column("label").to_numpy(), table.column("score").to_numpy()
            assert scoring.auc(label, score) == record.quality["auc"]


def test_descriptions_say_where_and_with_what(out: Path, found: list[RunRecord]) -> None:
    granted = budget(profile.load("local"))
    with Store.existing(out) as store:
        for record in found:
            assert store.description(record.host).content["usable_cores"] >= 1
            assert record.session is not None
            session = store.description(record.session).content
            software = store.description(record.software).content
            assert session["cpus"] == list(granted.node.cpus)
            assert session["thread_variables"]["OMP_NUM_THREADS"] == str(granted.cores)
            if record.case.placement == "spark":
                assert session["spark_conf"]["spark.master"] == f"local[{granted.cores}]"
                assert software["jvm_blas"]
            else:
                assert session["spark_conf"] is None
                assert software["jvm_blas"] is None
        sessions = {record.session for record in of(found, "mllib")}
        assert len(sessions) == 1, [store.description(s).content for s in sessions if s]


def test_export_prints_records_with_the_fields_of_the_design(
    out: Path, sparkscale: Callable[..., "CompletedProcess[str]"]
) -> None:
    done = sparkscale("export", "--format", "json", "--out", str(out))
    assert done.returncode == 0, done.stderr
    exported = json.loads(done.stdout)
    assert exported
    for record in exported:
        assert set(record) == FIELDS
        assert set(record["case"]) == CASE_FIELDS
        assert {"cores", "threads", "cpu_seconds", "peak_pss_bytes"} <= set(record["resources"])
        assert set(record["code"]) == {"commit", "dirty", "changes"}
        assert record["case"]["dataset"] == "small"
        assert record["data"]


def test_show_prints_both_engines(out: Path, sparkscale: Callable[..., "CompletedProcess[str]"]) -> None:
    done = sparkscale("show", "--out", str(out))
    assert done.returncode == 0, done.stderr
    for expected in (
        "data_parallel.logistic_regression",
        "sklearn",
        "mllib",
        "on small",
        "1/64",
        "1",
        "no cluster",
        "eiling",
    ):
        assert expected in done.stdout
    assert "Every measured case is ok." in done.stdout


def test_running_again_starts_a_new_run_and_resume_of_a_full_one_adds_nothing(
    out: Path, found: list[RunRecord]
) -> None:
    suite = out.parent / "both.toml"
    finished = running.measure(Request(suite=str(suite), out=out, resume=True), Silent)
    assert finished.added == 0
    assert finished.records == found
