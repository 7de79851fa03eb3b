"""Strong and weak scaling: speed-up, efficiency and seconds of known times."""

import numpy as np
import pytest

from sparkscale.analysis.questions.speed_up import strong_scaling, weak_scaling
from sparkscale.analysis.statistics import Interval

CORES = np.array([2.0, 4, 16])
ROUND = np.array([1.0, 3, 0.5, 1, 2])[:, None]
"""What all times of a round share."""


def test_strong_scaling_is_paired_within_rounds() -> None:
    first, second, third = strong_scaling(CORES, ROUND * np.array([80.0, 50, 20]))
    assert (first.cores, first.speed_up.median, first.efficiency.median) == (2, 1, 1)
    assert (second.cores, second.speed_up.median, second.efficiency.median) == (4, 1.6, 0.8)
    assert third.speed_up.median == pytest.approx(4)
    assert third.efficiency.median == pytest.approx(0.5)
    assert (third.speed_up.low, third.speed_up.high) == pytest.approx((4, 4))
    assert (third.seconds.median, third.seconds.low, third.seconds.high) == (20, 10, 60)


def test_a_number_of_cores_need_not_be_a_multiple_of_the_fewest() -> None:
    _, second = strong_scaling(np.array([2.0, 3]), ROUND * np.array([60.0, 50]))
    assert second.speed_up.median == pytest.approx(1.2)
    assert second.efficiency.median == pytest.approx(0.8)


def test_intervals_need_five_rounds() -> None:
    noise = np.array([[1.0, 1.1, 1], [1, 0.9, 1], [1, 1, 1.1], [1, 1.05, 1], [1, 1, 1]])
    _, second, _ = strong_scaling(CORES, noise * np.array([80.0, 40, 20]))
    assert second.speed_up_interval is not None
    assert second.efficiency_interval is not None
    assert second.speed_up_interval.low < 2 < second.speed_up_interval.high
    assert second.efficiency_interval.low == pytest.approx(second.speed_up_interval.low / 2)
    assert strong_scaling(CORES, noise[:4])[1].speed_up_interval is None


def test_one_configuration_in_one_round() -> None:
    (only,) = strong_scaling(np.array([8.0]), np.array([[12.5]]))
    assert (only.seconds.median, only.speed_up.median, only.efficiency.median) == (12.5, 1, 1)
    assert only.speed_up_interval is None


def test_weak_scaling() -> None:
    found = weak_scaling(CORES, 1000 * CORES, ROUND * np.array([10.0, 10, 12.5]))
    assert found is not None
    assert [one.efficiency.median for one in found] == pytest.approx([1, 1, 0.8])
    assert [one.speed_up.median for one in found] == pytest.approx([1, 2, 6.4])
    assert [one.seconds.median for one in found] == [10, 10, 12.5]
    assert found[1].efficiency_interval == Interval(1, 1)


def test_only_equal_rows_per_core_count() -> None:
    seconds = np.array([[10.0, 10, 12.5]])
    found = weak_scaling(CORES, np.array([2000.0, 4100, 18_000]), seconds)
    assert found is not None
    assert [one.cores for one in found] == [2, 4]
    assert weak_scaling(CORES, np.array([2000.0, 2000, 2000]), seconds) is None
    assert weak_scaling(np.array([8.0]), np.array([100.0]), np.array([[1.0]])) is None


def test_input_that_cannot_be_used() -> None:
    with pytest.raises(ValueError, match="The numbers of cores do not ascend: 4, 4"):
        strong_scaling(np.array([4.0, 4]), np.ones((1, 2)))
    with pytest.raises(ValueError, match="The numbers of cores do not ascend: -2, 4"):
        strong_scaling(np.array([-2.0, 4]), np.ones((1, 2)))
    with pytest.raises(ValueError, match="A time is not a positive, finite number of seconds"):
        strong_scaling(CORES, np.array([[1.0, np.inf, 1]]))
    with pytest.raises(ValueError, match="There are 2 numbers of rows for 3 numbers of cores"):
        weak_scaling(CORES, np.ones(2), np.ones((1, 3)))
