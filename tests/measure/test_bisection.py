"""The smallest amount that is enough, on response curves that are known."""

import random
from math import ceil, log

import pytest

from sparkscale.measure.run.bisection import Bracket, smallest


@pytest.mark.parametrize("threshold", [451, 455, 612, 1_000, 5_000, 10_800, 10_847])
def test_a_threshold_is_bracketed_as_closely_as_asked(threshold: int) -> None:
    tried: list[int] = []

    def is_enough(amount: int) -> bool:
        tried.append(amount)
        return amount >= threshold

    found = smallest(is_enough, 449, 10_847, 1.1)
    assert found.too_little < threshold <= found.enough
    assert found.ratio <= 1.1
    assert len(tried) <= ceil(log(log(10_847 / 449) / log(1.1), 2)) + 1
    assert len(set(tried)) == len(tried)
    assert all(449 < amount < 10_847 for amount in tried)


def test_a_time_that_falls_smoothly_is_cut_at_its_limit() -> None:
    """Time 8·(1 + 300/h): within 1.2 × of the time at 10,000 from h = 1,415 on."""

    def seconds(heap: int) -> float:
        return 8 * (1 + 300 / heap)

    limit = 1.2 * seconds(10_000)
    exact = 300 / (limit / 8 - 1)
    found = smallest(lambda heap: seconds(heap) <= limit, 449, 10_000, 1.05)
    assert found.too_little < exact <= found.enough
    assert found.ratio <= 1.05


def test_if_all_is_enough_the_end_is_near_the_least() -> None:
    found = smallest(lambda _: True, 449, 10_847, 1.1)
    assert found.too_little == 449
    assert found.enough <= 449 * 1.1


def test_if_nothing_less_is_enough_the_most_stays() -> None:
    found = smallest(lambda _: False, 449, 10_847, 1.1)
    assert found.enough == 10_847
    assert found.too_little >= 10_847 / 1.1


def test_noise_moves_the_bracket_by_no_more_than_its_own_width() -> None:
    """Times with 10 % of noise, the median of three: on a steep curve the bracket stays near."""

    def noisy(heap: int, draw: random.Random) -> bool:
        exact = 8 * (1 + (600 / heap) ** 4)
        return sorted(exact * draw.gauss(1, 0.1) for _ in range(3))[1] <= 1.2 * 8

    exact = 600 / 0.2**0.25
    draw = random.Random(1)
    found = [smallest(lambda heap: noisy(heap, draw), 449, 10_000, 1.1) for _ in range(200)]
    near = [one for one in found if exact / 1.4 <= one.too_little and one.enough <= exact * 1.4]
    assert len(near) >= 190


def test_ends_that_are_neighbours_are_not_halved() -> None:
    assert smallest(lambda _: pytest.fail("nothing lies between"), 1, 2, 1.1) == Bracket(1, 2)
