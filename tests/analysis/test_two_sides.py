"""The comparison of two sides: exact values, and simulations with a known truth."""

from itertools import combinations

import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from sparkscale.analysis.questions import two_sides
from sparkscale.analysis.questions.two_sides import change, difference, holm, median_interval, p_value, rounds_needed
from sparkscale.analysis.statistics import Interval

NOISE = 0.08
"""The standard deviation of the logarithm of a time."""


def side(generator: np.random.Generator, rounds: int, ratio: float = 1.0, noise: float = NOISE) -> list[float]:
    values: list[float] = (ratio * np.exp(generator.normal(0, noise, rounds))).tolist()
    return values


@pytest.mark.parametrize(("base", "head"), [(3, 3), (4, 6), (8, 8), (12, 5)])
def test_without_equal_values_p_is_that_of_scipy(base: int, head: int) -> None:
    generator = np.random.default_rng(base)
    for shift in (0.0, 0.1, 1.0):
        own, other = side(generator, base), side(generator, head, 1 + shift)
        assert p_value(own, other) == pytest.approx(mannwhitneyu(own, other, method="exact").pvalue)


def test_with_equal_values_p_is_the_share_of_all_divisions() -> None:
    base, head = [1.0, 2.0, 2.0, 3.0], [2.0, 3.0, 3.0, 4.0]
    ranks = np.array([1, 3, 3, 6, 3, 6, 6, 8])  # midranks
    centre = 4 * 9 / 2
    sums = [ranks[list(chosen)].sum() for chosen in combinations(range(8), 4)]
    observed = abs(ranks[:4].sum() - centre)
    assert p_value(base, head) == pytest.approx(np.mean([abs(one - centre) >= observed for one in sums]))


def test_few_rounds_cannot_have_a_small_p() -> None:
    assert [round(two_sides.smallest_p(rounds, rounds), 5) for rounds in (3, 4, 6, 8)] == [
        0.1,
        0.02857,
        0.00216,
        0.00016,
    ]
    assert p_value([1.0, 1.1, 1.2], [9.0, 9.1, 9.2]) == pytest.approx(0.1)
    assert difference([1.0, 1.1, 1.2], [9.0, 9.1, 9.2]).interval is None
    assert change(difference([1.0, 1.1, 1.2], [9.0, 9.1, 9.2]), 0.1) == "not resolved"


def test_the_interval_of_a_median_needs_six_rounds() -> None:
    assert median_interval([1.0, 2.0, 3.0, 4.0, 5.0]) is None
    assert median_interval([6.0, 2.0, 3.0, 4.0, 5.0, 1.0]) == Interval(1.0, 6.0)
    assert median_interval([float(one) for one in range(1, 13)]) == Interval(3.0, 10.0)  # Conover, table A3


def test_p_is_adjusted_by_holm() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


@pytest.mark.parametrize("rounds", [5, 8, 12])
def test_intervals_of_the_ratio_contain_it(rounds: int) -> None:
    generator = np.random.default_rng(rounds)
    truth, runs, contained = 1.3, 800, 0
    for _ in range(runs):
        bounds = difference(side(generator, rounds), side(generator, rounds, truth)).interval
        assert bounds is not None
        contained += bounds.low <= truth <= bounds.high
    assert contained / runs >= 0.935  # 0.95, less two standard errors


@pytest.mark.parametrize("rounds", [3, 5, 8, 12])
def test_equal_sides_are_rarely_called_different(rounds: int) -> None:
    """Twenty cases are compared together, with noise that is different for each."""
    generator = np.random.default_rng(100 + rounds)
    runs, wrong = 200, 0
    for _ in range(runs):
        found = []
        for noise in np.geomspace(0.01, 0.3, 20):
            found.append(difference(side(generator, rounds, noise=noise), side(generator, rounds, noise=noise)))
        adjusted = holm([one.p for one in found])
        wrong += any(change(one, p) in ("better", "worse") for one, p in zip(found, adjusted, strict=True))
    assert wrong / runs <= two_sides.ALPHA


@pytest.mark.parametrize(("ratio", "expected"), [(1.15, "worse"), (1 / 1.15, "better"), (1.0, "same")])
def test_a_difference_is_found_with_enough_rounds(ratio: float, expected: str) -> None:
    generator = np.random.default_rng(7)
    runs, found = 100, 0
    for _ in range(runs):
        measured = difference(side(generator, 8, noise=0.02), side(generator, 8, ratio, noise=0.02))
        found += change(measured, min(1.0, 10 * measured.p)) == expected
    assert found / runs > 0.9


def test_a_higher_rate_is_better() -> None:
    measured = difference([1.0, 1.01, 1.02, 1.03, 1.04, 1.05], [2.0, 2.01, 2.02, 2.03, 2.04, 2.05])
    assert change(measured, measured.p) == "worse"
    assert change(measured, measured.p, is_lower_better=False) == "better"


def test_the_rounds_that_are_proposed_resolve_the_difference() -> None:
    generator = np.random.default_rng(5)
    base, head = side(generator, 4, noise=0.03), side(generator, 4, 1.15, noise=0.03)
    needed = rounds_needed(base, head, compared=20)
    assert needed is not None
    assert 20 * two_sides.smallest_p(needed, needed) <= two_sides.ALPHA
    runs, found = 100, 0
    for _ in range(runs):
        measured = difference(side(generator, needed, noise=0.03), side(generator, needed, 1.15, noise=0.03))
        found += change(measured, min(1.0, 20 * measured.p)) == "worse"
    assert found / runs > 0.5
    assert rounds_needed([1.0], [2.0]) is None
    at_the_threshold = [1.0, 1.001, 1.002], [1.05, 1.051, 1.052]
    assert rounds_needed(*at_the_threshold) is None


@pytest.mark.parametrize("side", [[], [1.0, 0.0], [1.0, float("inf")], [float("nan")]])
def test_a_value_that_is_no_time_is_refused(side: list[float]) -> None:
    with pytest.raises(ValueError, match="must be positive and finite"):
        difference([1.0], side)
