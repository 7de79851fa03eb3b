"""Predicts how long a Spark job takes, from its runs at several sizes and scale-outs.

The model is that of Ernest with two more terms (see `runtime_terms`). The fit has the least squares of relative
residuals, so that slow runs do not dominate it.

Where a job exceeds the memory of its nodes, it spills or computes evicted blocks again, and the model is wrong. Such
configurations are left out (`_beyond_memory`).
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.special import stdtrit

from sparkscale.analysis.questions.fitting import FARTHEST, LEVEL
from sparkscale.analysis.questions.runtime_terms import (
    LEAST_SECONDS,
    SAME,
    Configuration,
    columns,
    coordinates,
    fitted,
    predicted_seconds,
)
from sparkscale.analysis.statistics import Array, Interval
from sparkscale.contract.errors import ConfigError
from sparkscale.contract.phrases import number

CLIFF = 0.15
"""The share of the node-seconds that a job saves on more nodes only if it was beyond memory before."""
FEWEST_CONFIGURATIONS = 7
"""With fewer configurations, the interval assumes normal residuals, because too few were measured to rank them."""
MOST_LEVERAGE = 0.95
"""A fit without a configuration of leverage 1 says nothing about it, so leverages are limited."""
WIDEST = math.log(1e6)
"""The largest logarithm of the ratio between a limit of an interval and the prediction."""


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
    the interval is wide. It is empty if there were enough configurations.
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

    `coefficients` maps each kept term to its θ, in seconds per unit of the term. `left_out` maps each term that the
    configurations cannot identify to the reason. `configurations` were fitted, and `beyond_memory` were not.
    `without` holds, for each fitted configuration, the coefficients of a fit without it.
    """

    coefficients: dict[str, float]
    left_out: dict[str, str]
    configurations: tuple[Configuration, ...]
    beyond_memory: tuple[Configuration, ...]
    without: tuple[dict[str, float], ...]

    def predict(self, size: float, scale_out: float) -> Prediction:
        """Returns the predicted seconds for a size and a scale-out, or the reason why there is no prediction.

        Raises ConfigError if the size is not above 0, or the scale-out is below 1.
        """
        _check(size, scale_out)
        if why := next(self._refusals(size, scale_out), ""):
            return Prediction(size, scale_out, why_none=why)
        few = len(self.configurations) < FEWEST_CONFIGURATIONS
        wide = f"the interval is wide: {len(self.configurations)} of {FEWEST_CONFIGURATIONS} configurations it needs"
        seconds = predicted_seconds(self.coefficients, size, scale_out)
        return Prediction(size, scale_out, seconds, self._interval(size, scale_out, seconds), wide if few else "")

    def _refusals(self, size: float, scale_out: float) -> Iterator[str]:
        """Yields each reason against a prediction."""
        load = size / scale_out
        sizes, scale_outs, loads = coordinates(self.configurations)
        varied = (("size", size, sizes), ("scale-out", scale_out, scale_outs), ("size per node", load, loads))
        for name, value, measured in varied[:2]:
            low, high = measured.min(), measured.max()
            if value > FARTHEST * high:
                yield f"more than {FARTHEST:.0f} times the largest measured {name} ({number(high)})"
            if value * FARTHEST < low:
                yield f"less than a {FARTHEST:.0f}th of the smallest measured {name} ({number(low)})"
        worse = any(size >= each.size and scale_out <= each.scale_out for each in self.beyond_memory)
        if worse or (self.beyond_memory and load > (1 + SAME) * loads.max()):
            yield (
                f"perhaps beyond memory: {number(load)} per node, and the largest that ran within memory is "
                f"{number(loads.max())}; at {_places(self.beyond_memory)} the job was beyond memory"
            )
        for name, value, measured in varied:
            if np.ptp(measured) <= SAME * measured.max() and abs(value - measured[0]) > SAME * measured[0]:
                yield f"only one {name} was measured ({number(measured[0])}), so its influence is not known"

    def _interval(self, size: float, scale_out: float, seconds: float) -> Interval:
        """Returns the interval for one run, at LEVEL.

        It is a conformal interval (Lei, G'Sell, Rinaldo, Tibshirani and Wasserman: Distribution-free predictive
        inference for regression, JASA 113, 2018, section 5.2). Its errors are those of the fits without the
        configuration of the run, on a logarithmic scale, so the interval is as wide up as down in percent. An error
        grows with the leverage, so the interval widens with the distance from the measured configurations. With few
        configurations, it is a prediction interval of Student's t.
        """
        leverages, ahead = self._leverages(size, scale_out)
        errors: list[float] = []
        weights: list[float] = []
        for each, without, leverage in zip(self.configurations, self.without, leverages, strict=True):
            own = predicted_seconds(without, each.size, each.scale_out)
            errors.extend(abs(math.log(run / own)) * math.sqrt(1 - leverage) for run in each.seconds)
            weights.extend([1 / len(each.seconds)] * len(each.seconds))
        count = len(self.configurations)
        if count < FEWEST_CONFIGURATIONS:
            spread = math.sqrt(float(np.average(np.square(errors), weights=weights)))
            reach = spread * -float(stdtrit(count - 1, (1 - LEVEL) / 2))
        else:
            reach = _ranked(np.array(errors), np.array(weights), LEVEL * (count + 1))
        factor = math.exp(min(reach * math.sqrt(1 + ahead), WIDEST))
        return Interval(seconds / factor, seconds * factor)

    def _leverages(self, size: float, scale_out: float) -> tuple[Array, float]:
        """Returns the leverage of each fitted configuration, of shape (configurations,), and that of a new one.

        The leverage is the variance of the fitted value in units of the variance of one run. Only terms with a θ
        above 0 count.
        """
        used = {term: theta for term, theta in self.coefficients.items() if theta > 0}
        places = [(each.size, each.scale_out) for each in self.configurations] + [(size, scale_out)]
        values = columns(*np.array(places).T)
        design = np.stack([theta * values[term] for term, theta in used.items()], axis=1)
        design /= np.maximum(design.sum(axis=1, keepdims=True), LEAST_SECONDS)  # relative, as in the fit
        inverse = np.linalg.pinv(design[:-1].T @ design[:-1])
        leverages: Array = np.einsum("ij,jk,ik->i", design, inverse, design)
        return np.minimum(leverages[:-1], MOST_LEVERAGE), float(leverages[-1])


def fit(runs: Sequence[Run]) -> RuntimeModel:
    """Fits the model to runs. Several runs of one configuration count as one, with their median.

    Raises ConfigError if a number is impossible, or if fewer than two configurations are within memory.
    """
    measured = _configurations(runs)
    beyond = _beyond_memory(measured)
    kept = tuple(each for each in measured if each not in beyond)
    if len(kept) < 2:
        raise ConfigError(
            f"a model of the run time needs at least 2 configurations within memory, and there are {len(kept)}: "
            "measure more sizes or scale-outs"
        )
    coefficients, left_out = fitted(kept)
    return RuntimeModel(coefficients, left_out, kept, beyond, _without_each(kept))


def _without_each(configurations: Sequence[Configuration]) -> tuple[dict[str, float], ...]:
    """Returns, for each configuration, the coefficients of the fit to all others."""
    return tuple(fitted([other for other in configurations if other is not each])[0] for each in configurations)


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


def _beyond_memory(measured: Sequence[Configuration]) -> tuple[Configuration, ...]:
    """Returns the configurations that are beyond memory.

    Within one size, a cliff is a fall of the node-seconds by more than CLIFF to the next larger scale-out. The
    configurations before it are beyond memory if they take so many more node-seconds than the first one after it.
    """
    beyond = []
    for position, each in enumerate(measured):
        series = [other for other in measured[position:] if other.size == each.size]
        works = [other.median * other.scale_out for other in series]
        if any(after < (1 - CLIFF) * min(before, works[0]) for before, after in pairwise(works)):
            beyond.append(each)
    return tuple(beyond)


def _ranked(values: Array, weights: Array, rank: float) -> float:
    """Returns the smallest value up to which the weights add up to `rank`. Returns the largest if none does."""
    order = np.argsort(values)
    total = np.cumsum(weights[order])
    position = min(int(np.searchsorted(total, rank - 1e-9)), len(values) - 1)
    return float(values[order][position])


def _places(configurations: Sequence[Configuration]) -> str:
    return ", ".join(f"{number(each.size)} on {number(each.scale_out)}" for each in configurations)
