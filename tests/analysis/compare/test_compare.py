"""Base against head, case by case: verdicts on records with a planted difference."""

from typing import Any

import numpy as np
import pytest

from sparkscale.analysis.questions.compare.parts import Limits
from sparkscale.analysis.questions.compare.report import report
from sparkscale.contract.errors import ConfigError
from sparkscale.contract.record import RunRecord
from sparkscale.contract.threshold import Threshold
from sparkscale.store.store import Store
from tests.analysis.compare.reading import (
    Change,
    Compares,
    Written,
    answer,
    headings,
    not_compared,
    rows,
    text,
    verdicts,
    warnings,
)


def test_only_the_engine_that_became_slower_is_worse(written: Written, compared: Compares) -> None:
    written("one")
    written("two", {"xgboost": 1.15, "mllib": 1 / 1.3})
    of = compared()
    assert verdicts(of) == {"sklearn": {"same"}, "xgboost": {"worse"}, "mllib": {"better"}}
    (quarter, whole) = (row for row in of.rows if row.change == "worse")
    assert quarter.measured is not None
    assert quarter.measured.ratio == pytest.approx(1.15, rel=0.03)
    assert answer(of).verdict == "yes"
    assert "2 comparisons worse: data_parallel.gradient_boosting xgboost flights 1/4 on local" in answer(of).text
    assert "2 comparisons better: " in answer(of).text
    assert not of.is_incomplete
    assert whole.rounds == (8, 8)


def test_equal_sides_are_the_same(written: Written, compared: Compares) -> None:
    written("one")
    written("two")
    assert set.union(*verdicts(compared()).values()) == {"same"}
    assert answer(compared()).verdict == "no"


def test_a_run_against_itself_is_exactly_the_same(written: Written, compared: Compares) -> None:
    written("one", noise=0.3)
    of = compared("one", "one")
    assert {row.change for row in of.rows} == {"same"}
    assert all(row.exact for row in of.rows)
    assert of.tests == 0


@pytest.mark.parametrize("ignored", [(), ("cluster",)])
def test_emulated_hosts_are_not_compared_with_real_ones(
    written: Written, compared: Compares, ignored: tuple[str, ...]
) -> None:
    """Not even if clusters may differ, and if cases under other conditions are compared."""

    def on(cluster: str, kind: str) -> Change:
        where = {"cluster": cluster, "cluster_kind": kind}
        return lambda record: {"case": record.case.model_copy(update=where)}

    written("one", change=on("pair", "standalone"))
    written("two", change=on("emulated-pair" if ignored else "pair", "emulated"))
    of = compared(ignored=ignored)
    assert any("emulated hosts, not real ones" in one for one in of.pairing.refusals)
    assert of.rows == ()
    assert of.findings == ()
    assert any("emulated hosts, not real ones" in str(row) for row in not_compared(of))


def test_three_rounds_resolve_nothing_and_say_why(written: Written, compared: Compares) -> None:
    written("one", rounds=3)
    written("two", {"xgboost": 1.5}, rounds=3)
    of = compared()
    assert set.union(*verdicts(of).values()) == {"not resolved"}
    assert answer(of).verdict == "not resolved"
    assert "p of 3+3 rounds cannot be below 0.1, and 6 tests together need 5 rounds of each side" in answer(of).text
    assert "about 5 to " in answer(of).would_resolve
    assert of.is_incomplete


def test_one_round_needs_more(written: Written, compared: Compares) -> None:
    written("one", rounds=1)
    written("two", {"xgboost": 3}, rounds=1)
    of = compared()
    assert {row.needs for row in rows(of, "time_to_model")} == {"5 rounds or more"}
    assert of.is_incomplete


def test_a_rate_is_better_if_it_is_higher(written: Written, compared: Compares) -> None:
    written("one")
    written("two", {"xgboost": 1.3})
    assert verdicts(compared(wanted=["rows_per_second"]), "rows_per_second")["xgboost"] == {"worse"}


def test_zeros_are_compared_by_their_difference(written: Written, compared: Compares) -> None:
    def of_run(added: float) -> Change:
        generator = np.random.default_rng(1)
        return lambda record: {"seconds": {**record.seconds, "predict": added + added * generator.random() / 10}}

    written("one", change=of_run(0.0))
    written("two", change=of_run(2.0))
    of_predict = rows(compared(wanted=["seconds_predict"]), "seconds_predict")
    assert {row.change for row in of_predict} == {"worse"}
    assert "+2." in text(report(compared(wanted=["seconds_predict"])))


def test_thresholds_are_those_of_the_suite_unless_stated(written: Written, compared: Compares) -> None:
    written("one")
    written("two", {"xgboost": 1.15})
    loose = Threshold(metric="time_to_model", threshold=0.3, engine="xgb*")
    assert verdicts(compared(limits=Limits(rules=(loose,))))["xgboost"] == {"same"}
    assert verdicts(compared(limits=Limits(0.5)))["xgboost"] == {"same"}
    other = loose.model_copy(update={"engine": "mllib", "metric": "nothing"})
    of = compared(limits=Limits(rules=(other,)))
    assert verdicts(of)["xgboost"] == {"worse"}
    assert "A threshold ([[gate]]) names the metric nothing, which no record has." in warnings(of)


def test_two_data_sets_of_one_name_are_never_pooled(written: Written, compared: Compares) -> None:
    def other_data(record: RunRecord) -> dict[str, Any]:
        return {"case": record.case.model_copy(update={"dataset_id": "other"})} if record.round > 4 else {}

    written("one", change=other_data)
    written("two", change=other_data)
    of = compared()
    assert {row.rounds for row in of.rows} == {(4, 4)}
    assert len(rows(of, "time_to_model")) == 12


def test_other_hosts_data_and_versions_are_refused(two: Store, written: Written, compared: Compares) -> None:
    other = two.describe("host", {"cpu": "Another CPU", "usable_cores": 8, "memory_bytes": 2**35, "os": "Linux"})
    written("one")
    written(
        "two",
        change=lambda record: {
            "host": other,
            "case": record.case.model_copy(update={"dataset_id": "other", "version": 2}),
        },
    )
    data, host, version = compared().pairing.refusals
    assert data == "flights: other data of the same name"
    assert "another host (Another CPU" in host
    assert version.endswith("version 2 of the workload, not 1")
    assert compared("one", "one").pairing.refusals == ()
    assert any("differ in more than what is compared: flights" in one for one in warnings(compared()))


def test_one_record_under_other_conditions_is_enough_to_refuse(
    two: Store, written: Written, compared: Compares
) -> None:
    other = two.describe("host", {"cpu": "Another CPU", "usable_cores": 8, "memory_bytes": 2**35, "os": "Linux"})
    written("one")
    written("two", change=lambda record: {"host": other} if record.round == 1 else {})
    assert any("some of its records in run two have another host" in one for one in compared().pairing.refusals)


def test_an_ignored_property_may_have_one_value_on_each_side(written: Written, compared: Compares) -> None:
    written("one")
    written("two", change=lambda record: {"case": record.case.model_copy(update={"cluster": "standalone-2x1"})})
    assert compared().pairing.pairs == ()
    of = compared(ignored=["cluster"])
    assert len(rows(of, "time_to_model")) == 6
    assert not any("standalone" in heading for heading in headings(report(of)))
    with pytest.raises(ConfigError, match=r"differ only in engine, which is ignored: choose one with --filter"):
        compared(ignored=["engine"])
