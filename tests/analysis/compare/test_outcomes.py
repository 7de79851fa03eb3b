"""Executions that failed, timed out or were isolated: what is compared, and what is a finding."""

from typing import Any

import pytest

from sparkscale.analysis.blocks import Grid
from sparkscale.analysis.questions.compare.outcomes import fisher
from sparkscale.analysis.questions.compare.report import report
from sparkscale.contract.record import Outcome, RunRecord, SparkMetrics
from sparkscale.store.store import Store
from tests.analysis.compare.reading import Compares, Written, answer, not_compared, rows, text, verdicts
from tests.builders import Writer, case


@pytest.mark.parametrize(("side_without", "expected"), [("two", "worse"), ("one", "better")])
def test_a_case_without_any_result_on_one_side_is_a_finding(
    written: Written, compared: Compares, side_without: str, expected: str
) -> None:
    (side_with,) = {"one", "two"} - {side_without}
    written(side_with)
    written(side_without, outcomes=lambda engine, _: "oom" if engine == "mllib" else "ok")
    made = compared()
    assert {(one.subject.engine, one.change) for one in made.findings} == {("mllib", expected)}
    assert "mllib" not in {row.subject.engine for row in made.rows}
    grid = next(block for block in report(made) if isinstance(block, Grid))
    assert grid.title == "Cases with other outcomes than ok"
    assert grid.rows[0][1:] == (
        ("8 ok", "8 oom", expected, "because oom")
        if expected == "worse"
        else ("8 oom", "8 ok", expected, "because oom")
    )
    assert (answer(made).verdict == "yes") == (expected == "worse")


def test_a_partly_failed_case_is_compared_in_its_good_rounds_and_shown(written: Written, compared: Compares) -> None:
    written("one")
    written("two", outcomes=lambda engine, number: "failed" if (engine, number) == ("mllib", 3) else "ok")
    of = compared()
    assert {(one.subject.engine, one.head.words, one.change) for one in of.findings} == {
        ("mllib", "7 of 8 ok, 1 failed", "not resolved")
    }
    assert of.is_incomplete
    assert "2 cases failed more often, which may be chance: " in answer(of).text
    assert {row.rounds for row in rows(of, "time_to_model") if row.subject.engine == "mllib"} == {(8, 7)}
    assert verdicts(of)["mllib"] == {"same"}


def test_a_timeout_counts_as_longer_than_any_time(written: Written, compared: Compares) -> None:
    written("one")
    written("two", outcomes=lambda engine, number: "timeout" if engine == "mllib" and number > 1 else "ok")
    of = compared()
    assert verdicts(of)["mllib"] == {"worse"}
    assert "timeout" in text(report(of))


def test_lost_executors_are_said(written: Written, compared: Compares) -> None:
    written("one")
    written(
        "two",
        change=lambda record: {
            "spark": SparkMetrics(executors_lost=int(record.round == 2 and record.case.engine == "mllib"))
        },
    )
    of = compared()
    assert {one.head.words for one in of.findings} == {"8 ok, 1 execution without a time (lost executor)"}
    assert {row.rounds for row in rows(of, "time_to_model") if row.subject.engine == "mllib"} == {(8, 7)}


def test_cases_of_one_side_and_without_any_result_are_named(written: Written, compared: Compares) -> None:
    def of_another_sample(record: RunRecord) -> dict[str, Any]:
        return {"case": record.case.model_copy(update={"fraction": 1 / 2})} if record.case.fraction < 1 else {}

    for of, change in (("one", lambda _: {}), ("two", of_another_sample)):
        written(of, outcomes=lambda engine, _: "timeout" if engine == "mllib" else "ok", change=change)
    assert [why for *_, why in not_compared(compared())] == [
        *["only the base has this case"] * 3,
        *["only the head has this case"] * 3,
        "neither side has a result (8 timeout)",
    ]
    assert answer(compared()).verdict == "not resolved"
    assert "The head lacks 3 cases of the base. 3 cases new in the head." in answer(compared()).text


def test_memory_is_that_of_isolated_executions(two: Store, written: Written, compared: Compares) -> None:
    for of, peak in (("one", 100), ("two", 150)):
        written(of)
        write = Writer(
            two,
            of,
            lambda record, of=of, peak=peak: {  # type: ignore[misc]
                "id": f"{of}-isolated-{record.id}",
                "resources": record.resources.model_copy(
                    update={"peak_pss_bytes": (peak + record.round) * 2**20, "baseline_bytes": 50 * 2**20}
                ),
            },
        )
        for number in range(1, 7):
            write(case("xgboost", 1.0, seed=number), number, seconds=99, temperature="cold", isolated=True)
    of_memory = rows(compared(), "memory_needed")
    assert [(row.change, row.rounds) for row in of_memory] == [("worse", (6, 6))]
    assert "MiB" in text(report(compared()))
    assert {row.rounds for row in rows(compared(), "time_to_model")} == {(8, 8)}


def isolated(two: Store, of: str, outcome: Outcome, peak: int | None = None) -> None:
    """Writes an isolated execution of xgboost on all rows."""
    write = Writer(two, of, lambda record: {"id": f"{of}-isolated-{record.id}"})
    write(case("xgboost", 1.0, seed=1), 1, seconds=9, outcome=outcome, temperature="cold", isolated=True, peak=peak)


def test_a_case_that_fails_in_all_rounds_is_worse_although_its_isolated_execution_is_ok(
    two: Store, written: Written, compared: Compares
) -> None:
    written("one")
    written("two", outcomes=lambda engine, _: "failed" if engine == "xgboost" else "ok")
    for of in ("one", "two"):
        isolated(two, of, "ok", peak=2**30)
    made = compared()
    assert {(one.subject.fraction, one.kind, one.change) for one in made.findings} == {
        (0.25, "", "worse"),
        (1.0, "", "worse"),
    }
    assert answer(made).verdict == "yes"


def test_one_isolated_execution_is_no_gap_unless_memory_is_wanted(
    two: Store, written: Written, compared: Compares
) -> None:
    for of in ("one", "two"):
        written(of)
        isolated(two, of, "ok", peak=2**30)
    assert not compared().is_incomplete
    assert answer(compared()).verdict == "no"
    assert compared(wanted=["peak_memory"]).is_incomplete


def test_more_failures_are_tested(written: Written, compared: Compares) -> None:
    written("one")
    written("two", outcomes=lambda engine, number: "oom" if engine == "mllib" and number > 1 else "ok")
    made = compared()
    assert {one.change for one in made.findings} == {"worse"}
    assert all(one.p == pytest.approx(0.0014, abs=1e-4) for one in made.findings)
    assert "(1 of 8 ok, 7 oom; base: 8 ok)" in answer(made).text
    fewer = compared("two", "one")
    assert {one.change for one in fewer.findings} == {"better"}


def test_a_rate_counts_timeouts_as_no_work(written: Written, compared: Compares) -> None:
    written("one")
    written("two", outcomes=lambda engine, number: "timeout" if engine == "mllib" and number > 1 else "ok")
    assert verdicts(compared(wanted=["rows_per_second"]), "rows_per_second")["mllib"] == {"worse"}


def test_tests_that_cannot_be_significant_take_no_part_in_the_correction(
    two: Store, written: Written, compared: Compares
) -> None:
    for of, factors in (("one", None), ("two", {"xgboost": 1.5})):
        written(of, factors, rounds=5)
        isolated(two, of, "ok", peak=2**30)
    made = compared(wanted=["time_to_model", "peak_memory"])
    assert (made.tests, made.planned_tests) == (6, 7)
    assert verdicts(made)["xgboost"] == {"worse"}  # p = 6 * 0.0079; with 7 tests it would be 0.056


def test_fishers_test_is_that_of_scipy() -> None:
    from scipy.stats import fisher_exact

    for base, head in (((8, 8), (4, 8)), ((5, 8), (8, 8)), ((1, 3), (7, 9)), ((0, 4), (4, 4)), ((8, 8), (8, 8))):
        table = [[base[0], base[1] - base[0]], [head[0], head[1] - head[0]]]
        assert fisher(base, head) == pytest.approx(fisher_exact(table).pvalue)
