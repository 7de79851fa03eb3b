"""asv's classes: made from the registry, with every trap of asv's closed."""

import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cluster.budget import budget
from sparkscale.analysis.every_metric import metrics
from sparkscale.contract.case import Case
from sparkscale.contract.dataset import PreparedDataset
from sparkscale.contract.seeds import Seeds
from sparkscale.history import grid
from sparkscale.history.asv_benchmarks import benchmark_class, tracked_metrics
from sparkscale.history.grid import Point
from sparkscale.measure.plan import suite
from sparkscale.measure.plan.cases import planned_cases
from tests.builders import record
from workloads import registry
from workloads.datasets.flights import Flights
from workloads.datasets.tabular import Classification

RECORD = record("a")
FOLDER = Path(__file__).parents[1] / "benchmarks"
EXPLICIT = ("timeout", "number", "repeat", "rounds", "warmup_time", "version", "param_names")
"""What asv would else take from a base class, its configuration, or the source of the benchmark."""


def classes() -> Iterator[type[Any]]:
    """Every class that a module of `benchmarks/` defines."""
    for path in sorted(FOLDER.glob("[!_]*.py")):
        module = importlib.import_module(f"benchmarks.{path.stem}")
        for _, found in inspect.getmembers(module, inspect.isclass):
            if found.__module__ == module.__name__:
                yield found


@pytest.fixture(params=[pytest.param(found, id=found.__name__) for found in classes()])
def found(request: pytest.FixtureRequest) -> type[Any]:
    return request.param  # type: ignore[no-any-return]


def test_each_class_states_what_asv_would_assume(found: type[Any]) -> None:
    for name in EXPLICIT:
        assert name in vars(found), f"{found.__name__}.{name}"


def test_no_class_inherits_a_setup_cache(found: type[Any]) -> None:
    assert hasattr(found, "setup_cache") == ("setup_cache" in vars(found))


def test_each_pattern_has_a_class_in_a_module_of_its_name() -> None:
    by_name = {found.__name__: found for found in classes()}
    for pattern in registry.patterns():
        found = by_name[benchmark_class(pattern)]
        assert found.__module__ == f"benchmarks.{pattern}"
        assert found.pattern == pattern
        assert found.param_names == ("engine", "data", "fraction", "device", "cluster")


def test_each_lower_is_better_metric_is_tracked_with_a_unit_and_a_name() -> None:
    asv = suite.load("asv")
    there = {case.workload.pattern.name for case in planned_cases(asv)}
    assert there == {"data_parallel", "inference"}
    names = set()
    for found in classes():
        if getattr(found, "pattern", None) not in there:
            continue
        for metric in tracked_metrics(found.pattern):
            method = getattr(found, f"track_{metric.name}")
            assert method.unit == {"s": "seconds"}.get(metric.unit, metric.unit)
            assert len(method.version) == 16
            assert method.pretty_name not in names
            names.add(method.pretty_name)
    every = metrics(registry.descriptions()).values()
    lower = {metric.name for metric in every if metric.direction == "lower" and metric.in_history}
    assert {metric.name for pattern in registry.patterns() for metric in tracked_metrics(pattern)} == lower
    assert {"time_to_model", "peak_memory", "seconds_fit"} <= lower, "metrics are kept unless they say otherwise"
    assert not hasattr(importlib.import_module("benchmarks.data_parallel").DataParallel, "track_rows_per_second")


@pytest.mark.parametrize("name", suite.names())
def test_no_two_cases_of_a_suite_are_one_to_asv(name: str) -> None:
    found = suite.load(name)
    cases: dict[tuple[str, Point], set[Any]] = {}
    for case in planned_cases(found):
        same = (
            case.engine,
            case.params,
            case.dataset,
            case.fraction,
            case.parameter_set,
            case.capacity,
            case.threads,
        )
        cases.setdefault((case.workload.pattern.name, grid.planned_point(case, found)), set()).add(same)
    assert {key: same for key, same in cases.items() if len(same) > 1} == {}


def test_axes_keep_what_was_recorded_before() -> None:
    known = (["old/engine"], ["flights (327,346 rows)"], ["1/64"], ["gpu"], ["standalone-2x1"])
    new = Point("pca/mllib", "flights (327,346 rows)", "1", "cpu", "local")
    assert grid.axes([new], known) == (
        ["old/engine", "pca/mllib"],
        ["flights (327,346 rows)"],
        ["1/64", "1"],
        ["cpu", "gpu"],
        ["local", "standalone-2x1"],
    )


@pytest.mark.parametrize("name", suite.names())
def test_a_record_stands_where_its_case_was_planned(name: str, data: PreparedDataset) -> None:
    """Also where the suite leaves a parameter to the data, as the grouping of per-group cases."""
    found = suite.load(name)
    kinds = (found, found.on(Flights())) if name.startswith("per-group") else (found,)
    for one in kinds:
        for planned in planned_cases(one):
            if planned.dataset == "flights":
                case = planned.bind(data, budget(planned.cluster), Seeds(fixed=True), 1)
                stored = Case.model_validate_json(case.model_dump_json())
                cores = case.known_threads + (planned.threads is not None)
                used = RECORD.resources.model_copy(update={"granted_cores": cores})
                record = RECORD.model_copy(update={"case": stored, "resources": used})
                assert grid.record_point(record, one) == grid.planned_point(planned, one)


def test_data_that_differs_has_another_name() -> None:
    usual, other = (
        suite.load("quick").on(Classification(rows=1_000_000, features=features)) for features in (50, 200)
    )
    assert {point.data for point in grid.points(usual, None, "data_parallel")} == {
        "classification-1M (1,000,000 rows)"
    }
    assert {point.data for point in grid.points(other, None, "data_parallel")} == {
        "classification-1M (1,000,000 rows, features=200)"
    }
