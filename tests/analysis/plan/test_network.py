"""Emulated hosts in a plan: their times are not used, and their network term is stated with its rates."""

from collections.abc import Callable
from typing import Any

import pytest

from sparkscale.analysis.blocks import Text
from sparkscale.analysis.questions.plan.basis import basis
from sparkscale.analysis.questions.plan.plan import Plan, plan
from sparkscale.analysis.questions.plan.report import report
from sparkscale.analysis.questions.plan.wish import Offer, Wish
from sparkscale.contract.errors import ConfigError
from sparkscale.contract.record import RunRecord, SparkMetrics
from sparkscale.store.store import Store
from tests.analysis.plan.measured import GIB, ROWS, Measured
from tests.builders import NOW, Writer, case, invocation

BYTES_PER_HOST = 50_000_000
RATES = {"emulated-fast": 1e9, "emulated-slow": 1e8}


def emulated(
    store: Store, day: int = 2, trees: int | None = None, columns: int = 10, definition: dict[str, Any] | None = None
) -> None:
    """MLlib on two emulated hosts at two rates. All of each transfer prolongs the job, which takes a second else."""
    names = [{"name": f"x{number}"} for number in range(columns)]
    content = {"name": "flights", "columns": names, "definition": definition or {}}
    data = store.describe("data", content)
    for cluster, rate in RATES.items():
        profile = {"name": cluster, "kind": "emulated", "hosts": 2, "cores": 1, "rate": "", "price": None}
        grant = {"cpus": [0, 1], "memory_bytes": 16 * GIB, "heap_bytes": 8 * GIB, "gpus": []}
        budget = {"cores": 2, "node": grant, "driver": grant, "daemons": [grant, grant]}
        origin = {
            f"profile '{cluster}'": store.describe("profile", profile),
            f"budget on '{cluster}'": store.describe("budget", budget),
        }
        store.begin(invocation(cluster, day).model_copy(update={"origin": origin}))
        link = {"bits_per_second": rate, "delay_seconds": 0.0, "measured": [rate, rate]}
        session = store.describe("session", {"link": link})
        write = Writer(store, cluster, _changes(cluster, session, data, day))
        for number in range(1, 6):
            where: dict[str, Any] = {"cluster": cluster, "cluster_kind": "emulated"}
            seconds = 1 + 8 * BYTES_PER_HOST / rate - 0.5  # half a second is the phase `predict`
            measured = case("mllib", 1.0, seed=number)
            if trees:
                where["params"] = {**measured.params, "trees": trees}
            write(measured.model_copy(update=where), number, seconds=seconds)


def _changes(cluster: str, session: str, data: str, day: int) -> Callable[[RunRecord], dict[str, Any]]:
    spark = SparkMetrics(tasks=4, shuffle_remote_bytes=2 * BYTES_PER_HOST, executors=2, hosts=2)
    fixed = {"session": session, "data": data, "spark": spark, "started_at": NOW.replace(day=day)}
    return lambda record: {"id": f"{cluster}-{record.id}", **fixed}


def trust(found: Plan) -> str:
    return " ".join(block.text for block in report(found) if isinstance(block, Text))


def test_times_on_emulated_hosts_are_no_times_of_a_plan(store: Store) -> None:
    Measured(cores=(1, 2), engines=("mllib",)).into(store)
    before = plan(basis(store, "gradient_boosting"), Wish(ROWS))
    emulated(store)
    after = plan(basis(store, "gradient_boosting"), Wish(ROWS))
    assert [job.kind for job in after.basis.jobs] == ["standalone"]
    assert "10 records of Spark on emulated hosts give the network term only, no times." in after.basis.notes
    assert {one.place.cluster for one in after.options} == {one.place.cluster for one in before.options}
    assert [one.time.seconds for one in after.options] == [one.time.seconds for one in before.options]


def test_the_term_and_the_rates_of_its_calibration_are_stated(store: Store) -> None:
    Measured(cores=(1, 2), engines=("mllib",)).into(store)
    emulated(store)
    offer = next(one for one in basis(store, "gradient_boosting").offers if one.name == "c2")
    text = trust(plan(basis(store, "gradient_boosting"), Wish(ROWS), [offer], [2]))
    assert (
        "Network (the time above holds no network): mllib on 2 hosts: each receives 50 MB of shuffled rows from the "
        "others, if they grow with the rows, which adds 0.40"
    ) in text
    assert "at 1 Gbit/s and 4.00" in text
    assert (
        "(calibrated on emulated hosts at 1 Gbit/s, 100 Mbit/s; emulated, so not measured on a real network)" in text
    )


@pytest.mark.parametrize(("different", "terms"), [({}, 1), ({"trees": 7}, 0), ({"columns": 80}, 0)])
def test_a_term_of_another_model_or_other_columns_is_not_used(
    store: Store, different: dict[str, Any], terms: int
) -> None:
    """They would shuffle other bytes."""
    wide = {"rows": ROWS, "features": different.get("columns", 10), "seed": 0}
    emulated(store, definition=wide, **different)
    Measured(cores=(1, 2), engines=("mllib",), definition={**wide, "features": 10}).into(store, day=5)
    assert len(basis(store, "gradient_boosting").network) == terms


def test_a_real_cluster_without_a_term_says_what_is_not_known(store: Store) -> None:
    Measured(cores=(2,), engines=("mllib",), kind="external").into(store)
    profile = {"name": "c2", "kind": "external", "executors": 2, "cores": 1, "price": None}
    offer = Offer(profile, basis(store, "gradient_boosting").offers[0].budget)
    text = trust(plan(basis(store, "gradient_boosting"), Wish(ROWS), [offer], [2]))
    assert "Network: mllib was not measured on emulated hosts at two rates" in text


def test_a_plan_needs_times_on_real_hosts(store: Store) -> None:
    emulated(store)
    with pytest.raises(
        ConfigError, match="has records of gradient_boosting only on emulated hosts, or on more workers"
    ):
        basis(store, "gradient_boosting")
