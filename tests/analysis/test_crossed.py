"""Estimates over hold-out units and seeds: the variance, and what an interval needs."""

import numpy as np
import pytest

from sparkscale.analysis import crossed
from sparkscale.analysis.crossed import Estimate, estimate, replicates
from sparkscale.analysis.statistics import Array, Interval
from sparkscale.analysis.unit_quality import UnitAuc, UnitRatio

UNITS, ROWS = 40, 4000


def mean_of(values: Array) -> UnitRatio:
    """A mean over rows of equal units: `values` is of shape (units,)."""
    unit = np.repeat(np.arange(len(values)), 10)
    return UnitRatio.mean_score(unit, np.zeros(len(unit)), np.repeat(values, 10))


def layout(seed: int, of_seeds: float, of_units: float, of_cells: float, seeds: int = 6) -> Array:
    """A two-way layout with these deviations, shape (seeds, units)."""
    generator = np.random.default_rng(seed)
    return (
        of_seeds * generator.normal(size=(seeds, 1))
        + of_units * generator.normal(size=(1, UNITS))
        + of_cells * generator.normal(size=(seeds, UNITS))
    )


def of_layout(values: Array) -> Estimate:
    return estimate([[mean_of(row)] for row in values])


@pytest.mark.parametrize(
    ("of_seeds", "of_units", "counted"),
    [(1.0, 2.0, {"seeds", "units"}), (0.0, 2.0, {"units"}), (1.0, 0.0, {"seeds"}), (0.0, 0.0, set())],
)
def test_variance_and_degrees_are_those_of_the_two_way_layout(
    of_seeds: float, of_units: float, counted: set[str]
) -> None:
    """Against the mean squares, computed the textbook way, and Satterthwaite's degrees of freedom.

    A factor that varies no more than the cells do is pooled with them.
    """
    values = layout(2, of_seeds, of_units, of_cells=0.5)
    seeds = len(values)
    residual = values - values.mean(axis=0) - values.mean(axis=1, keepdims=True) + values.mean()
    cells = float((residual**2).sum() / ((seeds - 1) * (UNITS - 1)))
    squares = {
        "seeds": (UNITS * values.mean(axis=1).var(ddof=1), seeds - 1),
        "units": (seeds * values.mean(axis=0).var(ddof=1), UNITS - 1),
    }
    parts = [squares[factor] for factor in counted]
    times = 1 - len(parts)  # how often the mean square of the cells counts
    total = sum(square for square, _ in parts) + times * cells
    spent = sum(square**2 / degrees for square, degrees in parts)
    spent += (times * cells) ** 2 / ((seeds - 1) * (UNITS - 1))
    found = of_layout(values)
    assert found.value == pytest.approx(values.mean())
    assert found.standard_error**2 == pytest.approx(total / (seeds * UNITS))
    assert found.degrees == pytest.approx(total**2 / spent)


@pytest.mark.parametrize(
    "values",
    [
        layout(1, of_seeds=1.0, of_units=2.0, of_cells=0.0),
        np.array([[0.0], [1.0], [3.0], [8.0]]) + np.arange(5.0),  # so round that the cells' deviations are exactly 0
    ],
    ids=["random", "whole numbers"],
)
def test_seeds_that_differ_alike_in_every_unit_have_degrees_of_their_own(values: Array) -> None:
    seeds, units = values.shape
    of_seeds, of_units = values.mean(axis=1).var(ddof=1) / seeds, values.mean(axis=0).var(ddof=1) / units
    found = of_layout(values)
    assert found.standard_error**2 == pytest.approx(of_seeds + of_units)
    spent = of_seeds**2 / (seeds - 1) + of_units**2 / (units - 1)
    assert found.degrees == pytest.approx((of_seeds + of_units) ** 2 / spent, rel=1e-6)


def test_an_interval_of_units_alone_is_students() -> None:
    values = layout(2, 0.0, 1.0, 0.0, seeds=1)
    found = of_layout(values)
    assert found.interval is not None
    assert found.degrees == pytest.approx(UNITS - 1)
    half = 2.0227 * values.std(ddof=1) / UNITS**0.5
    assert found.interval.high - found.value == pytest.approx(half, rel=1e-4)


def test_seeds_that_differ_widen_the_interval() -> None:
    """The old interval, of one seed's units, claimed .003 where seeds alone moved the result by .0035."""
    same, different = (of_layout(layout(3, deviation, 0.1, 0.01)) for deviation in (0.0, 1.0))
    assert different.standard_error > 5 * same.standard_error
    assert different.degrees == pytest.approx(5, abs=1)


def test_it_agrees_with_the_crossed_bootstrap_where_both_factors_are_many() -> None:
    values = layout(4, of_seeds=1.0, of_units=2.0, of_cells=0.2, seeds=30)
    drawn = replicates([[mean_of(row)] for row in values])
    assert np.std(drawn) == pytest.approx(of_layout(values).standard_error, rel=0.06)


def test_differences_are_paired_on_units_and_seeds() -> None:
    values = layout(5, of_seeds=1.0, of_units=1.0, of_cells=0.01)
    pairs = [[mean_of(row), mean_of(row + 0.1)] for row in values]
    found = estimate(pairs, lambda whole, part: part - whole)
    assert found.value == pytest.approx(0.1)
    assert found.standard_error < 1e-9 < of_layout(values).standard_error


@pytest.mark.parametrize(("units", "reason"), [(1, "1 unit"), (2, "2 units"), (3, "3 units"), (4, ""), (5, "")])
def test_a_hold_out_of_few_units_has_no_interval(units: int, reason: str) -> None:
    """With one store held out, every interval was [0.8251, 0.8251] and everything "resolved"."""
    for seeds in (1, 3):
        values = np.random.default_rng(6).normal(size=(seeds, units))
        found = estimate([[mean_of(row)] for row in values])
        assert found.why_none == reason
        assert (found.interval is None) == bool(reason)


def test_a_difference_needs_thirty_rows_of_the_rarer_class() -> None:
    generator = np.random.default_rng(7)
    for positives, reason in ((6, "6 rows of the rarer class"), (29, "29 rows of the rarer class"), (30, "")):
        label = (np.arange(ROWS) < positives).astype(float)
        score = label + generator.normal(size=ROWS)
        pair = [UnitAuc.of(np.arange(ROWS), label, score + noise) for noise in (0, generator.normal(size=ROWS))]
        assert estimate([pair], np.subtract).why_none == reason
        level = estimate([pair[:1]], scale=crossed.LOGIT)
        assert level.interval is not None
        assert level.interval.high < 1


def test_no_spread_means_no_interval_not_one_without_width() -> None:
    found = estimate([[mean_of(np.ones(50))]])
    assert (found.value, found.interval, found.why_none) == (1.0, None, "the same value in every unit")


def test_equal_scores_give_nothing_up() -> None:
    """A sample whose pipeline keeps every cell was "not resolved"."""
    one = mean_of(np.ones(50))
    assert estimate([[one, one]], np.subtract).interval == Interval(0.0, 0.0)


def test_draws_without_a_positive_are_no_quality() -> None:
    """Replicates that are NaN were dropped in silence by the percentiles: there are none now."""
    label = np.zeros(200)
    label[0] = 1
    score = label + np.random.default_rng(8).normal(size=200)
    one = UnitAuc.of(np.arange(200), label, score)
    drawn = replicates([[one]])
    assert np.isnan(drawn).any()
    assert estimate([[one]]).interval is None


def test_units_that_limit_an_estimate_need_a_larger_hold_out() -> None:
    """With six units t is 2.57, so 0.0022 is not resolved even with any number of seeds."""
    found = Estimate(0.0072, Interval(0.0046, 0.0098), 0.001, 5.0, 6, 6.0, 5, lasting_variance=0.001**2)
    assert found.is_limited_by_units(0.005)
    assert found.seeds_to_resolve(0.005) is None


def test_seeds_that_limit_an_estimate_are_counted() -> None:
    """The standard error is 0.002 with four seeds. With n it is 0.004/√n, and t has n − 1 degrees of freedom."""
    found = Estimate(0.002, Interval(-0.004, 0.008), 0.002, 3.0, 100, 100.0, 4)
    assert found.seeds_to_resolve(0.005) == 10
    assert not found.is_limited_by_units(0.005)


def test_variance_that_seeds_do_not_reduce_needs_more_of_them() -> None:
    """With n seeds the variance is 0.001² of the units, with 29 degrees of freedom, and 5e-6/n of the seeds.

    With five seeds the interval is wider than ±0.003: 2.144 · √2e-6. With six it is narrower: 2.090 · √1.833e-6.
    """
    found = Estimate(0.002, Interval(-0.002, 0.006), 0.0015, 9.0, 30, 30.0, 4, lasting_variance=0.001**2)
    assert found.seeds_to_resolve(0.005) == 6


def test_few_seeds_do_not_say_how_many_more() -> None:
    assert Estimate(0.002, Interval(-0.004, 0.008), 0.002, 99.0, 100, 100.0, 1).seeds_to_resolve(0.005) is None


def test_the_confidence_belongs_to_the_interval() -> None:
    """It is 97.5 % at the upper end of a 95 % interval, and 50 % at the value."""
    found = Estimate(0.002, Interval(0.002 - 0.01 * 2.2281, 0.002 + 0.01 * 2.2281), 0.01, 10.0, 50, 50.0, 5)
    assert found.interval is not None
    assert found.confidence_below(found.interval.high) == pytest.approx(0.975, abs=1e-4)
    assert found.confidence_below(0.002) == pytest.approx(0.5)
    assert Estimate(0.0, None, float("nan"), 0.0, 3, 3.0, 5).confidence_below(0.1) is None
