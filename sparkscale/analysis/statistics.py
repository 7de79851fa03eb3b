"""Intervals: the cluster bootstrap of qualities on stored hold-out scores, and spreads over rounds.

Hold-out rows of one day share weather and delays, so the units that are drawn with replacement are days (or groups),
not rows: Field & Welsh, Bootstrapping clustered data, J. R. Stat. Soc. B 69 (2007).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

Array = np.ndarray[Any, Any]

REPLICATES = 2000
LEVEL = 0.95
SEED = 20130101
FEWEST_ROUNDS = 5
"""With fewer, no interval is made of them."""
MOST_CLUSTERS = 256
"""More units than this are bundled, which keeps whole units together and the matrices small."""


@dataclass(frozen=True)
class Interval:
    low: float
    high: float


@dataclass(frozen=True)
class Spread:
    """Median and range of few samples."""

    median: float
    low: float
    high: float
    count: int

    @classmethod
    def of(cls, samples: list[float]) -> "Spread | None":
        """None without samples."""
        if not samples:
            return None
        return cls(float(np.median(samples)), min(samples), max(samples), len(samples))


class ClusteredQuality(Protocol):
    """A quality on a hold-out, and what it would be on bootstrap draws of the hold-out's units."""

    def value(self) -> float: ...

    def replicates(self) -> Array:
        """The quality on each draw; draws are the same for equal numbers of units, so differences are paired."""


@dataclass(frozen=True)
class ClusteredAuc:
    """The AUC as a quadratic form in the units' weights, so that a bootstrap replicate costs next to nothing.

    `concordant[i, j]` counts the pairs of a positive in unit i and a negative in unit j that the score orders
    rightly, ties half; `positives` and `negatives` are counts per unit. With weights w,
    AUC(w) = wᵀ·concordant·w / ((w·positives)(w·negatives)); all ones give the AUC itself.
    """

    concordant: Array
    positives: Array
    negatives: Array

    @classmethod
    def of(cls, unit: Array, label: Array, score: Array) -> "ClusteredAuc":
        """`unit`, `label` (0 or 1) and `score` are of shape (rows,)."""
        cluster = clusters(unit)
        count = int(cluster.max()) + 1
        values, rank = np.unique(score, return_inverse=True)
        positive, owner = rank[label == 1], cluster[label == 1]
        negative, other = rank[label == 0], cluster[label == 0]
        concordant = np.empty((count, count))
        for j in range(count):
            here = np.bincount(negative[other == j], minlength=len(values))
            below = np.cumsum(here) - here / 2
            concordant[:, j] = np.bincount(owner, weights=below[positive], minlength=count)
        return cls(
            concordant,
            np.bincount(owner, minlength=count).astype(float),
            np.bincount(other, minlength=count).astype(float),
        )

    def value(self) -> float:
        return float(self.at(np.ones((1, len(self.positives))))[0])

    def at(self, weights: Array) -> Array:
        """AUC for each row of `weights`, of shape (replicates, units)."""
        pairs = np.einsum("ri,ij,rj->r", weights, self.concordant, weights, optimize=True)
        result: Array = pairs / ((weights @ self.positives) * (weights @ self.negatives))
        return result

    def replicates(self) -> Array:
        return self.at(draws(len(self.positives)))


@dataclass(frozen=True)
class ClusteredRatio:
    """A ratio of two sums over rows, such as a mean: with weights w, transform(w·above / w·below).

    `above` and `below` hold each unit's sums.
    """

    above: Array
    below: Array
    transform: Callable[[Array], Array] = np.asarray

    @classmethod
    def rmse(cls, unit: Array, label: Array, score: Array) -> "ClusteredRatio":
        """Root of the mean squared error; `unit`, `label` and `score` are of shape (rows,)."""
        return cls.mean(unit, (label - score) ** 2, np.sqrt)

    @classmethod
    def mean_score(cls, unit: Array, label: Array, score: Array) -> "ClusteredRatio":  # noqa: ARG003
        """The mean of a score that needs no label, such as a squared distance."""
        return cls.mean(unit, score)

    @classmethod
    def explained(cls, unit: Array, label: Array, score: Array) -> "ClusteredRatio":
        """One minus the sum of squared errors (`score`) over that of squared deviations (`label`)."""
        cluster = clusters(unit)
        errors, deviations = (np.bincount(cluster, weights=squares) for squares in (score, label))
        return cls(errors, deviations, lambda unexplained: 1 - unexplained)

    @classmethod
    def accuracy(cls, unit: Array, label: Array, score: Array) -> "ClusteredRatio":
        """The share of rows whose probability of class 1 lies on the label's side of one half."""
        return cls.mean(unit, ((score > 0.5) == (label == 1)).astype(float))

    @classmethod
    def mean(cls, unit: Array, value: Array, transform: Callable[[Array], Array] = np.asarray) -> "ClusteredRatio":
        cluster = clusters(unit)
        return cls(np.bincount(cluster, weights=value), np.bincount(cluster).astype(float), transform)

    def value(self) -> float:
        return float(self.at(np.ones((1, len(self.below))))[0])

    def at(self, weights: Array) -> Array:
        """For each row of `weights`, of shape (replicates, units)."""
        return self.transform((weights @ self.above) / (weights @ self.below))

    def replicates(self) -> Array:
        return self.at(draws(len(self.below)))


def clusters(unit: Array) -> Array:
    """Units numbered from 0, bundled when there are more than MOST_CLUSTERS."""
    _, number = np.unique(unit, return_inverse=True)
    result: Array = number % MOST_CLUSTERS
    return result


def draws(units: int) -> Array:
    """How often each unit is drawn in each replicate: (REPLICATES, units), rows summing to `units`."""
    generator = np.random.default_rng(SEED)
    return generator.multinomial(units, np.full(units, 1 / units), size=REPLICATES).astype(float)


def median_interval(samples: Sequence[float]) -> Interval:
    """Of the median of one sample per round: bootstrapped over rounds; of few rounds their range."""
    if len(samples) < FEWEST_ROUNDS:
        return Interval(min(samples), max(samples))
    drawn = np.random.default_rng(SEED).choice(np.asarray(samples), (REPLICATES, len(samples)))
    return interval(np.median(drawn, axis=1))


def interval(replicates: Array) -> Interval:
    """Percentile interval at LEVEL."""
    tail = 100 * (1 - LEVEL) / 2
    low, high = np.nanpercentile(replicates, [tail, 100 - tail])
    return Interval(float(low), float(high))
