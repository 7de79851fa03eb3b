"""Spreads and intervals of few samples."""

import math

import pytest

from sparkscale.analysis import drawing
from sparkscale.analysis.statistics import Interval, Spread, median_interval


def test_the_interval_of_few_rounds_is_their_range() -> None:
    assert median_interval([2.0, 1.0, 4.0]) == Interval(1.0, 4.0)
    many = median_interval([1.0, 1.1, 1.2, 1.3, 9.0])
    assert 1.0 <= many.low < 1.2 < many.high <= 9.0
    assert median_interval([1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 9.0]).high < 9.0


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
    assert drawing.seconds(Spread.of(samples, executions, 300.0)) == text
