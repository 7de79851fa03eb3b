"""Forecasts the quality of a model that is trained on more rows than were measured, from its learning curve.

Four families of curves are fitted to the measured qualities by weighted least squares: pow3, pow4, mmf4 and wbl4
(Viering and Loog: The shape of learning curves, IEEE TPAMI 45, 2023). The forecast is the median of the four. On the
public curves of LCDB 1.1, its median error is half that of a forecast that repeats the last measured quality.

Each family is c + A·g(x, θ), where g falls with the size x. A has the sign with which more rows make the quality
better. For a given θ, the best A and c have a closed form, so only θ is searched (variable projection; Golub and
Pereyra, SIAM J. Numer. Anal. 10, 1973). Each θ of a grid is tried. The grid is coarse, and the factor CALIBRATION was
found with it.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import TypeVar

import numpy as np
from scipy.optimize import isotonic_regression

from sparkscale.analysis.questions.fitting import FARTHEST, is_too_far
from sparkscale.analysis.statistics import Array, Interval

LEVEL = 0.90
"""The confidence level of forecasts."""
FEWEST_SIZES = 5
"""A quality is forecast only from at least this many sizes, because a family has up to four parameters."""
CALIBRATION = 2.4
"""The factor by which the bootstrap's interval is widened on both sides.

The bootstrap covers the noise of the measured qualities. It does not cover the error of the families: none of them
is the true curve. The factor is calibrated on half of the public data sets (`sparkscale evidence curves`). With this
factor, intervals for four times the largest size contain 90 % of the measured qualities.
"""
NOT_MONOTONE = 0.01
"""The significance level of the test that finds curves on which more rows make the model worse."""

Numbers = TypeVar("Numbers", float, Array)

Family = Callable[[Array], Array]
"""Maps sizes of shape (sizes,) to values of g of shape (grid, sizes), with a line for each θ of a grid."""


@dataclass(frozen=True)
class Curve:
    """The qualities that were measured for several sizes.

    `rows` has shape (sizes,) and ascends. `quality` has the same shape. `draws` holds bootstrap replicates of
    `quality`, of shape (draws, sizes). They vary as the measured qualities would with new units and seeds.
    `is_better` is 1 if a higher quality is better, and -1 if a lower quality is better. `ceiling` is the best
    possible quality. None if it is not known.
    """

    rows: Array
    quality: Array
    draws: Array
    is_better: int = 1
    ceiling: float | None = None
    scale: Callable[[Array], Array] = lambda quality: quality
    """The scale on which noise is about symmetric, such as the logarithm of an RMSE. It must ascend."""

    def up_to(self, rows: float) -> "Curve":
        """Returns the part of the curve with sizes of at most this number of rows."""
        kept = self.rows <= rows
        return replace(self, rows=self.rows[kept], quality=self.quality[kept], draws=self.draws[:, kept])


@dataclass(frozen=True)
class Forecast:
    """The forecast of a quality for `rows` training rows.

    If there is no forecast, `value` and `interval` are None, and `why_none` gives the reason.
    """

    rows: float
    value: float | None = None
    interval: Interval | None = None
    why_none: str = ""


def forecast(curve: Curve, rows: float) -> Forecast:
    """Returns the forecast for a number of training rows, with an interval at LEVEL."""
    if why := ill_behaved(curve):
        return Forecast(rows, why_none=why)
    if why := too_many(rows, curve):
        return Forecast(rows, why_none=why)
    value, low, high = (_below_ceiling(curve, number) for number in widened(*bootstrapped(curve, rows), CALIBRATION))
    return Forecast(rows, value, Interval(low, high))


def too_many(rows: float, curve: Curve) -> str:
    """Returns why a number of rows is too large for a forecast. Empty if it is not."""
    largest = float(curve.rows.max())
    if not is_too_far(rows, largest):
        return ""
    return f"more than {FARTHEST:.0f} times the largest measured size ({largest:,.0f} rows)"


def bootstrapped(curve: Curve, rows: float) -> tuple[float, float, float]:
    """Returns the forecast, and the limits of the bootstrap's interval at LEVEL.

    This interval is too narrow, so `forecast` widens it.
    """
    value, drawn = forecast_draws(curve, rows)
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return value, float(low), float(high)


def forecast_draws(curve: Curve, rows: float) -> tuple[float, Array]:
    """Returns the forecast, and that of each draw of the bootstrap, of shape (draws,).

    Curves that were drawn together, such as those of several engines, have forecasts that belong together.
    """
    (value,), drawn = (
        np.median(fitted(curve, values, rows), axis=1) for values in (curve.quality[None], curve.draws)
    )
    return float(value), drawn


def widened(value: Numbers, low: Numbers, high: Numbers, factor: float) -> tuple[Numbers, Numbers, Numbers]:
    """Returns a forecast with limits that are `factor` times as far away from it. Takes numbers or arrays."""
    return value, value - factor * np.maximum(0.0, value - low), value + factor * np.maximum(0.0, high - value)


def ill_behaved(curve: Curve) -> str:
    """Returns the reason why a curve cannot be extended. Empty if it can.

    A test decides whether chance alone explains where the quality gets worse with more rows. The statistic is the
    weighted distance from the best monotone curve. Its distribution is simulated for a constant curve, the least
    favourable case (Robertson, Wright and Dykstra: Order Restricted Statistical Inference, 1988, ch. 2).
    """
    sizes = len(curve.rows)
    if sizes < FEWEST_SIZES:
        return f"ill-behaved: {sizes} sizes were measured, and {FEWEST_SIZES} are needed"
    if not np.isfinite(curve.draws).all():
        return "ill-behaved: some draws have no quality"
    scaled = replace(curve, quality=curve.scale(curve.quality), draws=curve.scale(curve.draws))
    weights = _weights(scaled)
    noise = scaled.draws - scaled.draws.mean(axis=0)
    distances = _distances(noise * curve.is_better, weights)
    (measured,) = _distances(scaled.quality[None] * curve.is_better, weights)
    if float((distances >= measured).mean()) < NOT_MONOTONE:
        return "ill-behaved: more rows make the quality worse"
    return ""


def fitted(curve: Curve, values: Array, rows: float) -> Array:
    """Fits each family of curves to each line of `values`. Returns the predicted qualities for `rows` rows.

    `values` has shape (lines, sizes), and the result has shape (lines, families).
    """
    largest = curve.rows.max()
    weights = _weights(curve)
    weights = weights / weights.sum()
    mean = values @ weights
    centred = values - mean[:, None]
    results = []
    for family in families():
        shape, ahead = family(curve.rows / largest), family(np.array([rows / largest]))[:, 0]
        middle = shape @ weights
        deviation = shape - middle[:, None]
        scale = np.sqrt((deviation**2) @ weights)
        usable = scale > 1e-12 * np.abs(shape).max(axis=1)
        unit = deviation[usable] / scale[usable, None]
        slope = centred @ (unit * weights).T
        slope = np.minimum(slope, 0.0) if curve.is_better > 0 else np.maximum(slope, 0.0)
        best = (slope**2).argmax(axis=1)  # the explained part of the sum of squares
        steps = ((ahead - middle)[usable] / scale[usable])[best]
        results.append(mean + slope[np.arange(len(values)), best] * steps)
    return np.stack(results, axis=1)


@cache
def families() -> tuple[Family, ...]:
    """Returns the four families. Sizes are in units of the largest measured size."""
    power, shift = _grid(np.geomspace(0.05, 3, 40), np.geomspace(1e-3, 3, 16))
    scale, bend = _grid(np.geomspace(1e-3, 1e2, 30), np.geomspace(0.1, 4, 24))
    rate, form = _grid(np.geomspace(0.03, 60, 40), np.geomspace(0.03, 2, 24))
    powers = np.unique(power)[:, None]
    return (
        lambda x: x**-powers,
        lambda x: (x + shift) ** -power,
        lambda x: 1 / (1 + x**bend / scale),
        lambda x: np.exp(-rate * x**form),
    )


def _grid(first: Array, second: Array) -> tuple[Array, Array]:
    """Returns all pairs of two parameters, each as an array of shape (pairs, 1)."""
    one, other = np.meshgrid(first, second, indexing="ij")
    return one.reshape(-1, 1), other.reshape(-1, 1)


def _weights(curve: Curve) -> Array:
    """Returns the inverse variance of the quality at each size, of shape (sizes,)."""
    variances: Array = curve.draws.var(axis=0)
    least = max(float(variances.max()), 1e-12) * 1e-4  # else only a quality without noise would count
    result: Array = 1 / np.maximum(variances, least)
    return result


def _distances(values: Array, weights: Array) -> Array:
    """Returns, for each line of `values`, its weighted squared distance from the closest sequence that never falls.

    The result has shape (lines,).
    """
    nearest = np.array([isotonic_regression(line, weights=weights).x for line in values])
    result: Array = ((values - nearest) ** 2) @ weights
    return result


def _below_ceiling(curve: Curve, value: float) -> float:
    if curve.ceiling is None:
        return value
    return min(value, curve.ceiling) if curve.is_better > 0 else max(value, curve.ceiling)
