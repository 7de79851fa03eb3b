"""Compares the times of engines that were measured in few rounds, or on fewer rows than the question is about.

A time that was not measured is forecast from smaller sizes by the model of `crossover`: a fixed part and a part that
grows with the rows. The true growth may differ from the model. So a forecast must be beyond doubt even if the ratio
is smaller by MODEL_ERROR for each doubling beyond the measured sizes.

The ends of a forecast's interval are found by fits to times that are shifted: all sizes together by some standard
errors, in the direction that changes the forecast the most. A linear error would ignore that no part is negative.
"""

import math
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from scipy.special import stdtr, stdtrit

from sparkscale.analysis.questions import crossover
from sparkscale.analysis.questions.crossover import FEWEST_SIZES, POINTS, Model
from sparkscale.analysis.questions.decide.evidence import Evidence
from sparkscale.analysis.questions.decide.field import Track
from sparkscale.analysis.questions.decide.noise import Noise
from sparkscale.analysis.questions.fitting import FARTHEST
from sparkscale.analysis.statistics import FEWEST_ROUNDS, MOST_ROUNDS, SEED, Array, Interval
from sparkscale.contract.phrases import number

SAFETY = 3.0
"""With one round, an engine counts as slower only if it takes at least this many times as long.

With r rounds, fewer than FEWEST_ROUNDS, the ratio must be at least the r-th root. This is besides the test.
"""
MODEL_ERROR = 0.05
"""The most by which the model may be wrong about a ratio's logarithm, for each doubling beyond the measured sizes."""
WIDEST = 100.0
"""A ratio is not stated if the upper end of its interval is more than this multiple of the lower end."""
DRAWS = 200
"""The number of simulated noises from which the range of a crossing is computed."""


@dataclass(frozen=True)
class LogTime:
    """The logarithm of an engine's seconds for some number of rows.

    `variance` is that of `centre`, with `degrees` degrees of freedom. `rounds` is the number of rounds behind it.
    `margin` is the most by which a forecast's model may be wrong. `stage` counts the looks at it: one for each round,
    or one for each size of an engine that was not measured on the largest one yet.
    """

    centre: float
    variance: float
    degrees: float
    rounds: int
    stage: int
    margin: float = 0.0
    forecast: Callable[[float], float] | None = None
    """Returns the logarithm for times that are shifted by some standard errors. None for a measured time."""
    is_floor: bool = False
    """True if the engine takes longer than this time."""

    @property
    def is_measured(self) -> bool:
        return self.forecast is None

    @property
    def seconds(self) -> float:
        return math.exp(self.centre)

    def shifted(self, errors: float) -> float:
        """Returns the logarithm of the seconds if the measured times are off by this number of standard errors."""
        return self.forecast(errors) if self.forecast else self.centre + errors * math.sqrt(self.variance)


@dataclass(frozen=True)
class Difference:
    """The logarithm of one engine's time minus that of another engine.

    `margin` is the most by which forecasts may be wrong about it. `look` is the number of the look at it, and `alpha`
    the one-sided level of this look.
    """

    slow: LogTime
    fast: LogTime
    value: float
    error: float
    degrees: float
    rounds: int
    margin: float
    look: int
    alpha: float

    @classmethod
    def of(cls, slow: LogTime, fast: LogTime, level: Callable[[int], float]) -> "Difference":
        """Returns the difference of two times. `level` returns the one-sided level of a look."""
        variance = slow.variance + fast.variance
        spent = slow.variance**2 / slow.degrees + fast.variance**2 / fast.degrees
        degrees = variance**2 / spent if spent else math.inf
        rounds, margin = min(slow.rounds, fast.rounds), max(slow.margin, fast.margin)
        look = min(slow.stage, fast.stage)
        value = slow.centre - fast.centre
        return cls(slow, fast, value, math.sqrt(variance), degrees, rounds, margin, look, level(look))

    @cached_property
    def is_above(self) -> bool:
        """True if the first engine is slower beyond doubt."""
        return self._is_beyond(self.rounds, 0.0)

    @property
    def interval(self) -> Interval:
        """The interval of the ratio of times, at the corrected level, with the margin of forecasts."""
        low, high = self._end(-self._quantile) - self.margin, self._end(self._quantile) + self.margin
        return Interval(math.exp(low), math.exp(high))

    @property
    def confidence(self) -> float:
        """The confidence that the first engine is slower, without any correction."""
        value = self.value - self.margin
        return float(stdtr(self.degrees, value / self.error)) if self.error else float(value > 0)

    def rounds_needed(self, hope: float = 0.0) -> int | None:
        """Returns the number of rounds after which a difference as large as this would be beyond doubt.

        The difference is taken to be larger than measured by `hope` standard errors. None if MOST_ROUNDS are not
        enough.
        """
        if abs(self.value) + hope * self.error <= self.margin:
            return None
        numbers = range(self.rounds + 1, MOST_ROUNDS + 1)
        position = bisect_left(numbers, True, key=lambda rounds: self._is_beyond(rounds, hope, either=True))
        return numbers[position] if position < len(numbers) else None

    def words(self) -> str:
        """Returns the ratio with its interval, such as "2.1 (1.6–2.8)".

        Returns a limit, such as "at least 1.6", if the first engine takes longer than the time that is known, or if
        the interval is wide. Returns an empty text if the ratio is not known, because its interval contains 1 and is
        wide.
        """
        bounds = self.interval
        is_wide = bounds.high > WIDEST * bounds.low
        if (is_wide or self.slow.is_floor) and bounds.low >= 1:
            return f"at least {number(bounds.low, 2)}"
        if is_wide and bounds.high <= 1:
            return f"at most {number(bounds.high, 2)}"
        if is_wide or self.slow.is_floor:
            return ""
        return f"{number(math.exp(self.value), 2)} ({number(bounds.low, 2)}–{number(bounds.high, 2)})"

    def _is_beyond(self, rounds: int, hope: float, either: bool = False) -> bool:
        """Returns true if the difference would be beyond doubt after `rounds` rounds, in its own or either direction.

        It is taken to be larger than measured by `hope` standard errors.
        """
        safe = math.log(SAFETY) / rounds if rounds < FEWEST_ROUNDS else 0.0
        sign = -1.0 if either and self.value < 0 else 1.0
        reach = self._quantile * math.sqrt(self.rounds / rounds)
        size = sign * self.value + hope * self.error
        return size >= safe and sign * self._end(sign * (hope - reach)) > self.margin

    def _end(self, errors: float) -> float:
        """Returns the difference if it is larger by a number of standard errors. Both engines take their part."""
        if not self.error:
            return self.value
        part = errors / self.error
        slow, fast = math.sqrt(self.slow.variance), math.sqrt(self.fast.variance)
        return self.slow.shifted(part * slow) - self.fast.shifted(-part * fast)

    @cached_property
    def _quantile(self) -> float:
        return -float(stdtrit(min(self.degrees, 1e6), self.alpha))


@dataclass(frozen=True)
class Clock:
    """What is known about the times of one track."""

    track: Track
    evidence: Evidence
    noise: Noise
    _forecasts: dict[float, LogTime | None] = field(default_factory=dict, compare=False)

    @cached_property
    def by_fraction(self) -> Mapping[float, list[float]]:
        """The measured seconds of each fraction that has some and did not fail, in ascending order of fractions."""
        measured = {
            cell.fraction: list(self.evidence.seconds(cell.key).values())
            for cell in self.track.cells
            if self.evidence.failure(cell.key) is None
        }
        return {fraction: seconds for fraction, seconds in measured.items() if seconds}

    @property
    def reach(self) -> float:
        """The largest fraction with a time. 0 if there is none."""
        return max(self.by_fraction, default=0.0)

    def rounds(self, fraction: float) -> int:
        """Returns the number of rounds that have a time on a fraction."""
        return len(self.by_fraction.get(fraction, ()))

    def measured(self, fraction: float) -> LogTime | None:
        """Returns the measured time on a fraction. None if there is none."""
        seconds = self.by_fraction.get(fraction)
        if not seconds:
            return None
        noise = self.noise.at_least(seconds)
        count = len(seconds)
        return LogTime(float(np.log(seconds).mean()), noise.variance / count, noise.degrees, count, count)

    def at(self, fraction: float) -> LogTime | None:
        """Returns the time on a fraction: measured, or else forecast.

        None if there are too few sizes, or if the engine ran into a time limit on as many rows or fewer.
        """
        cell = None if self.is_stopped(fraction) else self.track.cell(fraction)
        return self.measured(fraction) or (self.forecast(float(cell.rows)) if cell else None)

    def is_stopped(self, fraction: float) -> bool:
        """Returns true if the engine ran into a time limit on this fraction or on a smaller one."""
        return any(cell.fraction <= fraction and self.evidence.failure(cell.key) for cell in self.track.cells)

    def floor(self, fraction: float) -> LogTime | None:
        """Returns a time that the engine exceeds on a fraction. None if there is none.

        More rows take at least as long as fewer rows, and a timeout takes longer than its limit.
        """
        limits = [
            failure.limit
            for cell in self.track.cells
            if cell.fraction <= fraction and (failure := self.evidence.failure(cell.key)) and failure.limit
        ]
        if limits:
            return LogTime(math.log(max(limits)), 0.0, 1.0, FEWEST_ROUNDS, 1, is_floor=True)
        time = self.measured(max((size for size in self.by_fraction if size <= fraction), default=0.0))
        return replace(time, is_floor=True) if time else None

    def forecast(self, rows: float) -> LogTime | None:
        """Returns the forecast time for a number of rows. None if fewer than two sizes have a time."""
        if rows not in self._forecasts:
            self._forecasts[rows] = self._forecast(rows) if len(self.by_fraction) > 1 else None
        return self._forecasts[rows]

    def _forecast(self, rows: float) -> LogTime:
        gradient = self._gradient(rows)
        variance = float((gradient**2).sum()) + self._misfit
        direction = gradient * self._errors / max(math.sqrt(variance), 1e-12)

        def shifted(errors: float) -> float:
            of_fit = float(self._ahead(rows, (self._means + errors * direction)[None])[0])
            of_misfit = errors * self._misfit / max(math.sqrt(variance), 1e-12)
            return of_fit + of_misfit

        rounds = len(self.by_fraction[self.reach])
        stage = rounds if self.reach == self.track.cells[-1].fraction else len(self.by_fraction)
        margin = MODEL_ERROR * max(0.0, math.log2(rows / self._rows[-1]))
        return LogTime(shifted(0.0), variance, self.noise.degrees, rounds, stage, margin, shifted)

    def _ahead(self, rows: float, means: Array) -> Array:
        """Returns the logarithms of the forecasts from these logarithms of times, of shape (lines, sizes)."""
        model = crossover.model_of(self._rows, np.exp(means), self._terms)
        result: Array = np.log(np.maximum(model.at(np.array([rows]))[:, 0], 1e-9))
        return result

    def _gradient(self, rows: float) -> Array:
        """Returns by how much a forecast's logarithm changes if the time of each size is off by a standard error.

        It is a difference over two standard errors on each side, because a part of the model may be 0.
        """
        steps = 2 * np.diag(self._errors)
        ahead = self._ahead(rows, np.concatenate([self._means + steps, self._means - steps]))
        sizes = len(self._means)
        result: Array = (ahead[:sizes] - ahead[sizes:]) / 4
        return result

    @cached_property
    def _errors(self) -> Array:
        """The standard errors of the logarithms of the measured means, of shape (sizes,)."""
        counts = np.array([len(seconds) for seconds in self.by_fraction.values()])
        result: Array = self.noise.deviation / np.sqrt(counts)
        return result

    @cached_property
    def _terms(self) -> int:
        return crossover.best_terms(self._rows, np.exp(self._means)[None])

    @cached_property
    def model(self) -> Model:
        """The model of the mean times."""
        return crossover.model_of(self._rows, np.exp(self._means)[None], self._terms)

    @cached_property
    def _drawn(self) -> Model:
        """The models of the times with simulated noise."""
        normal = np.random.default_rng(SEED).standard_normal((DRAWS, len(self._means)))
        seconds = np.exp(self._means + normal * self._errors)
        return crossover.model_of(self._rows, seconds, self._terms)

    @cached_property
    def _misfit(self) -> float:
        """The mean squared error of the logarithms of the measured means. 0 if the fit is exact."""
        if len(self._rows) < FEWEST_SIZES:
            return 0.0
        return float(((np.log(self.model.at(self._rows)[0]) - self._means) ** 2).mean())

    @cached_property
    def _rows(self) -> Array:
        return np.array([float(cell.rows) for cell in self.track.cells if cell.fraction in self.by_fraction])

    @cached_property
    def _means(self) -> Array:
        return np.array([float(np.log(seconds).mean()) for seconds in self.by_fraction.values()])

    def crossing(self, rival: "Clock") -> tuple[float, Interval]:
        """Returns the number of rows from which this engine is faster than a rival, and its 90 % interval.

        Both need two sizes. The number is 0 if it is faster at every size, and infinite if it is at none up to
        FARTHEST times the largest measured size.
        """
        farthest = FARTHEST * min(self._rows[-1], rival._rows[-1])
        sizes = np.geomspace(max(self._rows[0], rival._rows[0]), farthest, POINTS // 2)
        (value,) = crossover.crossings(self.model, rival.model, sizes)
        # both engines have the same simulated noise in a draw, so the draws of one are reversed
        other = Model(rival._drawn.coefficients[::-1])
        low, high = np.quantile(crossover.crossings(self._drawn, other, sizes), [0.05, 0.95], method="inverted_cdf")
        return float(value), Interval(min(float(low), float(value)), max(float(high), float(value)))


def slower(slow: Clock, fast: Clock, fraction: float, level: Callable[[int], float]) -> Difference | None:
    """Returns the most certain comparison of two engines on a fraction. None if there is none.

    An engine that takes longer on fewer rows already takes longer on this fraction, too. `level` returns the
    one-sided level of a look.
    """
    target = fast.at(fraction)
    if target is None:
        return None
    compared = [Difference.of(time, target, level) for time in _times(slow, fraction)]
    return max(compared, key=lambda one: (one.is_above, one.confidence), default=None)


def _times(slow: Clock, fraction: float) -> Iterator[LogTime]:
    """Yields the time of an engine on a fraction, if it is known, and the time that it exceeds there."""
    time = slow.at(fraction)
    if time:
        yield time
    if time is None or not time.is_measured:
        floor = slow.floor(fraction)
        if floor:
            yield floor
