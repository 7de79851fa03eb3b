"""Tests the verdicts of `sparkscale compare` by simulation: how often is a difference claimed that is not there?

The noise is that of real executions (`noise`). The sides are equal (A/A), or a factor is planted in one case of the
head (A/B). A comparison judges one case, or several together, as the command does. Beside the verdicts stands a
bootstrap of medians, which ignores how little a few rounds can show.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sparkscale.analysis.patterns.per_group.comparison import CONTROL
from sparkscale.analysis.questions.two_sides import ALPHA, THRESHOLD, Change, Difference, change, difference
from sparkscale.analysis.questions.two_sides import holm as adjusted_by_holm
from sparkscale.analysis.statistics import SEED, Array
from sparkscale.contract.case import Case
from sparkscale.evidence.many_sides import BETTER, OPEN, SAME, WORSE, chunks, holm, measured, verdicts
from sparkscale.evidence.noise import Noise, RealCase

FACTORS = (1.05, 1.10, 1.15, 1.30)
"""The times of the head's slower case are this many times those of the base."""
ROUNDS = (3, 5, 8, 12, 16)
COMPARED = (1, 20)
"""The numbers of cases that are judged together. One of them has the planted factor."""
RESAMPLED = 200
"""The number of bootstrap samples of each side."""


@dataclass(frozen=True)
class Equal:
    """The verdicts on equal sides.

    `false` is the share of comparisons in which some case is worse or better, and `false_cases` the share of such
    cases. `same` and `not_resolved` are shares of cases, too. `bootstrap` is the share of cases in which the 95 %
    interval of a bootstrap of medians does not contain 1, and `bootstrap_beyond` the share in which all of it lies
    beyond the threshold.
    """

    rounds: int
    compared: int
    false: float
    false_cases: float
    same: float
    not_resolved: float
    bootstrap: float
    bootstrap_beyond: float


@dataclass(frozen=True)
class Planted:
    """The verdicts on sides of which one case is slower by `factor`.

    `detected` is the share of comparisons in which that case is worse. `false` is the share of comparisons in which
    that case is better, or another case is worse or better.
    """

    rounds: int
    compared: int
    factor: float
    detected: float
    false: float


def equal(noise: Noise, rounds: int, compared: int, comparisons: int) -> Equal:
    """Returns the verdicts on equal sides, from this number of simulated comparisons."""
    generator = np.random.default_rng([SEED, rounds, compared])
    verdicts_by_part, intervals = [], []
    for part in chunks(comparisons, compared, max(rounds**2, RESAMPLED)):
        logs = noise.drawn(generator, part, compared, rounds)
        verdicts_by_part.append(_verdicts(logs))
        intervals.append(_bootstrap(generator, logs))
    result = np.concatenate(verdicts_by_part)
    is_false = (result == WORSE) | (result == BETTER)
    low, high = np.concatenate(intervals, axis=1)
    limit = np.log(1 + THRESHOLD)
    return Equal(
        rounds,
        compared,
        float(is_false.any(axis=1).mean()),
        float(is_false.mean()),
        float((result == SAME).mean()),
        float((result == OPEN).mean()),
        float(((low > 0) | (high < 0)).mean()),
        float(((low > limit) | (high < -limit)).mean()),
    )


def planted(noise: Noise, rounds: int, compared: int, factor: float, comparisons: int) -> Planted:
    """Returns the verdicts on sides with one slower case, from this number of simulated comparisons."""
    generator = np.random.default_rng([SEED, rounds, compared, round(1000 * factor)])
    detected = false = 0
    for part in chunks(comparisons, compared, rounds**2):
        logs = noise.drawn(generator, part, compared, rounds)
        logs[:, 0, 1] += np.log(factor)
        result = _verdicts(logs)
        detected += int((result[:, 0] == WORSE).sum())
        others = (result[:, 1:] == WORSE) | (result[:, 1:] == BETTER)
        false += int((others.any(axis=1) | (result[:, 0] == BETTER)).sum())
    return Planted(rounds, compared, factor, detected / comparisons, false / comparisons)


@dataclass(frozen=True)
class Control:
    """Real rounds of two engines that run the same code, on the same case. `rival` is the base."""

    case: Case
    rival: str
    measured: Difference
    adjusted_p: float
    change: Change


def controls(cases: Sequence[RealCase]) -> list[Control]:
    """Returns the verdicts on all cases of one run that differ only in the two engines of CONTROL.

    They are judged together.
    """
    by_engine = {
        (case.invocation, case.case.model_copy(update={"engine": ""}).experiment, case.case.engine): case
        for case in cases
    }
    pairs = [
        (by_engine[run, rest, CONTROL[1]], head)
        for (run, rest, engine), head in by_engine.items()
        if engine == CONTROL[0] and (run, rest, CONTROL[1]) in by_engine
    ]
    differences = [difference(base.times, head.times) for base, head in pairs]
    adjusted = adjusted_by_holm([one.p for one in differences])
    return [
        Control(head.case, base.case.engine, one, p, change(one, p))
        for (base, head), one, p in zip(pairs, differences, adjusted, strict=True)
    ]


def _verdicts(logs: Array) -> Array:
    """Returns the verdict on each case. `logs` has the shape (comparisons, compared, 2, rounds)."""
    result = measured(logs)
    return verdicts(result, holm(result.p))


def _bootstrap(generator: np.random.Generator, logs: Array) -> Array:
    """Returns percentile intervals of the difference of medians, of shape (2, comparisons, compared)."""
    comparisons, compared, _, rounds = logs.shape
    replicates = np.empty((RESAMPLED, comparisons, compared))
    for number in range(RESAMPLED):
        chosen = generator.integers(rounds, size=logs.shape)
        medians = np.median(np.take_along_axis(logs, chosen, axis=-1), axis=-1)
        replicates[number] = medians[..., 1] - medians[..., 0]
    tail = 100 * ALPHA / 2
    result: Array = np.percentile(replicates, [tail, 100 - tail], axis=0)
    return result
