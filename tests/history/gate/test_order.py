"""The order of the arms: random, but balanced."""

from collections import Counter

import pytest

from sparkscale.history.gate.order import ARMS, orders


@pytest.mark.parametrize("seed", range(20))
def test_each_arm_has_each_place_equally_often(seed: int) -> None:
    chosen = orders(12, seed)
    for first in (0, 3, 6, 9):
        for place in range(3):
            assert {order[place] for order in chosen[first : first + 3]} == set(ARMS)
    assert set(Counter(chosen).values()) == {2}  # each of the six orders twice


def test_the_order_is_random_and_the_same_for_a_resumed_gate() -> None:
    assert orders(8, seed=1) == orders(8, seed=1)
    assert orders(8, seed=1)[:5] == orders(5, seed=1)
    assert len({tuple(orders(3, seed)) for seed in range(500)}) == 12  # 2 squares, 6 arrangements of each
