"""Chooses what to measure next: the runs that narrow the wanted predictions most per second.

The variance of a prediction is that of a linear model with the terms of the run time and relative residuals. Each
chosen run adds information. Their sum is subject to a limit on the time (an A-optimal design under a cost limit,
see Pukelsheim: Optimal Design of Experiments, 2006, chapter 9; Ernest chooses its training runs like this, NSDI 2016,
section 3.2). Runs are added greedily, and then exchanged (Atkinson, Donev and Tobias: Optimum Experimental Designs,
with SAS, 2007, chapter 12).

A term that the measured configurations cannot identify, or that the fit sets to 0, has a wide prior (Chaloner and
Verdinelli: Bayesian experimental design: A review, Statistical Science 10, 1995). So a run that identifies it counts.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from sparkscale.analysis.questions.fitting import is_too_far
from sparkscale.analysis.questions.runtime_model import RuntimeModel
from sparkscale.analysis.questions.runtime_terms import Configuration, design_row
from sparkscale.analysis.questions.runtime_trend import trend
from sparkscale.contract.errors import ConfigError

MOST_REPEATS = 3
"""No more than this many runs of one size and scale-out are proposed, with those that were measured.

The fit gives all sizes and scale-outs the same weight, so further runs would not change it much.
"""
MOST_RUNS = 40
LEAST_GAIN = 0.01
"""A run is proposed only if it removes at least this share of the variance, that of a new run's noise included."""
UNKNOWN = 2.0
"""Where the model predicts nothing, a run may take twice as long as its size and the nearest measured run suggest."""

Place = tuple[float, float]


@dataclass(frozen=True)
class Candidate:
    """A run that may be measured. It is expected to take `seconds`, and at most `high`."""

    size: float
    scale_out: float
    seconds: float
    high: float


@dataclass(frozen=True)
class Proposal:
    """The runs to measure. Empty if none fits or none helps. Each takes `overhead` seconds beside its own.

    `before` and `after` are the half widths of the wanted intervals as logarithms of a ratio, one for each target.
    None in `before` if the target cannot be predicted yet, and in `after` if it still cannot.
    """

    runs: tuple[Candidate, ...]
    before: tuple[float | None, ...]
    after: tuple[float | None, ...]
    overhead: float = 0.0

    @property
    def seconds(self) -> float:
        """Returns the expected seconds of all runs."""
        return sum(each.seconds + self.overhead for each in self.runs)

    @property
    def high(self) -> float:
        """Returns the most seconds that all runs take."""
        return sum(each.high + self.overhead for each in self.runs)


def candidates(model: RuntimeModel, places: Iterable[Place]) -> tuple[list[Candidate], dict[Place, str]]:
    """Returns the runs that can be proposed, and the reason against each other place.

    A place is left out if it is beyond 10 times what was measured, or perhaps beyond memory.
    """
    possible: list[Candidate] = []
    left_out: dict[Place, str] = {}
    for place in places:
        prediction = model.predict(*place)
        if prediction.seconds is not None and prediction.interval is not None:
            possible.append(Candidate(*place, prediction.seconds, prediction.interval.high))
        elif _is_far(model, place) or model.is_perhaps_beyond_memory(*place):
            left_out[place] = prediction.why_none
        else:
            possible.append(_unpredicted(model, place))
    return possible, left_out


def _is_far(model: RuntimeModel, place: Place) -> bool:
    for value, measured in zip(place, zip(*_places(model.configurations), strict=True), strict=True):
        if is_too_far(value, max(measured)) or is_too_far(min(measured), value):
            return True
    return False


def _unpredicted(model: RuntimeModel, place: Place) -> Candidate:
    """Returns a run whose size or scale-out has no model yet, because too few were measured.

    Its seconds are those of the nearest measured run, in proportion to the size. They do not fall with the scale-out.
    """

    def far(each: Configuration) -> float:
        return abs(math.log(each.size / place[0])) + abs(math.log(each.scale_out / place[1]))

    nearest = min(model.configurations, key=far)
    fewer = max(nearest.scale_out / place[1], 1.0)
    seconds = nearest.median * max(place[0] / nearest.size, 1.0) * fewer
    return Candidate(*place, seconds, UNKNOWN * seconds)


def propose(
    model: RuntimeModel, possible: Sequence[Candidate], targets: Sequence[Place], within: float, overhead: float = 0.0
) -> Proposal:
    """Returns the runs that narrow the predictions of the targets most, and end within some seconds.

    `overhead` is what a run takes beside its own seconds, such as the start of its worker.

    Raises ConfigError if there is no target, or if `within` is not above 0.
    """
    if not targets or not 0 < within < math.inf:
        raise ConfigError(f"nothing can be proposed for {len(targets)} targets within {within:g} s")
    search = _Search(model, [each for each in possible if each.high + overhead <= within], targets, within, overhead)
    chosen = search.exchanged(search.greedy())
    runs = tuple(search.possible[position] for position in chosen)
    before = tuple(_half_width(model, target) for target in targets)
    after = tuple(_expected(model, runs, target) for target in targets)
    if not any(_is_narrower(*widths) for widths in zip(before, after, strict=True)):
        return Proposal((), before, before, overhead)
    return Proposal(runs, before, after, overhead)


class _Search:
    """Searches the best runs. A design is a list of positions in `possible`, which may repeat."""

    def __init__(
        self,
        model: RuntimeModel,
        possible: Sequence[Candidate],
        targets: Sequence[Place],
        within: float,
        overhead: float,
    ) -> None:
        self.possible = possible
        self.within = within
        self.overhead = overhead
        runs = {(each.size, each.scale_out): len(each.seconds) for each in model.configurations}
        self.repeats = [MOST_REPEATS - runs.get((each.size, each.scale_out), 0) for each in possible]
        smallest = model.trend.curve.smallest
        self.rows = np.array([design_row(each.size, each.scale_out, smallest) / each.seconds for each in possible])
        wanted = [design_row(*target, smallest) for target in targets]
        seconds = [model.trend.seconds(*target) for target in targets]
        self.wanted = np.array([row / each for row, each in zip(wanted, seconds, strict=True)])
        spread = max(model.reach / 2, 1e-3)
        measured = np.array(
            [design_row(each.size, each.scale_out, smallest) / each.median for each in model.configurations]
        )
        prior = spread**2 * np.max(self.wanted**2, axis=0)  # any term may be all of a target's time
        self.information = measured.T @ measured + np.diag(np.maximum(prior, 1e-15 * prior.max()))

    def variance(self, chosen: Sequence[int]) -> float:
        """Returns the sum of the variances of new runs at all targets, in units of the variance of a run's noise."""
        rows = self.rows[list(chosen)]
        information = self.information + rows.T @ rows
        scale = 1 / np.sqrt(np.diag(information))
        scaled = information * scale[:, None] * scale[None]
        wanted = self.wanted * scale
        return len(wanted) + float(np.sum(wanted * np.linalg.solve(scaled, wanted.T).T))

    def seconds(self, chosen: Sequence[int]) -> float:
        return sum(self.possible[position].high + self.overhead for position in chosen)

    def _addable(self, chosen: Sequence[int]) -> list[int]:
        """Returns the runs that still fit."""
        left = self.within - self.seconds(chosen)
        return [
            position
            for position, each in enumerate(self.possible)
            if each.high + self.overhead <= left and chosen.count(position) < self.repeats[position]
        ]

    def greedy(self) -> list[int]:
        """Returns the design to which the run with the largest gain per second is added until none fits or helps."""
        chosen: list[int] = []
        variance = self.variance(chosen)
        while len(chosen) < MOST_RUNS:
            gains = [(variance - self.variance([*chosen, each]), each) for each in self._addable(chosen)]
            useful = [
                (gain / (self.possible[each].seconds + self.overhead), each)
                for gain, each in gains
                if gain > LEAST_GAIN * variance
            ]
            if not useful:
                break
            chosen.append(max(useful)[1])
            variance = self.variance(chosen)
        return chosen

    def exchanged(self, chosen: list[int]) -> list[int]:
        """Returns the design after runs were exchanged for better ones, as long as that helps."""
        variance = self.variance(chosen)
        for _ in range(MOST_RUNS):
            swaps = []
            for out in range(len(chosen)):
                rest = chosen[:out] + chosen[out + 1 :]
                swaps += [(self.variance([*rest, each]), [*rest, each]) for each in self._addable(rest)]
            best = min(swaps, default=(math.inf, chosen))
            if best[0] > (1 - LEAST_GAIN) * variance:
                break
            variance, chosen = best
        return chosen


def _places(configurations: Sequence[Configuration]) -> list[Place]:
    return [(each.size, each.scale_out) for each in configurations]


def _half_width(model: RuntimeModel, target: Place) -> float | None:
    """Returns the half width of the interval. None if there is no prediction."""
    prediction = model.predict(*target)
    if prediction.seconds is None or prediction.interval is None:
        return None
    return math.log(prediction.interval.high / prediction.seconds)


def _is_narrower(before: float | None, after: float | None) -> bool:
    return after is not None and (before is None or after < (1 - LEAST_GAIN) * before)


def _expected(model: RuntimeModel, runs: Sequence[Candidate], target: Place) -> float | None:
    """Returns the half width after the runs, if they take as long as expected, and their noise is as before."""
    added = {(each.size, each.scale_out): each.seconds for each in runs}
    known = set(_places(model.configurations))
    imagined = [Configuration(*place, (seconds,)) for place, seconds in added.items() if place not in known]
    configurations = sorted([*model.configurations, *imagined], key=lambda each: (each.size, each.scale_out))
    after = RuntimeModel(trend(configurations, model.trend.smoothness), model.beyond_memory, model.reach)
    return _half_width(after, target)
