"""Judges thousands of simulated comparisons at once, as `two_sides` judges one. Times have no equal values here."""

from dataclasses import dataclass
from functools import cache

import numpy as np

from sparkscale.analysis.questions.two_sides import ALPHA, THRESHOLD, p_value, pairs_left_out
from sparkscale.analysis.statistics import Array

CHUNK = 20_000_000
"""At most about this many ratios of two rounds are held at once."""

OPEN, SAME, WORSE, BETTER = range(4)


@dataclass(frozen=True)
class Measured:
    """p, and the interval of the logarithm of the ratio, of many comparisons. All have the same shape.

    The bounds are NaN if there are too few rounds for an interval.
    """

    p: Array
    low: Array
    high: Array


def measured(logs: Array, alpha: float = ALPHA) -> Measured:
    """Returns what is measured in comparisons of lower-is-better values. `logs` has the shape (…, 2, rounds)."""
    rounds = logs.shape[-1]
    pairs = (logs[..., 1, :, None] - logs[..., 0, None, :]).reshape(*logs.shape[:-2], rounds**2)
    p = _p_by_wins(rounds)[(pairs > 0).sum(axis=-1)]
    left_out = pairs_left_out(rounds, rounds, alpha)
    if left_out is None:
        return Measured(p, np.full(p.shape, np.nan), np.full(p.shape, np.nan))
    ends = [left_out, rounds**2 - 1 - left_out]
    pairs.partition(ends)
    return Measured(p, pairs[..., ends[0]].copy(), pairs[..., ends[1]].copy())


@cache
def _p_by_wins(rounds: int) -> Array:
    """Returns p by the number of pairs of rounds in which the head is larger, for all these numbers."""
    base = [float(position) for position in range(rounds)]
    result = []
    for wins in range(rounds**2 + 1):
        always, rest = divmod(wins, rounds)
        head = [rounds + 0.5 + position for position in range(always)] + [
            -1.0 - position for position in range(rounds)
        ]
        if always < rounds:
            head = [*head[:always], rest - 0.5, *head[always + 1 :]]
        result.append(p_value(base, head[:rounds]))
    return np.array(result)


def holm(p: Array) -> Array:
    """Returns p, adjusted by Holm's method over the last axis."""
    compared = p.shape[-1]
    order = np.argsort(p, axis=-1)
    ordered = np.take_along_axis(p, order, axis=-1) * np.arange(compared, 0, -1)
    adjusted: Array = np.empty_like(p)
    np.put_along_axis(adjusted, order, np.minimum(1, np.maximum.accumulate(ordered, axis=-1)), axis=-1)
    return adjusted


def verdicts(of: Measured, adjusted: Array, threshold: float = THRESHOLD, alpha: float = ALPHA) -> Array:
    """Returns OPEN, SAME, WORSE or BETTER for each comparison. `adjusted` are the adjusted p values."""
    limit = np.log(1 + threshold)
    result: Array = np.full(of.p.shape, OPEN, dtype=np.int8)
    is_significant = adjusted <= alpha
    result[is_significant & (of.low > limit)] = WORSE
    result[is_significant & (of.high < -limit)] = BETTER
    result[(of.low >= -limit) & (of.high <= limit)] = SAME
    return result


def chunks(comparisons: int, compared: int, rounds: int) -> list[int]:
    """Returns numbers of comparisons that add up to `comparisons`. Each part fits into memory."""
    part = max(1, CHUNK // (compared * rounds**2))
    return [part] * (comparisons // part) + ([comparisons % part] if comparisons % part else [])
