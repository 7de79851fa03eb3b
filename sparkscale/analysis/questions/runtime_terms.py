"""The terms of a job's run time, and their fit. `runtime_model` decides what is fitted, and predicts.

For a size s (rows, or units of data) and a scale-out m (nodes or cores), the model is

    seconds = θ0 + θ1·s/m + θ2·log m + θ3·m + θ4·s + θ5/m + θ6·(s/m)·log(s/s0),  all θ ≥ 0

The first four terms are those of Ernest (Venkataraman et al.: Ernest: Efficient performance prediction for
large-scale advanced analytics, NSDI 2016): a fixed cost, parallel work, a tree of messages, and a message to each
node. θ4 is work that does not become faster with more nodes. θ5 is work that does, but does not depend on the size.
θ6 is work that grows faster than the size, as sorting does. s0 is the smallest measured size. The model has this term
only if the sizes span a factor of 8: over less, n·log n is almost a straight line.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq, nnls

from sparkscale.analysis.statistics import Array

GROWTH = "s log s/m"
TERMS = ("1", "s/m", "log m", "m", "s", "1/m", GROWTH)
"""The terms of the model."""
SPAN = 8.0
"""The smallest ratio between the largest and the smallest size with which the term GROWTH is fitted."""
LEAST_SECONDS = 1e-9
"""A fit whose only term is log m gives no time at a scale-out of 1. This number replaces it."""
WIDEST = math.log(1e6)
"""The largest logarithm of the ratio between a limit of an interval and the prediction."""
SAME = 1e-6
"""Columns are collinear if the smallest singular value of the scaled design is below this."""


@dataclass(frozen=True)
class Configuration:
    """The runs at one size and one scale-out. `seconds` holds one number per run, and ascends."""

    size: float
    scale_out: float
    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """Returns the median of the seconds."""
        return statistics.median(self.seconds)


@dataclass(frozen=True)
class Misfit:
    """Tells how badly a new run fits to the measured configurations.

    The misfit is the root of the sum of squares that one more run adds to the best fit of all terms:

        misfit(t)² = min over θ of [S(θ) + ((fitted - t)/u)²] - min over θ of S(θ),  S(θ) = Σ (fitted/measured - 1)²

    The unit u is the smaller of t and the prediction, so that half of the time misfits like twice the time. The
    misfit compares the likelihoods of the runs with and without the new one (Bjørnstad: Predictive likelihood: A
    review, Statistical Science 5, 1990). A term that the configurations do not identify, or that the fit sets to 0,
    may still explain a new run. So the misfit grows slowly where little is known.
    """

    design: Array
    """Each term at each configuration, divided by the seconds and by `scales`. Shape (configurations, terms)."""
    scales: Array
    smallest: float
    least: float
    """The sum of squares without a new run."""

    def __call__(self, size: float, scale_out: float, seconds: float, predicted: float) -> float:
        """Returns the misfit of a run at a size and scale-out that takes some seconds instead of those predicted."""
        unit = min(seconds, predicted)
        row = _design(np.array([size]), np.array([scale_out]), self.smallest) / self.scales / unit
        _, root = nnls(np.concatenate([self.design, row]), np.append(np.ones(len(self.design)), seconds / unit))
        return math.sqrt(max(root**2 - self.least, 0.0))

    def distance(self, size: float, scale_out: float, seconds: float, reach: float) -> float:
        """Returns how far from the prediction `seconds` the misfit is `reach`, as the logarithm of a ratio.

        It is that of the farther side. The other side is often too near, because a θ cannot be below 0.
        """

        def excess(logarithm: float) -> float:
            return self(size, scale_out, seconds * math.exp(logarithm), seconds) - reach

        def one_side(farthest: float) -> float:
            if excess(0.0) >= 0:
                return 0.0
            return abs(farthest if excess(farthest) <= 0 else float(brentq(excess, 0.0, farthest, rtol=1e-6)))

        return max(one_side(-WIDEST), one_side(WIDEST))


def misfit(configurations: Sequence[Configuration]) -> Misfit:
    """Returns the misfit of new runs to these configurations."""
    sizes, scale_outs, _ = coordinates(configurations)
    smallest = smallest_size(configurations)
    design = _design(sizes, scale_outs, smallest) / np.array([[each.median] for each in configurations])
    scales = np.maximum(np.linalg.norm(design, axis=0), LEAST_SECONDS)
    _, root = nnls(design / scales, np.ones(len(design)))
    return Misfit(design / scales, scales, smallest, root**2)


def _design(sizes: Array, scale_outs: Array, smallest: float) -> Array:
    """Returns the values of all terms, of shape (configurations, terms)."""
    return np.stack(list(columns(sizes, scale_outs, smallest).values()), axis=1)


@dataclass(frozen=True)
class Curve:
    """The θ of each kept term, in seconds per unit of the term, and s0 (see `smallest_size`)."""

    coefficients: dict[str, float]
    smallest: float

    def seconds(self, sizes: Array, scale_outs: Array) -> Array:
        """Returns the seconds for some sizes and scale-outs, each of shape (configurations,)."""
        values = columns(sizes, scale_outs, self.smallest)
        total = np.sum([theta * values[term] for term, theta in self.coefficients.items()], axis=0)
        result: Array = np.maximum(total, LEAST_SECONDS)
        return result


def design_row(size: float, scale_out: float, smallest: float) -> Array:
    """Returns the values of all terms at one size and scale-out, of shape (terms,)."""
    row: Array = _design(np.array([size]), np.array([scale_out]), smallest)[0]
    return row


def fitted(configurations: Sequence[Configuration]) -> tuple[Curve, dict[str, str]]:
    """Returns the fitted curve, and the reason for each term that is left out.

    If the configurations cannot tell terms apart, those that fit best are kept.
    """
    sizes, scale_outs, _ = coordinates(configurations)
    seconds = np.array([each.median for each in configurations])
    smallest = smallest_size(configurations)
    relative = {term: values / seconds for term, values in columns(sizes, scale_outs, smallest).items()}
    order = [term for term in _order(sizes, scale_outs) if term in relative]
    best = _non_negative(relative, [term for term in order if not _unvaried(term, sizes, scale_outs)])
    kept: list[str] = []
    left_out: dict[str, str] = {}
    for term in sorted(order, key=lambda each: not best.get(each, 0.0)):
        design = np.stack([relative[each] / _scale(relative[each]) for each in [*kept, term]], axis=1)
        if np.linalg.matrix_rank(design, tol=SAME) > len(kept):
            kept.append(term)
        else:
            apart = f"the measured configurations cannot tell it apart from {', '.join(kept)}"
            left_out[term] = _unvaried(term, sizes, scale_outs) or apart
    return Curve(_non_negative(relative, [term for term in TERMS if term in kept]), smallest), left_out


def _non_negative(relative: dict[str, Array], terms: Sequence[str]) -> dict[str, float]:
    """Returns the θ of each of some terms. `relative` holds the values of each term, divided by the seconds."""
    scales = [_scale(relative[term]) for term in terms]
    design = np.stack([relative[term] / scale for term, scale in zip(terms, scales, strict=True)], axis=1)
    solved, _ = nnls(design, np.ones(len(design)))
    return {term: float(theta) / scale for term, theta, scale in zip(terms, solved, scales, strict=True)}


def _scale(values: Array) -> float:
    return float(np.linalg.norm(values)) or 1.0


def columns(sizes: Array, scale_outs: Array, smallest: float) -> dict[str, Array]:
    """Returns the values of each term, of shape (configurations,). Without GROWTH if `smallest` is 0."""
    logs: Array = np.log(scale_outs)
    values = [np.ones(len(sizes)), sizes / scale_outs, logs, scale_outs, sizes, 1 / scale_outs]
    if smallest:
        values.append(sizes / scale_outs * np.log(np.maximum(sizes / smallest, 1.0)))
    return dict(zip(TERMS, values, strict=False))


def smallest_size(configurations: Sequence[Configuration]) -> float:
    """Returns the smallest size, or 0 if the sizes span too little for the term GROWTH."""
    sizes = [each.size for each in configurations]
    return min(sizes) if max(sizes) >= SPAN * min(sizes) else 0.0


def coordinates(configurations: Sequence[Configuration]) -> tuple[Array, Array, Array]:
    """Returns the sizes, the scale-outs and the sizes per node, each of shape (configurations,)."""
    sizes = np.array([each.size for each in configurations], dtype=float)
    scale_outs = np.array([each.scale_out for each in configurations], dtype=float)
    return sizes, scale_outs, sizes / scale_outs


def _order(sizes: Array, scale_outs: Array) -> tuple[str, ...]:
    """Returns the terms in the order in which they are tried. Terms in a number that did not vary come last."""
    if np.ptp(sizes) == 0:
        return "1", "1/m", "log m", "m", "s/m", "s", GROWTH
    if np.ptp(scale_outs) == 0:
        return "1", "s", GROWTH, "s/m", "log m", "m", "1/m"
    return TERMS


def _unvaried(term: str, sizes: Array, scale_outs: Array) -> str:
    """Returns why a term is left out if a number in it did not vary, else an empty text."""
    if "s" in term and np.ptp(sizes) == 0:
        return "only one size was measured"
    if "m" in term and term != GROWTH and np.ptp(scale_outs) == 0:
        return "only one scale-out was measured"
    return ""
