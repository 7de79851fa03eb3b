"""Forecasts of quality: known curves, ill-behaved ones, and ceilings."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from sparkscale.analysis.questions.learning_curve import Curve, bootstrapped, fitted, forecast, ill_behaved

ROWS = 1000.0 * 2 ** np.arange(6)


def curve(quality: np.ndarray, noise: float = 1e-4, is_better: int = 1, ceiling: float | None = None) -> Curve:
    """A measured curve, with draws that vary by `noise`."""
    draws = quality + noise * np.random.default_rng(1).standard_normal((200, len(quality)))
    return Curve(ROWS[: len(quality)], quality, draws, is_better, ceiling)


@pytest.mark.parametrize("is_better", [1, -1])
def test_a_power_law_goes_on(is_better: int) -> None:
    def at(rows: np.ndarray | float) -> np.ndarray:
        return np.asarray(0.8 - is_better * 2.0 * np.asarray(rows) ** -0.5)

    found = forecast(curve(at(ROWS), is_better=is_better), 4 * ROWS[-1])
    assert found.value == pytest.approx(float(at(4 * ROWS[-1])), abs=5e-4)
    assert found.interval is not None
    assert found.interval.low <= float(at(4 * ROWS[-1])) <= found.interval.high


def test_noise_widens_the_interval() -> None:
    quality = 0.8 - 2.0 * ROWS**-0.5
    widths = []
    for noise in (1e-4, 1e-3):
        found = forecast(curve(quality, noise), 2 * ROWS[-1])
        assert found.interval is not None
        widths.append(found.interval.high - found.interval.low)
    assert widths[1] > 3 * widths[0]


@pytest.mark.parametrize(
    ("family", "shape"),
    [
        (0, lambda x: x**-3),
        (1, lambda x: (x + 3) ** -3),
        (2, lambda x: 1 / (1 + x**4 / 100)),
        (3, lambda x: np.exp(-60 * x**0.03)),
    ],
    ids=["pow3", "pow4", "mmf4", "wbl4"],
)
def test_each_family_goes_on_with_a_curve_of_its_own_form(
    family: int, shape: Callable[[np.ndarray], np.ndarray]
) -> None:
    """Their parameters are the largest, or the smallest, that are tried, so the fit is exact."""
    first, *_ = shape(ROWS / ROWS[-1])
    quality, ahead = (0.8 - 0.1 * shape(rows / ROWS[-1]) / first for rows in (ROWS, 4 * ROWS[-1:]))
    found = fitted(curve(quality), quality[None], 4 * ROWS[-1])
    assert found.shape == (1, 4)
    assert found[0, family] == pytest.approx(ahead[0], abs=1e-4 * (ahead[0] - quality[-1]))


def test_the_bootstrap_has_the_limits_of_nine_draws_in_ten() -> None:
    measured = curve(0.8 - 2.0 * ROWS**-0.5, noise=1e-3)
    value, low, high = bootstrapped(measured, 2 * ROWS[-1])
    drawn = np.median(fitted(measured, measured.draws, 2 * ROWS[-1]), axis=1)
    assert low < value < high
    outside = [int((drawn < low).sum()), int((drawn > high).sum())]
    assert outside == [10, 10], "of 200 draws"


def test_a_forecast_does_not_depend_on_the_unit_of_the_quality() -> None:
    quality = 2.0 + 20.0 * ROWS**-0.5
    usual, large = (
        forecast(Curve(ROWS, unit * quality, unit * curve(quality, 1e-3).draws, is_better=-1), 2 * ROWS[-1])
        for unit in (1.0, 1000.0)
    )
    assert usual.value is not None and usual.interval is not None
    assert large.value is not None and large.interval is not None
    assert large.value == pytest.approx(1000 * usual.value)
    assert large.interval.low == pytest.approx(1000 * usual.interval.low)
    assert large.interval.high == pytest.approx(1000 * usual.interval.high)


def test_a_ceiling_bounds_value_and_interval() -> None:
    quality = np.array([0.60, 0.64, 0.67, 0.69, 0.705, 0.717])
    free = forecast(curve(quality, 1e-3), 10 * ROWS[-1])
    assert free.value is not None
    assert free.value > 0.73
    found = forecast(curve(quality, 1e-3, ceiling=0.73), 10 * ROWS[-1])
    assert found.value == 0.73
    assert found.interval is not None
    assert found.interval.high == 0.73


def test_what_is_ill_behaved_has_no_forecast_and_says_why() -> None:
    rising = 0.8 - 2.0 * ROWS**-0.5
    peak = rising.copy()
    peak[3] += 0.02
    assert ill_behaved(curve(rising, 1e-3)) == ""
    assert ill_behaved(curve(peak, 1e-3)) == "ill-behaved: more rows make the quality worse"
    assert ill_behaved(curve(peak, 1e-1)) == "", "this much noise explains the peak"
    few = forecast(curve(rising[:4]), 2 * ROWS[3])
    assert (few.value, few.interval) == (None, None)
    assert few.why_none == "ill-behaved: 4 sizes were measured, and 5 are needed"


def test_far_forecasts_are_refused() -> None:
    found = forecast(curve(0.8 - 2.0 * ROWS**-0.5), 11 * ROWS[-1])
    assert found.value is None
    assert found.why_none == "more than 10 times the largest measured size (32,000 rows)"


def test_a_monotone_curve_is_rarely_called_ill_behaved() -> None:
    """A constant curve is the least favourable one; the share of false verdicts is the level of the test."""
    generator = np.random.default_rng(7)
    noise = 1e-3
    verdicts = []
    for _ in range(600):
        quality = 0.7 + noise * generator.standard_normal(6)
        draws = quality + noise * generator.standard_normal((400, 6))
        verdicts.append(bool(ill_behaved(Curve(ROWS, quality, draws))))
    assert np.mean(verdicts) < 0.025


def test_a_peak_with_heavy_noise_is_found_on_the_scale_of_the_quality() -> None:
    """An RMSE of 10 that is 5 in one round and 20 in another is worse than 1.6, though its variance is large."""
    generator = np.random.default_rng(1)
    rmse = np.array([1.6, 10.0, 1.4, 1.16, 1.08, 1.05, 1.03])
    noise = np.array([0.03, 0.45, 0.03, 0.02, 0.02, 0.02, 0.02])
    draws = rmse * np.exp(noise * generator.standard_normal((400, 7)))
    curve = Curve(100.0 * 2 ** np.arange(7), rmse, draws, is_better=-1)
    assert ill_behaved(curve) == ""
    assert ill_behaved(replace(curve, scale=np.log)) == "ill-behaved: more rows make the quality worse"
