"""Estimates a quality, or the difference of two qualities, with an interval.

Both the hold-out's units and the seeds are random. They are crossed: each seed is judged on every unit. One seed on
one unit is a cell.

Seed s (one random training sample and one random model) gives a quality θ_s on U hold-out units. The estimate is the
mean of θ_s over S seeds. d_su is the jackknife deviation of θ_s from leaving out unit u. The variance of the estimate
is

    V = V_seeds + V_units − V_cells
    V_seeds = Σ_s (θ_s − θ̄)² / (S(S − 1))
    V_units = (U − 1)/U · Σ_u (d̄_u − d̄)²
    V_cells = (U − 1)/U · Σ_su (d_su − d̄_s − d̄_u + d̄)² / (S(S − 1))

where V_seeds, or V_units, counts only if it is significantly larger than V_cells. POOLED_FEW and POOLED are the
levels of this test. For a mean, V_seeds, V_units and V_cells are the mean squares of a two-way layout (Searle,
Casella and McCulloch: Variance Components, 1992, ch. 4). Two-way clustering has the same formula for V (Cameron,
Gelbach and Miller, J. Bus. Econ. Stat. 29, 2011). Except for a bias, V is also the variance of the crossed bootstrap
(Owen: The pigeonhole bootstrap, Ann. Appl. Stat. 1, 2007).

The interval is Student's t with Satterthwaite's degrees of freedom (Biometrics Bull. 2, 1946): V_seeds has S − 1,
V_units has G − 1. G is the effective number of units, (Σn)²/Σn² for n rows a unit (Kish: Survey Sampling, 1965). In a
classification, G is computed from rows, from positives and from negatives, and the smallest of the three numbers is
used.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import fdtri, stdtr, stdtrit

from sparkscale.analysis.statistics import LEVEL, MOST_ROUNDS, REPLICATES, SEED, Array, Interval
from sparkscale.analysis.unit_quality import UnitQuality
from sparkscale.contract.units import FEWEST_OF_A_CLASS, FEWEST_UNITS

FEWEST_SEEDS = 3
"""With fewer seeds, the spread over seeds is not estimated, and the interval is valid for these samples only."""
POOLED_FEW, POOLED = 0.35, 0.20
"""Significance levels of the test whether seeds, or units, vary more than cells do.

The first is for fewer than three degrees of freedom, the second for three or more. If seeds, or units, do not
vary more, their mean square is not counted separately (Bancroft: Analysis and inference for incompletely specified
models, Biometrics 20, 1964). With these levels, coverage stays above 90 %.
"""
ENOUGH_SEEDS = 5
"""With fewer seeds, a verdict about samples says "for the samples drawn here"."""


@dataclass(frozen=True)
class Scale:
    """A scale on which an interval is symmetric.

    `to` maps a value to the scale, `back` maps it back, and `slope` is the slope of `to`.
    """

    to: Callable[[float], float]
    back: Callable[[float], float]
    slope: Callable[[float], float]


PLAIN = Scale(lambda x: x, lambda x: x, lambda _: 1.0)
LOGIT = Scale(
    lambda p: float(np.log(p / (1 - p))), lambda z: float(1 / (1 + np.exp(-z))), lambda p: 1 / (p * (1 - p))
)
"""The scale for shares such as an AUC (Pepe: The Statistical Evaluation of Medical Tests, 2003, section 5.2)."""
LOG = Scale(lambda x: float(np.log(x)), lambda z: float(np.exp(z)), lambda x: 1 / x)


@dataclass(frozen=True)
class Estimate:
    """An estimate with its interval. `value` is the mean over seeds. `standard_error` is NaN if it is unknown.

    `degrees` is the number of degrees of freedom of the interval. It is 0 if there is no standard error.

    If no valid interval exists, `interval` is None and `why_none` is the reason, such as "3 units". Otherwise
    `why_none` is empty. `lasting_variance` is the part of the variance that comes from the hold-out's units, so that
    more seeds do not reduce it.
    """

    value: float
    interval: Interval | None
    standard_error: float
    degrees: float
    units: int
    effective_units: float
    seeds: int
    why_none: str = ""
    lasting_variance: float = 0.0

    def confidence_below(self, limit: float) -> float | None:
        """Returns the confidence that the true value is at most `limit`, between 0 and 1.

        It is the value of the confidence distribution that belongs to the interval: 97.5 % at the upper end of the
        interval (Schweder and Hjort: Confidence, Likelihood, Probability, 2016, section 3.2). It is valid only on the
        scale `PLAIN`. Returns None if there is no interval.
        """
        if self.interval is None:
            return None
        if not self.standard_error:
            return float(self.value <= limit)
        return float(stdtr(self.degrees, (limit - self.value) / self.standard_error))

    def at(self, level: float) -> Interval | None:
        """Returns the interval at another confidence level. It is valid only on the scale `PLAIN`.

        Returns None if there is no interval.
        """
        if self.interval is None or level == LEVEL:
            return self.interval
        half = float(stdtrit(self.degrees, (1 + level) / 2)) * self.standard_error
        return Interval(self.value - half, self.value + half)

    def is_limited_by_units(self, limit: float) -> bool:
        """Returns true if more seeds alone could never make the interval exclude `limit`.

        It is assumed that the value stays the same.
        """
        quantile = float(stdtrit(max(self.effective_units - 1, 1.0), (1 + LEVEL) / 2))
        return quantile * float(np.sqrt(self.lasting_variance)) >= abs(self.value - limit)

    def seeds_to_resolve(self, limit: float, level: float = LEVEL) -> int | None:
        """Returns the number of seeds with which the interval would exclude `limit`, if the value stayed the same.

        `level` is the confidence level of the interval.

        None if no number up to MOST_ROUNDS is enough, or if the spread over seeds is not known, because there are
        fewer than FEWEST_SEEDS. The spread over seeds is assumed to stay as it was measured.
        """
        if self.seeds < FEWEST_SEEDS:
            return None
        shrinking = max(0.0, self.standard_error**2 - self.lasting_variance) * self.seeds
        for seeds in range(self.seeds + 1, MOST_ROUNDS + 1):
            variance = self.lasting_variance + shrinking / seeds
            spent = self.lasting_variance**2 / (self.effective_units - 1) + (shrinking / seeds) ** 2 / (seeds - 1)
            quantile = float(stdtrit(variance**2 / spent, (1 + level) / 2)) if spent else 0.0
            if quantile * float(np.sqrt(variance)) < abs(self.value - limit):
                return seeds
        return None


def estimate(
    qualities: Sequence[Sequence[UnitQuality]],
    combine: Callable[..., Any] = lambda quality: quality,
    scale: Scale = PLAIN,
) -> Estimate:
    """Estimates the mean of a quality over seeds, or the mean of a combination such as a difference.

    For each seed, `qualities` has one or more qualities, such as those of two models. `combine` takes their values
    as arrays, and returns an array of the same shape. All qualities belong to the same hold-out, so that units are
    paired.
    """
    units = qualities[0][0].units
    ones, left_out = np.ones((1, units)), 1 - np.eye(units)
    values = np.array([combine(*(quality.at(ones) for quality in seed))[0] for seed in qualities])
    parts = np.array([combine(*(quality.at(left_out) for quality in seed)) for seed in qualities])
    effective = min(quality.effective_units for seed in qualities for quality in seed)
    is_difference = len(qualities[0]) > 1
    rare = min(
        (quality.rare_rows for seed in qualities for quality in seed if quality.rare_rows is not None), default=None
    )
    if effective < FEWEST_UNITS:
        return _without_interval(values, units, effective, _counted(effective))
    if is_difference and rare is not None and rare < FEWEST_OF_A_CLASS:
        return _without_interval(values, units, effective, f"{rare} rows of the rarer class")
    if is_difference and not values.any() and not parts.any():  # both have the same scores in every unit
        return Estimate(0.0, Interval(0.0, 0.0), 0.0, effective - 1, units, effective, len(values))
    return _estimate(values, values[:, None] - parts, effective, scale)


def _counted(effective: float) -> str:
    """Returns the number of effective units as a text, such as "3.5 units"."""
    number = f"{effective:.1f}".removesuffix(".0")
    return f"{number} {'unit' if number == '1' else 'units'}"


def _without_interval(values: Array, units: int, effective: float, why: str) -> Estimate:
    return Estimate(float(values.mean()), None, float("nan"), 0.0, units, effective, len(values), why)


def _estimate(values: Array, deviations: Array, effective: float, scale: Scale) -> Estimate:
    """Returns the estimate, computed as the module's docstring says.

    `values` are the qualities θ_s, of shape (seeds,). `deviations` are the deviations d_su, of shape (seeds,
    units).
    """
    seeds, units = deviations.shape
    if not np.isfinite(deviations).all():
        return _without_interval(values, units, effective, "no value without one of the units")
    value = float(values.mean())
    by_unit = deviations.mean(axis=0)
    of_units = (units - 1) / units * float(((by_unit - by_unit.mean()) ** 2).sum())
    of_seeds = of_cells = 0.0
    if seeds >= FEWEST_SEEDS:
        of_seeds = float(values.var(ddof=1)) / seeds
        rest = deviations - by_unit - deviations.mean(axis=1, keepdims=True) + by_unit.mean()
        of_cells = (units - 1) / units * float((rest**2).sum()) / (seeds * (seeds - 1))
    variance, degrees = _total(of_seeds, of_units, of_cells, seeds, effective)
    if variance <= 0:
        return _without_interval(values, units, effective, "the same value in every unit")
    error = float(np.sqrt(variance))
    interval = _interval(value, float(stdtrit(degrees, (1 + LEVEL) / 2)) * error, scale)
    why = "" if interval else "a perfect value"
    lasting = min(variance, max(0.0, of_units - of_cells))
    return Estimate(value, interval, error, degrees, units, effective, seeds, why, lasting)


def _total(of_seeds: float, of_units: float, of_cells: float, seeds: int, effective: float) -> tuple[float, float]:
    """Returns two numbers: the variance V of the mean, and the degrees of freedom.

    `of_seeds`, `of_units` and `of_cells` are V_seeds, V_units and V_cells (see the module's docstring). V_seeds,
    or V_units, counts only if it is significantly larger than V_cells. POOLED_FEW and POOLED are the levels of
    this test. `seeds` is the number of seeds, and `effective` the effective number of units.
    """
    if not of_cells:  # one or two seeds, or seeds that differ by the same amount in every unit
        spent = of_seeds**2 / (seeds - 1) + of_units**2 / (effective - 1) if of_seeds else 0.0
        return of_seeds + of_units, (of_seeds + of_units) ** 2 / spent if spent else effective - 1
    cells = (seeds - 1) * (effective - 1)
    variance, spent, rest = of_cells, 0.0, 1.0
    for factor, degrees in ((of_seeds, seeds - 1), (of_units, effective - 1)):
        level = POOLED_FEW if degrees < 3 else POOLED
        if factor > of_cells * float(fdtri(degrees, cells, 1 - level)):
            variance += factor - of_cells
            spent += factor**2 / degrees
            rest -= 1.0
    spent += (rest * of_cells) ** 2 / cells
    return variance, variance**2 / spent


def _interval(value: float, half: float, scale: Scale) -> Interval | None:
    with np.errstate(divide="ignore", invalid="ignore"):
        middle, width = scale.to(value), half * scale.slope(value)
    if not np.isfinite(middle) or not np.isfinite(width):
        return None
    return Interval(scale.back(middle - width), scale.back(middle + width))


def replicates(
    qualities: Sequence[Sequence[UnitQuality]], combine: Callable[..., Any] = lambda quality: quality
) -> Array:
    """Returns the values of the crossed bootstrap, of shape (REPLICATES,).

    Units and seeds are drawn with replacement (Owen, 2007, as above). The draws are the same for equal numbers of
    units and seeds, so that engines and fractions are compared on the same draws. A draw is NaN if it has no
    value, for example because it has no positive row.
    """
    generator = np.random.default_rng(SEED)
    units, seeds = qualities[0][0].units, len(qualities)
    of_units = generator.multinomial(units, np.full(units, 1 / units), size=REPLICATES).astype(float)
    of_seeds = generator.multinomial(seeds, np.full(seeds, 1 / seeds), size=REPLICATES) / seeds
    with np.errstate(divide="ignore", invalid="ignore"):
        values = np.array([combine(*(quality.at(of_units) for quality in seed)) for seed in qualities])
    drawn: Array = np.einsum("rs,sr->r", of_seeds, values)
    return drawn
