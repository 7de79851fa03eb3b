"""Engines on one node compared with each other, on a size for which times are complete."""

import pytest

from sparkscale.analysis.patterns.data_parallel import comparison as tradeoff
from sparkscale.analysis.patterns.data_parallel.node_engines import NodeEngines, placed
from sparkscale.analysis.patterns.data_parallel.rivalry import Rivalry, memory_edge
from sparkscale.contract.record import Outcome
from sparkscale.store.store import Store
from tests.builders import Writer, case

ROUNDS = 5
Result = float | Outcome
"""The seconds of a case, or the outcome that it has instead in every round."""


def compared(
    store: Store, results: dict[tuple[str, float], Result], noise: dict[str, float] | None = None
) -> tradeoff.Tradeoff:
    """The comparison of engines with these results, by engine and fraction; `noise` is that of an engine's scores."""
    write = Writer(store)
    for number in range(1, ROUNDS + 1):
        for (engine, fraction), result in results.items():
            measured = case(engine, fraction, seed=number)
            if isinstance(result, str):
                write(measured, number, outcome=result)
            else:
                slower = 1 + number / 100
                write(measured, number, seconds=result * slower, noise=noise[engine] if noise else None)
    (found,) = tradeoff.comparisons(store, store.records())
    return found


def engines(comparison: tradeoff.Tradeoff) -> NodeEngines:
    found = NodeEngines.of(comparison)
    assert found is not None
    return found


def test_the_largest_size_with_times_counts_and_engines_without_are_named(store: Store) -> None:
    results: dict[tuple[str, float], Result] = {
        ("sklearn", 1 / 4): 1.0,
        ("xgboost", 1 / 4): 2.0,
        ("sklearn", 1 / 2): 4.0,
        ("xgboost", 1 / 2): "timeout",
        ("sklearn", 1.0): "oom",
        ("mllib", 1.0): 8.0,
    }
    found = engines(compared(store, results))
    assert found.fraction == 1 / 2
    assert [cell.case.engine for cell in found.cells] == ["sklearn"]
    (other,) = found.without
    assert "xgboost" in other
    assert "timeout" in "".join(other)


def test_without_an_engine_on_one_node_there_is_nothing_to_compare(store: Store) -> None:
    comparison = compared(store, {("mllib", 1.0): 8.0, ("sklearn", 1.0): "failed"})
    assert NodeEngines.of(comparison) is None
    assert [curve.engine for curve in placed(comparison, "spark")] == ["mllib"]


def test_the_fastest_is_set_against_each_rival_round_by_round(store: Store) -> None:
    found = engines(compared(store, {("sklearn", 1.0): 4.0, ("xgboost", 1.0): 2.0}))
    (rival,) = found.candidates[1:]
    assert found.fastest.case.engine == "xgboost"
    assert found.ratios(rival) == pytest.approx([2.0] * ROUNDS)
    assert found.verdicts == 1
    assert found.is_resolved(rival)
    assert found.unresolved == []


def test_equal_times_are_not_resolved(store: Store) -> None:
    found = engines(compared(store, {("sklearn", 1.0): 4.0, ("xgboost", 1.0): 4.0}))
    assert list(found.unresolved) == found.candidates[1:]
    assert len(found.candidates) == 2


@pytest.mark.parametrize(("noise", "candidates"), [(1.5, ["sklearn"]), (0.0, ["xgboost", "sklearn"])])
def test_a_faster_engine_counts_only_if_its_model_is_good_enough(
    store: Store, noise: float, candidates: list[str]
) -> None:
    results: dict[tuple[str, float], Result] = {("sklearn", 1.0): 4.0, ("xgboost", 1.0): 2.0}
    found = engines(compared(store, results, noise={"sklearn": 0.0, "xgboost": noise}))
    assert [cell.case.engine for cell in found.candidates] == candidates
    assert list(found.gives_up) == ["xgboost"]


@pytest.mark.parametrize(
    ("results", "rows"),
    [
        ({1 / 4: 1.0, 1 / 2: "oom", 1.0: "oom"}, 32_003),
        ({1 / 4: 1.0, 1 / 2: "oom", 1.0: 4.0}, None),
        ({1 / 4: 1.0, 1 / 2: "timeout", 1.0: "failed"}, None),
        ({1 / 4: 1.0, 1 / 2: 2.0}, None),
        ({1 / 4: "oom"}, 16_003),
    ],
    ids=["from a half on", "a larger size worked", "no memory fault", "all worked", "nothing worked"],
)
def test_memory_ends_where_no_larger_size_worked(
    store: Store, results: dict[float, Result], rows: int | None
) -> None:
    comparison = compared(store, {("sklearn", fraction): result for fraction, result in results.items()})
    (curve,) = comparison.curves
    assert memory_edge(curve) == rows


@pytest.mark.parametrize(("spark", "is_better"), [(30.0, True), ("oom", False)])
def test_an_engine_on_spark_is_better_where_its_rival_has_too_little_memory(
    store: Store, spark: Result, is_better: bool
) -> None:
    """Only if it has times there itself. With fewer rows it is slower in either case."""
    results: dict[tuple[str, float], Result] = {
        ("mllib", 1 / 4): 15.0,
        ("mllib", 1 / 2): 20.0,
        ("mllib", 1.0): spark,
        ("sklearn", 1 / 4): 0.5,
        ("sklearn", 1 / 2): 1.0,
        ("sklearn", 1.0): "oom",
    }
    comparison = compared(store, results)
    (engine,), (rival,) = placed(comparison, "spark"), placed(comparison, "node")
    found = Rivalry.of(engine, rival)
    assert found is not None
    assert found.verdict == ("yes" if is_better else "no")
    assert found.edge == (64_003 if is_better else None)
    assert found.rows_of_ratios == 32_003
    assert found.ratios == pytest.approx([20.0] * ROUNDS)
