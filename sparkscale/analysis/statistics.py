"""Spreads and intervals of a few measured values, such as the seconds of each round."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import stdtrit

from sparkscale.contract.phrases import number

Array = np.ndarray[Any, Any]

REPLICATES = 2000
LEVEL = 0.95
SEED = 20130101
FEWEST_ROUNDS = 5
"""With fewer rounds there is no interval, and no comparison is resolved."""


@dataclass(frozen=True)
class Interval:
    low: float
    high: float


@dataclass(frozen=True)
class Spread:
    """Median and range of a few measured values.

    A value that is only known to exceed `limit`, such as a timeout, is infinite. `count` counts all values, and
    `known` the finite ones. `executions` counts all executions, including those without a value.
    """

    median: float
    low: float
    high: float
    count: int
    known: int
    executions: int
    limit: float | None = None

    @classmethod
    def of(
        cls, samples: Sequence[float], executions: int | None = None, limit: float | None = None
    ) -> "Spread | None":
        """Returns the spread of these values. None if there are none.

        `executions` defaults to the number of values.
        """
        if not samples:
            return None
        known = sum(map(math.isfinite, samples))
        total = len(samples) if executions is None else executions
        return cls(float(np.median(samples)), min(samples), max(samples), len(samples), known, total, limit)

    def words(self, form: str = "", unit: str = "") -> str:
        """Returns median and range as part of a sentence: "1.2 s (1.1–1.3)". A single value has no range.

        `form` is Python's format specification; without one, numbers have three significant digits. `unit` stands
        directly after the median.
        """
        median, low, high = (format(one, form) if form else number(one) for one in (self.median, self.low, self.high))
        return f"{median}{unit} ({low}–{high})" if self.count > 1 else median + unit

    @property
    def is_censored(self) -> bool:
        """True if some execution has no finite value."""
        return self.known < self.executions


def ratios_by_round(upper: Mapping[int, float], lower: Mapping[int, float]) -> list[float]:
    """Returns `upper` divided by `lower` for each round that both have, in the order of rounds."""
    return [upper[number] / lower[number] for number in sorted(upper.keys() & lower.keys())]


def rounds_interval(samples: Sequence[float], verdicts: int = 1, of_ratios: bool = True) -> Interval:
    """Returns the confidence interval for the centre of values that were measured once per round.

    With fewer than FEWEST_ROUNDS rounds it returns the range of the values. The confidence level (LEVEL) holds for
    all verdicts together; `verdicts` is their number. So each verdict gets an equal part of the probability of an
    error (Dunn: Multiple comparisons among means, J. Am. Stat. Assoc. 56, 1961).

    The interval is Student's t. For ratios it is computed from their logarithms. If numerator and denominator have
    equal noise, the logarithms are symmetric, so their centre is both mean and median. Noise with heavy tails makes
    the interval too wide, not too narrow (Benjamini, J. Am. Stat. Assoc. 78, 1983). Ratios must be positive.
    """
    if len(samples) < FEWEST_ROUNDS:
        return Interval(min(samples), max(samples))
    values = np.log(samples) if of_ratios else np.asarray(samples)
    quantile = float(stdtrit(len(values) - 1, 1 - (1 - LEVEL) / 2 / max(1, verdicts)))
    centre, half = float(values.mean()), quantile * float(values.std(ddof=1)) / math.sqrt(len(values))
    low, high = centre - half, centre + half
    return Interval(math.exp(low), math.exp(high)) if of_ratios else Interval(low, high)


def at_most(samples: Sequence[float], threshold: float, verdicts: int = 1, of_ratios: bool = True) -> bool | None:
    """Returns true if a quantity is significantly at most `threshold`, and false if it is significantly larger.

    `samples` has one value of the quantity for each round. Returns None (not resolved) if the interval contains the
    threshold, or if there are too few rounds. `verdicts` and `of_ratios` are those of `rounds_interval`. Goals and
    advice use this function, so no verdict rests on one lucky round, or on the best of many tries. If some times are
    not known, because a search did not reach its target, use `always_sooner` instead.
    """
    if len(samples) < FEWEST_ROUNDS:
        return None
    bounds = rounds_interval(samples, verdicts, of_ratios)
    if bounds.high <= threshold:
        return True
    return False if bounds.low > threshold else None


MOST_ROUNDS = 64
"""More rounds than this are never proposed."""


def rounds_to_resolve(samples: Sequence[float], threshold: float = 1.0, verdicts: int = 1) -> int | None:
    """Returns the number of rounds with which `at_most` would be resolved, for ratios such as those in `samples`.

    It assumes that centre and spread stay as they are. With fewer than three ratios the spread is not known, and the
    result is FEWEST_ROUNDS. None if no number up to MOST_ROUNDS is enough.
    """
    if len(samples) < 3:
        return FEWEST_ROUNDS
    values = np.log(samples)
    distance, deviation = abs(float(values.mean()) - math.log(threshold)), float(values.std(ddof=1))
    for rounds in range(max(FEWEST_ROUNDS, len(samples)), MOST_ROUNDS + 1):
        quantile = float(stdtrit(rounds - 1, 1 - (1 - LEVEL) / 2 / max(1, verdicts)))
        if quantile * deviation / math.sqrt(rounds) < distance:
            return rounds
    return None


def pairs(compared: int) -> int:
    """Returns the number of verdicts needed to name the best of `compared` engines: one for each pair of engines.

    The best engine was not known before, so any two engines might have been compared.
    """
    return max(1, compared * (compared - 1) // 2)


def always_sooner(wins: int, verdicts: int = 1) -> bool:
    """Returns true if an engine that came first in all `wins` pairs is significantly sooner than the other engine.

    Use it for pairs in which not all times are known. It is the two-sided sign test. The significance level for
    all `verdicts` together is 1 - LEVEL (Conover: Practical Nonparametric Statistics, 1999, section 3.4).
    """
    return 2 * 0.5**wins <= (1 - LEVEL) / max(1, verdicts)


def interval(replicates: Array) -> Interval:
    """Returns the percentile interval of bootstrap replicates (confidence level: LEVEL). NaN are ignored."""
    tail = 100 * (1 - LEVEL) / 2
    low, high = np.nanpercentile(replicates, [tail, 100 - tail])
    return Interval(float(low), float(high))
