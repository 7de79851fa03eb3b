"""How often printed intervals hold the truth: simulated hold-outs, models and seeds of known populations.

A row of the hold-out belongs to a unit. The score of a positive lies higher than that of a negative by a distance
that differs from unit to unit, from seed to seed and from cell to cell. Units also shift all their scores. The models
of all data and of a sample share most of the noise of a row. An expected AUC is then a normal probability,
an expected error an integral over a normal distribution: known, not estimated.
"""

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
from scipy.stats import norm

from sparkscale.analysis import crossed
from sparkscale.analysis.criterion import Criterion
from sparkscale.analysis.statistics import Array, Interval, interval, rounds_interval
from sparkscale.analysis.unit_quality import UnitAuc, UnitQuality, UnitRatio
from sparkscale.contract.case import digest
from workloads.quality.qualities import BY_ACCURACY, BY_AUC, BY_INERTIA, BY_RMSE, BY_VARIANCE_EXPLAINED

Kind = Literal["auc", "rmse", "accuracy", "variance_explained", "inertia", "rounds"]
Dominant = Literal["units", "seeds"]

UNITS = (5, 10, 20, 50, 100)
SEEDS = (3, 5, 8)
CLASSES = ((6, 994), (30, 970), (100, 900), (1000, 1000))
"""Positives and negatives of a hold-out."""
ROUNDS = (5, 8, 12, 20)
DOMINANT: tuple[Dominant, ...] = ("units", "seeds")

DISTANCE, GAP = 1.0, 0.03
"""Between the scores of the classes, in deviations of a row's noise; and what the sample's model lacks of it."""
LARGE, SMALL, SHIFT = 0.10, 0.02, 0.3
"""Standard deviations of the distance over what dominates and over the rest (units, seeds, cells), and of the shift
of a unit's scores.
"""
OWN_NOISE = 0.15
"""The share of a row's noise, as a deviation, that each model and seed has for itself."""
UNEVEN = 0.5
"""Deviation of the logarithm of the rows of a unit."""

LEAST, MOST = 0.90, 0.97
"""An interval that says 95 % should hold the truth in a share of cases between these two."""
AGAIN = 5
"""A scenario with a share outside of the limits is simulated again, this many times as often: of hundreds of shares
some lie outside by chance. What is reported of it is the second simulation alone, which was not chosen for its
result. A share close to a limit may still be missed: it lies inside in the first simulation by the same chance.
"""
SELDOM = 0.1
"""No coverage is told if fewer of the simulations than this share give an interval: they are too few."""


JUDGED = (BY_AUC, BY_RMSE, BY_INERTIA, BY_ACCURACY, BY_VARIANCE_EXPLAINED)
JUDGINGS = {judged.quality: Criterion(judged) for judged in JUDGED}
"""How the simulated qualities are judged, by their stored names."""


@dataclass(frozen=True)
class Scenario:
    """A hold-out of so many units, judged with so many seeds. `positives` and `negatives` are rows of a class; where
    there are none, all are `negatives`. The distance between classes changes most over what is `dominant`.
    """

    kind: Kind
    units: int
    seeds: int
    positives: int
    negatives: int
    even: bool = True
    dominant: Dominant = "units"

    @property
    def of_units(self) -> float:
        return LARGE if self.dominant == "units" else SMALL

    @property
    def of_seeds(self) -> float:
        return LARGE if self.dominant == "seeds" else SMALL

    def seed(self, repeats: int) -> int:
        """Another number of simulations draws others."""
        return int(digest(f"{self!r} {repeats}"), 16)


@dataclass(frozen=True)
class Covered:
    """The shares of intervals that held the truth: for the quality of a model, for a difference,
    and for the difference by percentiles of the crossed bootstrap. `not_given` is the share of differences
    without an interval. A share is not a number where intervals are not given, or seldom.
    """

    scenario: Scenario
    repeats: int
    level: float
    difference: float
    percentile: float
    not_given: float

    @property
    def shares(self) -> list[float]:
        """The coverage of each interval that reports print."""
        return [share for share in (self.level, self.difference) if not math.isnan(share)]

    @property
    def holds(self) -> bool:
        return all(LEAST <= share <= MOST for share in self.shares)


def scenarios() -> list[Scenario]:
    """Every kind of interval, by units, seeds and rows of each class."""
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
            for dominant in DOMINANT
        ),
        *(
            Scenario(kind, units, 5, 500 if kind == "accuracy" else 0, 500)
            for kind in ("accuracy", "variance_explained", "inertia")
            for units in UNITS
        ),
        *(Scenario("rounds", 1, rounds, 0, 0) for rounds in ROUNDS),
    ]


def coverage(
    chosen: Sequence[Scenario], repeats: int, processes: int, progress: Callable[[str], None]
) -> list[Covered]:
    """Simulates each scenario `repeats` times, and those outside of the limits again; `processes` at once."""
    with ProcessPoolExecutor(processes) as pool:

        def simulate(some: Sequence[Scenario], times: int, what: str) -> list[Covered]:
            found = []
            for one in pool.map(partial(simulated, repeats=times), some):
                found.append(one)
                progress(f"{len(found)} of {len(some)} scenarios{what}")
            return found

        first = simulate(chosen, repeats, "")
        outside = [one.scenario for one in first if not one.holds]
        again = simulate(outside, AGAIN * repeats, " outside of the limits, again")
    instead = {one.scenario: one for one in again}
    return [instead.get(one.scenario, one) for one in first]


def simulated(scenario: Scenario, repeats: int) -> Covered:
    generator = np.random.default_rng(scenario.seed(repeats))
    if scenario.kind == "rounds":
        return _of_rounds(scenario, repeats, generator)
    criterion = JUDGINGS[scenario.kind]
    held: dict[str, list[bool]] = {"level": [], "difference": [], "percentile": []}
    truth, given_up = truths(scenario)
    for _ in range(repeats):
        pairs = qualities(scenario, generator)
        level = crossed.estimate([[whole] for whole, _ in pairs], scale=criterion.scale).interval
        if level:
            held["level"].append(_holds(level, truth))
        difference = crossed.estimate(pairs, criterion.given_up).interval
        if difference:
            held["difference"].append(_holds(difference, given_up))
            held["percentile"].append(_holds(interval(crossed.replicates(pairs, criterion.given_up)), given_up))
    shares = {
        name: float(np.mean(found)) if len(found) >= max(1, SELDOM * repeats) else float("nan")
        for name, found in held.items()
    }
    return Covered(scenario, repeats, **shares, not_given=1 - len(held["difference"]) / repeats)


def _holds(given: Interval, truth: float) -> bool:
    return given.low <= truth <= given.high


def qualities(scenario: Scenario, generator: np.random.Generator) -> list[tuple[UnitQuality, UnitQuality]]:
    """The qualities of both models on one hold-out, seed by seed."""
    units, rows = scenario.units, scenario.positives + scenario.negatives
    share = np.exp(0.0 if scenario.even else UNEVEN * generator.normal(size=units)) * np.ones(units)
    unit = generator.choice(units, rows, p=share / share.sum())
    label = np.repeat([1.0, 0.0], [scenario.positives, scenario.negatives])
    shift, of_units = SHIFT * generator.normal(size=units), scenario.of_units * generator.normal(size=units)
    noise = generator.normal(size=rows)
    draw = _DRAWS[scenario.kind]
    pairs = []
    for _ in range(scenario.seeds):
        made = []
        for gap in (0.0, GAP):
            cells = scenario.of_seeds * generator.normal() + SMALL * generator.normal(size=units)
            distance = DISTANCE - gap + (of_units + cells)[unit]
            own = np.sqrt(1 - OWN_NOISE**2) * noise + OWN_NOISE * generator.normal(size=rows)
            made.append(draw(unit, label, distance, shift[unit], own))
        pairs.append((made[0], made[1]))
    return pairs


def _auc(unit: Array, label: Array, distance: Array, shift: Array, noise: Array) -> UnitQuality:
    return UnitAuc.of(unit, label, distance * label + shift + noise)


def _accuracy(unit: Array, label: Array, distance: Array, shift: Array, noise: Array) -> UnitQuality:
    """The threshold lies midway between the classes, in both directions alike."""
    margin = (label - 0.5) * distance + shift * 0 + noise
    return UnitRatio.accuracy(unit, label, norm.cdf(margin))


def _rmse(unit: Array, label: Array, distance: Array, shift: Array, noise: Array) -> UnitQuality:  # noqa: ARG001
    """The error of a row has the deviation 1/distance."""
    return UnitRatio.rmse(unit, np.zeros(len(unit)), noise / distance)


def _inertia(unit: Array, label: Array, distance: Array, shift: Array, noise: Array) -> UnitQuality:  # noqa: ARG001
    return UnitRatio.mean_score(unit, np.zeros(len(unit)), (noise / distance) ** 2)


def _explained(unit: Array, label: Array, distance: Array, shift: Array, noise: Array) -> UnitQuality:  # noqa: ARG001
    """The error is a quarter of the deviation at the usual distance; both vary with the unit."""
    total = (1 + shift) ** 2 + 1
    return UnitRatio.explained(unit, total, (noise / distance) ** 2 * total / 8)


_DRAWS: dict[str, Callable[[Array, Array, Array, Array, Array], UnitQuality]] = {
    "auc": _auc,
    "accuracy": _accuracy,
    "rmse": _rmse,
    "inertia": _inertia,
    "variance_explained": _explained,
}


def truths(scenario: Scenario) -> tuple[float, float]:
    """Returns two expectations on rows of new units: the quality of the model of all data, and what the model of the
    sample gives up. Each model draws seeds of its own. Both figures are means over seeds, for a quality such as an
    RMSE is not linear in them.
    """
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    weights = weights / weights.sum()
    whole, part = (
        np.array([_of_seed(scenario, DISTANCE - gap + scenario.of_seeds * node) for node in nodes])
        for gap in (0.0, GAP)
    )
    given_up = JUDGINGS[scenario.kind].given_up(whole[:, None], part[None, :])
    return float(weights @ whole), float(weights @ given_up @ weights)


def _of_seed(scenario: Scenario, distance: float) -> float:
    """Returns the quality that a model of one seed is expected to have, over units and cells."""
    varied = scenario.of_units**2 + SMALL**2
    if scenario.kind == "auc":  # a positive and a negative of two units
        return float(norm.cdf(distance / np.sqrt(varied + 2 * SHIFT**2 + 2)))
    if scenario.kind == "accuracy":
        return float(norm.cdf(distance / 2 / np.sqrt(varied / 4 + 1)))
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    inverse = float((weights / (distance + np.sqrt(varied) * nodes) ** 2).sum() / weights.sum())
    return {"rmse": float(np.sqrt(inverse)), "inertia": inverse, "variance_explained": 1 - inverse / 8}[scenario.kind]


def _of_rounds(scenario: Scenario, repeats: int, generator: np.random.Generator) -> Covered:
    """The interval over rounds of ratios that vary as those of seconds on a shared machine do."""
    drawn = np.exp(0.2 * generator.standard_t(4, size=(repeats, scenario.seeds)))
    held = [_holds(rounds_interval(list(map(float, samples))), 1.0) for samples in drawn]
    return Covered(scenario, repeats, float(np.mean(held)), float("nan"), float("nan"), 0.0)
