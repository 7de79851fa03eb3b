"""Spreads and intervals of few samples, such as the seconds of each round."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

REPLICATES = 2000
LEVEL = 0.95
SEED = 20130101
FEWEST_ROUNDS = 5
"""With fewer no interval is made of them, and nothing is resolved."""


@dataclass(frozen=True)
class Interval:
    low: float
    high: float


@dataclass(frozen=True)
class Spread:
    """Median and range of few samples.

    A sample that is only known to exceed `limit`, such as a timeout, is infinite: `known` counts the others.
    `executions` is how many there were, those without a sample included.
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
        """None without samples. `executions` defaults to the number of samples."""
        if not samples:
            return None
        known = sum(map(math.isfinite, samples))
        total = len(samples) if executions is None else executions
        return cls(float(np.median(samples)), min(samples), max(samples), len(samples), known, total, limit)

    @property
    def is_censored(self) -> bool:
        """Whether some execution has no sample of its own."""
        return self.known < self.executions


def ratios_by_round(upper: Mapping[int, float], lower: Mapping[int, float]) -> list[float]:
    """`upper` over `lower` in each round that both have, the first round first."""
    return [upper[number] / lower[number] for number in sorted(upper.keys() & lower.keys())]


def median_interval(samples: Sequence[float]) -> Interval:
    """Of the median of one sample per round: bootstrapped over rounds; of few rounds their range."""
    if len(samples) < FEWEST_ROUNDS:
        return Interval(min(samples), max(samples))
    drawn = np.random.default_rng(SEED).choice(np.asarray(samples), (REPLICATES, len(samples)))
    return interval(np.median(drawn, axis=1))


def at_most(samples: Sequence[float], threshold: float) -> bool | None:
    """Whether the median of one sample per round is at most this. None, not resolved, where its interval holds both
    sides, or rounds are too few.

    Every verdict of goals and advice is made of this, so none rests on one lucky round.
    """
    if len(samples) < FEWEST_ROUNDS:
        return None
    found = median_interval(samples)
    if found.high <= threshold:
        return True
    return False if found.low > threshold else None


def interval(replicates: Array) -> Interval:
    """Percentile interval at LEVEL."""
    tail = 100 * (1 - LEVEL) / 2
    low, high = np.nanpercentile(replicates, [tail, 100 - tail])
    return Interval(float(low), float(high))
