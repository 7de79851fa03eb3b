"""Memory of options: peaks of engines on one node, heaps of engines on Spark, and what is not known."""

from dataclasses import replace
from typing import Any

import pytest

from sparkscale.analysis.questions.plan.basis import Basis, basis
from sparkscale.analysis.questions.plan.memory import Fit, memory
from sparkscale.analysis.questions.plan.times import sizes
from sparkscale.analysis.questions.plan.wish import Place
from sparkscale.contract.record import SparkMetrics
from sparkscale.store.store import Store
from tests.analysis.plan.measured import GIB, ROWS, Measured, measured
from tests.builders import invocation

PER_ROW = 20_000


def fit(found: Basis, engine: str, rows: float, **changes: Any) -> Fit:
    """How a number of rows fits into the measured node, or the executors of the measured cluster, with changes."""
    (job,) = (one for one in found.jobs if one.engine == engine)
    (offer,) = found.offers
    place: Place = offer.node if job.placement == "node" else offer.spark(offer.executors)
    return memory(job, sizes(found, None), found.offers).fit(rows, replace(place, **changes))


def peak(rows: float) -> float:
    return GIB + PER_ROW * rows


def test_peaks_of_isolated_executions_are_extended(store: Store) -> None:
    made = fit(measured(store, peak=peak), "xgboost", 5 * ROWS)
    assert made.verdict == "fits"
    assert made.bytes == pytest.approx(peak(5 * ROWS), rel=0.01)
    assert made.interval is not None and made.interval.high < 16 * GIB


def test_more_than_the_node_has_does_not_fit(store: Store) -> None:
    made = fit(measured(store, peak=peak), "xgboost", 5 * ROWS, memory_bytes=5 * GIB)
    assert made.verdict == "does not fit"
    assert made.reason.startswith("does not fit: needs 7,1")
    assert made.reason.endswith("of the node's 5,120 MiB")


def test_without_isolated_executions_a_run_under_a_limit_shows_that_fewer_rows_fit(store: Store) -> None:
    found = measured(store)
    small = fit(found, "xgboost", ROWS / 2)
    assert (small.verdict, small.is_limit, small.bytes) == ("fits", True, 16 * GIB)
    assert fit(found, "xgboost", 2 * ROWS).reason == "memory not known: no isolated executions"
    assert fit(found, "xgboost", 2 * ROWS, memory_bytes=33 * GIB).verdict == "fits", "a + b·rows at most doubles"


def test_isolated_executions_of_one_size_are_not_extended(store: Store) -> None:
    found = measured(store, peak=peak, fractions=(1.0,))
    assert fit(found, "xgboost", 2 * ROWS).reason == "memory not known: isolated executions of one size only"


def test_rows_that_ran_out_of_memory_do_not_fit(store: Store) -> None:
    ends: Any = lambda _engine, fraction, _cores: "oom" if fraction == 1 else "ok"  # noqa: E731
    found = measured(store, outcome=ends)
    for engine in ("xgboost", "mllib"):
        made = fit(found, engine, 2 * ROWS)
        assert (made.verdict, made.reason) == (
            "does not fit",
            "does not fit: it ran out of memory on as few rows within 16.0 GiB",
        )
        assert fit(found, engine, 2 * ROWS, memory_bytes=100 * GIB).verdict != "does not fit", "more memory may do"


def test_a_quiet_run_shows_that_its_heap_is_enough(store: Store) -> None:
    found = measured(store)
    made = fit(found, "mllib", ROWS)
    assert (made.verdict, made.bytes, made.is_limit) == ("fits", 8 * GIB, True)
    assert fit(found, "mllib", 2 * ROWS).reason == "heap not known: at most 16.0 GiB, and 8.0 GiB are granted"
    assert fit(found, "mllib", 2 * ROWS, executors=4, cores=4).verdict == "fits", "half as many rows each"


@pytest.mark.parametrize(
    "spark",
    [SparkMetrics(spilled_bytes=1, executor_run_seconds=10.0), SparkMetrics(gc_seconds=2, executor_run_seconds=10.0)],
    ids=["spills", "collects"],
)
def test_a_run_that_spills_or_collects_garbage_shows_nothing(store: Store, spark: SparkMetrics) -> None:
    made = fit(measured(store, spark=spark), "mllib", ROWS)
    assert (made.verdict, made.reason) == ("not known", "memory not known: no run shows how much heap is enough")


def test_a_search_gives_the_smallest_heap(store: Store) -> None:
    """Two probes: 2 GiB are enough for a quarter of the rows, 1 GiB is too little."""
    found = measured(store, cores=(1,), rounds=1)
    (job,) = (one for one in found.jobs if one.engine == "mllib")
    store.begin(invocation("search").model_copy(update={"command": "heap"}))
    quarter = next(record for record in job.records if record.case.fraction == 1 / 4)
    for heap, outcome in ((8 * GIB, "ok"), (2 * GIB, "ok"), (GIB, "oom")):
        resources = quarter.resources.model_copy(update={"heap_bytes": heap})
        changes = {"id": f"heap{heap}", "invocation": "search", "outcome": outcome, "resources": resources}
        store.add(quarter.model_copy(update=changes), {})
    made = fit(basis(store, "gradient_boosting"), "mllib", ROWS)
    assert made.bytes == pytest.approx(8 * GIB, rel=0.01), "four times the rows need at most four times the heap"
    made = fit(basis(store, "gradient_boosting"), "mllib", ROWS / 4)
    assert made.bytes == 2 * GIB


def test_the_memory_beside_the_heap_is_apart(store: Store) -> None:
    """In local mode the peak is 12 GiB under a heap of 8 GiB, so 4 GiB are Python's for the largest size."""
    found = measured(store, cores=(1,), kind="local", peak=lambda rows: 8 * GIB + 4 * GIB * rows / ROWS)
    assert fit(found, "mllib", ROWS, memory_bytes=13 * GIB).verdict == "fits"
    made = fit(found, "mllib", ROWS, memory_bytes=11 * GIB)
    assert made.verdict == "does not fit"
    assert made.reason.startswith("does not fit surely: needs up to 4,0")
    assert made.reason.endswith("beside the heap (Python and native), and 3,072 MiB are left")


def test_a_cluster_that_does_not_report_its_memory_is_not_known(store: Store) -> None:
    reason = fit(measured(store), "mllib", ROWS, memory_bytes=None).reason
    assert reason == "memory not known: c2 does not report it"


def test_other_rows_of_the_same_rule_count(store: Store) -> None:
    """Peaks of a data set of 64,000 rows and of one of 128,000 rows make two sizes."""
    for day, scale in ((1, 1), (2, 2)):
        definition = {"rows": scale * ROWS, "features": 10, "seed": 0, "kind": "classification"}
        fields = Measured(
            fractions=(1.0,), peak=peak, dataset=f"d{scale}", definition=definition, scale=scale, cores=(2,)
        )
        fields.into(store, f"of{scale}-", day)
    found = basis(store, "gradient_boosting")
    (job,) = (one for one in found.jobs if one.engine == "xgboost")
    made = memory(job, sizes(found, None), found.offers).fit(4 * ROWS, found.offers[0].node)
    assert made.bytes == pytest.approx(peak(4 * ROWS), rel=0.02)
