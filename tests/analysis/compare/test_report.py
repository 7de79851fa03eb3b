"""The report of a comparison: nothing is dropped silently, and no two rows read alike."""

from typing import Any

import pytest

from sparkscale.analysis.blocks import Block, Grid
from sparkscale.analysis.questions.compare.report import report
from sparkscale.contract.errors import ConfigError
from sparkscale.contract.record import RunRecord
from tests.analysis.compare.reading import Compares, Written, answer, headings, not_compared, text


def test_a_metric_of_one_side_is_named(written: Written, compared: Compares) -> None:
    written("one")
    written("two", change=lambda _: {"seconds": {"load": 1.0, "fit": 1.0}})
    absent = not_compared(compared(wanted=["seconds_predict", "seconds_fit"]))
    assert {(metric, why) for _, metric, why in absent} == {("seconds_predict", "only the base has a value")}
    assert len(absent) == 6


def test_a_named_metric_that_nobody_has_is_in_the_table(written: Written, compared: Compares) -> None:
    written("one")
    written("two")
    made = compared(wanted=["time_to_model", "rmse"])
    assert {why for *_, why in not_compared(made)} == {"neither side has a value"}
    assert not made.is_incomplete


def test_an_unknown_metric_names_similar_ones(written: Written, compared: Compares) -> None:
    written("one")
    with pytest.raises(ConfigError, match=r"no metric|has a metric 'seconds_fitt': choose from seconds_fit"):
        compared("one", "one", wanted=["seconds_fitt"])


def test_parameters_that_differ_are_shown(written: Written, compared: Compares) -> None:
    def few_trees(record: RunRecord) -> dict[str, Any]:
        params = {**record.case.params, "trees": 5 if record.case.fraction < 1 else 50}
        return {"case": record.case.model_copy(update={"params": params, "fraction": 1.0})}

    written("one", change=few_trees)
    written("two", {"xgboost": 1.3}, change=few_trees)
    assert "xgboost flights 1 on local (trees 50) (time_to_model × 1.3" in answer(compared()).text
    assert "trees 5 │" in text(report(compared()))
    assert "trees 5 │" in text(report(compared(), ("engine",)))


def test_a_table_is_made_for_each_property_that_is_no_column(written: Written, compared: Compares) -> None:
    written("one")
    written("two")
    blocks: list[Block] = list(report(compared(), ("engine", "fraction", "cluster")))
    assert headings(blocks)[0] == "data_parallel.gradient_boosting, flights, cpu, aligned"
    assert "case by case: cluster local" in text(blocks)
    assert headings(report(compared(), ("engine",)))[:2] == [
        "data_parallel.gradient_boosting, flights, local, cpu, aligned, 1/4",
        "data_parallel.gradient_boosting, flights, local, cpu, aligned, 1",
    ]


def test_means_say_what_they_leave_out(written: Written, compared: Compares) -> None:
    written("one")
    written(
        "two", {"xgboost": 1.2, "sklearn": 1 / 1.2}, outcomes=lambda engine, _: "oom" if engine == "mllib" else "ok"
    )
    blocks = list(report(compared()))
    grid = [block for block in blocks if isinstance(block, Grid)][-1]
    ((pattern, metric, mean, cases),) = grid.rows
    assert (pattern, metric, cases) == ("data_parallel", "time_to_model", 4)
    assert mean == pytest.approx(1.0, abs=0.01)
    assert (
        "The means do not cover 2 cases with a result on one side only, and 0 comparisons without a ratio."
        in text(blocks)
    )


def test_a_bound_is_only_claimed_for_the_rows_that_have_one(written: Written, compared: Compares) -> None:
    written("one")
    written(
        "two",
        {"xgboost": 1.05},
        outcomes=lambda engine, number: "timeout" if engine == "mllib" and number > 4 else "ok",
    )
    assert "; for 2 others no bound is known)." in answer(compared()).text
    assert "2 comparisons may be over 1.5 times worse than the threshold allows: too noisy to say." in (
        answer(compared()).text
    )
    assert compared().is_incomplete


def test_more_missing_cases_than_a_sentence_names_are_all_in_the_table(written: Written, compared: Compares) -> None:
    written("one")
    written(
        "two", change=lambda record: {"case": record.case.model_copy(update={"engine": f"new-{record.case.engine}"})}
    )
    assert len(not_compared(compared())) == 12


def test_new_cases_of_the_head_are_no_gap(written: Written, compared: Compares) -> None:
    written(
        "one",
        change=lambda record: {"case": record.case.model_copy(update={"engine": "sklearn", "rows": record.round})},
    )
    written("two")
    assert {subject.engine for subject in compared().pairing.only_head} == {"xgboost", "mllib"}
    assert not compared(wanted=["auc"]).is_incomplete
