"""Fits curves to measurements of several rounds, and gives intervals for numbers that are computed from the curves.

The intervals are a bootstrap over rounds. With few rounds, percentiles of a bootstrap are too narrow, so they are
expanded (Hesterberg: What teachers should know about the bootstrap, Am. Stat. 69, 2015, section 5.4).
"""

from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np
from scipy.special import ndtr, stdtrit

from sparkscale.analysis.statistics import SEED, Array, Interval

LEVEL = 0.90
"""The confidence level of intervals for numbers that follow from fitted curves, such as a number of rows or cores."""
DRAWS = 1000
FARTHEST = 10.0
"""Nothing is forecast beyond this multiple of the largest measured size or number of cores."""
ROUNDING = 0.01
"""A hold-out leaves odd numbers of rows. So ten times 160,000 rows is no refusal if 159,970 rows were measured."""


def is_too_far(value: float, largest: float) -> bool:
    """Returns true if a value is too far beyond the largest measured value for a forecast."""
    return value > (1 + ROUNDING) * FARTHEST * largest


def drawn_rounds(rounds: int) -> Array:
    """Returns the positions of the rounds in each draw of the bootstrap, of shape (DRAWS, rounds)."""
    result: Array = np.random.default_rng(SEED).integers(rounds, size=(DRAWS, rounds))
    return result


def geometric_means(seconds: Array, drawn: Array) -> Array:
    """Returns the geometric mean of the seconds over the rounds of each draw, of shape (draws, sizes).

    One slow round has little influence on a geometric mean. `seconds` has shape (rounds, sizes). `drawn` holds
    positions of rounds and has shape (draws, rounds).
    """
    result: Array = np.exp(np.log(seconds)[drawn].mean(axis=1))
    return result


def expanded_percentiles(values: Array, count: int, level: float) -> Interval:
    """Returns the interval between two percentiles of bootstrap values.

    It is expanded, because it would otherwise be too narrow with few rounds. `count` is the number of rounds.
    """
    tail = float(ndtr(np.sqrt(count / (count - 1)) * stdtrit(count - 1, (1 - level) / 2)))
    low, high = np.quantile(values, [tail, 1 - tail], method="inverted_cdf")
    return Interval(float(low), float(high))


def non_negative(terms: Array, seconds: Array) -> Array:
    """Fits `seconds` by a sum of terms. Returns the coefficients, which are at least 0, of shape (draws, terms).

    The fit has the least squares of relative residuals. `terms` has shape (sizes, terms), and `seconds` has shape
    (draws, sizes). Sizes may be rows or cores. Every subset of the terms is tried, because the best solution is the
    least-squares solution of one subset.
    """
    scale = terms.max(axis=0)
    unit = seconds.mean(axis=1, keepdims=True)  # the ridge would dominate numbers as large as bytes
    design = terms[None] / scale / (seconds / unit)[:, :, None]
    best = np.full(len(seconds), np.inf)
    result = np.zeros((len(seconds), terms.shape[1]))
    for subset in _subsets(terms.shape[1]):
        part = design[:, :, subset]
        gram = np.einsum("dsi,dsj->dij", part, part)
        solved = np.linalg.solve(gram + 1e-12 * np.eye(len(subset)), part.sum(axis=1)[..., None])[..., 0]
        error = ((np.einsum("dsi,di->ds", part, solved) - 1) ** 2).sum(axis=1)
        better = (solved >= 0).all(axis=1) & (error < best)
        best[better] = error[better]
        result[better] = 0.0
        result[np.ix_(better, subset)] = solved[better]
    scaled: Array = result * unit / scale
    return scaled


def _subsets(terms: int) -> Iterator[list[int]]:
    for size in range(1, terms + 1):
        yield from map(list, combinations(range(terms), size))


def bracket(positions: Array, is_faster: Sequence[bool | None], least: float = 0.0) -> Interval:
    """Returns limits for the size, or number of cores, from which an engine is faster, by measured comparisons.

    `positions` are the measured sizes or numbers of cores, of shape (configurations,), and ascend. `is_faster` says
    for each position whether the engine is faster; None if that is not resolved. The lower limit is the largest
    position at which the engine is slower, or `least` if there is none. The upper limit is the smallest position from
    which the engine is faster at all positions. It is infinite if the engine is not faster at the largest.
    """
    faster_from = len(positions)
    while faster_from and is_faster[faster_from - 1]:
        faster_from -= 1
    slower = [float(position) for position, faster in zip(positions, is_faster, strict=True) if faster is False]
    return Interval(
        max(slower, default=least), float(positions[faster_from]) if faster_from < len(positions) else np.inf
    )


def within(interval: Interval, limits: Interval) -> Interval:
    """Returns the part of an interval that lies within the limits. If no part does, returns the limits."""
    low, high = max(interval.low, limits.low), min(interval.high, limits.high)
    return Interval(low, high) if low <= high else limits
