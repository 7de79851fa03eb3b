"""The size from which an engine is faster: known slopes and verdicts."""

import numpy as np
import pytest

from sparkscale.analysis.questions.crossover import Times, crossover, fitted

ROWS = 10_000.0 * 2 ** np.arange(6)


def times(start: float, per_row: float, noise: float = 0.0, rounds: int = 5, seed: int = 1) -> Times:
    """Times that grow linearly, with noise of this relative size."""
    generator = np.random.default_rng(seed)
    seconds = start + per_row * ROWS
    return Times(ROWS, seconds * np.exp(noise * generator.standard_normal((rounds, len(ROWS)))))


def test_a_crossing_within_the_measured_sizes() -> None:
    found = crossover(times(5.0, 1e-5), times(0.5, 4e-5))
    assert found is not None
    assert found.rows == pytest.approx(4.5 / 3e-5, rel=0.02)
    assert found.is_measured
    assert found.interval is not None
    assert found.interval.low <= 150_000 * 1.02
    assert found.interval.high >= 150_000 * 0.98


def test_a_crossing_beyond_them_is_a_forecast() -> None:
    found = crossover(times(20.0, 1e-5), times(0.5, 3e-5))
    assert found is not None
    assert found.rows == pytest.approx(975_000, rel=0.02)
    assert not found.is_measured


@pytest.mark.parametrize(("per_row", "is_never"), [(5e-5, True), (3.9e-5, False)])
def test_an_engine_that_stays_slower(per_row: float, is_never: bool) -> None:
    found = crossover(times(60.0, per_row), times(0.5, 4e-5))
    assert found is not None
    assert found.rows == np.inf
    assert found.is_never == is_never
    assert found.farthest == pytest.approx(10 * ROWS[-1])
    assert found.ratio == pytest.approx((60 + per_row * found.farthest) / (0.5 + 4e-5 * found.farthest), rel=0.01)


def test_an_engine_that_is_faster_from_the_start() -> None:
    found = crossover(times(0.1, 1e-5), times(0.5, 4e-5))
    assert found is not None
    assert found.rows == 0


def test_n_log_n_is_used_where_it_predicts_better() -> None:
    seconds = 0.1 + 1e-6 * ROWS * np.log(ROWS)
    curved = fitted(Times(ROWS, seconds[None]), np.array([[0]])).coefficients[0]
    assert curved[2] > 0
    straight = fitted(times(0.1, 1e-5, rounds=1), np.array([[0]])).coefficients[0]
    assert straight[2] == 0


def test_too_few_sizes_or_rounds() -> None:
    two = Times(ROWS[:2], np.ones((5, 2)))
    assert crossover(two, times(0.5, 4e-5)) is None
    found = crossover(times(5.0, 1e-5, rounds=4), times(0.5, 4e-5, rounds=4))
    assert found is not None
    assert found.interval is None


def test_a_measured_size_overrules_the_fit() -> None:
    """The engine is 10 % slower at each measured size, but the fit crosses just before the largest."""
    rows = np.array([1e4, 4e4, 1.6e5, 6.4e5])
    noise = 1 + np.arange(5)[:, None] / 1000
    found = crossover(Times(rows, np.full((5, 4), 8.8) * noise), Times(rows, np.array([1.0, 2.0, 4.0, 8.0]) * noise))
    assert found is not None
    assert found.interval is not None
    assert found.rows > 6.4e5
    assert found.interval.low >= 6.4e5


def test_a_crossing_at_the_largest_size_is_measured() -> None:
    """The engine is faster at the largest size only. The fit crosses later, but what was measured is no forecast."""
    rows = np.array([1e4, 4e4, 1.6e5, 6.4e5])
    noise = 1 + np.arange(5)[:, None] / 1000
    found = crossover(Times(rows, np.array([9.0, 9.0, 9.0, 7.5]) * noise), Times(rows, rows / 8e4 * noise))
    assert found is not None
    assert found.rows == found.largest == 6.4e5
    assert found.is_measured


def test_several_crossovers_share_the_error() -> None:
    generator = np.random.default_rng(3)
    rows = np.array([1e4, 2e4, 4e4, 8e4, 1.6e5])
    own, other = (
        (start + slope * rows) * np.exp(0.1 * generator.standard_normal((8, 5)))
        for start, slope in ((5.0, 1e-5), (0.5, 6e-5))
    )
    one, many = (crossover(Times(rows, own), Times(rows, other), verdicts) for verdicts in (1, 5))
    assert one is not None
    assert many is not None
    assert one.interval is not None
    assert many.interval is not None
    assert many.interval.high - many.interval.low > one.interval.high - one.interval.low
