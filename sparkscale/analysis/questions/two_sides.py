"""Compares two sides that were each measured in some rounds: is the head better than the base, worse, or the same?

The rounds of two sides are independent samples. The test is the exact test of Mann and Whitney (Ann. Math. Stat. 18,
1947), with midranks for equal values (Streitberg and Röhmel, Statistical Software Newsletter 12, 1986). It assumes no
distribution, so that a slow round does no harm. The ratio is the estimate of Hodges and Lehmann (Ann. Math. Stat. 34,
1963): the median of all ratios of a round of the head to a round of the base. Its interval inverts the same test, so
that it agrees with it (Moses, in Walker and Lev: Statistical Inference, 1953). Values that are not all positive have
no ratio. The shift takes its place: the median of all differences of a round of the head and a round of the base.
Many cases are compared at once, so p is adjusted by Holm's method (Scand. J. Stat. 6, 1979).
"""

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import count
from typing import Literal

import numpy as np

from sparkscale.analysis.statistics import LEVEL, MOST_ROUNDS, SEED, Array, Interval

ALPHA = 1 - LEVEL
"""The significance level of all comparisons together."""
THRESHOLD = 0.05
"""Two sides count as the same if they differ by at most this share.

The ratio may lie between 1 / (1 + THRESHOLD) and 1 + THRESHOLD, so between 0.952 and 1.05. These limits are equally
far from 1 in logarithms, so that it does not matter which side is called the base.
"""
POWER = 0.8
"""The probability of a verdict after the proposed rounds."""
DRAWS = 400
"""The number of simulated comparisons from which `rounds_needed` estimates this probability."""

Change = Literal["better", "worse", "same", "not resolved"]


@dataclass(frozen=True)
class Difference:
    """How the head differs from the base in one metric of one case.

    `ratio` is the head divided by the base. It is None if some value is zero or negative. `shift` is the head minus
    the base. `interval` is the confidence interval of the ratio. If `ratio` is None, it is that of the shift. It is
    None if there are too few rounds for an interval. `p` is the probability of a difference as large as this or
    larger if both sides were equal. `rounds` are the numbers of rounds of base and head. `base` is the median of the
    base: a shift is judged as a share of it.

    If both sides have infinite values, such as timeouts, nobody knows which of two is larger. If the ratio or the
    shift depends on that, it is None, and if neither is known, there is no interval either.
    """

    ratio: float | None
    shift: float | None
    interval: Interval | None
    p: float
    rounds: tuple[int, int]
    base: float


def difference(base: Sequence[float], head: Sequence[float], alpha: float = ALPHA) -> Difference:
    """Returns the difference of two sides. Each has one value for each round, and at least one.

    The level of the interval is 1 - `alpha`. A value may be infinite: it is larger than any other, such as the time
    of an execution that was stopped.

    Raises ValueError if a side has no value, or if a value is NaN or minus infinity.
    """
    for side in (base, head):
        if not side or any(math.isnan(value) or value == -math.inf for value in side):
            raise ValueError("Each side needs at least one value, and no value may be NaN or minus infinity.")
    ratio, (shift, bounds) = None, _location(np.asarray(base, float), np.asarray(head, float), alpha)
    if _have_ratio(base, head):
        log_ratio, log_bounds = _location(np.log(base), np.log(head), alpha)
        ratio = None if log_ratio is None else _exp(log_ratio)
        bounds = None if log_bounds is None else Interval(_exp(log_bounds.low), _exp(log_bounds.high))
    return Difference(ratio, shift, bounds, p_value(base, head), (len(base), len(head)), float(np.median(base)))


def _have_ratio(base: Sequence[float], head: Sequence[float]) -> bool:
    return min(*base, *head) > 0


def _exp(logarithm: float) -> float:
    """Returns infinity, not an error, for a ratio that no float can hold."""
    return math.exp(logarithm) if logarithm < 700 else math.inf


def _location(base: Array, head: Array, alpha: float) -> tuple[float | None, Interval | None]:
    """Returns the median of all differences of two values, and its interval. Both are None if the median is unknown.

    The difference of two infinite values is unknown. It is the smallest one for the lower bound, and the largest one
    for the upper bound.
    """
    with np.errstate(invalid="ignore"):
        pairs = np.subtract.outer(head, base).ravel()
        lower, upper = (np.sort(np.where(np.isnan(pairs), worst, pairs)) for worst in (-math.inf, math.inf))
        median = float(np.median(lower))
        if median != float(np.median(upper)):
            return None, None
    left_out = pairs_left_out(len(base), len(head), alpha)
    if left_out is None:
        return median, None
    return median, Interval(float(lower[left_out]), float(upper[-1 - left_out]))


def p_value(base: Sequence[float], head: Sequence[float]) -> float:
    """Returns the two-sided p of the exact test of Mann and Whitney.

    It is the share of all ways to divide the values among the two sides for which the sum of ranks of a side is at
    least as far from its mean as it is here.
    """
    values = np.array([*base, *head])
    ordered = np.sort(values)
    doubled = np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right") + 1
    counts = _rank_sums(tuple(sorted(doubled.tolist())), len(base))
    sums = np.arange(len(counts))
    centre = len(base) * (len(values) + 1)  # twice the mean sum of ranks
    distance = abs(int(doubled[: len(base)].sum()) - centre)
    return float(counts[np.abs(sums - centre) >= distance].sum() / counts.sum())


def smallest_p(base: int, head: int) -> float:
    """Returns the smallest p that sides with these numbers of rounds can have."""
    return min(1.0, 2 / math.comb(base + head, base))


def fewest_rounds(compared: int, alpha: float = ALPHA) -> int:
    """Returns the fewest rounds of each side with which a p that is adjusted for its number can be at most `alpha`.

    `compared` is the number of comparisons that are judged together.
    """
    return next(rounds for rounds in count(1) if max(1, compared) * smallest_p(rounds, rounds) <= alpha)


@lru_cache(maxsize=256)
def _rank_sums(ranks: tuple[int, ...], chosen: int) -> Array:
    """Returns how many ways there are to choose `chosen` of the ranks, by the sum of the chosen ranks."""
    counts = np.zeros((chosen + 1, sum(ranks) + 1))
    counts[0, 0] = 1
    for rank in ranks:
        counts[1:, rank:] += counts[:-1, : counts.shape[1] - rank].copy()
    result: Array = counts[chosen].copy()  # a view would keep all counts in the cache
    return result


@cache
def pairs_left_out(base: int, head: int, alpha: float) -> int | None:
    """Returns how many of the sorted ratios lie beyond each end of an interval at the level 1 - `alpha`.

    Returns None if there are too few rounds.
    """
    counts = _rank_sums(tuple(range(1, base + head + 1)), base)
    least = base * (base + 1) // 2
    below = np.cumsum(counts[least:]) / counts.sum()
    left_out = int(np.searchsorted(below, alpha / 2, side="right"))
    return left_out - 1 if left_out else None


def median_interval(samples: Sequence[float], alpha: float = ALPHA) -> Interval | None:
    """Returns the interval of the median at the level 1 - `alpha`, between two of the values.

    Returns None if there are too few values: fewer than 6 at a level of 95 %. The interval assumes no distribution
    (Conover: Practical Nonparametric Statistics, 1999, section 3.2).
    """
    ordered, number = sorted(samples), len(samples)
    below, left_out = 0.5**number, 0
    if 2 * below > alpha:
        return None
    while 2 * (below := below + math.comb(number, left_out + 1) * 0.5**number) <= alpha:
        left_out += 1
    return Interval(ordered[left_out], ordered[number - 1 - left_out])


def holm(p_values: Sequence[float]) -> list[float]:
    """Returns the p values, adjusted for their number by Holm's method, in the same order."""
    order = sorted(range(len(p_values)), key=lambda position: p_values[position])
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, position in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[position]))
        adjusted[position] = largest
    return adjusted


def change(
    measured: Difference,
    adjusted_p: float,
    is_lower_better: bool = True,
    threshold: float = THRESHOLD,
    alpha: float = ALPHA,
) -> Change:
    """Returns the verdict on a difference.

    It is better or worse only if the adjusted p is at most `alpha` and the whole interval lies beyond the threshold.
    It is the same if the whole interval lies within the threshold (see THRESHOLD). A shift is compared with that
    share of the base's median.
    """
    bounds = measured.interval
    if bounds is None:
        return "not resolved"
    low, high = 1 / (1 + threshold), 1 + threshold
    if measured.ratio is None:
        low, high = _shift_limits(measured.base, threshold)
    if low <= bounds.low and bounds.high <= high:
        return "same"
    if adjusted_p > alpha or (bounds.low <= high and bounds.high >= low):
        return "not resolved"
    return "worse" if (bounds.low > high) == is_lower_better else "better"


def _shift_limits(base: float, threshold: float) -> tuple[float, float]:
    """Returns the largest shifts that count as the same. No share of an infinite median is known, so it is 0."""
    largest = threshold * abs(base) if math.isfinite(base) else 0.0
    return -largest, largest


def rounds_needed(
    base: Sequence[float],
    head: Sequence[float],
    compared: int = 1,
    threshold: float = THRESHOLD,
    alpha: float = ALPHA,
) -> int | None:
    """Returns about how many rounds of each side would resolve a difference, with the probability POWER.

    The probability is that of simulated comparisons with normal noise (of logarithms, if all values are positive).
    They have the ratio and the spread of the measured rounds. `compared` is the number of comparisons that are judged
    together.

    Returns None if no number up to MOST_ROUNDS is enough, if a side has only one round, so that its spread is not
    known, or if a value is infinite.
    """
    if min(len(base), len(head)) < 2 or not all(map(math.isfinite, (*base, *head))):
        return None
    if _have_ratio(base, head):
        sides = [np.log(side) for side in (base, head)]
        limits = (-math.log(1 + threshold), math.log(1 + threshold))
    else:
        sides = [np.asarray(side, float) for side in (base, head)]
        limits = _shift_limits(float(np.median(base)), threshold)
    centre = float(np.median(np.subtract.outer(sides[1], sides[0])))
    deviation = math.sqrt(float(np.mean([side.var(ddof=1) for side in sides])))

    def is_enough(rounds: int) -> bool:
        return _resolved(rounds, centre, deviation, limits, alpha, alpha / max(1, compared)) >= POWER

    proposed = range(max(len(base), len(head)) + 1, MOST_ROUNDS + 1)
    position = bisect_left(proposed, True, key=is_enough)
    return proposed[position] if position < len(proposed) else None


def _resolved(
    rounds: int, centre: float, deviation: float, limits: tuple[float, float], alpha: float, strict_alpha: float
) -> float:
    """Returns the share of simulated comparisons that have a verdict other than "not resolved".

    A difference is significant if the interval at the level 1 - `strict_alpha` does not contain 0.
    """
    bounds = _standard_bounds(rounds, alpha)
    if bounds is None:
        return 0.0
    low, high = centre + deviation * bounds
    resolved = (low >= limits[0]) & (high <= limits[1])
    strict_bounds = _standard_bounds(rounds, strict_alpha)
    if strict_bounds is not None:
        strict_low, strict_high = centre + deviation * strict_bounds
        resolved |= (np.minimum(low, strict_low) > 0) & (low > limits[1])
        resolved |= (np.maximum(high, strict_high) < 0) & (high < limits[0])
    return float(resolved.mean())


@cache
def _standard_bounds(rounds: int, alpha: float) -> Array | None:
    """Returns simulated intervals of the shift of two equal sides with standard normal values, of shape (2, DRAWS).

    Returns None if there are too few rounds for an interval.
    """
    left_out = pairs_left_out(rounds, rounds, alpha)
    if left_out is None:
        return None
    values = np.random.default_rng(SEED).standard_normal((DRAWS, 2, MOST_ROUNDS))[:, :, :rounds]
    pairs = (values[:, 1, :, None] - values[:, 0, None, :]).reshape(DRAWS, -1)
    bounds: Array = np.partition(pairs, [left_out, rounds**2 - 1 - left_out])[
        :, [left_out, rounds**2 - 1 - left_out]
    ].T
    return bounds
