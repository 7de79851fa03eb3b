"""Base against head, case by case: verdicts on records with a planted difference, and what is never dropped."""

from collections.abc import Callable, Iterable
from typing import Any, Protocol

import numpy as np
import pytest

from sparkscale.analysis.blocks import Answer, Block, Grid, Heading, Warning
from sparkscale.analysis.conditions import Reader
from sparkscale.analysis.questions.compare.compare import Compared, compare
from sparkscale.analysis.questions.compare.outcomes import fisher
from sparkscale.analysis.questions.compare.parts import Limits
from sparkscale.analysis.questions.compare.report import report
from sparkscale.analysis.questions.compare.row import Row
from sparkscale.analysis.questions.compare.side import Side
from sparkscale.contract.errors import ConfigError
from sparkscale.contract.record import Outcome, RunRecord, SparkMetrics
from sparkscale.contract.threshold import Threshold
from sparkscale.store.store import Store
from tests.analysis.reading import printed
from tests.builders import Writer, case, case_of, invocation

ENGINES = ("sklearn", "xgboost", "mllib")
Sides = Callable[[str], Side]
Written = Callable[..., None]


class Compares(Protocol):
    def __call__(self, base: str = "one", head: str = "two", **options: Any) -> Compared: ...


@pytest.fixture
def compared(side: Sides) -> Compares:
    def of(base: str = "one", head: str = "two", **options: Any) -> Compared:
        return compare(side(base), side(head), **options)

    return of


def verdicts(of: Compared, metric: str = "time_to_model") -> dict[str, set[str]]:
    """The verdicts on each engine."""
    return {
        engine: {row.change for row in of.rows if (row.subject.engine, row.metric) == (engine, metric)}
        for engine in ENGINES
    }


def rows(of: Compared, metric: str) -> list[Row]:
    return [row for row in of.rows if row.metric == metric]


def answer(of: Compared) -> Answer:
    return next(block for block in report(of) if isinstance(block, Answer))


def warnings(of: Compared) -> list[str]:
    return [block.text for block in report(of) if isinstance(block, Warning)]


def not_compared(of: Compared) -> list[tuple[Any, ...]]:
    """The rows of the table of what is not compared."""
    grids = [block for block in report(of) if isinstance(block, Grid) and block.title == "What is not compared"]
    return list(grids[0].rows) if grids else []


def headings(blocks: Iterable[Block]) -> list[str]:
    return [block.text for block in blocks if isinstance(block, Heading) and block.level == 2]


def text(blocks: Any) -> str:
    return " ".join(printed(blocks, 220).split())


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


def test_a_less_accurate_model_is_worse_and_an_equal_one_is_exactly_the_same(
    two: Store, written: Written, compared: Compares
) -> None:
    written("one", noise=0.3)
    written("two", noise=1.0)
    two.begin(invocation("three", day=3))
    written("three", noise=0.3)
    assert set.union(*verdicts(compared(), "AUC").values()) == {"worse"}
    assert set.union(*verdicts(compared("two", "one"), "AUC").values()) == {"better"}
    equal = compared("one", "three")
    assert {(row.change, bool(row.exact)) for row in rows(equal, "AUC")} == {("same", True)}
    grids = [block for block in report(compared()) if isinstance(block, Grid)]
    effects = [row[5] for row in grids[0].rows if row[2] == "AUC"]
    assert all(str(effect).startswith("-0.") for effect in effects)  # the head minus the base


def test_quality_counts_among_the_tests(written: Written, compared: Compares) -> None:
    written("one", noise=0.3)
    written("two", noise=0.35)
    of = compared()
    assert of.tests == 12
    assert compared(wanted=["time_to_model"]).tests == 6
    assert all(row.adjusted_p is not None for row in of.rows)


def test_seeds_that_the_sides_do_not_share_are_said(written: Written, compared: Compares) -> None:
    written("one", noise=0.3)
    written(
        "two",
        noise=0.3,
        change=lambda record: {"case": record.case.model_copy(update={"sample_seed": record.case.sample_seed + 100})},
    )
    of = compared()
    assert rows(of, "AUC") == []
    assert not_compared(of)[0][1:] == ("AUC", "the sides have no seeds in common")
    assert of.is_incomplete
    assert answer(of).verdict == "not resolved"


def test_a_quality_can_be_the_only_metric(written: Written, compared: Compares) -> None:
    written("one", noise=0.3)
    written("two", noise=1.0)
    for name in ("auc", "auc_loss"):
        of = compared(wanted=[name, name])
        assert {row.metric for row in of.rows} == {"AUC"}
        assert len(of.rows) == 6
        assert {row.change for row in of.rows} == {"worse"}


def test_a_judged_quality_needs_stored_scores_unless_it_is_equal(written: Written, compared: Compares) -> None:
    written("one", change=lambda _: {"quality": {"auc": 0.7}})
    written("two", change=lambda record: {"quality": {"auc": 0.6 if record.case.engine == "mllib" else 0.7}})
    of = compared()
    assert verdicts(of, "AUC") == {"sklearn": {"same"}, "xgboost": {"same"}, "mllib": {"not resolved"}}
    assert {row.needs for row in rows(of, "AUC")} == {"", "stored scores"}
    assert of.is_incomplete


def test_a_quality_without_stored_scores_is_paired_on_its_seeds(written: Written, compared: Compares) -> None:
    def of_run(shift: float) -> Callable[[RunRecord], dict[str, Any]]:
        generator = np.random.default_rng(1 + int(100 * shift))
        return lambda record: {"quality": {"log_loss": 0.5 + record.round / 10 + shift + generator.normal(0, 0.002)}}

    written("one", change=of_run(0))
    written("two", change=of_run(0.1))
    of = compared(wanted=["log_loss"])
    assert {row.change for row in of.rows} == {"worse"}  # although rounds differ more than sides
    assert {row.rounds for row in of.rows} == {(8, 8)}


@pytest.mark.parametrize(("side_without", "expected"), [("two", "worse"), ("one", "better")])
def test_a_case_without_any_result_on_one_side_is_a_finding(
    written: Written, compared: Compares, side_without: str, expected: str
) -> None:
    for of in ("one", "two"):
        fails = of == side_without
        written(of, outcomes=lambda engine, _, fails=fails: "oom" if fails and engine == "mllib" else "ok")
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


def test_a_metric_of_one_side_is_named(written: Written, compared: Compares) -> None:
    written("one")
    written("two", change=lambda _: {"seconds": {"load": 1.0, "fit": 1.0}})
    absent = not_compared(compared(wanted=["seconds_predict", "seconds_fit"]))
    assert {(metric, why) for _, metric, why in absent} == {("seconds_predict", "only the base has a value")}
    assert len(absent) == 6


def test_an_unknown_metric_names_similar_ones(written: Written, compared: Compares) -> None:
    written("one")
    with pytest.raises(ConfigError, match=r"no metric|has a metric 'seconds_fitt': choose from seconds_fit"):
        compared("one", "one", wanted=["seconds_fitt"])


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


def test_figures_that_depend_on_seeds_alone_need_no_test(two: Store) -> None:
    """Three rounds could never show a difference by ranks."""
    inference = case_of(workload="inference.boosting", pattern="inference", engine="single-process")
    sides = {}
    for of, size in (("one", 1000.0), ("two", 1200.0)):
        write = Writer(
            two,
            of,
            lambda record, of=of, size=size: {  # type: ignore[misc]
                "id": f"{of}-{record.id}",
                "seconds": {"load": 1.0, "predict": 1.0 + record.round / 100},
                "figures": {"model_bytes": size, "bytes_read": 5.0 * size},
            },
        )
        for number in (1, 2, 3):
            write(inference.model_copy(update={"sample_seed": number}), number, seconds=1)
        sides[of] = Side(of, tuple(two.records(of)), Reader(two, {of: two.invocation(identity=of)}))
    made = compare(sides["one"], sides["two"], ["model_bytes", "bytes_read"])
    assert [(row.metric, row.change) for row in made.rows] == [
        ("model_bytes", "worse"),
        ("bytes_read", "different"),  # nobody declared whether fewer are better
    ]
    assert made.tests == 0
    assert "exactly" in text(report(made))


def test_a_rate_is_better_if_it_is_higher(written: Written, compared: Compares) -> None:
    written("one")
    written("two", {"xgboost": 1.3})
    assert verdicts(compared(wanted=["rows_per_second"]), "rows_per_second")["xgboost"] == {"worse"}


def test_zeros_are_compared_by_their_difference(written: Written, compared: Compares) -> None:
    for of, added in (("one", 0.0), ("two", 2.0)):
        generator = np.random.default_rng(int(added))
        written(
            of,
            change=lambda record, added=added, generator=generator: {
                "seconds": {**record.seconds, "predict": added + added * generator.random() / 10}
            },
        )
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


def test_repeated_seeds_all_count(written: Written, compared: Compares) -> None:
    """All rounds have the same seeds, and one round of the head happens to be as good as the base."""

    def of_run(values: list[float]) -> Callable[[RunRecord], dict[str, Any]]:
        return lambda record: {
            "quality": {"log_loss": values[record.round - 1]},
            "case": record.case.model_copy(update={"sample_seed": 1, "model_seed": 1, "rows": 7}),
        }

    written("one", change=of_run([0.5] * 8))
    written("two", change=of_run([0.9] * 7 + [0.5]))
    of_loss = rows(compared(wanted=["log_loss"]), "log-loss")
    assert {row.change for row in of_loss} == {"worse"}
    assert {row.rounds for row in of_loss} == {(8, 8)}


@pytest.mark.parametrize(
    ("base", "head", "expected"), [(-0.1, -0.5, "worse"), (-0.5, -0.1, "better"), (0, 0.4, "better")]
)
def test_a_quality_that_is_zero_or_negative_keeps_its_direction(
    written: Written, compared: Compares, base: float, head: float, expected: str
) -> None:
    for of, value in (("one", base), ("two", head)):
        written(of, change=lambda record, value=value: {"quality": {"skill": value + (record.round - 4) / 1000}})
    assert {row.change for row in compared(wanted=["skill"]).rows} == {expected}


def test_a_quality_that_is_not_a_number_is_a_gap(written: Written, compared: Compares) -> None:
    written("one", change=lambda _: {"quality": {"log_loss": 0.5}})
    written("two", change=lambda _: {"quality": {"log_loss": float("nan")}})
    of = compared(wanted=["log_loss"])
    assert of.rows == ()
    assert {why for *_, why in not_compared(of)} == {"only the base has a value"}
    assert of.is_incomplete


def test_two_seeds_are_too_few_for_a_verdict_on_a_quality(written: Written, compared: Compares) -> None:
    written("one", noise=0.3, rounds=2)
    written("two", noise=2.0, rounds=2)
    of_auc = rows(compared(), "AUC")
    assert {(row.change, row.needs) for row in of_auc} == {("not resolved", "3 rounds or more")}


def test_a_rate_counts_timeouts_as_no_work(written: Written, compared: Compares) -> None:
    written("one")
    written("two", outcomes=lambda engine, number: "timeout" if engine == "mllib" and number > 1 else "ok")
    assert verdicts(compared(wanted=["rows_per_second"]), "rows_per_second")["mllib"] == {"worse"}


def test_a_bound_is_only_claimed_for_the_rows_that_have_one(written: Written, compared: Compares) -> None:
    written("one")
    written(
        "two",
        {"xgboost": 1.05},
        outcomes=lambda engine, number: "timeout" if engine == "mllib" and number > 4 else "ok",
    )
    assert "; for 2 others no bound is known." in answer(compared()).text
    assert "2 comparisons may be over 1.5 times worse than the threshold allows: too noisy to say." in (
        answer(compared()).text
    )
    assert compared().is_incomplete


def test_tests_that_cannot_be_significant_take_no_part_in_the_correction(
    two: Store, written: Written, compared: Compares
) -> None:
    for of, factors in (("one", None), ("two", {"xgboost": 1.5})):
        written(of, factors, rounds=5)
        isolated(two, of, "ok", peak=2**30)
    made = compared(wanted=["time_to_model", "peak_memory"])
    assert (made.tests, made.planned_tests) == (6, 7)
    assert verdicts(made)["xgboost"] == {"worse"}  # p = 6 * 0.0079; with 7 tests it would be 0.056


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


def test_fishers_test_is_that_of_scipy() -> None:
    from scipy.stats import fisher_exact

    for base, head in (((8, 8), (4, 8)), ((5, 8), (8, 8)), ((1, 3), (7, 9)), ((0, 4), (4, 4)), ((8, 8), (8, 8))):
        table = [[base[0], base[1] - base[0]], [head[0], head[1] - head[0]]]
        assert fisher(base, head) == pytest.approx(fisher_exact(table).pvalue)
