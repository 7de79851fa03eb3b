"""Spreads and intervals of few samples."""

import math

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from sparkscale.analysis import blocks
from sparkscale.analysis.statistics import Interval, Spread, at_most, pairs, rounds_interval
from sparkscale.present import cells


def test_the_interval_of_few_rounds_is_their_range() -> None:
    assert rounds_interval([2.0, 1.0, 4.0]) == Interval(1.0, 4.0)


def test_the_interval_over_rounds_is_students() -> None:
    """Of differences as scipy has it; of ratios the same on a log scale."""
    samples = [1.0, 1.1, 1.2, 1.3, 1.6]
    expected = ttest_1samp(samples, 0.0).confidence_interval(0.95)
    plain = rounds_interval(samples, of_ratios=False)
    assert (plain.low, plain.high) == pytest.approx((expected.low, expected.high))
    ratios = rounds_interval([math.exp(sample) for sample in samples])
    assert (math.log(ratios.low), math.log(ratios.high)) == pytest.approx((expected.low, expected.high))
    wide = ttest_1samp(samples, 0.0).confidence_interval(1 - 0.05 / 4)
    of_four = rounds_interval(samples, 4, of_ratios=False)
    assert (of_four.low, of_four.high) == pytest.approx((wide.low, wide.high))


@pytest.mark.parametrize(("engines", "verdicts"), [(1, 1), (2, 1), (3, 3), (4, 6)])
def test_naming_the_best_engine_needs_a_verdict_on_each_pair(engines: int, verdicts: int) -> None:
    assert pairs(engines) == verdicts


@pytest.mark.parametrize("engines", [3, 6, 9])
def test_of_equal_engines_none_is_called_better(engines: int) -> None:
    """The best of several is set against all others. None is better: at most one time in twenty one is said to be.

    2,000 simulated comparisons of five rounds, seeded: normal noise, and rounds that differ.
    """
    draw = np.random.default_rng(engines)
    wrong = 0
    for _ in range(2000):
        seconds = np.exp(0.15 * draw.normal(size=(engines, 5)) + 0.3 * draw.normal(size=5))
        order = np.argsort(np.median(seconds, axis=1))
        best = seconds[order[0]]
        others = (seconds[place] for place in order[1:])
        wrong += any(at_most(list(best / other), 1.0, pairs(engines)) for other in others)
    assert wrong / 2000 <= 0.05


def test_many_goals_are_seldom_missed_by_chance() -> None:
    """Seven goals whose truth is the goal itself: at most one family in twenty has a wrong verdict."""
    draw = np.random.default_rng(1)
    samples = np.exp(0.2 * draw.standard_t(4, size=(1000, 7, 5)))
    families = [[at_most(list(map(float, one)), 1.0, 7) for one in family] for family in samples]
    assert np.mean([any(verdict is not None for verdict in family) for family in families]) <= 0.05


def test_a_real_difference_is_found() -> None:
    """Power: of eight goals together, five rounds with a noise of 10 % find a factor of 1.5 in most families."""
    draw = np.random.default_rng(2)
    samples = 1.5 * np.exp(0.1 * draw.normal(size=(500, 5)))
    assert np.mean([at_most(list(map(float, one)), 1.0, 8) is False for one in samples]) >= 0.8


def test_a_spread_is_median_and_range() -> None:
    assert Spread.of([3.0, 1.0, 2.0]) == Spread(2.0, 1.0, 3.0, 3, 3, 3)
    assert Spread.of([]) is None


@pytest.mark.parametrize(
    ("samples", "executions", "text"),
    [
        ([280.0, math.inf, math.inf], 3, "> 300 (280.00–> 300) [1 of 3]"),
        ([250.0, 280.0, math.inf], 3, "280.00 (250.00–> 300) [2 of 3]"),
        ([280.0], 3, "280.00 [1 of 3]"),
        ([math.inf, math.inf], 2, "> 300 [0 of 2]"),
        ([1.0, 2.0, 3.0], 3, "2.00 (1.00–3.00)"),
        ([1.0], 1, "1.00"),
    ],
)
def test_executions_without_a_time_are_counted_and_a_timeout_is_longer_than_any(
    samples: list[float], executions: int, text: str
) -> None:
    assert cells.text(Spread.of(samples, executions, 300.0), blocks.seconds("s")) == text
