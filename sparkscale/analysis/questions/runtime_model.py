"""Predicts how long a Spark job takes, from its runs at several sizes and scale-outs.

The model is that of Ernest with more terms (see `runtime_terms`). The fit has the least squares of relative
residuals, so that slow runs do not dominate it. What the terms miss near a measured size or scale-out corrects the
prediction (see `runtime_residuals`).

Where a job exceeds the memory of its nodes, the model is wrong. Such configurations are left out (see
`runtime_memory`).
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from sparkscale.analysis.questions.fitting import FARTHEST, LEVEL, is_too_far
from sparkscale.analysis.questions.runtime_memory import beyond_memory
from sparkscale.analysis.questions.runtime_terms import SAME, WIDEST, Configuration, coordinates
from sparkscale.analysis.questions.runtime_trend import FEWEST_CONFIGURATIONS, Trend, trend
from sparkscale.analysis.statistics import Array, Interval
from sparkscale.contract.errors import ConfigError
from sparkscale.contract.phrases import number

FEWEST_SCALE_OUTS = 3
"""From two scale-outs, nobody can tell how much a job loses on more nodes. So no larger one is predicted."""
USUAL_SPREAD, USUAL_WEIGHT = 0.05, 4
"""With few configurations, 4 imagined ones, which miss the fit by 5 %, are added to the measured residuals."""


@dataclass(frozen=True)
class Run:
    """One run of a job: its size (rows or data), its scale-out (nodes or cores), and how long it took."""

    size: float
    scale_out: float
    seconds: float


@dataclass(frozen=True)
class Prediction:
    """The predicted seconds of one run, with an interval at LEVEL.

    If there is no prediction, `seconds` and `interval` are None, and `why_none` gives the reason. `caution` says why
    the interval is wide, or may be too narrow. It is empty if enough was measured.
    """

    size: float
    scale_out: float
    seconds: float | None = None
    interval: Interval | None = None
    caution: str = ""
    why_none: str = ""


@dataclass(frozen=True)
class RuntimeModel:
    """A fitted model. `fit` makes it.

    `trend` was fitted to all configurations but those in `beyond_memory`. `reach` is the misfit that 9 in 10 new runs
    do not exceed, in units of the doubt at their size and scale-out.
    """

    trend: Trend
    beyond_memory: tuple[Configuration, ...]
    reach: float

    @property
    def configurations(self) -> tuple[Configuration, ...]:
        """Returns the configurations that were fitted."""
        return self.trend.configurations

    @property
    def coefficients(self) -> dict[str, float]:
        """Returns the θ of each kept term, in seconds per unit of the term."""
        return self.trend.curve.coefficients

    @property
    def left_out(self) -> dict[str, str]:
        """Returns the reason for each term that the configurations cannot identify."""
        return self.trend.left_out

    def predict(self, size: float, scale_out: float) -> Prediction:
        """Returns the predicted seconds for a size and a scale-out, or the reason why there is no prediction.

        Raises ConfigError if the size is not above 0, or the scale-out is below 1.
        """
        _check(size, scale_out)
        if why := next(self._refusals(size, scale_out), ""):
            return Prediction(size, scale_out, why_none=why)
        distance = self.trend.distance(size, scale_out, self.reach)
        if distance >= WIDEST:
            why = "the measured runs differ too much for an interval: measure more rounds, or larger sizes"
            return Prediction(size, scale_out, why_none=why)
        ratio = math.exp(distance)
        seconds = self.trend.seconds(size, scale_out)
        return Prediction(size, scale_out, seconds, Interval(seconds / ratio, seconds * ratio), self._caution(size))

    def is_perhaps_beyond_memory(self, size: float, scale_out: float) -> bool:
        """Returns whether a run may be beyond memory, because some were, and it is no lighter than they were."""
        loads = coordinates(self.configurations)[2]
        worse = any(size >= each.size and scale_out <= each.scale_out for each in self.beyond_memory)
        return worse or (bool(self.beyond_memory) and size / scale_out > (1 + SAME) * loads.max())

    def _caution(self, size: float) -> str:
        """Returns why the interval is wide, or may be too narrow. Returns an empty text if neither is the case."""
        count = len(self.configurations)
        if count < FEWEST_CONFIGURATIONS:
            return f"the interval is wide: {count} of {FEWEST_CONFIGURATIONS} configurations it needs"
        sizes = {each.size for each in self.configurations}
        if len(sizes) == 2 and not min(sizes) <= size <= max(sizes):
            return "the interval may be too narrow: 2 sizes cannot show whether the time grows in a straight line"
        return ""

    def _refusals(self, size: float, scale_out: float) -> Iterator[str]:
        """Yields each reason against a prediction."""
        load = size / scale_out
        sizes, scale_outs, loads = coordinates(self.configurations)
        varied = (("size", size, sizes), ("scale-out", scale_out, scale_outs), ("size per node", load, loads))
        for name, value, measured in varied[:2]:
            low, high = measured.min(), measured.max()
            if is_too_far(value, high):
                yield f"more than {FARTHEST:.0f} times the largest measured {name} ({number(high)})"
            if is_too_far(low, value):
                yield f"less than a {FARTHEST:.0f}th of the smallest measured {name} ({number(low)})"
        if self.is_perhaps_beyond_memory(size, scale_out):
            yield (
                f"perhaps beyond memory: {number(load)} per node, and the largest that ran within memory is "
                f"{number(loads.max())}; at {_places(self.beyond_memory)} the job was beyond memory"
            )
        for name, value, measured in varied:
            if np.ptp(measured) <= SAME * measured.max() and abs(value - measured[0]) > SAME * measured[0]:
                yield f"only one {name} was measured ({number(measured[0])}), so its influence is not known"
        counts = sorted(set(scale_outs))
        if 1 < len(counts) < FEWEST_SCALE_OUTS and scale_out > counts[-1]:
            yield (
                f"only {len(counts)} scale-outs were measured within memory ({' and '.join(map(number, counts))}), "
                "which cannot show what more nodes cost: measure one more"
            )


def fit(runs: Sequence[Run]) -> RuntimeModel:
    """Fits the model to runs. Several runs of one configuration count as one, with their median.

    Raises ConfigError if a number is impossible, or if fewer than two configurations are within memory.
    """
    measured = _configurations(runs)
    beyond = beyond_memory(measured)
    kept = tuple(each for each in measured if each not in beyond)
    if len(kept) < 2:
        raise ConfigError(
            f"a model of the run time needs at least 2 configurations within memory, and there are {len(kept)}: "
            "measure more sizes or scale-outs"
        )
    of_kept = trend(kept)
    reach = _usual_reach(of_kept) if len(kept) < FEWEST_CONFIGURATIONS else _conformal_reach(of_kept)
    return RuntimeModel(of_kept, beyond, reach)


def _conformal_reach(fitted: Trend) -> float:
    """Returns the misfit that a new run does not exceed at LEVEL.

    It is conformal (Lei, G'Sell, Rinaldo, Tibshirani and Wasserman: Distribution-free predictive inference for
    regression, JASA 113, 2018, section 5.2): each configuration is predicted without itself, and the misfits of its
    runs are ranked.
    """
    misfits = [fitted.without(each).misfit(each.size, each.scale_out, each.seconds) for each in fitted.configurations]
    return ranked(misfits, LEVEL)


def _usual_reach(fitted: Trend) -> float:
    """Returns the misfit that a new run does not exceed at LEVEL, if it is normally distributed.

    The variance has a conjugate prior (Gelman and others: Bayesian Data Analysis, 3rd edition, 2013, section 2.6),
    because a few configurations may lie on the fitted curve by chance.
    """
    squares = 0.0
    for each in fitted.configurations:
        by_terms = fitted.by_terms(each.size, each.scale_out)
        squares += float(np.mean([(by_terms / run - 1) ** 2 for run in each.seconds]))
    used = sum(theta > 0 for theta in fitted.curve.coefficients.values())
    freedom = USUAL_WEIGHT + max(len(fitted.configurations) - used, 0)
    spread = math.sqrt((squares + USUAL_WEIGHT * USUAL_SPREAD**2) / freedom)
    return spread * -float(stdtrit(freedom, (1 - LEVEL) / 2))


def ranked(scores: Sequence[Array], level: float) -> float:
    """Returns the score that a new one does not exceed at a level, or the largest if there are too few.

    `scores` has an array for each configuration, with a score for each run. Configurations count alike.
    """
    values = np.concatenate(scores)
    order = np.argsort(values)
    total = np.cumsum(np.concatenate([np.full(len(each), 1 / len(each)) for each in scores])[order])
    position = min(int(np.searchsorted(total, level * (len(scores) + 1) - 1e-9)), len(values) - 1)
    return float(values[order][position])


def _configurations(runs: Sequence[Run]) -> list[Configuration]:
    """Returns the configurations in ascending order of size, then scale-out."""
    grouped = defaultdict(list)
    for run in runs:
        _check(run.size, run.scale_out, run.seconds)
        grouped[run.size, run.scale_out].append(run.seconds)
    return [Configuration(*place, tuple(sorted(seconds))) for place, seconds in sorted(grouped.items())]


def _check(size: float, scale_out: float, seconds: float = 1.0) -> None:
    """Raises ConfigError if one of the numbers is impossible."""
    if not (0 < size < math.inf and 1 <= scale_out < math.inf and 0 < seconds < math.inf):
        raise ConfigError(
            f"a run of size {size:g} at scale-out {scale_out:g} with {seconds:g} seconds is impossible: "
            "size and seconds must be above 0, and the scale-out at least 1"
        )


def _places(configurations: Sequence[Configuration]) -> str:
    return ", ".join(f"{number(each.size)} on {number(each.scale_out)}" for each in configurations)
