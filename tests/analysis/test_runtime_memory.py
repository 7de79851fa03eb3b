"""Which configurations of a job are beyond memory: cliffs, noise, and sizes without a comparison."""

import math

import numpy as np
import pytest

from sparkscale.analysis.questions.runtime_memory import beyond_memory
from sparkscale.analysis.questions.runtime_terms import Configuration

SCALE_OUTS = (2.0, 4.0, 6.0, 8.0, 10.0)
SIZES = (1000.0, 2000.0, 4000.0)


def work(place: tuple[float, float], *slow: tuple[float, float], factor: float = 4.0) -> float:
    """The seconds of a job that scales perfectly, and takes `factor` times as long at the places in `slow`."""
    return place[0] / place[1] * (factor if place in slow else 1.0)


def measured(
    *slow: tuple[float, float], factor: float = 4.0, sizes: tuple[float, ...] = SIZES
) -> list[Configuration]:
    places = [(size, m) for size in sizes for m in SCALE_OUTS]
    return [Configuration(*place, (work(place, *slow, factor=factor),)) for place in places]


def places(configurations: tuple[Configuration, ...]) -> list[tuple[float, float]]:
    return [(each.size, each.scale_out) for each in configurations]


@pytest.mark.parametrize("slow", [[], [(4000.0, 2.0)], [(2000.0, 2.0), (4000.0, 2.0)]], ids=["none", "one", "two"])
def test_configurations_before_a_cliff_are_beyond_memory(slow: list[tuple[float, float]]) -> None:
    assert places(beyond_memory(measured(*slow))) == slow


def test_all_scale_outs_before_a_cliff_are_beyond_memory() -> None:
    """From 2 to 4 nodes nothing falls, because both are beyond memory."""
    slow = [(4000.0, 2.0), (4000.0, 4.0)]
    assert places(beyond_memory(measured(*slow))) == slow


@pytest.mark.parametrize(("fall", "beyond"), [(0.14, 0), (0.16, 1)])
def test_a_cliff_is_a_fall_by_more_than_15_percent(fall: float, beyond: int) -> None:
    series = measured((1000.0, 2.0), factor=1 / (1 - fall), sizes=(1000.0,))
    assert len(beyond_memory(series)) == beyond


@pytest.mark.parametrize(("fastest", "beyond"), [(90.0, 0), (110.0, 1)])
def test_every_run_before_a_cliff_takes_more_node_seconds(fastest: float, beyond: int) -> None:
    """After the cliff, the runs take 96 to 104 node-seconds."""
    before = Configuration(1000.0, 1.0, (fastest, 125.0, 130.0))
    after = Configuration(1000.0, 2.0, (48.0, 50.0, 52.0))
    assert beyond_memory([before, after]) == (before,) * beyond


def test_a_larger_size_without_a_comparison_is_beyond_memory() -> None:
    heavier = Configuration(9000.0, 2.0, (9000.0,))
    assert beyond_memory([*measured((4000.0, 2.0)), heavier])[-1] == heavier
    assert heavier not in beyond_memory([*measured(), heavier])


def test_noise_alone_seldom_is_a_cliff() -> None:
    def noisy(seed: int) -> list[Configuration]:
        random = np.random.default_rng(seed)
        return [
            Configuration(each.size, each.scale_out, (each.median * math.exp(0.03 * random.standard_normal()),))
            for each in measured()
        ]

    assert sum(bool(beyond_memory(noisy(seed))) for seed in range(100)) <= 2
