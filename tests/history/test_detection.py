"""Change points in simulated series, of which the truth is known."""

import numpy as np
import pytest

from sparkscale.analysis.steps import Step, adjusted, steps
from sparkscale.history.detection import candidates, steps_of_asv

NIGHT, ROUND = 0.03, 0.03
"""The standard deviations of the logarithm of a time: between commits, and between the rounds of a commit."""

Rounds = list[list[float]]


def simulated(
    generator: np.random.Generator,
    commits: int,
    rounds: int = 8,
    step: float = 1.0,
    at: int = 0,
    has_outliers: bool = False,
    correlation: float = 0.0,
) -> Rounds:
    """A series with noise between and within commits. From the commit `at` on, values are `step` times as large.

    With outliers, the noise between commits has Student's distribution with 2 degrees of freedom. `correlation` is
    that of the noise of a commit with the noise of the commit before.
    """
    nights = generator.standard_t(2, commits) if has_outliers else generator.normal(0, 1, commits)
    for position in range(1, commits):
        nights[position] = correlation * nights[position - 1] + np.sqrt(1 - correlation**2) * nights[position]
    levels = NIGHT * nights + np.where(np.arange(commits) >= at, np.log(step), 0.0)
    return [np.exp(level + generator.normal(0, ROUND, rounds)).tolist() for level in levels]


def changes(series: list[Rounds]) -> list[tuple[Step, ...]]:
    return adjusted([steps(one, candidates(one)) for one in series])


@pytest.mark.parametrize("commits", [6, 10, 15, 40])
@pytest.mark.parametrize("rounds", [1, 3, 8])
def test_noise_is_rarely_called_a_change(commits: int, rounds: int) -> None:
    generator = np.random.default_rng(commits)
    runs = 200 if commits < 40 else 60
    wrong = sum(any(changes([simulated(generator, commits, rounds)])) for _ in range(runs))
    assert wrong / runs <= 0.05


@pytest.mark.parametrize("has_outliers", [False, True])
def test_many_series_together_are_rarely_called_changed(has_outliers: bool) -> None:
    generator = np.random.default_rng(24)
    runs, wrong, of_asv = 25, 0, 0
    for _ in range(runs):
        series = [simulated(generator, 6, has_outliers=has_outliers) for _ in range(24)]
        wrong += any(changes(series))
        of_asv += any(len(steps_of_asv(one)) > 1 for one in series)
    assert wrong / runs <= 0.05
    assert of_asv / runs > 0.5  # why asv's own segments are not enough


@pytest.mark.parametrize(("correlation", "least", "most"), [(0.3, 0, 0.05), (0.5, 0, 0.06), (0.8, 0.06, 0.25)])
def test_a_machine_with_long_slow_spells_is_sometimes_called_changed(
    correlation: float, least: float, most: float
) -> None:
    """This is the limit of the method, which docs/history.md states."""
    generator = np.random.default_rng(8)
    runs = 150
    wrong = sum(any(changes([simulated(generator, 20, correlation=correlation)])) for _ in range(runs))
    assert least <= wrong / runs <= most


@pytest.mark.parametrize(
    ("commits", "at", "others"), [(10, 5, 0), (15, 8, 23), (15, 12, 5), (30, 27, 23), (40, 10, 23)]
)
def test_a_step_of_a_fifth_is_found_at_its_commit(commits: int, at: int, others: int) -> None:
    """Beside `others` series without a step."""
    generator = np.random.default_rng(100 * commits + at)
    runs, found = 40, 0
    for _ in range(runs):
        series = simulated(generator, commits, step=1.2, at=at)
        own = steps(series, candidates(series))
        found += [step.after[0] for step in adjusted([own, *[()] * others])[0]] == [at]
    assert found / runs >= 0.8


def test_asv_itself_misses_most_steps_of_a_fifth_in_ten_commits() -> None:
    """This is why the solver gets other penalties here than asv's own."""
    generator = np.random.default_rng(5)
    runs = 40
    found = sum(len(steps_of_asv(simulated(generator, 10, step=1.2, at=5))) > 1 for _ in range(runs))
    assert found / runs < 0.6


def test_two_steps_are_both_found() -> None:
    generator = np.random.default_rng(2)
    first, second = simulated(generator, 12, step=1.3, at=6), simulated(generator, 6)
    second = [[1.6 * value for value in one] for one in second]
    (found,) = changes([[*first, *second]])
    assert [step.after[0] for step in found] == [6, 12]


def test_the_same_series_has_the_same_changes() -> None:
    generator = np.random.default_rng(3)
    series = [simulated(generator, 12, step=1.2, at=6) for _ in range(3)]
    assert changes(series) == changes(series)


@pytest.mark.parametrize("rounds", [[[2.0]] * 6, [[0.0, 0.0]] * 6])
def test_equal_values_have_no_step(rounds: Rounds) -> None:
    assert candidates(rounds) == [((0, 6),)]
    assert steps_of_asv(rounds) == ((0, 6),)
