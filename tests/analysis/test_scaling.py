"""The number of cores from which an engine beats one thread: known laws, measured answers, and refused input."""

import numpy as np
import pytest

from sparkscale.analysis.questions.fitting import LEVEL, drawn_rounds, expanded_percentiles
from sparkscale.analysis.questions.scaling import Cost, Law, Scaling, cost, fitted
from sparkscale.analysis.statistics import Array, Interval

CORES = 2.0 ** np.arange(5)


def law(cores: Array, contention: float = 0.0, coherency: float = 0.0) -> Array:
    """Gunther's law for an engine that takes 100 seconds on one core."""
    result: Array = 100 * (1 + contention * (cores - 1) + coherency * cores * (cores - 1)) / cores
    return result


def answer(seconds: Array, single: float, rounds: int = 5, cores: Array = CORES, noise: float = 0.01) -> Cost:
    """The answer for these mean seconds, with noise of this relative size in each execution."""
    generator = np.random.default_rng(1)
    measured = seconds * np.exp(noise * generator.standard_normal((rounds, len(seconds))))
    return cost(Scaling(cores, measured, single * np.exp(noise * generator.standard_normal(rounds))))


@pytest.mark.parametrize(
    ("contention", "coherency"), [(0.0, 0.0), (0.1, 0.0), (0.0, 0.002), (0.05, 0.01), (1.5, 0.0)]
)
def test_a_law_without_noise_is_recovered(contention: float, coherency: float) -> None:
    found = fitted(CORES, law(CORES, contention, coherency)[None], np.array([[0]]))
    expected = [100, 100 * contention, 100 * coherency]
    assert found.coefficients[0] == pytest.approx(expected, rel=1e-5, abs=1e-4)
    assert found.at(np.array([1.0, 77.0]))[0] == pytest.approx(law(np.array([1.0, 77.0]), contention, coherency))


@pytest.mark.parametrize("single", [1.0, 12.0, 30.0, 99.0, 150.0])
@pytest.mark.parametrize("coefficients", [(100, 0, 0), (100, 10, 0), (100, 0, 0.5), (100, 2, 0.4), (100, 150, 0.1)])
def test_crossings_and_the_best_time_are_those_of_a_fine_grid(
    coefficients: tuple[float, float, float], single: float
) -> None:
    known = Law(np.array([coefficients]), 2.0)
    grid = np.geomspace(2, 2e5, 500_000)
    seconds = known.at(grid)[0]
    faster = grid[seconds < single]
    (start,), (end,) = known.crossings(np.array([single]))
    if not len(faster):
        assert start == np.inf
        assert end == np.inf
        return
    assert start == pytest.approx(faster[0], rel=1e-4)
    assert end == (pytest.approx(faster[-1], rel=1e-4) if faster[-1] < grid[-1] else np.inf)
    assert known.best()[0] == pytest.approx(seconds.min(), rel=2e-3, abs=1e-3)


def test_a_measured_number_of_cores_is_enough() -> None:
    found = answer(law(CORES, 0.02), float(law(np.array(6.0), 0.02)))
    assert found.kind == "measured"
    assert found.cores == pytest.approx(6, rel=0.05)
    assert found.interval is not None
    assert 4 < found.interval.low <= 6 <= found.interval.high <= 8
    assert found.farthest == 160


def test_a_number_beyond_the_measured_ones_is_a_forecast() -> None:
    found = answer(law(CORES, 0.02), float(law(np.array(24.0), 0.02)))
    assert found.kind == "forecast"
    assert found.cores == pytest.approx(24, rel=0.1)
    assert found.largest == 16


def test_the_law_says_from_how_many_cores_on_it_is_slower_again() -> None:
    found = answer(law(CORES, 0.0, 0.004), 1.2 * float(law(np.array(16.0), 0.0, 0.004)), noise=0.002)
    grid = np.geomspace(1, 160, 100_000)
    faster = grid[law(grid, 0.0, 0.004) < 1.2 * law(np.array(16.0), 0.0, 0.004)]
    assert found.kind == "measured"
    assert found.cores == pytest.approx(faster[0], rel=0.02)
    assert found.until == pytest.approx(faster[-1], rel=0.05)


def test_more_cores_that_are_too_many_do_not_hide_that_fewer_are_enough() -> None:
    """With 16 cores the engine is slower again, so no measured number holds for all larger ones."""
    found = answer(law(CORES, 0.0, 0.05), 1.05 * float(law(np.array(4.5), 0.0, 0.05)), noise=0.002)
    assert found.kind == "forecast"
    assert 3 < found.cores < 4
    assert 4 < found.until < 8


@pytest.mark.parametrize("coherency", [0.0, 0.004])
def test_no_number_of_cores_is_enough(coherency: float) -> None:
    shortest = law(np.geomspace(1, 1e7, 100_000), 0.1, coherency).min()
    found = answer(law(CORES, 0.1, coherency), 0.8 * shortest)
    assert found.kind == "unbounded"
    assert found.cores == np.inf
    assert found.interval == Interval(np.inf, np.inf)
    assert found.ratio == pytest.approx(1.25, rel=0.05)
    assert found.ratio_interval is not None
    assert 1 < found.ratio_interval.low <= 1.25 <= found.ratio_interval.high


def test_a_number_beyond_ten_times_the_measured_ones_is_not_given() -> None:
    found = answer(law(CORES), 100 / 500)
    assert found.kind == "beyond"
    assert found.cores == np.inf


def test_noise_resolves_nothing() -> None:
    found = answer(law(CORES, 0.1), 1.05 * 10, noise=0.1)
    assert found.kind == "not resolved"
    assert found.interval is not None
    assert found.interval.high == np.inf


@pytest.mark.parametrize(("coherency", "single"), [(0.0, 13.0), (0.004, 30.0)])
def test_the_interval_covers_amdahls_law_unless_there_is_coherency(coherency: float, single: float) -> None:
    """With this seed, the fitted coherency is above 0 also where there is none."""
    noise = 0.05 * np.random.default_rng(12).standard_normal((5, 5))
    seconds, drawn = law(CORES, 0.1, coherency) * np.exp(noise), drawn_rounds(5)
    with_it, amdahls = (
        expanded_percentiles(
            fitted(CORES, seconds, drawn, has_coherency).crossings(np.full(len(drawn), single))[0], 5, LEVEL
        )
        for has_coherency in (True, False)
    )
    found = cost(Scaling(CORES, seconds, np.full(5, single))).interval
    assert found is not None
    if coherency:
        assert amdahls.high > with_it.high
        assert (found.low, found.high) == pytest.approx((with_it.low, with_it.high))
    else:
        assert amdahls.low < 0.9 * with_it.low
        assert found.low == pytest.approx(amdahls.low)


def test_the_fewest_cores_are_enough() -> None:
    found = answer(law(CORES[2:], 0.02), 60, cores=CORES[2:])
    assert found.cores == 4
    assert found.interval == Interval(4, 4)


def test_measurements_limit_a_wrong_law() -> None:
    """Times that fall at once between 4 and 8 cores follow no law, and the true number lies between the two."""
    found = answer(np.array([100.0, 100, 100, 20, 20]), 90)
    assert found.kind == "measured"
    assert 4 <= found.cores <= 8
    assert found.interval is not None
    assert 4 <= found.interval.low <= found.interval.high <= 8


@pytest.mark.parametrize(
    ("single", "kind", "interval"),
    [
        (120.0, "measured", Interval(1, 1)),
        (40.0, "measured", Interval(2, 4)),
        (20.0, "none measured", Interval(4, np.inf)),
        (25.0, "not resolved", Interval(2, np.inf)),
    ],
)
def test_three_numbers_of_cores_are_not_extended(single: float, kind: str, interval: Interval) -> None:
    found = answer(law(CORES[:3]), single, cores=CORES[:3])
    assert found.kind == kind
    assert found.interval == interval
    assert found.farthest == 4
    assert found.ratio == pytest.approx(25 / single, rel=0.02)


def test_one_number_of_cores() -> None:
    assert answer(np.array([50.0]), 60, cores=np.array([8.0])).cores == 8
    assert answer(np.array([50.0]), 40, cores=np.array([8.0])).kind == "none measured"


@pytest.mark.parametrize(
    ("single", "kind", "cores"),
    [(30.0, "measured", 3.37), (4.0, "forecast", 33.0), (0.9, "unbounded", np.inf), (1.01, "beyond", np.inf)],
)
def test_a_published_table_has_one_round_and_no_interval(single: float, kind: str, cores: float) -> None:
    found = cost(Scaling(CORES, law(CORES, 0.01)[None], np.array([single])))
    assert found.kind == kind
    assert found.cores == pytest.approx(cores, rel=0.02)
    assert found.interval is None
    assert found.ratio_interval is None


def test_a_published_table_with_few_numbers_of_cores() -> None:
    found = cost(Scaling(np.array([16.0, 128.0]), np.array([[857.0, 419.0]]), np.array([300.0])))
    assert found.kind == "none measured"
    assert found.ratio == pytest.approx(419 / 300)


@pytest.mark.parametrize(
    ("cores", "seconds", "single", "sentence"),
    [
        ([1.0, 2, 2], np.ones((5, 3)), np.ones(5), "The numbers of cores do not ascend: 1, 2, 2."),
        ([1.0, 2], np.array([[3.0, np.inf]]), np.ones(1), "A time is not a positive, finite number of seconds."),
        ([1.0, 2], np.ones((1, 2)), np.array([0.0]), "A time is not a positive, finite number of seconds."),
        ([1.0, 2], np.ones((5, 3)), np.ones(5), "The times have shape (5, 3), but there are 2 numbers of cores."),
        ([1.0, 2], np.ones((5, 2)), np.ones(4), "The library has 4 times, but the engine has 5 rounds."),
        ([], np.ones((5, 0)), np.ones(5), "The times have shape (5, 0), but there are 0 numbers of cores."),
    ],
)
def test_input_that_cannot_be_used(cores: list[float], seconds: Array, single: Array, sentence: str) -> None:
    with pytest.raises(ValueError) as raised:
        Scaling(np.array(cores), seconds, single)
    assert str(raised.value).startswith(sentence)


def test_a_number_that_was_measured_to_be_slower_is_no_forecast() -> None:
    """The law crosses at 1 core, but 1 core is slower in each round."""
    seconds = [
        [10.18, 9.29, 9.00, 7.75],
        [10.19, 6.89, 10.46, 9.00],
        [10.20, 9.29, 7.75, 10.46],
        [10.21, 6.89, 10.46, 7.75],
        [10.22, 8.00, 7.75, 10.46],
    ]
    found = cost(Scaling(np.array([1.0, 2.0, 4.0, 8.0]), np.array(seconds), np.full(5, 10.0)))
    assert found.cores == 1
    assert found.kind == "not resolved"
