"""The asv class: its parameters come from the registry, its traps are closed."""

from benchmarks.data_parallel import CASES, METRICS, DataParallel
from sparkscale.analysis.metrics import metrics
from sparkscale.measure import plan, suite


def test_every_engine_and_fraction_of_quick_is_a_parameter() -> None:
    engines, fractions = DataParallel.params
    quick = {(case.workload.name, case.engine.name) for case in plan.cases(suite.load("quick"))}
    assert set(engines) == {f"{workload.removeprefix('data_parallel.')}/{engine}" for workload, engine in quick}
    assert fractions == ["1/64", "1/16", "1/4", "1"]
    assert len(CASES) == len(engines) * len(fractions)


def test_only_what_is_better_when_smaller_is_published() -> None:
    assert {metrics()[name].direction for name in METRICS} == {"lower"}
    for name in METRICS:
        method = getattr(DataParallel, f"track_{name}")
        assert method.unit
        assert method.pretty_name


def test_what_was_not_measured_is_not_a_number() -> None:
    found = DataParallel().track_auc_loss({("auc_loss", "gradient_boosting/xgboost", "1"): 0.3}, "other", "1")
    assert found != found  # noqa: PLR0124
