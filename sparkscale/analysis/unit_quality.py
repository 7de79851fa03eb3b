"""Computes a quality from weighted hold-out units. Resampled weights give confidence intervals.

Hold-out rows of one week share weather and delays, so the units are weeks (or groups, or periods), not rows (Field
and Welsh, Bootstrapping clustered data, J. R. Stat. Soc. B 69, 2007).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np

from sparkscale.analysis.statistics import Array
from sparkscale.contract.units import kish

MOST_UNITS = 256
"""If there are more units than this, several units are merged into one, so that the matrices stay small.

The rows of a unit stay together.
"""


class UnitQuality(Protocol):
    """A quality on a hold-out as a function of the weights of the hold-out's units."""

    @property
    def units(self) -> int:
        """The number of units."""

    @property
    def effective_units(self) -> float:
        """Kish's effective number of units.

        In a classification, it is computed from rows, from positives and from negatives. The smallest of the three
        numbers is used.
        """

    @property
    def rare_rows(self) -> int | None:
        """The number of rows of the rarer class. None if rows have no class."""

    def at(self, weights: Array) -> Array:
        """Returns the quality for each row of `weights`, of shape (replicates,). NaN where it does not exist.

        `weights` has shape (replicates, units).
        """

    @property
    def sums(self) -> Mapping[str, Array]:
        """The sums from which the quality is computed, by name, each of shape (units,) or (units, units)."""


def value(quality: UnitQuality) -> float:
    """Returns the quality on the hold-out, with the weight 1 for every unit."""
    return float(quality.at(np.ones((1, quality.units)))[0])


@dataclass(frozen=True)
class UnitAuc:
    """The AUC as a quadratic form in the units' weights, so that bootstrap replicates are cheap.

    `concordant[i, j]` counts the pairs of a positive in unit i and a negative in unit j that the score orders
    correctly; a tie counts as half. `positives` and `negatives` are counts per unit. With weights w, AUC(w) =
    wᵀ·concordant·w / ((w·positives)(w·negatives)). Weights of 1 give the AUC itself.
    """

    concordant: Array
    positives: Array
    negatives: Array

    @classmethod
    def of(cls, unit: Array, label: Array, score: Array) -> "UnitAuc":
        """Returns the AUC for the `unit`, `label` (0 or 1) and `score` of each row. All have shape (rows,)."""
        number = unit_numbers(unit)
        count = int(number.max()) + 1
        positive = label == 1
        negatives, negative_unit = _ascending(score[~positive], number[~positive])
        positives, positive_unit = _ascending(score[positive], number[positive])
        below = np.searchsorted(negatives, positives, "left")
        not_above = np.searchsorted(negatives, positives, "right")
        concordant = np.empty((count, count))
        counted = np.zeros(
            len(negatives) + 1, np.int64
        )  # counted[n]: how many of the first n negatives belong to unit j
        for j in range(count):
            np.cumsum(negative_unit == j, out=counted[1:])
            concordant[:, j] = np.bincount(positive_unit, counted[below] + counted[not_above], minlength=count) / 2
        return cls(
            concordant,
            np.bincount(positive_unit, minlength=count).astype(float),
            np.bincount(negative_unit, minlength=count).astype(float),
        )

    @classmethod
    def of_sums(cls, sums: Mapping[str, Array]) -> "UnitAuc":
        return cls(sums["concordant"], sums["positives"], sums["negatives"])

    @property
    def sums(self) -> Mapping[str, Array]:
        return {"concordant": self.concordant, "positives": self.positives, "negatives": self.negatives}

    @property
    def units(self) -> int:
        return len(self.positives)

    @property
    def effective_units(self) -> float:
        """Kish's effective number of units. It is computed from rows, from positives and from negatives.

        The smallest of the three numbers is used. So a hold-out with six positives counts as at most six units.
        """
        return min(map(kish, (self.positives + self.negatives, self.positives, self.negatives)))

    @property
    def rare_rows(self) -> int:
        return int(min(self.positives.sum(), self.negatives.sum()))

    def at(self, weights: Array) -> Array:
        pairs = ((weights @ self.concordant) * weights).sum(axis=1)
        return _over(pairs, (weights @ self.positives) * (weights @ self.negatives))


@dataclass(frozen=True)
class UnitRatio:
    """A ratio of two sums over rows, such as a mean. With weights w it is transform(w·above / w·below).

    `above` and `below` are the sums of each unit, and `rows` is the number of rows of each unit. `transform` is a
    function of the ratio, such as the square root for an RMSE.
    """

    above: Array
    below: Array
    rows: Array
    transform: Callable[[Array], Array] = np.asarray

    @classmethod
    def rmse(cls, unit: Array, label: Array, score: Array) -> "UnitRatio":
        """Returns the root mean squared error. `unit`, `label` and `score` have shape (rows,)."""
        return cls.mean(unit, (label - score) ** 2, np.sqrt)

    @classmethod
    def mean_score(cls, unit: Array, label: Array, score: Array) -> "UnitRatio":  # noqa: ARG003
        """Returns the mean of a score that needs no label, such as a squared distance."""
        return cls.mean(unit, score)

    @classmethod
    def explained(cls, unit: Array, label: Array, score: Array) -> "UnitRatio":
        """Returns the explained share of the variance: 1 minus the sum of `score` divided by the sum of `label`.

        `score` holds squared errors and `label` squared deviations, both of shape (rows,).
        """
        number = unit_numbers(unit)
        errors, deviations = (np.bincount(number, weights=squares) for squares in (score, label))
        return cls(errors, deviations, _rows(number), one_minus)

    @classmethod
    def accuracy(cls, unit: Array, label: Array, score: Array) -> "UnitRatio":
        """Returns the share of rows that are classified correctly.

        `score` is the probability of class 1, and the threshold is one half.
        """
        return cls.mean(unit, ((score > 0.5) == (label == 1)).astype(float))

    @classmethod
    def mean(cls, unit: Array, value: Array, transform: Callable[[Array], Array] = np.asarray) -> "UnitRatio":
        number = unit_numbers(unit)
        rows = _rows(number)
        return cls(np.bincount(number, weights=value), rows, rows, transform)

    @classmethod
    def of_sums(cls, sums: Mapping[str, Array], transform: Callable[[Array], Array] = np.asarray) -> "UnitRatio":
        return cls(sums["above"], sums["below"], sums["rows"], transform)

    @property
    def sums(self) -> Mapping[str, Array]:
        return {"above": self.above, "below": self.below, "rows": self.rows}

    @property
    def units(self) -> int:
        return len(self.rows)

    @property
    def effective_units(self) -> float:
        return kish(self.rows)

    @property
    def rare_rows(self) -> None:
        return None

    def at(self, weights: Array) -> Array:
        return self.transform(_over(weights @ self.above, weights @ self.below))


def one_minus(unexplained: Array) -> Array:
    """Returns the explained share, given the unexplained share."""
    return 1 - unexplained


def unit_numbers(unit: Array) -> Array:
    """Returns the number of each row's unit, from 0. Units are merged if there are more than MOST_UNITS."""
    return _numbered(np.ascontiguousarray(unit).tobytes(), unit.dtype.str)


@lru_cache(maxsize=8)
def _numbered(unit: bytes, kind: str) -> Array:
    """Returns the result of `unit_numbers` for an array, given as its bytes and its dtype string `kind`.

    Bytes can be a key of the cache. Results are cached, because all executions on one data set have the same
    hold-out.
    """
    _, number = np.unique(np.frombuffer(unit, kind), return_inverse=True)
    result: Array = number % MOST_UNITS
    result.setflags(write=False)
    return result


def _ascending(score: Array, number: Array) -> tuple[Array, Array]:
    """Returns both arrays, sorted by ascending score."""
    order = np.argsort(score)
    return score[order], number[order]


def _over(above: Array, below: Array) -> Array:
    """Returns `above` divided by `below`. NaN where `below` is 0."""
    result: Array = np.divide(above, below, out=np.full(len(below), np.nan), where=below > 0)
    return result


def _rows(number: Array) -> Array:
    return np.bincount(number).astype(float)
