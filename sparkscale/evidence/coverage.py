"""Measures how often printed intervals contain the true value, on simulated hold-outs, models and seeds.

Each row of the hold-out belongs to a unit. The scores of positives are higher than those of negatives. The
distance between the two classes differs from unit to unit, from seed to seed and from cell to cell; a cell is one
seed on one unit. Each unit also shifts all scores of its rows. The model of all data and the model of a sample
share most of the noise of a row. So an expected AUC is a normal probability, and an expected error is an integral
over a normal distribution. Such true values are known, not estimated.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

import numpy as np
from scipy.stats import norm

from sparkscale.analysis import crossed
from sparkscale.analysis.criterion import Criterion
from sparkscale.analysis.statistics import Array, Interval, interval, rounds_interval
from sparkscale.analysis.unit_quality import UnitAuc, UnitQuality, UnitRatio
from sparkscale.contract.case import digest
from sparkscale.evidence.parallel import in_parallel
from workloads.quality.qualities import BY_ACCURACY, BY_AUC, BY_INERTIA, BY_RMSE, BY_VARIANCE_EXPLAINED

Kind = Literal["auc", "rmse", "accuracy", "variance_explained", "inertia", "rounds"]
Dominant = Literal["units", "seeds"]

UNITS = (5, 10, 20, 50, 100)
SEEDS = (3, 5, 8)
CLASSES = ((6, 994), (30, 970), (100, 900), (1000, 1000))
"""Pairs of numbers: the positives and the negatives in a hold-out."""
ROUNDS = (5, 8, 12, 20)
DOMINANT_FACTORS: tuple[Dominant, ...] = ("units", "seeds")

DISTANCE, GAP = 1.0, 0.03
"""`DISTANCE` is the distance between the mean scores of the classes, in standard deviations of a row's noise.

`GAP` is the amount by which this distance is smaller for the sample's model.
"""
LARGE, SMALL, SHIFT = 0.10, 0.02, 0.3
"""Standard deviations of three random effects.

`LARGE` is for the distance between the classes' mean scores (see DISTANCE) over the dominant factor, units or seeds.
`SMALL` is for this distance over the other factor and over cells. `SHIFT` is for the amount by which a unit shifts
all scores of its rows.
"""
OWN_NOISE = 0.15
"""The standard deviation of the part of a row's noise that a model does not share with other models and seeds."""
UNEVEN = 0.5
"""The standard deviation of the logarithm of the number of rows in a unit, if units are not even."""

LEAST, MOST = 0.90, 0.97
"""A 95 % interval should contain the true value in a share of cases between these two limits."""
REPEAT_FACTOR = 5
"""A scenario with a share outside of the limits is simulated again, this many times as often.

With hundreds of shares, some are outside by chance. Only the second simulation is reported, because it was not
chosen for its result. By the same chance, a wrong share close to a limit may be within the limits in the first
simulation. It is then not noticed.
"""
LEAST_SHARE_GIVEN = 0.1
"""No coverage is reported if less than this share of the simulations has an interval."""


JUDGED = (BY_AUC, BY_RMSE, BY_INERTIA, BY_ACCURACY, BY_VARIANCE_EXPLAINED)
CRITERIA = {judged.quality: Criterion(judged) for judged in JUDGED}
"""The criteria of the simulated qualities, by their stored names."""


@dataclass(frozen=True)
class Scenario:
    """A hold-out with a number of units, judged with a number of seeds.

    `positives` and `negatives` are the numbers of rows of the two classes. Without classes, all rows are `negatives`.
    If `even` is true, units have equally many rows on average. `dominant` says whether the distance between scores
    (see the module's docstring) differs more from unit to unit or from seed to seed. If `kind` is "rounds", `seeds`
    is the number of rounds. `scale` multiplies the differences between units, seeds and cells.
    """

    kind: Kind
    units: int
    seeds: int
    positives: int
    negatives: int
    even: bool = True
    dominant: Dominant = "units"
    scale: float = field(default=1.0, repr=False)  # the seed follows from the representation

    @property
    def of_units(self) -> float:
        return self.scale * (LARGE if self.dominant == "units" else SMALL)

    @property
    def of_seeds(self) -> float:
        return self.scale * (LARGE if self.dominant == "seeds" else SMALL)

    @property
    def of_cells(self) -> float:
        return self.scale * SMALL

    def seed(self, repeats: int) -> int:
        """Returns the seed of `repeats` simulations. Another number of repeats has another seed."""
        return int(digest(f"{self!r} {repeats}"), 16)


@dataclass(frozen=True)
class Covered:
    """The shares of intervals that contained the true value.

    A share is NaN if there are no intervals, or too few.
    """

    scenario: Scenario
    repeats: int
    level: float
    """The share for intervals of the quality of a model."""
    difference: float
    """The share for intervals of a difference between two models."""
    percentile: float
    """The share for percentile intervals (crossed bootstrap) of a difference. Reports do not print these."""
    not_given: float
    """The share of differences without an interval."""

    @property
    def shares(self) -> list[float]:
        """`level` and `difference`, which are the shares for intervals that reports print. NaN is left out."""
        return [share for share in (self.level, self.difference) if not math.isnan(share)]

    @property
    def holds(self) -> bool:
        """True if all `shares` are between LEAST and MOST."""
        return all(LEAST <= share <= MOST for share in self.shares)


def scenarios() -> list[Scenario]:
    """Returns all scenarios: every kind of interval, with each number of units, seeds and rows per class."""
    return [
        *(
            Scenario("auc", units, seeds, *classes, even=even)
            for units in UNITS
            for seeds in SEEDS
            for classes in CLASSES
            for even in (True, False)
        ),
        *(
            Scenario("auc", units, seeds, *classes, dominant="seeds")
            for units in UNITS
            for seeds in SEEDS
            for classes in CLASSES[2:]
        ),
        *(
            Scenario("rmse", units, seeds, 0, 1000, dominant=dominant)
            for units in UNITS
            for seeds in SEEDS
            for dominant in DOMINANT_FACTORS
        ),
        *(
            Scenario(kind, units, 5, 500 if kind == "accuracy" else 0, 500)
            for kind in ("accuracy", "variance_explained", "inertia")
            for units in UNITS
        ),
        *(Scenario("rounds", 1, rounds, 0, 0) for rounds in ROUNDS),
    ]


def coverage(
    to_simulate: Sequence[Scenario], repeats: int, processes: int, progress: Callable[[str], None]
) -> list[Covered]:
    """Simulates each scenario `repeats` times, in `processes` parallel processes. Returns one result per scenario.

    If a share of intervals that contain the true value is not between LEAST and MOST, the scenario is simulated
    again, with REPEAT_FACTOR times as many simulations.
    """
    first = in_parallel(partial(simulated, repeats=repeats), to_simulate, processes, progress)
    outside = [result.scenario for result in first if not result.holds]
    again = partial(simulated, repeats=REPEAT_FACTOR * repeats)
    repeated = in_parallel(again, outside, processes, progress, "scenarios outside of the limits, again")
    by_scenario = {result.scenario: result for result in repeated}
    return [by_scenario.get(result.scenario, result) for result in first]


def simulated(scenario: Scenario, repeats: int) -> Covered:
    """Returns the coverage of a scenario in `repeats` simulations."""
    generator = np.random.default_rng(scenario.seed(repeats))
    if scenario.kind == "rounds":
        return _of_rounds(scenario, repeats, generator)
    criterion = CRITERIA[scenario.kind]
    contained: dict[str, list[bool]] = {"level": [], "difference": [], "percentile": []}
    true_quality, given_up = true_values(scenario)
    for _ in range(repeats):
        pairs = qualities(scenario, generator)
        level = crossed.estimate([[whole] for whole, _ in pairs], scale=criterion.scale).interval
        if level:
            contained["level"].append(_contains(level, true_quality))
        difference = crossed.estimate(pairs, criterion.given_up).interval
        if difference:
            contained["difference"].append(_contains(difference, given_up))
            contained["percentile"].append(
                _contains(interval(crossed.replicates(pairs, criterion.given_up)), given_up)
            )
    shares = {
        name: float(np.mean(outcomes)) if len(outcomes) >= max(1, LEAST_SHARE_GIVEN * repeats) else float("nan")
        for name, outcomes in contained.items()
    }
    return Covered(scenario, repeats, **shares, not_given=1 - len(contained["difference"]) / repeats)


def _contains(printed: Interval, true_value: float) -> bool:
    return printed.low <= true_value <= printed.high


def qualities(
    scenario: Scenario, generator: np.random.Generator, gaps: Sequence[float] = (0.0, GAP)
) -> list[tuple[UnitQuality, ...]]:
    """Returns the qualities of several models on one simulated hold-out: a tuple for each seed.

    `gaps` has one gap for each model. A model's mean distance between the classes is DISTANCE less its gap. By
    default, the models are one of all data and one of a sample.
    """
    units, rows = scenario.units, scenario.positives + scenario.negatives
    share = np.exp(0.0 if scenario.even else UNEVEN * generator.normal(size=units)) * np.ones(units)
    unit = generator.choice(units, rows, p=share / share.sum())
    label = np.repeat([1.0, 0.0], [scenario.positives, scenario.negatives])
    shift, of_units = SHIFT * generator.normal(size=units), scenario.of_units * generator.normal(size=units)
    noise = generator.normal(size=rows)
    draw = _DRAWS[scenario.kind]
    pairs = []
    for _ in range(scenario.seeds):
        models = []
        for gap in gaps:
            cells = scenario.of_seeds * generator.normal() + scenario.of_cells * generator.normal(size=units)
            distance = DISTANCE - gap + (of_units + cells)[unit]
            own = np.sqrt(1 - OWN_NOISE**2) * noise + OWN_NOISE * generator.normal(size=rows)
            models.append(draw(unit, label, distance, shift[unit], own))
        pairs.append(tuple(models))
    return pairs


def _auc(unit: Array, label: Array, distance: Array, shift: Array, noise: Array) -> UnitQuality:
    return UnitAuc.of(unit, label, distance * label + shift + noise)


def _accuracy(unit: Array, label: Array, distance: Array, shift: Array, noise: Array) -> UnitQuality:
    """Returns the accuracy. The threshold is in the middle between the two classes."""
    margin = (label - 0.5) * distance + shift * 0 + noise
    return UnitRatio.accuracy(unit, label, norm.cdf(margin))


def _rmse(unit: Array, label: Array, distance: Array, shift: Array, noise: Array) -> UnitQuality:  # noqa: ARG001
    """Returns the RMSE. The error of a row is `noise / distance`, so a larger distance means a better model."""
    return UnitRatio.rmse(unit, np.zeros(len(unit)), noise / distance)


def _inertia(unit: Array, label: Array, distance: Array, shift: Array, noise: Array) -> UnitQuality:  # noqa: ARG001
    return UnitRatio.mean_score(unit, np.zeros(len(unit)), (noise / distance) ** 2)


def _explained(unit: Array, label: Array, distance: Array, shift: Array, noise: Array) -> UnitQuality:  # noqa: ARG001
    """Returns the explained variance.

    At the usual distance (1), the expected squared error is an eighth of the squared deviation. Both differ from
    unit to unit.
    """
    total = (1 + shift) ** 2 + 1
    return UnitRatio.explained(unit, total, (noise / distance) ** 2 * total / 8)


_DRAWS: dict[str, Callable[[Array, Array, Array, Array, Array], UnitQuality]] = {
    "auc": _auc,
    "accuracy": _accuracy,
    "rmse": _rmse,
    "inertia": _inertia,
    "variance_explained": _explained,
}


def true_values(scenario: Scenario, sample_gap: float = GAP) -> tuple[float, float]:
    """Returns two true values: the quality of the model of all data, and the quality that a sample gives up.

    `sample_gap` is the gap of the sample's model (see `qualities`).

    Both are means over all units and all seeds that can be drawn. The two models have independent seeds. The value
    at an average seed would differ from the mean over seeds, because a quality such as an RMSE is not linear.
    """
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    weights = weights / weights.sum()
    whole, part = (
        np.array([_of_seed(scenario, DISTANCE - gap + scenario.of_seeds * node) for node in nodes])
        for gap in (0.0, sample_gap)
    )
    given_up = CRITERIA[scenario.kind].given_up(whole[:, None], part[None, :])
    return float(weights @ whole), float(weights @ given_up @ weights)


def _of_seed(scenario: Scenario, distance: float) -> float:
    """Returns the expected quality of a model with one seed: the mean over all units and cells that can be drawn.

    `distance` is the mean distance with this seed.
    """
    varied = scenario.of_units**2 + scenario.of_cells**2
    if scenario.kind == "auc":  # the positive and the negative are from different units
        return float(norm.cdf(distance / np.sqrt(varied + 2 * SHIFT**2 + 2)))
    if scenario.kind == "accuracy":
        return float(norm.cdf(distance / 2 / np.sqrt(varied / 4 + 1)))
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    inverse = float((weights / (distance + np.sqrt(varied) * nodes) ** 2).sum() / weights.sum())
    return {"rmse": float(np.sqrt(inverse)), "inertia": inverse, "variance_explained": 1 - inverse / 8}[scenario.kind]


def _of_rounds(scenario: Scenario, repeats: int, generator: np.random.Generator) -> Covered:
    """Returns the coverage of `rounds_interval`. `scenario.seeds` is the number of rounds.

    The simulated ratios vary as times on a shared machine do.
    """
    drawn = np.exp(0.2 * generator.standard_t(4, size=(repeats, scenario.seeds)))
    contained = [_contains(rounds_interval(list(map(float, samples))), 1.0) for samples in drawn]
    return Covered(scenario, repeats, float(np.mean(contained)), float("nan"), float("nan"), 0.0)
