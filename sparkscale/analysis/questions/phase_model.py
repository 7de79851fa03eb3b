"""Predicts how long a job takes from its phases, and from its iterations where the engine reports them.

Each phase has a trend of its own (see `runtime_trend`). The seconds of a phase with iterations are those of one
iteration, times the predicted iterations. The prediction is the sum over the phases. It falls back to the trend of
the total where not all phases are known.

The interval is that of the total, made wider or narrower by the errors of the whole procedure: each configuration is
predicted without itself (Lei, G'Sell, Rinaldo, Tibshirani and Wasserman: Distribution-free predictive inference for
regression, JASA 113, 2018, section 5.2).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.stats import linregress

from sparkscale.analysis.questions.fitting import LEVEL
from sparkscale.analysis.questions.runtime_model import Prediction, Run, RuntimeModel, fit, ranked
from sparkscale.analysis.questions.runtime_terms import LEAST_SECONDS, Configuration
from sparkscale.analysis.questions.runtime_trend import FEWEST_CONFIGURATIONS, Trend, trend
from sparkscale.analysis.statistics import Array, Interval

SIGNIFICANCE = 0.05
"""The level of the test that finds a trend of the iterations in the size. Without one, iterations are constant."""

Place = tuple[float, float]


@dataclass(frozen=True)
class PhasedRun:
    """One run of a job: its size, its scale-out, and the seconds of each phase.

    `iterations` is the number of iterations in the phase `iterated`. It is None if the engine reports none.
    """

    size: float
    scale_out: float
    phases: dict[str, float] = field(hash=False)
    iterations: float | None = None
    iterated: str = "fit"

    @property
    def seconds(self) -> float:
        """Returns the total of all phases."""
        return sum(self.phases.values())


@dataclass(frozen=True)
class Iterations:
    """The number of iterations by size, on a logarithmic scale: `intercept` + `slope` · log size."""

    intercept: float
    slope: float

    def __call__(self, size: float) -> float:
        """Returns the predicted iterations."""
        return math.exp(self.intercept + self.slope * math.log(size))


@dataclass(frozen=True)
class PhaseModel:
    """A fitted model. `fit_phases` makes it.

    `total` is the model of the total. `phases` has the trend of each phase, and of one iteration in the phase
    `iterated`. `phases` is empty if only the total is used, and `why_total` says why. `stretch` is the factor on the
    interval of the total.
    """

    total: RuntimeModel
    phases: dict[str, Trend]
    iterations: Iterations | None
    iterated: str
    stretch: float
    why_total: str = ""

    def predict(self, size: float, scale_out: float) -> Prediction:
        """Returns the predicted seconds of the total, or the reason why there is no prediction.

        Raises ConfigError if the size is not above 0, or the scale-out is below 1.
        """
        by_total = self.total.predict(size, scale_out)
        if not self.phases or by_total.seconds is None or by_total.interval is None:
            return by_total
        seconds = self.seconds(size, scale_out)
        ratio = (by_total.interval.high / by_total.seconds) ** self.stretch
        return Prediction(size, scale_out, seconds, Interval(seconds / ratio, seconds * ratio), by_total.caution)

    def seconds(self, size: float, scale_out: float) -> float:
        """Returns the sum over the phases, or 0 if only the total is used."""
        return _sum(self.phases, self.iterations, self.iterated, (size, scale_out))


def fit_phases(runs: Sequence[PhasedRun]) -> PhaseModel:
    """Fits the model to runs.

    Raises ConfigError if a number is impossible, or if fewer than two configurations are within memory.
    """
    total = fit([Run(run.size, run.scale_out, run.seconds) for run in runs])
    iterated = runs[0].iterated
    if why := _why_total(runs, total):
        return PhaseModel(total, {}, None, iterated, 1.0, why)
    places = {(each.size, each.scale_out) for each in total.configurations}
    within = [run for run in runs if (run.size, run.scale_out) in places]
    phases, iterations = _fitted(within, iterated)
    errors = _errors(within, total, iterated)
    of_phases, of_total = (float(np.mean(np.concatenate(each))) for each in zip(*errors, strict=True))
    if of_phases > of_total:
        why = "the total predicts left-out configurations better than the phases do"
        return PhaseModel(total, {}, None, iterated, 1.0, why)
    distances = [
        total.trend.without(each).distance(each.size, each.scale_out, total.reach) for each in total.configurations
    ]
    scores = [error / max(distance, 1e-12) for (error, _), distance in zip(errors, distances, strict=True)]
    stretch = ranked(scores, LEVEL) if len(places) >= FEWEST_CONFIGURATIONS else 1.0
    return PhaseModel(total, phases, iterations, iterated, stretch)


def _why_total(runs: Sequence[PhasedRun], total: RuntimeModel) -> str:
    """Returns why only the total can be used, or an empty text."""
    names = {frozenset(run.phases) for run in runs}
    if len(names) > 1:
        known = ", ".join(sorted(frozenset.intersection(*names))) or "none"
        return f"not all runs know all phases: only {known} in all of them"
    if any(not 0 < seconds < math.inf for run in runs for seconds in run.phases.values()):
        return "a phase took no time in some runs"
    if len(total.configurations) < 3:
        return "too few configurations to leave one out"
    return ""


def _fitted(runs: Sequence[PhasedRun], iterated: str) -> tuple[dict[str, Trend], Iterations | None]:
    """Returns the trend of each phase, and the iterations if all runs know them."""
    iterations = _iterations(runs)
    phases = {
        phase: trend(_configurations(runs, phase, iterations is not None and phase == iterated))
        for phase in runs[0].phases
    }
    return phases, iterations


def _iterations(runs: Sequence[PhasedRun]) -> Iterations | None:
    """Returns the iterations by size, or None if not all runs know them. Constant if they show no trend."""
    known = [(run.size, run.iterations) for run in runs if run.iterations]
    if len(known) < len(runs) or runs[0].iterated not in runs[0].phases:
        return None
    sizes, logarithms = np.log(np.array(known, dtype=float)).T
    if len(set(sizes)) > 2 and np.ptp(logarithms) > 0:
        line = linregress(sizes, logarithms)
        if line.pvalue < SIGNIFICANCE:
            return Iterations(float(line.intercept), float(line.slope))
    return Iterations(float(logarithms.mean()), 0.0)


def _configurations(runs: Sequence[PhasedRun], phase: str, per_iteration: bool) -> list[Configuration]:
    """Returns the seconds of one phase, or of one of its iterations, by configuration."""
    grouped: dict[Place, list[float]] = {}
    for run in runs:
        count = run.iterations if per_iteration and run.iterations else 1.0
        grouped.setdefault((run.size, run.scale_out), []).append(run.phases[phase] / count)
    return [Configuration(*place, tuple(sorted(seconds))) for place, seconds in sorted(grouped.items())]


def _sum(phases: dict[str, Trend], iterations: Iterations | None, iterated: str, place: Place) -> float:
    """Returns the predicted seconds of all phases."""
    return sum(
        each.seconds(*place) * (iterations(place[0]) if iterations and phase == iterated else 1.0)
        for phase, each in phases.items()
    )


def _errors(runs: Sequence[PhasedRun], total: RuntimeModel, iterated: str) -> list[tuple[Array, Array]]:
    """Returns the errors of the runs of each left-out configuration, by the phases and by the total.

    An error is the absolute logarithm of measured over predicted seconds. The arrays have shape (runs,).
    """
    errors = []
    for each in total.configurations:
        place = (each.size, each.scale_out)
        others = [run for run in runs if (run.size, run.scale_out) != place]
        by_phases = max(_sum(*_fitted(others, iterated), iterated, place), LEAST_SECONDS)
        by_total = total.trend.without(each).seconds(*place)
        measured = np.log(each.seconds)
        errors.append((np.abs(measured - math.log(by_phases)), np.abs(measured - math.log(by_total))))
    return errors
