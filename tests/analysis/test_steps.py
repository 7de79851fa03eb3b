"""Which steps are changes: exact cases, and the arithmetic of the test."""

import math

import numpy as np
import pytest
from scipy import stats
from scipy.stats import ttest_ind

from sparkscale.analysis.steps import FEWEST, Step, adjusted, choices, steps


def commits(*values: float, spread: float = 0.0, rounds: int = 3) -> list[list[float]]:
    """Commits with these medians, and rounds that differ from them by this share."""
    shares = np.linspace(-spread, spread, rounds)
    return [[value * (1 + share) for share in shares] for value in values]


LOW, HIGH = (1.00, 1.02, 0.98, 1.01, 0.99), (1.20, 1.22, 1.18, 1.21, 1.19)


SWINGING = (1.00, 0.98, 1.01, 0.99, 1.02)
"""Neighbours that resemble each other less than they would by chance."""


def test_p_is_that_of_the_t_test_for_all_pairs_of_segments() -> None:
    higher = [1.2 * value for value in SWINGING]
    (step,) = steps(commits(*SWINGING, *higher), [((0, 5), (5, 10))])
    assert (step.before, step.after) == ((0, 1, 2, 3, 4), (5, 6, 7, 8, 9))
    assert step.p == pytest.approx(ttest_ind(np.log(SWINGING), np.log(higher)).pvalue * choices(10))


def test_neighbours_that_resemble_each_other_make_p_larger() -> None:
    wandering = sorted(SWINGING)
    p_values = []
    for values in (SWINGING, wandering):
        (step,) = steps(commits(*values, *[1.2 * value for value in values]), [((0, 5), (5, 10))])
        p_values.append(step.p)
    residuals = np.log(wandering) - np.mean(np.log(wandering))
    correlation = (residuals[1:] * residuals[:-1]).sum() / (residuals**2).sum()
    assert 0.3 < correlation < 0.5
    t = ttest_ind(np.log(wandering), np.log(wandering) + np.log(1.2)).statistic
    expected = 2 * stats.t.sf(abs(t) / np.sqrt((1 + correlation) / (1 - correlation)), 8)
    assert p_values[1] == pytest.approx(expected * choices(10))
    assert p_values[1] > 2 * p_values[0]


@pytest.mark.parametrize("count", range(2 * FEWEST, 13))
def test_pairs_of_segments_are_counted(count: int) -> None:
    counted = sum(
        1
        for first in range(count)
        for middle in range(first + FEWEST, count)
        for _ in range(middle + FEWEST, count + 1)
    )
    assert choices(count) == counted


def test_the_candidate_with_the_most_changes_counts() -> None:
    values = (*LOW, *HIGH, 1.50, 1.52, 1.48, 1.51, 1.49)
    found = steps(commits(*values), [((0, 15),), ((0, 5), (5, 15)), ((0, 5), (5, 10), (10, 15))])
    assert [step.after[0] for step in found] == [5, 10]


def test_segments_without_a_difference_are_joined() -> None:
    (step,) = steps(commits(*LOW, *HIGH), [((0, 5), (5, 7), (7, 10))])
    assert step.after == (7, 8, 9)  # a segment of two commits is left out
    (step,) = steps(commits(*LOW, *LOW, *HIGH), [((0, 5), (5, 10), (10, 15))])
    assert (step.before, step.after) == (tuple(range(10)), tuple(range(10, 15)))


def test_noise_is_no_change() -> None:
    assert steps(commits(1.0, 1.3, 0.8, 1.2, 0.9, 1.4), [((0, 3), (3, 6))]) == ()


def test_too_few_commits_are_no_change() -> None:
    assert steps(commits(1.0, 1.0, 1.0, 9.0, 9.0), [((0, 3), (3, 5))]) == ()
    assert steps(commits(1.0, 1.0, 1.0, 1.0, 9.0, 9.0), [((0, 4), (4, 6))]) == ()


def test_the_spread_of_the_rounds_is_noise_of_the_commits_too() -> None:
    values = (1.00, 1.001, 0.999, 1.05, 1.051, 1.049)
    assert len(steps(commits(*values), [((0, 3), (3, 6))])) == 1
    assert steps(commits(*values, spread=0.3), [((0, 3), (3, 6))]) == ()


def test_the_rounds_of_other_commits_say_how_sure_a_commit_with_one_round_is() -> None:
    many = commits(*[1.0] * 9, spread=0.2, rounds=9)
    one_round = [[1.08], [1.081], [1.079]]
    assert steps([*many, *one_round], [((0, 9), (9, 12))]) == ()
    assert len(steps([*[[1.0], [1.001], [0.999]] * 3, *one_round], [((0, 9), (9, 12))])) == 1


@pytest.mark.parametrize(("after", "is_change"), [(1.009, False), (1.02, True), (0.991, False), (0.98, True)])
def test_an_exact_but_tiny_step_is_no_change(after: float, is_change: bool) -> None:
    found = steps(commits(*[1.0] * 4, *[after] * 4), [((0, 4), (4, 8))])
    assert bool(found) == is_change


def test_values_that_are_not_positive_have_no_logarithm() -> None:
    (step,) = steps(commits(*[0.0] * 4, *[5.0] * 4), [((0, 4), (4, 8))])
    assert step.p == 0.0
    assert steps(commits(*[0.0] * 8), [((0, 4), (4, 8))]) == ()
    assert len(steps(commits(*[-2.0] * 4, *[-1.0] * 4), [((0, 4), (4, 8))])) == 1


def test_p_is_adjusted_for_all_series_also_those_without_a_step() -> None:
    step = Step((0, 1, 2), (3, 4, 5), 0.02)
    assert adjusted([(step,), ()]) == [(Step((0, 1, 2), (3, 4, 5), 0.04),), ()]
    assert adjusted([(step,), (), ()]) == [(), (), ()]
    assert math.isclose(adjusted([(step,)])[0][0].p, 0.02)
