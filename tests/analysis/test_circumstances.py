"""What a table says of where its cases ran, and which times it leaves out."""

from typing import Any

import pytest

from sparkscale.analysis import circumstances as placing
from sparkscale.analysis import metrics, problems
from sparkscale.analysis.patterns.data_parallel import comparison as tradeoff
from sparkscale.contract.record import RunRecord, SparkMetrics
from sparkscale.store.store import Store
from tests.builders import case, record


def ran(
    identity: str, engine: str, kind: str, cores: int = 2, jvm: str | None = None, **changes: object
) -> RunRecord:
    """An ok execution; a Spark engine's has metrics."""
    where = case(engine, 1.0).model_copy(update={"cluster": kind, "cluster_kind": kind})
    made = record(identity)
    on_spark = where.placement == "spark"
    spark = SparkMetrics(tasks=4, executors=2, hosts=1) if on_spark else None
    resources = made.resources.model_copy(update={"cores": cores})
    return made.model_copy(update={"case": where, "jvm": jvm, "spark": spark, "resources": resources, **changes})


def said(store: Store, *records: RunRecord) -> str:
    (comparison,) = tradeoff.comparisons(store, records)
    return "\n".join(placing.notes(comparison.case, comparison.records))


def test_executors_of_one_host_are_called_single_host(store: Store) -> None:
    text = said(store, ran("a", "mllib", "standalone", jvm="app-1"), ran("b", "sklearn", "standalone"))
    assert "Single-host: 2 executors on one machine, with no network between them." in text
    assert "Single-node engines had 2 cores of the machine that sparkscale runs on, Spark the same number." in text


def test_emulated_hosts_are_called_emulated(store: Store) -> None:
    hosts = SparkMetrics(tasks=4, executors=2, hosts=2)
    text = said(store, ran("a", "mllib", "emulated", jvm="a", spark=hosts), ran("b", "sklearn", "emulated"))
    assert "Emulated: 2 executors on 2 emulated hosts of one machine." in text
    assert "Spark ran on emulated hosts: network namespaces of this machine" in text
    assert "Single-host" not in text


def test_without_an_ok_case_on_spark_nothing_is_said_of_hosts(store: Store) -> None:
    text = said(store, ran("a", "mllib", "standalone", jvm="a", outcome="oom"), ran("b", "sklearn", "standalone"))
    assert "Warm page cache" in text
    assert "host" not in text
    assert "executor" not in text


def test_unequal_budgets_are_said(store: Store) -> None:
    hosts = {"spark": SparkMetrics(tasks=4, executors=8, hosts=4)}
    text = said(store, ran("a", "mllib", "external", cores=32, jvm="a", **hosts), ran("b", "sklearn", "external"))
    assert "Spark ran in 8 executors on 4 hosts." in text
    assert "had 2 cores of the machine that sparkscale runs on, Spark 32 on the cluster." in text


@pytest.mark.parametrize(("kind", "word"), [("local", "no cluster"), ("connect", "the client has no JVM")])
def test_what_is_no_cluster_is_not_called_one(store: Store, kind: str, word: str) -> None:
    assert word in said(store, ran("a", "mllib", kind, jvm="a"))
    assert word not in said(store, ran("b", "sklearn", kind))


def test_the_state_of_the_page_cache_is_said(store: Store) -> None:
    warm = ran("a", "sklearn", "local")
    cold = warm.model_copy(update={"resources": warm.resources.model_copy(update={"page_cache": "cold"})})
    assert "Warm page cache: if the data fits into memory, loads read it from there" in said(store, warm)
    assert said(store, cold).startswith("Cold page cache: the kernel had to read the data's files from the disk")
    assert "Warm page cache" not in said(store, cold)


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({}, "4 cores"),
        ({"usable_physical_cores": 4, "cpu_quota": None}, "4 cores"),
        ({"usable_physical_cores": 2}, "4 cores (hyper-threads of 2 physical cores)"),
        (
            {"usable_physical_cores": 2, "cpu_quota": 4.5},
            "4 cores (hyper-threads of 2 physical cores; a control group grants the time of 4.5 CPUs)",
        ),
    ],
)
def test_hyper_threads_and_quotas_are_named_beside_the_cores(more: dict[str, Any], text: str) -> None:
    assert placing.cores({"usable_cores": 4, **more}) == text


def test_rounds_that_share_a_jvm_are_said(store: Store) -> None:
    rounds = [ran(str(number), "mllib", "connect", jvm="one", round=number) for number in (1, 2, 3)]
    assert "3 rounds ran in 1 JVM, because the server was kept running between rounds" in said(store, *rounds)
    fresh = [ran(str(number), "mllib", "connect", jvm=str(number), round=number) for number in (1, 2, 3)]
    assert "rounds ran in" not in said(store, *fresh)


def test_oversubscribed_executors_are_said(store: Store) -> None:
    marked = ran("a", "mllib", "standalone", jvm="a")
    marked = marked.model_copy(update={"resources": marked.resources.model_copy(update={"oversubscribed": True})})
    assert "Oversubscribed: " in said(store, marked)


def test_a_time_in_which_an_executor_was_lost_is_stored_and_never_used(store: Store) -> None:
    whole = ran("a", "mllib", "standalone", jvm="a")
    broken = ran("b", "mllib", "standalone", jvm="b", round=2, spark=SparkMetrics(tasks=4, executors_lost=1))
    assert broken.seconds
    assert metrics.timed([whole, broken]) == [whole]
    assert metrics.scored([whole, broken]) == [whole, broken]
    assert "In 1 execution an executor was lost" in said(store, whole, broken)
    assert not problems.failed([whole, broken], added=2)


@pytest.mark.parametrize(
    ("changes", "seconds"),
    [
        ({}, 10.0 + 0.1 + 1.25),
        ({"outcome": "failed"}, None),
        ({"temperature": "warm"}, None),
        ({"isolated": False}, None),
        ({"start_seconds": None}, None),
        ({"spark": SparkMetrics(tasks=4, executors_lost=1)}, None),
    ],
)
def test_a_first_run_is_an_ok_cold_execution_with_the_start_of_its_worker(
    changes: dict[str, Any], seconds: float | None
) -> None:
    first = {"isolated": True, "temperature": "cold", "start_seconds": 10.0}
    found = metrics.first_run(ran("a", "mllib", "local", **{**first, **changes}))
    assert found == (None if seconds is None else pytest.approx(seconds))


def loaded(identity: str, foreign: float | None, stolen: float = 0.0, seconds: float = 2.0) -> RunRecord:
    """An execution of so many seconds on two cores, of whose time others used this much."""
    made = ran(identity, "sklearn", "local", seconds={"load": seconds / 2, "fit": seconds / 2, "predict": 0.0})
    used = {"foreign_cpu_seconds": foreign, "stolen_cpu_seconds": stolen}
    return made.model_copy(update={"resources": made.resources.model_copy(update=used)})


def test_foreign_load_is_said_of_the_executions_that_it_hit(store: Store) -> None:
    calm, busy, stolen = loaded("a", 0.1), loaded("b", 1.2), loaded("c", 0.0, 0.4)
    assert "Foreign load" not in said(store, calm)
    assert (
        "Foreign load: other processes used more than 5% of the CPU time that a case might use, in 2 of 3 executions "
        "(at most 30%: sklearn on 1, round 1). These times may be too long."
    ) in said(store, calm, busy, stolen)


def test_nothing_is_said_of_load_that_was_not_seen_or_of_a_moment(store: Store) -> None:
    assert "Foreign load" not in said(store, loaded("a", None), loaded("b", 0.3, seconds=0.1))
