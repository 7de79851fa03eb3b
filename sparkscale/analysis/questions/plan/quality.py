"""Forecasts the quality that each engine reaches on a fraction of the rows, and the quality that it gives up.

A model gives up quality against the best forecast of any engine with all rows. If both models were measured, the
measured difference counts, paired on seeds and on the units of the hold-out. Otherwise both are forecast from
learning curves. Their draws of the bootstrap belong together, so most of the noise cancels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from scipy.special import stdtrit

from sparkscale.analysis.criterion import Criterion
from sparkscale.analysis.patterns.data_parallel.cell import Cell, Step
from sparkscale.analysis.patterns.data_parallel.comparison import EngineCurve, comparisons
from sparkscale.analysis.patterns.data_parallel.forecasts import learning_curve_of
from sparkscale.analysis.questions import learning_curve
from sparkscale.analysis.questions.learning_curve import LEVEL, Curve
from sparkscale.analysis.questions.plan.basis import Basis
from sparkscale.analysis.statistics import Array, Interval

ALIKE = 1.03
"""A measured size counts as a wished one if neither is more than this many times the other."""


@dataclass(frozen=True)
class Given:
    """The quality that a model reaches, and the quality that it gives up, with intervals at LEVEL.

    Numbers are None if they are not known: `why_none` gives the reason.
    """

    quality: float | None = None
    loss: float | None = None
    interval: Interval | None = None
    why_none: str = ""


@dataclass(frozen=True)
class Learner:
    """What is known about the models of one engine. `curve` is None if no scores are stored."""

    measured: EngineCurve
    curve: Curve | None
    _forecasts: dict[float, tuple[float, Array]] = field(default_factory=dict)

    @cached_property
    def why_none(self) -> str:
        """The reason why nothing is forecast. Empty if the curve can be extended."""
        if self.curve is None:
            return "no scores are stored"
        return learning_curve.ill_behaved(self.curve).removeprefix("ill-behaved: ")

    def cell(self, rows: float) -> Cell | None:
        """Returns the measured models of about this number of rows. None if there are none."""
        return next(
            (one for one in self.measured.cells if 1 / ALIKE <= one.rows / rows <= ALIKE and one.qualities), None
        )

    def why_not(self, rows: float) -> str:
        """Returns the reason against a forecast for a number of rows. Empty if there is one."""
        if self.why_none or self.curve is None:
            return self.why_none
        if why := learning_curve.too_many(rows, self.curve):
            return why
        smallest = float(self.curve.rows.min())
        if rows * ALIKE < smallest:
            return f"fewer rows than the smallest measured size ({smallest:,.0f})"
        return ""

    def forecast(self, rows: float) -> tuple[float, Array]:
        """Returns the forecast and its draws, of shape (draws,). It has to exist (see `why_not`)."""
        if rows not in self._forecasts:
            self._forecasts[rows] = self._forecast(rows)
        return self._forecasts[rows]

    def _forecast(self, rows: float) -> tuple[float, Array]:
        assert self.curve is not None
        value, drawn = learning_curve.forecast_draws(self.curve, rows)
        ceiling = self.curve.ceiling
        if ceiling is None:
            return value, drawn
        bound = np.minimum if self.curve.is_better > 0 else np.maximum
        return float(bound(value, ceiling)), bound(drawn, ceiling)


@dataclass(frozen=True)
class Qualities:
    """The learners of all engines, by engine and device. `rows` is the wished number of all rows."""

    criterion: Criterion
    learners: Mapping[tuple[str, str], Learner]
    rows: float

    @cached_property
    def best(self) -> tuple[str, str] | None:
        """The engine with the best forecast, or the best measured quality, with all rows. None if none is known."""
        sign = self.criterion.sign
        reached = {key: self._quality(one, self.rows) for key, one in self.learners.items()}
        known = {key: quality for key, quality in reached.items() if quality is not None}
        return max(known, key=lambda key: sign * known[key]) if known else None

    def unknown(self) -> dict[str, str]:
        """Returns the engines without a quality for all rows, and the reasons."""
        return {
            engine: one.why_not(self.rows)
            for (engine, _), one in self.learners.items()
            if self._quality(one, self.rows) is None
        }

    def _quality(self, learner: Learner, rows: float) -> float | None:
        cell = learner.cell(rows)
        if cell is not None and cell.quality is not None:
            return cell.quality.value
        return None if learner.why_not(rows) else learner.forecast(rows)[0]

    def given(self, engine: str, device: str, fraction: float) -> Given:
        """Returns what an engine reaches and gives up on a fraction of the wished rows."""
        learner = self.learners.get((engine, device))
        if learner is None or not self.criterion.key:
            return Given(why_none="no quality is judged" if not self.criterion.key else "no scores are stored")
        rows = self.rows * fraction
        quality = self._quality(learner, rows)
        if quality is None:
            return Given(why_none=learner.why_not(rows))
        if self.best is None:
            return Given(quality, why_none=f"with all rows, {next(iter(self.unknown().values()), 'nothing')}")
        if (engine, device) == self.best and fraction == 1:
            return Given(quality, 0.0, Interval(0.0, 0.0))
        return self._against(self.learners[self.best], learner, rows, quality)

    def _against(self, best: Learner, learner: Learner, rows: float, quality: float) -> Given:
        whole, part = best.cell(self.rows), learner.cell(rows)
        step = Step.between(whole, part) if whole and part else None
        if step is not None and step.interval is not None:
            return Given(quality, step.estimate.value, _at_level(step))
        for one, number in ((best, self.rows), (learner, rows)):
            if why := one.why_not(number):
                return Given(quality, why_none=why)
        return self._forecast(best, learner, rows, quality)

    def _forecast(self, best: Learner, learner: Learner, rows: float, quality: float) -> Given:
        """Returns the forecast loss. Its interval is widened as that of a quality is (see `learning_curve`)."""
        (whole, drawn_whole), (part, drawn_part) = best.forecast(self.rows), learner.forecast(rows)
        value = float(self.criterion.given_up(whole, part))
        if drawn_whole.shape == drawn_part.shape:
            drawn = self.criterion.given_up(drawn_whole, drawn_part)
            low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        else:  # other seeds or units: the draws do not belong together
            low, high = self._apart(whole, part, drawn_whole, drawn_part)
        _, low, high = learning_curve.widened(value, float(low), float(high), learning_curve.CALIBRATION)
        return Given(quality, value, Interval(low, high))

    def _apart(self, whole: float, part: float, drawn_whole: Array, drawn_part: Array) -> tuple[float, float]:
        """Returns the limits of a difference of two forecasts that were not drawn together."""
        of_whole = self.criterion.given_up(drawn_whole, part)
        of_part = self.criterion.given_up(whole, drawn_part)
        value = float(self.criterion.given_up(whole, part))
        tails = [np.quantile(one, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]) - value for one in (of_whole, of_part)]
        low, high = (float(np.hypot(tails[0][end], tails[1][end])) for end in (0, 1))
        return value - low, value + high


def _at_level(step: Step) -> Interval:
    """Returns the interval of a measured loss at LEVEL."""
    estimate = step.estimate
    if not estimate.standard_error:
        return Interval(estimate.value, estimate.value)
    half = float(stdtrit(estimate.degrees, (1 + LEVEL) / 2)) * estimate.standard_error
    return Interval(estimate.value - half, estimate.value + half)


def qualities(basis: Basis, rows: float) -> Qualities | None:
    """Returns the qualities of all engines of a plan. None if no data set was measured with warm executions.

    If several clusters ran an engine, the cluster with the most sizes counts, because quality does not depend on it.
    """
    compared = comparisons(basis.store, basis.base)
    if not compared:
        return None
    curves: dict[tuple[str, str], list[EngineCurve]] = {}
    for comparison in compared:
        for curve in comparison.curves:
            curves.setdefault((curve.cells[0].case.engine, comparison.case.device), []).append(curve)
    criterion = compared[0].criterion
    learners = {key: _learner(of_engine, criterion) for key, of_engine in curves.items()}
    return Qualities(criterion, learners, rows)


def _learner(curves: Sequence[EngineCurve], criterion: Criterion) -> Learner:
    most = max(curves, key=lambda curve: sum(bool(cell.qualities) for cell in curve.cells))
    return Learner(most, learning_curve_of(most, criterion))
