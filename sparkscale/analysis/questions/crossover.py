"""Finds the number of rows from which one engine is faster than another.

The time of an engine with n rows is modelled as t(n) = a + b·n. If t(n) = a + b·n + c·n·log n is better at predicting
sizes that were left out of the fit, it is used instead. All coefficients are at least 0, and residuals are relative
to the measured time. The form is that of Ernest (Venkataraman et al., NSDI 2016), for a fixed number of cores.

The interval is a bootstrap over rounds: each draw fits both engines to the same rounds.
"""

from dataclasses import dataclass

import numpy as np

from sparkscale.analysis.questions.fitting import (
    FARTHEST,
    bracket,
    drawn_rounds,
    expanded_percentiles,
    geometric_means,
    non_negative,
    within,
)
from sparkscale.analysis.statistics import FEWEST_ROUNDS, Array, Interval, at_most

NOMINAL = 0.93
"""The level of the bootstrap's percentiles.

It is calibrated in simulations, so that a share LEVEL of intervals contains the true value (Loh: Calibrating
confidence coefficients, J. Am. Stat. Assoc. 82, 1987). Uncalibrated intervals are too narrow: the bootstrap does not
know that the form of the curve was chosen from the same times.
"""
FEWEST_SIZES = 3
"""Times are extended to other sizes only if an engine was measured with at least this many sizes."""
POINTS = 400
"""The number of sizes at which two engines are compared. They are evenly spread on a logarithmic scale."""


@dataclass(frozen=True)
class Times:
    """The measured times of one engine.

    `rows` has shape (sizes,) and ascends. `seconds` has shape (rounds, sizes), and no value is missing.
    """

    rows: Array
    seconds: Array


@dataclass(frozen=True)
class Model:
    """The fitted times of an engine. `coefficients` has shape (draws, 3), for the terms 1, n and n·log n."""

    coefficients: Array

    def at(self, rows: Array) -> Array:
        """Returns seconds of shape (draws, sizes) for `rows` of shape (sizes,)."""
        result: Array = self.coefficients @ _terms(rows).T
        return result


@dataclass(frozen=True)
class Crossover:
    """The size from which an engine is faster than a rival.

    `rows` is this size. It is infinite if the engine is not faster up to `farthest` rows, and 0 if it is faster from
    the smallest measured size on. `interval` is the confidence interval of `rows`. It is None if there are fewer than
    FEWEST_ROUNDS rounds.

    `ratio` is the engine's time divided by the rival's, for `farthest` rows, the largest size that is forecast.
    `is_never` is true if `rows` is infinite and the engine's time also grows at least as fast as the rival's.
    `largest` is the smaller one of the two engines' largest sizes. `rounds` counts the rounds that both have.
    `models` holds the fitted times of the engine, then those of the rival.
    """

    rows: float
    interval: Interval | None
    ratio: float
    is_never: bool
    largest: float
    farthest: float
    rounds: int
    models: tuple[Model, Model]

    def seconds(self, rows: float) -> tuple[float, float]:
        """Returns the seconds that the engine and the rival take for a number of rows, by their fits."""
        own, other = (float(model.at(np.array([rows]))[0, 0]) for model in self.models)
        return own, other

    @property
    def is_measured(self) -> bool:
        """True if the engine is faster within the sizes that were measured."""
        return self.rows <= self.largest


def crossover(engine: Times, rival: Times, verdicts: int = 1) -> Crossover | None:
    """Returns the size from which `engine` is faster than `rival`. None if either has too few sizes.

    Rounds are paired, so both must have the same rounds. The confidence level holds for `verdicts` crossovers
    together. The result agrees with significant comparisons at sizes that were measured for both engines (see
    `bracket`).
    """
    if min(len(engine.rows), len(rival.rows)) < FEWEST_SIZES:
        return None
    rounds = len(engine.seconds)
    everything, drawn = np.arange(rounds)[None], drawn_rounds(rounds)
    largest = float(min(engine.rows.max(), rival.rows.max()))
    sizes = np.geomspace(max(engine.rows.min(), rival.rows.min()), FARTHEST * largest, POINTS)
    own, other = (fitted(times, everything) for times in (engine, rival))
    limits = _measured_limits(engine, rival, verdicts)
    value = _limited(float(crossings(own, other, sizes)[0]), limits, sizes)
    interval = None
    if rounds >= FEWEST_ROUNDS:
        drawn_rows = crossings(fitted(engine, drawn), fitted(rival, drawn), sizes)
        level = 1 - (1 - NOMINAL) / max(1, verdicts)
        interval = within(expanded_percentiles(drawn_rows, rounds, level), limits)
    is_never = bool(np.isinf(value) and _grows_faster(own.coefficients[0, 1:], other.coefficients[0, 1:]))
    ratio = float(own.at(sizes[-1:])[0, 0] / other.at(sizes[-1:])[0, 0])
    return Crossover(value, interval, ratio, is_never, largest, float(sizes[-1]), rounds, (own, other))


def _measured_limits(engine: Times, rival: Times, verdicts: int) -> Interval:
    """Returns the limits of the crossing that follow from comparisons at the sizes that both engines have.

    See `bracket`.
    """
    common = np.intersect1d(engine.rows, rival.rows)
    own, other = (times.seconds[:, np.isin(times.rows, common)] for times in (engine, rival))
    is_faster = [at_most(ratios.tolist(), 1.0, verdicts * len(common)) for ratios in (own / other).T]
    return bracket(common, is_faster)


def _limited(value: float, limits: Interval, sizes: Array) -> float:
    """Returns the crossing `value`, moved into the limits.

    If the lower limit is a size at which the engine is slower, a smaller value becomes the next larger one of
    `sizes`.
    """
    if value <= limits.low and limits.low > 0:
        value = float(sizes[sizes > limits.low].min(initial=sizes[-1]))
    return min(value, limits.high)


def fitted(times: Times, drawn: Array) -> Model:
    """Returns the model of an engine for each draw of rounds. `drawn` has shape (draws, rounds)."""
    means = geometric_means(times.seconds, np.arange(len(times.seconds))[None])
    return model_of(times.rows, geometric_means(times.seconds, drawn), best_terms(times.rows, means))


def best_terms(rows: Array, means: Array) -> int:
    """Returns how many terms the model has: those that are better at predicting sizes that were left out.

    `means` holds the mean seconds, of shape (1, sizes).
    """
    return 2 if len(rows) <= FEWEST_SIZES or _left_out(rows, means, 3) >= _left_out(rows, means, 2) else 3


def model_of(rows: Array, seconds: Array, terms: int) -> Model:
    """Returns the model with this number of terms for each line of `seconds`, of shape (draws, sizes)."""
    coefficients = np.zeros((len(seconds), 3))
    coefficients[:, :terms] = non_negative(_terms(rows)[:, :terms], seconds)
    return Model(coefficients)


def _left_out(rows: Array, means: Array, terms: int) -> float:
    """Returns the mean squared relative error of times that are predicted for a size that was left out of the fit.

    Each size is left out once. `terms` is the number of terms of the model. `means` has shape (1, sizes).
    """
    errors = []
    for left in range(len(rows)):
        kept = np.arange(len(rows)) != left
        matrix = _terms(rows)[:, :terms]
        coefficients = non_negative(matrix[kept], means[:, kept])
        errors.append(float(coefficients[0] @ matrix[left]) / means[0, left] - 1)
    return float(np.mean(np.square(errors)))


def _terms(rows: Array) -> Array:
    """Returns 1, n and n·log n for each size, of shape (sizes, 3)."""
    return np.stack([np.ones(len(rows)), rows, rows * np.log(rows)], axis=1)


def crossings(engine: Model, rival: Model, sizes: Array) -> Array:
    """Returns, for each draw, the size from which the engine is faster. The result has shape (draws,)."""
    slower = engine.at(sizes) >= rival.at(sizes)
    last = slower.shape[1] - 1 - slower[:, ::-1].argmax(axis=1)  # the last size for which the engine is slower
    crossing = np.where(last == slower.shape[1] - 1, np.inf, sizes[np.minimum(last + 1, len(sizes) - 1)])
    result: Array = np.where(slower.any(axis=1), crossing, 0.0)
    return result


def _grows_faster(own: Array, other: Array) -> bool:
    """Returns true if the engine's time grows at least as fast as the rival's.

    `own` and `other` are the coefficients of n and n·log n of the engine and of the rival.
    """
    return bool((own[1], own[0]) >= (other[1], other[0]))
