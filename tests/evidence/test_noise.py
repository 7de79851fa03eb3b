"""The noise of simulated rounds: it has the spreads and the shape of real rounds, and no equal values."""

from pathlib import Path

import numpy as np
import pytest

from sparkscale.analysis.statistics import Array
from sparkscale.contract.errors import ConfigError
from sparkscale.evidence.noise import Noise, noise_of, real_cases

RECORDS = Path(__file__).parents[2] / "docs" / "results" / "records"


def times(spreads: list[float], rounds: int = 5, seed: int = 0) -> list[list[float]]:
    generator = np.random.default_rng(seed)
    return [(7 * np.exp(generator.normal(0, spread, rounds))).tolist() for spread in spreads]


def drawn(noise: Noise, comparisons: int = 4000, rounds: int = 5) -> Array:
    return noise.drawn(np.random.default_rng(1), comparisons, 1, rounds)


@pytest.mark.parametrize("rounds", [5, 8])
def test_normal_noise_comes_out_as_normal_noise(rounds: int) -> None:
    noise = Noise.of(times([0.05] * 400, rounds))
    logs = drawn(Noise(np.array([0.05]), noise.shapes, noise.degrees)).ravel() / 0.05
    assert logs.mean() == pytest.approx(0, abs=0.03)
    assert logs.std() == pytest.approx(1, abs=0.03)
    assert (logs**4).mean() == pytest.approx(3, abs=0.25)
    assert (np.abs(logs) > 1.96).mean() == pytest.approx(0.05, abs=0.007)


def test_cases_keep_their_spreads() -> None:
    spreads = drawn(Noise.of(times([0.01, 0.2] * 20, rounds=20)), 2000, 20).std(axis=-1, ddof=1).ravel()
    assert 0.4 < (spreads < 0.03).mean() < 0.6
    assert 0.4 < (spreads > 0.1).mean() < 0.6


def test_noise_keeps_its_skew() -> None:
    normal = times([0.02] * 50)
    slow_rounds = [[*case[:-1], 1.5 * max(case)] for case in normal]
    logs, skewed = drawn(Noise.of(normal)), drawn(Noise.of(slow_rounds))
    assert abs((logs**3).mean() / logs.std() ** 3) < 0.5
    assert (skewed**3).mean() / skewed.std() ** 3 > 1


def test_no_two_values_are_equal() -> None:
    logs = drawn(Noise.of(times([0.05] * 5)), comparisons=1, rounds=2000)
    assert len(np.unique(logs)) == 4000


def test_a_shape_is_the_deviation_from_the_other_rounds() -> None:
    case = times([0.1])[0]
    logs = np.log(case)
    from_others = np.array([logs[own] - np.delete(logs, own).mean() for own in range(5)])
    assert Noise.of([case]).shapes == pytest.approx(from_others * np.sqrt(4 / 5) / logs.std(ddof=1))


def test_equal_times_are_a_case_without_noise() -> None:
    noise = Noise.of([[2.0] * 5, *times([0.1])])
    assert noise.spreads[0] == 0
    assert len(noise.shapes) == 5


def test_real_cases_have_five_rounds_of_one_run() -> None:
    cases = real_cases([RECORDS / "per-group-speed.parquet", RECORDS / "quick.parquet"])
    assert {case.case.pattern for case in cases} == {"per_group"}
    assert {len(case.times) for case in cases} == {5}
    assert len({(case.invocation, case.case.experiment) for case in cases}) == len(cases) == 16
    noise = noise_of(cases)
    assert 0.01 < noise.spreads.min() < 0.03 and 0.2 < noise.spreads.max() < 0.3


def test_too_few_cases_are_refused() -> None:
    with pytest.raises(ConfigError, match="These records have 0 cases with 5 rounds or more, and 5 are needed"):
        noise_of(real_cases([RECORDS / "quick.parquet"]))
