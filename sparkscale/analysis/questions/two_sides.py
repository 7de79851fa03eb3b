"""Compares two sides that were each measured in some rounds: is the head better than the base, worse, or the same?

The rounds of two sides are independent samples. The test is the exact test of Mann and Whitney (Ann. Math. Stat. 18,
1947), with midranks for equal values (Streitberg and Röhmel, Statistical Software Newsletter 12, 1986). It assumes no
distribution, so that a slow round does no harm. The ratio is the estimate of Hodges and Lehmann (Ann. Math. Stat. 34,
1963): the median of all ratios of a round of the head to a round of the base. Its interval inverts the same test, so
that it agrees with it (Moses, in Walker and Lev: Statistical Inference, 1953). Many cases are compared at once, so p
is adjusted by Holm's method (Scand. J. Stat. 6, 1979).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Literal

import numpy as np
from scipy.special import stdtrit

from sparkscale.analysis.statistics import LEVEL, MOST_ROUNDS, Array, Interval

ALPHA = 1 - LEVEL
"""The significance level of all comparisons together."""
THRESHOLD = 0.05
"""Two sides count as the same if they differ by at most this share."""

Change = Literal["better", "worse", "same", "not resolved"]


@dataclass(frozen=True)
class Difference:
    """How the head differs from the base in one metric of one case.

    `ratio` is the head divided by the base. `interval` is its interval at LEVEL. None if there are too few rounds for
    one. `p` is the probability of a difference as large as this or larger if both sides were equal. `rounds` are the
    numbers of rounds of base and head.
    """

    ratio: float
    interval: Interval | None
    p: float
    rounds: tuple[int, int]


def difference(base: Sequence[float], head: Sequence[float]) -> Difference:
    """Returns the difference of two sides. Each has one positive value for each round, and at least one.

    Raises ValueError if a side has no value, or if a value is not positive and finite.
    """
    for side in (base, head):
        if not side or not all(math.isfinite(value) and value > 0 for value in side):
            raise ValueError("Each side needs at least one value, and all values must be positive and finite.")
    ratios = np.sort(np.subtract.outer(np.log(head), np.log(base)).ravel())
    left_out = _left_out(len(base), len(head))
    interval = None
    if left_out is not None:
        interval = Interval(math.exp(ratios[left_out]), math.exp(ratios[-1 - left_out]))
    return Difference(math.exp(float(np.median(ratios))), interval, p_value(base, head), (len(base), len(head)))


def p_value(base: Sequence[float], head: Sequence[float]) -> float:
    """Returns the two-sided p of the exact test of Mann and Whitney.

    It is the share of all ways to divide the values among the two sides for which the sum of ranks of a side is at
    least as far from its mean as it is here.
    """
    values = np.array([*base, *head])
    doubled = np.array([(values < one).sum() * 2 + (values == one).sum() + 1 for one in values])
    counts = _rank_sums(tuple(sorted(doubled.tolist())), len(base))
    sums = np.arange(len(counts))
    centre = len(base) * (len(values) + 1)  # twice the mean sum of ranks
    distance = abs(int(doubled[: len(base)].sum()) - centre)
    return float(counts[np.abs(sums - centre) >= distance].sum() / counts.sum())


def smallest_p(base: int, head: int) -> float:
    """Returns the smallest p that sides with these numbers of rounds can have."""
    return min(1.0, 2 / math.comb(base + head, base))


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
def _left_out(base: int, head: int) -> int | None:
    """Returns how many of the sorted ratios lie beyond each end of the interval. None if there are too few rounds."""
    counts = _rank_sums(tuple(range(1, base + head + 1)), base)
    least = base * (base + 1) // 2
    below = np.cumsum(counts[least:]) / counts.sum()
    left_out = int(np.searchsorted(below, ALPHA / 2, side="right"))
    return left_out - 1 if left_out else None


def median_interval(samples: Sequence[float]) -> Interval | None:
    """Returns the interval of the median at LEVEL, between two of the values. None with fewer than 6 values.

    It assumes no distribution (Conover: Practical Nonparametric Statistics, 1999, section 3.2).
    """
    ordered, count = sorted(samples), len(samples)
    below, left_out = 0.5**count, 0
    if 2 * below > ALPHA:
        return None
    while 2 * (below := below + math.comb(count, left_out + 1) * 0.5**count) <= ALPHA:
        left_out += 1
    return Interval(ordered[left_out], ordered[count - 1 - left_out])


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
    found: Difference, adjusted_p: float, is_lower_better: bool = True, threshold: float = THRESHOLD
) -> Change:
    """Returns the verdict on a difference.

    It is better or worse only if the adjusted p is at most ALPHA and the whole interval of the ratio lies beyond the
    threshold. It is the same if the whole interval lies within the threshold.
    """
    bounds = found.interval
    if bounds is None:
        return "not resolved"
    low, high = 1 / (1 + threshold), 1 + threshold
    if low <= bounds.low and bounds.high <= high:
        return "same"
    if adjusted_p > ALPHA or (bounds.low <= high and bounds.high >= low):
        return "not resolved"
    return "worse" if (bounds.low > high) == is_lower_better else "better"


def rounds_needed(
    base: Sequence[float], head: Sequence[float], compared: int = 1, threshold: float = THRESHOLD
) -> int | None:
    """Returns about how many rounds of each side would resolve a difference.

    It assumes that ratio and spread stay as they are. `compared` is the number of comparisons that are judged
    together. None if no number up to MOST_ROUNDS is enough, or if a side has only one round, so that its spread is
    not known.
    """
    if min(len(base), len(head)) < 2:
        return None
    logs = [np.log(side) for side in (base, head)]
    distance = abs(float(np.median(np.subtract.outer(logs[1], logs[0]))))
    margin = abs(distance - math.log(1 + threshold))
    deviation = math.sqrt(float(np.mean([side.var(ddof=1) for side in logs])))
    for rounds in range(max(len(base), len(head)) + 1, MOST_ROUNDS + 1):
        is_significant = compared * smallest_p(rounds, rounds) <= ALPHA or distance < math.log(1 + threshold)
        half = float(stdtrit(2 * rounds - 2, 1 - ALPHA / 2)) * deviation * math.sqrt(2 / rounds)
        if is_significant and _left_out(rounds, rounds) is not None and half < margin:
            return rounds
    return None
