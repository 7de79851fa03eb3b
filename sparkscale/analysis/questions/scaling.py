"""Finds the number of cores from which an engine on Spark beats the best library on one thread.

This number is the COST of McSherry, Isard and Murray (Scalability! But at what COST?, HotOS 2015). The engine's time
with N cores is modelled by the universal scalability law (Gunther: Guerrilla Capacity Planning, 2007):

    T(N) = T(1)·(1 + σ·(N − 1) + κ·N·(N − 1)) / N = a/N + b·(N − 1)/N + c·(N − 1)

with a = T(1), b = σ·T(1) for contention and c = κ·T(1) for coherency. All three are at least 0, and residuals are
relative to the measured time. The law has one minimum at most, so more cores first help and then hurt.

The interval is a bootstrap over rounds: each draw takes the same rounds of the engine and of the library.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import stdtrit

from sparkscale.analysis.questions.fitting import (
    FARTHEST,
    LEVEL,
    bracket,
    drawn_rounds,
    expanded_percentiles,
    geometric_means,
    non_negative,
    within,
)
from sparkscale.analysis.questions.speed_up import check_cores, check_seconds
from sparkscale.analysis.statistics import FEWEST_ROUNDS, Array, Interval, at_most

FEWEST_COUNTS = 4
"""A law is fitted only if times were measured with at least this many different numbers of cores.

A law has three coefficients.
"""
COHERENT = 0.01
"""The significance level of the test that finds coherency.

If the test finds coherency that does not exist, an engine may falsely be called unbounded.
"""

CostKind = Literal["measured", "forecast", "unbounded", "beyond", "none measured", "not resolved"]


@dataclass(frozen=True)
class Scaling:
    """The measured times of an engine on several numbers of cores, and of the best library on one thread.

    `cores` has shape (configurations,) and ascends. `seconds` has shape (rounds, configurations). `single` has shape
    (rounds,) and holds the library's seconds in the same rounds. Raises ValueError if the shapes do not agree, if
    `cores` does not ascend, or if a time is not finite and positive.
    """

    cores: Array
    seconds: Array
    single: Array

    def __post_init__(self) -> None:
        check_cores(self.cores, self.seconds)
        if self.single.shape != self.seconds.shape[:1]:
            raise ValueError(
                f"The library has {self.single.size} times, but the engine has {len(self.seconds)} rounds. Give one "
                "time for each round."
            )
        check_seconds(self.single)


@dataclass(frozen=True)
class Law:
    """The universal scalability law, fitted to the draws of a bootstrap.

    `coefficients` has shape (draws, 3) and holds a, b and c. The law holds from `fewest` cores on. This is the
    smallest number that was measured.
    """

    coefficients: Array
    fewest: float

    def at(self, cores: Array) -> Array:
        """Returns seconds of shape (draws, configurations) for `cores` of shape (configurations,)."""
        result: Array = self.coefficients @ _terms(cores).T
        return result

    def crossings(self, single: Array) -> tuple[Array, Array]:
        """Returns two numbers of cores for each draw. Between them, the engine is faster than the library.

        `single` holds the library's seconds in each draw. All arrays have shape (draws,). Both numbers are infinite
        if the engine is never faster. They are roots of N·(T(N) − single), a quadratic function of N. The first is at
        least `fewest`.
        """
        a, b, c = self.coefficients.T
        constant, linear = a - b, b - c - single
        discriminant = linear**2 - 4 * c * constant
        is_faster_at_first = self.at(np.array([self.fewest]))[:, 0] < single
        with np.errstate(divide="ignore", invalid="ignore"):
            root = np.sqrt(discriminant)
            first = np.where(linear < 0, 2 * constant / (root - linear), np.inf)
            second = np.where(c > 0, (root - linear) / (2 * c), np.inf)
        crosses = (constant > 0) & (discriminant > 0) & (first >= self.fewest)
        start = np.where(is_faster_at_first, self.fewest, np.where(crosses, first, np.inf))
        return start, np.where(np.isfinite(start), second, np.inf)

    def best(self) -> Array:
        """Returns the shortest time over all numbers of cores, of shape (draws,).

        It is the time at the law's minimum, or the limit for infinitely many cores.
        """
        a, b, c = self.coefficients.T
        gained = np.maximum(a - b, 0.0)
        minimum = 2 * np.sqrt(gained * c) + b - c
        result: Array = np.where(gained > c * self.fewest**2, minimum, self.at(np.array([self.fewest]))[:, 0])
        return result


@dataclass(frozen=True)
class Cost:
    """The smallest number of cores with which an engine is faster than the library on one thread.

    `cores` is never smaller than the smallest measured number. `interval` has the confidence level LEVEL. With fewer
    than FEWEST_ROUNDS rounds, `interval` is None, and `kind` follows from the mean times alone.

    Without a law, `cores` is a measured number, or infinite. The lower limit of `interval` is then the largest number
    that is significantly slower, or the smallest measured number if none is. The upper limit is the smallest number
    from which all measured numbers are significantly faster, or infinite if there is none.

    `kind` is

    - "measured" if a measured number of cores, and each larger measured number, is faster;
    - "forecast" if only the law says from how many cores the engine is faster;
    - "unbounded" if the law's best time over all numbers of cores is longer than the library's;
    - "beyond" if the engine does not become faster up to `farthest` cores, by the law;
    - "none measured" if there is no law and each measured number of cores is slower;
    - "not resolved" otherwise.
    """

    kind: CostKind
    cores: float
    """Infinite if the engine is not faster up to `farthest` cores."""
    interval: Interval | None
    until: float
    """The number of cores above which the law's time is longer than the library's again.

    Infinite if there is no law, or no such number up to `farthest` cores.
    """
    ratio: float
    """The law's best time over all numbers of cores, divided by the library's.

    Without a law, it is the best measured time divided by the library's.
    """
    ratio_interval: Interval | None
    """The confidence interval of `ratio`. None without a law, or with fewer than FEWEST_ROUNDS rounds."""
    largest: float
    """The largest measured number of cores."""
    farthest: float
    """The largest number of cores for which times are forecast. Without a law, the largest measured number."""


def cost(scaling: Scaling, has_law: bool = True) -> Cost:
    """Returns the number of cores from which the engine is faster than the best library on one thread.

    Each measured number of cores is compared with the library round by round (`at_most`), with a correction for the
    number of comparisons. With fewer than FEWEST_ROUNDS rounds, the mean times are compared instead.

    If `has_law` is true and at least FEWEST_COUNTS numbers of cores were measured, a law is fitted, and the answer is
    the law's. If the comparisons also show from how many measured cores the engine is faster, the law's answer is
    moved into the range that they leave. Without a law, the comparisons alone give the answer.
    """
    is_faster = _comparisons(scaling)
    limits = bracket(scaling.cores, is_faster, float(scaling.cores[0]))
    if len(scaling.cores) < FEWEST_COUNTS or not has_law:
        return _by_measurements(scaling, is_faster, limits)
    return _by_law(scaling, is_faster, limits)


def _comparisons(scaling: Scaling) -> list[bool | None]:
    """Returns, for each configuration, true if it is faster than the library, and false if it is slower.

    None if the comparison is not resolved. With fewer than FEWEST_ROUNDS rounds, the geometric means decide.
    """
    if len(scaling.seconds) < FEWEST_ROUNDS:
        return _by_means(scaling)
    ratios = scaling.seconds / scaling.single[:, None]
    return [at_most(column.tolist(), 1.0, verdicts=len(scaling.cores)) for column in ratios.T]


def _by_means(scaling: Scaling) -> list[bool | None]:
    return [bool(ratio < 1) for ratio in _mean_ratios(scaling)]


def _mean_ratios(scaling: Scaling) -> Array:
    """Returns the engine's time divided by the library's, of shape (configurations,)."""
    result: Array = np.exp(np.log(scaling.seconds / scaling.single[:, None]).mean(axis=0))
    return result


def _by_measurements(scaling: Scaling, is_faster: Sequence[bool | None], limits: Interval) -> Cost:
    """Returns the answer that the measured numbers of cores give without a law."""
    kind: CostKind = "not resolved"
    if np.isfinite(limits.high):
        kind = "measured"
    elif all(faster is False for faster in is_faster):
        kind = "none measured"
    largest = float(scaling.cores[-1])
    return Cost(
        kind,
        limits.high if kind == "measured" else bracket(scaling.cores, _by_means(scaling)).high,
        limits if len(scaling.seconds) >= FEWEST_ROUNDS else None,
        until=np.inf,
        ratio=float(_mean_ratios(scaling).min()),
        ratio_interval=None,
        largest=largest,
        farthest=largest,
    )


def _by_law(scaling: Scaling, is_faster: Sequence[bool | None], limits: Interval) -> Cost:
    """Returns the answer of the law, within the limits that the measured numbers of cores set."""
    rounds, largest = len(scaling.seconds), float(scaling.cores[-1])
    farthest = FARTHEST * largest
    everything = np.arange(rounds)[None]
    law = fitted(scaling.cores, scaling.seconds, everything)
    (value,), (until,), (ratio,) = _answers(law, scaling.single, everything, farthest)
    interval = ratio_interval = None
    if rounds >= FEWEST_ROUNDS:
        interval, ratio_interval = _intervals(scaling, farthest)
    if np.isfinite(limits.high):
        value = min(max(value, limits.low), limits.high)
        interval = interval and within(interval, limits)
    known = interval or Interval(value, value)
    slower, faster = (scaling.cores[[one is which for one in is_faster]] for which in (False, True))
    kind: CostKind = "not resolved"
    if np.isfinite(limits.high):
        kind = "measured"
    elif np.isfinite(known.high) and np.isfinite(value):
        kind = "not resolved" if ((value <= slower) & (slower < until)).any() else "forecast"
    elif (ratio_interval.low if ratio_interval else ratio) > 1:
        kind = "not resolved" if len(faster) else "unbounded"
    elif np.isinf(known.low):
        kind = "beyond"
    return Cost(
        kind, float(value), interval, float(until), float(ratio), ratio_interval, largest=largest, farthest=farthest
    )


def _intervals(scaling: Scaling, farthest: float) -> tuple[Interval, Interval]:
    """Returns the intervals of the number of cores and of the best time divided by the library's.

    Draws of a coefficient close to 0 vary too little, because no draw is below 0 (Andrews: Inconsistency of the
    bootstrap when a parameter is on the boundary of the parameter space, Econometrica 68, 2000). So if coherency is
    not significantly above 0, each interval also covers the interval of the law without coherency (Amdahl's law).
    """
    rounds = len(scaling.seconds)
    drawn = drawn_rounds(rounds)
    laws = [fitted(scaling.cores, scaling.seconds, drawn)]
    if not _is_above_zero(laws[0].coefficients[:, 2], rounds):
        laws.append(fitted(scaling.cores, scaling.seconds, drawn, has_coherency=False))
    answers = [_answers(law, scaling.single, drawn, farthest) for law in laws]
    return (
        _hull([expanded_percentiles(values, rounds, LEVEL) for values, _, _ in answers]),
        _hull([expanded_percentiles(ratios, rounds, LEVEL) for _, _, ratios in answers]),
    )


def _is_above_zero(coefficients: Array, rounds: int) -> bool:
    """Returns true if a coefficient is significantly above 0, by Student's t test.

    `coefficients` holds the coefficient in each draw of a bootstrap over `rounds` rounds, of shape (draws,).
    """
    standard_error = float(coefficients.std()) * np.sqrt(rounds / (rounds - 1))
    return bool(coefficients.mean() > stdtrit(rounds - 1, 1 - COHERENT) * standard_error)


def _hull(intervals: Sequence[Interval]) -> Interval:
    return Interval(min(one.low for one in intervals), max(one.high for one in intervals))


def _answers(law: Law, single: Array, drawn: Array, farthest: float) -> tuple[Array, Array, Array]:
    """Returns the law's answers in each draw of rounds: three arrays of shape (draws,).

    The first has the number of cores from which the engine is faster, and the second the number above which it is
    slower again. The third has the best time divided by the library's. Numbers beyond `farthest` are infinite.
    """
    seconds = geometric_means(single[:, None], drawn)[:, 0]
    start, end = (np.where(number <= farthest, number, np.inf) for number in law.crossings(seconds))
    return start, end, law.best() / seconds


def fitted(cores: Array, seconds: Array, drawn: Array, has_coherency: bool = True) -> Law:
    """Fits the law to each draw of rounds. If `has_coherency` is false, c is 0, and the law is Amdahl's law.

    `cores` has shape (configurations,), `seconds` has (rounds, configurations), and `drawn` has (draws, rounds).
    """
    used = 3 if has_coherency else 2
    coefficients = np.zeros((len(drawn), 3))
    coefficients[:, :used] = non_negative(_terms(cores)[:, :used], geometric_means(seconds, drawn))
    return Law(coefficients, float(cores[0]))


def _terms(cores: Array) -> Array:
    """Returns 1/N, (N − 1)/N and N − 1 for each number of cores, of shape (configurations, 3)."""
    return np.stack([1 / cores, (cores - 1) / cores, cores - 1], axis=1)
