"""Search spaces: what they refuse, and that every library draws from the same distributions."""

from typing import Any

import numpy as np
import pytest
from hyperopt import hp
from hyperopt.pyll.stochastic import sample
from pydantic import ValidationError
from scipy import stats

from workloads.tuning.search import Grid, Optuna
from workloads.tuning.space import Choice, Dimension, Parameters, Range, Space, for_hyperopt, grid

DRAWS = 4000
LEAST_P = 1e-4

DIMENSIONS: dict[str, Dimension] = {
    "real": Range(low=-1.0, high=3.0),
    "real-log": Range(low=1e-3, high=10.0, scale="log"),
    "whole": Range(low=2, high=6, whole=True),
    "whole-log": Range(low=1, high=40, scale="log", whole=True),
    "steps": Range(low=0.1, high=1.0, step=0.1),
    "steps-short": Range(low=0.0, high=1.0, step=0.4),
    "choice": Choice(choices=("a", "b", "c")),
}


def weights(dimension: Dimension) -> dict[Any, float]:
    """The probability of each value, of a dimension that has finitely many."""
    if isinstance(dimension, Choice):
        return dict.fromkeys(dimension.choices, 1 / len(dimension.choices))
    if dimension.step:
        count = int((dimension.high - dimension.low) / dimension.step + 1e-9) + 1
        return {round(dimension.low + k * dimension.step, 9): 1 / count for k in range(count)}
    numbers = np.arange(dimension.low, dimension.high + 1)
    share = np.log((numbers + 0.5) / (numbers - 0.5)) if dimension.scale == "log" else np.ones(len(numbers))
    return dict(zip(numbers.tolist(), (share / share.sum()).tolist(), strict=True))


def drawn_by_hyperopt(space: Space, count: int, seed: int) -> list[Parameters]:
    """As its random search draws them."""
    random, expression = np.random.default_rng(seed), for_hyperopt(space)
    return [sample(expression, random) for _ in range(count)]


def check_drawn(dimension: Dimension, values: list[Any]) -> None:
    """That so many values can have come from what the dimension says."""
    if isinstance(dimension, Range) and not dimension.whole and not dimension.step:
        assert dimension.low <= min(values) <= max(values) <= dimension.high
        low, high, numbers = dimension.low, dimension.high, np.array(values)
        if dimension.scale == "log":
            low, high, numbers = np.log(low), np.log(high), np.log(numbers)
        assert stats.kstest(numbers, stats.uniform(low, high - low).cdf).pvalue > LEAST_P
        return
    expected = weights(dimension)
    found = [round(value, 9) if isinstance(value, float) else value for value in values]
    assert set(found) <= set(expected)
    counts = [found.count(value) for value in expected]
    assert stats.chisquare(counts, [DRAWS * weight for weight in expected.values()]).pvalue > LEAST_P


@pytest.mark.parametrize("name", DIMENSIONS)
def test_hyperopt_draws_what_the_space_says(name: str) -> None:
    drawn = drawn_by_hyperopt({name: DIMENSIONS[name]}, DRAWS, seed=1)
    check_drawn(DIMENSIONS[name], [found[name] for found in drawn])


@pytest.mark.parametrize("name", DIMENSIONS)
def test_optuna_draws_what_the_space_says(name: str) -> None:
    sampler = Optuna({name: DIMENSIONS[name]}, 1, None)
    check_drawn(DIMENSIONS[name], [sampler.ask()[name] for _ in range(DRAWS)])


def test_the_check_sees_what_hyperopt_does_to_ends() -> None:
    """Its own quniform gives both ends half the weight."""
    random, expression = np.random.default_rng(1), hp.uniformint("whole", 2, 6)
    with pytest.raises(AssertionError):
        check_drawn(DIMENSIONS["whole"], [sample(expression, random) for _ in range(DRAWS)])


@pytest.mark.parametrize("name", DIMENSIONS)
def test_values_are_of_the_same_types(name: str) -> None:
    """Or one library would train with 3.0 trees."""
    dimension = DIMENSIONS[name]
    whole = isinstance(dimension, Range) and dimension.whole
    kind = str if isinstance(dimension, Choice) else int if whole else float
    optuna = Optuna({name: dimension}, 1, None)
    assert {type(value) for value in dimension.points(3)} == {kind}
    assert type(optuna.ask()[name]) is kind
    assert isinstance(drawn_by_hyperopt({name: dimension}, 1, seed=1)[0][name], kind)


def test_a_grid_grows_in_turn_and_never_beyond_the_trials() -> None:
    space: dict[str, Dimension] = {
        "a": Range(low=0, high=1),
        "b": Choice(choices=(1, 2)),
        "c": Range(low=1, high=8, whole=True),
    }
    assert [len(points) for points in grid(space, 7).values()] == [3, 2, 1]
    assert [len(points) for points in grid(space, 24).values()] == [4, 2, 3]
    assert grid(space, 4) == {"a": [0.25, 0.75], "b": [1, 2], "c": [4]}
    sampler, found = Grid(space, 24), []
    while (parameters := sampler.ask()) is not None:
        found.append(tuple(parameters.values()))
    assert len(set(found)) == len(found) == 24


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"low": 3, "high": 3}, "the range from 3 to 3 is empty"),
        ({"low": 3, "high": 1}, "the range from 3 to 1 is empty"),
        ({"low": 0, "high": 1, "scale": "log"}, "a log scale does not reach 0"),
        ({"low": -1, "high": 1, "scale": "log"}, "a log scale does not reach -1"),
        ({"low": 0.5, "high": 2, "whole": True}, "both ends must be whole"),
        ({"low": 1, "high": 2, "scale": "log", "step": 0.1}, "`step` is for real numbers on a linear scale"),
        ({"low": 1, "high": 2, "step": 5}, "a step of 5 is longer than the range"),
    ],
)
def test_an_impossible_range_says_why(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Range(**given)


def test_choices_are_several_and_distinct() -> None:
    with pytest.raises(ValidationError, match="at least 2 items"):
        Choice(choices=(1,))
    with pytest.raises(ValidationError, match="not distinct"):
        Choice(choices=(1, 1))
