"""Pooled noise, levels that add up, and comparisons of times from few rounds."""

import math

import numpy as np
import pytest

from sparkscale.analysis.questions.decide.levels import Levels
from sparkscale.analysis.questions.decide.noise import PRIOR_DEGREES, PRIOR_DEVIATION, Noise
from sparkscale.analysis.questions.decide.times import Difference, LogTime


def log_time(seconds: float, rounds: int, deviation: float = 1e-6) -> LogTime:
    return LogTime(math.log(seconds), deviation**2 / rounds, 100.0, rounds, rounds)


def compared(slow: LogTime, fast: LogTime) -> Difference:
    return Difference.of(slow, fast, lambda look: 0.001 / (look * (look + 1)))


def test_noise_without_a_second_round_is_the_assumption() -> None:
    noise = Noise.pooled([[1.0], [2.0], []])
    assert noise.deviation == pytest.approx(PRIOR_DEVIATION)
    assert noise.degrees == PRIOR_DEGREES


def test_noise_is_pooled_over_cells() -> None:
    random = np.random.default_rng(0)
    cells = [np.exp(random.normal(5, 0.04, 3)).tolist() for _ in range(400)]
    noise = Noise.pooled(cells)
    assert noise.degrees == PRIOR_DEGREES + 800
    assert noise.deviation == pytest.approx(0.042, abs=0.003)


def test_a_cell_with_more_noise_of_its_own_keeps_it() -> None:
    noise = Noise.pooled([[1.0, 1.01]] * 100)
    assert noise.at_least([1.0, 2.0, 1.0]).deviation == pytest.approx(float(np.log([1, 2, 1]).std(ddof=1)))
    assert noise.at_least([1.0, 2.0]) is noise
    assert noise.at_least([1.0, 1.001, 1.0]) is noise


@pytest.mark.parametrize(("rounds", "least"), [(1, 3.0), (2, 3**0.5), (3, 3 ** (1 / 3)), (4, 3**0.25)])
def test_few_rounds_need_the_safety_factor_however_small_the_noise(rounds: int, least: float) -> None:
    fast = log_time(1.0, rounds)
    assert not compared(log_time(0.99 * least, rounds), fast).is_above
    assert compared(log_time(1.01 * least, rounds), fast).is_above


def test_five_rounds_need_only_the_test() -> None:
    assert compared(log_time(1.01, 5), log_time(1.0, 5)).is_above
    assert not compared(log_time(1.01, 5, deviation=0.1), log_time(1.0, 5, deviation=0.1)).is_above


def test_a_forecast_keeps_a_margin_for_its_model() -> None:
    forecast = LogTime(math.log(1.2), 1e-12, 100.0, 8, 8, margin=math.log(1.3), forecast=lambda _: math.log(1.2))
    assert not compared(forecast, log_time(1.0, 8)).is_above
    assert compared(forecast, log_time(0.9, 8)).is_above


def test_the_rounds_that_a_difference_needs() -> None:
    near = compared(log_time(1.3, 2, deviation=0.1), log_time(1.0, 2, deviation=0.1))
    needed = near.rounds_needed()
    assert needed is not None
    assert not near.is_above
    assert compared(log_time(1.3, needed, 0.1), log_time(1.0, needed, 0.1)).error < 0.26
    assert 3 <= needed <= 12
    assert compared(log_time(1.0, 2, 0.1), log_time(1.0, 2, 0.1)).rounds_needed() is None


def test_the_levels_of_all_looks_add_up_to_that_of_the_question() -> None:
    levels = Levels(0.05 / 3, rounds=8)
    of_times = sum(4 * levels.of_times(4, look) for look in range(1, 10_000))
    of_quality = 4 * 6 * (1 - levels.of_quality(4)) / 2
    assert of_times + of_quality == pytest.approx(levels.alpha, rel=1e-3)
    assert len(levels.sample_looks) * (1 - levels.of_samples) / 2 == pytest.approx(levels.alpha)


@pytest.mark.parametrize(("rounds", "looks"), [(2, (2,)), (3, (3,)), (5, (3, 5)), (8, (3, 5, 8))])
def test_samples_are_judged_at_planned_looks(rounds: int, looks: tuple[int, ...]) -> None:
    assert Levels(0.05, rounds).sample_looks == looks
