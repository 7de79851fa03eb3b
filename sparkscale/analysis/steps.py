"""Decides which steps of a series of commits are changes, and which may be noise.

A step detector splits a series into segments. It finds the best split even if there is only noise. So a step is a
change only if it passes a test, too:

1. Both sides have FEWEST commits or more.
2. Student's t test shows a difference of the logarithms of the commits' values. Its unit is the commit, not the
   round, because all rounds of a commit share the state that the machine had at that time. The variance of a commit's
   value is that between commits within a segment, and at least what the spread of the rounds implies. It grows if
   neighbouring commits resemble each other.
3. p is multiplied by the number of all pairs of segments that the detector can choose from, because it chooses the
   best pair (Bonferroni). It is also adjusted for all series that are looked at (Holm, Scand. J. Stat. 6, 1979).
4. The medians of the two sides differ by more than LEAST_CHANGE.

If a machine stays slower for many commits, this still looks like a change.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import stdtr

from sparkscale.analysis.questions.two_sides import ALPHA, holm
from sparkscale.analysis.statistics import Array

FEWEST = 3
"""The smallest number of commits on each side of a change."""
LEAST_CHANGE = 0.01
"""A step that changes the median by this share or less is no change."""

MOST_CORRELATION = 0.9
"""The largest correlation of neighbouring commits that the test allows for."""

Segments = tuple[tuple[int, int], ...]
"""The segments of a series in order: the position of the first commit of each, and the position after its last."""


@dataclass(frozen=True)
class Step:
    """A step between two neighbouring segments of a series, and p: how likely it would be without a change."""

    before: tuple[int, ...]
    after: tuple[int, ...]
    p: float


def steps(rounds: Sequence[Sequence[float]], candidates: Sequence[Segments]) -> tuple[Step, ...]:
    """Returns the changes of one series, in order, before p is adjusted for the number of series.

    `rounds` holds the values of each commit's rounds, at least one for each commit. `candidates` are ways to split
    the series. The one with the most changes counts, and among equals the one with the smallest p.
    """
    if len(rounds) < 2 * FEWEST:
        return ()
    noise = _Noise.of(rounds)
    tested = [_tested(noise, segments) for segments in candidates]
    return max(tested, key=lambda one: (len(one), -sum(step.p for step in one)), default=())


def adjusted(series: Sequence[tuple[Step, ...]]) -> list[tuple[Step, ...]]:
    """Returns the changes of all series, in the same order, after p is adjusted for the number of series.

    A series without a step counts, too, because it could have had one.
    """
    without = sum(not one for one in series)
    p_values = iter(holm([*(step.p for one in series for step in one), *[1.0] * without]))
    replaced = [tuple(replace(step, p=next(p_values)) for step in one) for one in series]
    return [tuple(step for step in one if step.p <= ALPHA) for one in replaced]


def choices(commits: int) -> int:
    """Returns the number of ways to choose two neighbouring segments of FEWEST commits or more."""
    return math.comb(commits - 2 * FEWEST + 3, 3)


def _tested(noise: "_Noise", segments: Segments) -> tuple[Step, ...]:
    """Returns the steps of one way to split a series, after segments without a difference are joined.

    Commits of segments that are too short are left out.
    """
    sides = [tuple(range(first, end)) for first, end in segments if end - first >= FEWEST]
    while len(sides) > 1:
        tested_steps = [noise.step(before, after) for before, after in itertools.pairwise(sides)]
        worst = max(range(len(tested_steps)), key=lambda position: tested_steps[position].p)
        if tested_steps[worst].p <= ALPHA:
            return tuple(tested_steps)
        sides[worst : worst + 2] = [sides[worst] + sides[worst + 1]]
    return ()


@dataclass(frozen=True)
class _Noise:
    """The commits of a series: their medians, and `values`, which are the medians on the scale of the test.

    The scale is the logarithm. If some value is not positive, it is the share of the median of all absolute values.
    `variances` are those of the values, as the spread of the rounds implies them.
    """

    medians: Array
    values: Array
    variances: Array

    @classmethod
    def of(cls, rounds: Sequence[Sequence[float]]) -> "_Noise":
        medians = np.array([float(np.median(one)) for one in rounds])
        if min(min(one) for one in rounds) > 0:
            scaled = [np.log(one) for one in rounds]
        else:
            unit = float(np.median(np.abs(medians))) or 1.0
            scaled = [np.asarray(one, dtype=float) / unit for one in rounds]
        squares = sum(float(((one - one.mean()) ** 2).sum()) for one in scaled)
        freedom = sum(len(one) - 1 for one in scaled)
        # the variance of a median of many normal values is pi/2 times the variance of their mean
        of_a_round = math.pi / 2 * squares / freedom if freedom else 0.0
        variances = np.array([of_a_round / len(one) for one in scaled])
        return cls(medians, np.array([float(np.median(one)) for one in scaled]), variances)

    def step(self, before: tuple[int, ...], after: tuple[int, ...]) -> Step:
        """Returns the step between two segments, with p for all choices of the detector."""
        low, high = sorted(float(np.median(self.medians[list(side)])) for side in (before, after))
        if high - low <= LEAST_CHANGE * max(abs(low), abs(high)):
            return Step(before, after, 1.0)
        sides = [self.values[list(side)] for side in (before, after)]
        implied = [float(self.variances[list(side)].mean()) for side in (before, after)]
        freedom = len(before) + len(after) - 2
        pooled = sum(float(((side - side.mean()) ** 2).sum()) for side in sides) / freedom
        error = math.sqrt(sum(max(pooled, one) / len(side) for one, side in zip(implied, sides, strict=True)))
        error *= _inflation(sides)
        distance = abs(float(sides[1].mean() - sides[0].mean()))
        p = 2 * float(stdtr(freedom, -distance / error)) if error else 0.0
        return Step(before, after, min(1.0, p * choices(len(self.values))))


def _inflation(sides: Sequence[Array]) -> float:
    """Returns the factor by which the error of a mean grows if neighbouring commits resemble each other.

    It is the square root of (1 + r) / (1 - r), with the correlation r of neighbours within the segments. It is 1 if r
    is negative (Bayley and Hammersley, J. R. Stat. Soc. Suppl. 8, 1946).
    """
    residuals = [side - side.mean() for side in sides]
    squares = sum(float((one**2).sum()) for one in residuals)
    if not squares:
        return 1.0
    products = sum(float((one[1:] * one[:-1]).sum()) for one in residuals)
    correlation = min(MOST_CORRELATION, max(0.0, products / squares))
    return math.sqrt((1 + correlation) / (1 - correlation))
