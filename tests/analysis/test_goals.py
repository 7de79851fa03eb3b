"""Goals: pairs of one round and one cluster, and verdicts that the whole interval must carry."""

import pytest
from pydantic import ValidationError

from sparkscale.analysis import every_metric
from sparkscale.analysis.blocks import Grid
from sparkscale.analysis.goals import JudgedGoal, goals, verdict
from sparkscale.contract.goal import Goal, Side
from sparkscale.contract.record import RunRecord, Temperature
from sparkscale.measure.plan import suite
from sparkscale.measure.plan.cases import PlannedCase, planned_cases
from tests.builders import case, record
from workloads import registry

ENGINES = ("mllib", "xgboost")
HALF = Goal(
    name="half",
    metric="time_to_model",
    upper=Side(workload="data_parallel.gradient_boosting", engine="mllib"),
    lower=Side(workload="data_parallel.gradient_boosting", engine="xgboost"),
    at_most=0.75,
)
AT_LEAST = HALF.model_copy(update={"at_most": None, "at_least": 0.75})


def executed(
    engine: str, number: int, seconds: float, temperature: Temperature = "warm", isolated: bool = False
) -> RunRecord:
    phases = {"load": 0.0, "fit": seconds, "predict": 1.0}
    observed = {"seconds": phases, "temperature": temperature, "isolated": isolated, "round": number}
    return record(f"{engine}-{number}").model_copy(update={"case": case(engine, 1.0), **observed})


def test_a_ratio_is_of_one_round_and_of_warm_executions() -> None:
    records = [
        executed("mllib", 1, 2.0),
        executed("xgboost", 1, 4.0),
        executed("mllib", 2, 3.0),
        executed("xgboost", 2, 30.0, temperature="warmup"),
        executed("xgboost", 2, 4.0),
        executed("mllib", 3, 1.0),
        executed("mllib", 4, 1.0, isolated=True),
        executed("xgboost", 4, 1.0),
    ]
    assert JudgedGoal(HALF, records).samples() == [0.5, 0.75]
    difference = HALF.model_copy(update={"kind": "difference"})
    assert JudgedGoal(difference, records).samples() == [-2.0, -1.0]


def test_a_goal_is_not_met_by_the_rounds_that_ended_in_time() -> None:
    records = [executed(engine, number, 1.0 + (engine == "xgboost")) for engine in ENGINES for number in range(1, 6)]
    assert JudgedGoal(HALF, records).verdict() == "met"
    late = executed("mllib", 6, 0.0).model_copy(update={"outcome": "timeout", "seconds": {}})
    found = JudgedGoal(HALF, [*records, late, executed("xgboost", 6, 2.0)])
    assert found.verdict() == "not resolved: 1 execution without a time"


@pytest.mark.parametrize(
    ("samples", "most", "least"),
    [
        ([0.5, 0.6, 0.7, 0.6, 0.5], "met", "missed"),
        ([0.7, 0.74, 0.9, 0.7, 0.9], "not resolved", "not resolved"),
        ([0.8, 0.9, 0.8, 0.9, 0.8], "missed", "met"),
        ([0.5], "not resolved: 1 round; at least 5 are needed", "not resolved: 1 round; at least 5 are needed"),
        ([0.5] * 4, "not resolved: 4 rounds; at least 5 are needed", "not resolved: 4 rounds; at least 5 are needed"),
        ([0.7, 0.7, 0.7, 0.7, 0.7, 0.7, 0.7, 2.0], "not resolved", "not resolved"),
        ([0.6, 0.6, 0.6, 0.6, 0.6, 0.6, 0.6, 0.7], "met", "missed"),
        ([], "not measured", "not measured"),
    ],
)
def test_a_verdict_needs_the_whole_interval(samples: list[float], most: str, least: str) -> None:
    assert verdict(HALF, samples) == most
    assert verdict(AT_LEAST, samples) == least


def test_fewer_models_meet_no_goal() -> None:
    """45 of 90 models in half the time met the goal of being twice as fast."""
    records = [
        one.model_copy(update={"figures": {"models": models}})
        for number in range(1, 6)
        for one, models in ((executed("mllib", number, 0.5), 45.0), (executed("xgboost", number, 2.0), 90.0))
    ]
    assert JudgedGoal(HALF, records).verdict() == "not resolved: not the same number of models"
    same = [record.model_copy(update={"figures": {"models": 90.0}}) for record in records]
    assert JudgedGoal(HALF, same).verdict() == "met"


def test_clusters_are_not_mixed() -> None:
    here = executed("mllib", 1, 2.0)
    there = here.model_copy(update={"case": here.case.model_copy(update={"cluster": "standalone-2x1"})})
    (grid,) = [block for block in goals([HALF], [here, there, here]) if isinstance(block, Grid)]
    assert [row[0] for row in grid.rows] == ["local", "standalone-2x1"]
    assert list(goals([], [here])) == []


def test_only_the_largest_fraction_counts() -> None:
    """Rounds of a smaller one, measured for warm-ups, are no pairs of the larger one's."""
    small = [executed(name, 1, 100.0) for name in ("mllib", "xgboost")]
    small = [r.model_copy(update={"case": r.case.model_copy(update={"fraction": 1 / 16})}) for r in small]
    whole = [executed("mllib", 1, 3.0), executed("xgboost", 1, 6.0)]
    assert JudgedGoal(HALF, [*small, *whole]).samples() == [0.5]
    assert JudgedGoal(HALF, [*whole, *small]).samples() == [0.5]


@pytest.mark.parametrize("name", [name for name in suite.names() if suite.load(name).goal])
def test_each_side_of_a_goal_is_one_case_of_its_suite(name: str) -> None:
    """On the largest fraction that both are measured on; or the goal would be "not measured", or of any."""
    planned = [
        (found, case("any", found.fraction).model_copy(update=named(found)))
        for found in planned_cases(suite.load(name), clusters=("local",))
        if not found.isolate
    ]
    for goal in suite.load(name).goal:
        assert goal.metric in every_metric.metrics(registry.descriptions())
        sides = [[found for found, made in planned if side.takes(made)] for side in (goal.upper, goal.lower) if side]
        both = set.intersection(*({found.fraction for found in side} for side in sides))
        for side in sides:
            assert sum(found.fraction == max(both) for found in side) == 1, goal.name


def named(found: PlannedCase) -> dict[str, object]:
    return {"workload": found.workload.name, "engine": found.engine.name, "params": found.params.model_dump()}


def test_a_side_that_is_0_gives_no_ratio() -> None:
    """Two engines that made no model: their models per second were divided."""
    records = [
        one.model_copy(update={"seconds": {"load": 0.0, "fit": 0.0, "predict": 1.0}})
        for number in range(1, 6)
        for one in (executed("mllib", number, 0.5), executed("xgboost", number, 2.0))
    ]
    assert JudgedGoal(HALF, records).verdict() == "not resolved: the time_to_model of a side is 0"


def test_a_metric_that_no_record_has_is_named() -> None:
    goal = HALF.model_copy(update={"metric": "time_to_modle"})
    assert JudgedGoal(goal, [executed("mllib", 1, 2.0)]).verdict().endswith("no record has a metric 'time_to_modle'")


def test_a_difference_has_its_unit_once() -> None:
    goal = HALF.model_copy(update={"kind": "difference", "at_most": 4.0})
    records = [executed(engine, number, 1.0 + number) for engine in ENGINES for number in range(1, 3)]
    found = JudgedGoal(goal, records)
    assert (found.words(), found.limit()) == ("0 s", "at most 4 s")


def test_differences_are_judged_as_they_are_and_ratios_by_their_logarithms() -> None:
    samples = [0.1, 0.2, 0.3, 0.6, 0.7]
    assert verdict(HALF, samples) == "not resolved"
    assert verdict(HALF.model_copy(update={"kind": "difference"}), samples) == "met"


def test_a_ratio_has_no_unit() -> None:
    records = [executed(engine, number, 1.0 + (engine == "xgboost")) for engine in ENGINES for number in (1, 2)]
    found = JudgedGoal(HALF, records)
    assert (found.words(), found.limit()) == ("0.50", "at most 0.75")


def test_memory_is_told_in_mib() -> None:
    """A goal for one engine's peak: its limit is stated in bytes."""
    limits = {"kind": "difference", "metric": "peak_memory", "lower": None, "at_most": 512.0 * 2**20}
    records = []
    for number, peak in ((1, 300), (2, 320)):
        made = executed("mllib", number, 1.0)
        resources = made.resources.model_copy(update={"peak_pss_bytes": peak * 2**20})
        records.append(made.model_copy(update={"resources": resources}))
    found = JudgedGoal(HALF.model_copy(update=limits), records)
    assert (found.words(), found.limit()) == ("310 (300–320) MiB", "at most 512 MiB")


def test_a_limit_is_told_without_a_unit_if_the_metric_is_not_known() -> None:
    goal = HALF.model_copy(update={"metric": "time_to_modle", "kind": "difference", "at_most": 4.0})
    found = JudgedGoal(goal, [executed("mllib", 1, 2.0)])
    assert (found.words(), found.limit()) == (None, "at most 4")


def test_a_goal_for_a_quality_is_one_for_its_loss() -> None:
    """The metric of an AUC is 1 minus the AUC; a log loss is a loss already."""
    better = executed("mllib", 1, 2.0).model_copy(update={"quality": {"auc": 0.75, "log_loss": 0.5}})
    worse = executed("xgboost", 1, 2.0).model_copy(update={"quality": {"auc": 0.5, "log_loss": 0.25}})
    found = every_metric.of_records([better, worse])
    assert JudgedGoal(HALF.model_copy(update={"metric": "auc_loss"}), [better, worse]).samples() == [0.5]
    assert found["log_loss"].samples([better, worse]) == [0.5, 0.25]


@pytest.mark.parametrize("limits", [{"at_most": 0.0}, {"at_most": 1.0, "at_least": 0.5}])
def test_a_goal_that_cannot_be_is_refused(limits: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        Goal.model_validate({**HALF.model_dump(exclude={"at_most"}), **limits})


def test_a_goal_is_of_engines_with_all_threads() -> None:
    records = [executed(engine, number, 1.0 + (engine == "xgboost")) for engine in ENGINES for number in range(1, 6)]
    alone = [executed("xgboost", number, 9.0) for number in range(1, 6)]
    lost = executed("xgboost", 6, 0.0).model_copy(update={"outcome": "timeout", "seconds": {}})
    one_thread = [
        record.model_copy(update={"case": record.case.model_copy(update={"threads": 1})}) for record in [*alone, lost]
    ]
    found = JudgedGoal(HALF, [*records, *one_thread])
    assert found.samples() == [0.5] * 5
    assert found.verdict() == "met"
