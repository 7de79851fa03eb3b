"""The arms of a gate, and the order in which each round measures them."""

import itertools
import random
from typing import Literal

Arm = Literal["base", "head", "again"]
ARMS: tuple[Arm, ...] = ("base", "head", "again")
"""`again` is the base a second time: what differs between it and the base is the noise of the machine."""
TITLES: dict[Arm, str] = {"base": "base", "head": "head", "again": "base again"}

Order = tuple[Arm, ...]


def orders(rounds: int, seed: int) -> list[Order]:
    """Returns the order of the arms in each round.

    The orders are random but balanced. In rounds 1 to 3, 4 to 6 and so on, each arm is once the first, once the
    second and once the last. Rounds 1 to 6, 7 to 12 and so on have all six orders. So a machine that becomes slower
    or faster over time affects all arms alike.
    """
    generator = random.Random(seed)
    chosen: list[Order] = []
    while len(chosen) < rounds:
        squares = [_rotations(ARMS), _rotations(ARMS[::-1])]
        generator.shuffle(squares)
        for square in squares:
            generator.shuffle(square)
        chosen += itertools.chain(*squares)
    return chosen[:rounds]


def _rotations(order: Order) -> list[Order]:
    return [order[first:] + order[:first] for first in range(len(order))]
