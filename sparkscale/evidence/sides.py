"""Tests the verdicts of `sparkscale compare` on real rounds: how often is a difference claimed or missed?

The noise is that of real executions: the logarithm of each time, less the median of its case. The rounds of both
sides are drawn from these, without replacement for each case. So the sides are equal (A/A), unless a factor is
planted in the head (A/B). A comparison judges several cases together, as the command does.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sparkscale.analysis import metrics
from sparkscale.analysis.questions.two_sides import Difference, change, difference, holm
from sparkscale.analysis.statistics import SEED, Array
from sparkscale.contract.errors import ConfigError
from sparkscale.contract.record import RunRecord
from sparkscale.store import archive
from sparkscale.store.store import Store

FEWEST_OF_A_CASE = 5
"""Cases with fewer rounds are left out, because their median is too uncertain."""
FACTORS = (1.0, 1.05, 1.10, 1.15, 1.30)
"""The times of the head's slower case are this many times those of the base. 1 means that nothing is planted."""
ROUNDS = (3, 5, 8, 12)
CASES = 20
"""The number of cases that a comparison judges together. One of them has the planted factor."""


@dataclass(frozen=True)
class Found:
    """The verdicts of many comparisons with the same number of rounds and the same planted factor.

    `detected` is the share of comparisons in which the slower case is worse. `false` is the share of comparisons in
    which a case without a difference is worse or better, and `false_cases` the share of such cases. `same` is the
    share of cases without a difference that are the same.
    """

    rounds: int
    factor: float
    comparisons: int
    detected: float
    false: float
    false_cases: float
    same: float


def noise(records: Iterable[RunRecord]) -> Array:
    """Returns the noise of real rounds, of shape (rounds,): the logarithm of each time, less its case's median."""
    by_case: dict[str, list[float]] = defaultdict(list)
    for record in metrics.timed(metrics.latest(records)):
        by_case[f"{record.invocation} {record.case.experiment}"].append(metrics.time_to_model(record))
    pooled = [
        np.log(times) - np.median(np.log(times)) for times in by_case.values() if len(times) >= FEWEST_OF_A_CASE
    ]
    result: Array = np.concatenate(pooled) if pooled else np.zeros(0)
    return result


def found(pool: Array, rounds: int, factor: float, comparisons: int) -> Found:
    """Returns the verdicts of simulated comparisons. `pool` is the noise of real rounds, of shape (rounds,)."""
    generator = np.random.default_rng([SEED, rounds, round(1000 * factor)])
    detected = false = false_cases = same = 0
    for _ in range(comparisons):
        sides = [generator.choice(pool, (2, rounds), replace=False) for _ in range(CASES)]
        planted = [factor] + [1.0] * (CASES - 1)
        verdicts = _verdicts(
            [(np.exp(base), slower * np.exp(head)) for (base, head), slower in zip(sides, planted, strict=True)]
        )
        equal = verdicts if factor == 1 else verdicts[1:]
        wrong = sum(verdict in ("worse", "better") for verdict in equal)
        detected += factor != 1 and verdicts[0] == "worse"
        false += wrong > 0
        false_cases += wrong
        same += equal.count("same")
    cases = comparisons * (CASES if factor == 1 else CASES - 1)
    return Found(
        rounds,
        factor,
        comparisons,
        detected / comparisons,
        false / comparisons,
        false_cases / cases,
        same / cases,
    )


def _verdicts(sides: Sequence[tuple[Array, Array]]) -> list[str]:
    """Returns the verdict on each case of one comparison."""
    differences: list[Difference] = [difference(base.tolist(), head.tolist()) for base, head in sides]
    adjusted = holm([one.p for one in differences])
    return [change(one, p) for one, p in zip(differences, adjusted, strict=True)]


def read(paths: Sequence[Path]) -> Array:
    """Returns the noise of the records of archives and of folders.

    Raises ConfigError if one of them has no records, or if there are too few rounds for a comparison.
    """
    pooled = []
    for path in paths:
        with Store.existing(path) if path.is_dir() else archive.unpacked(path) as store:
            pooled.append(noise(store.records()))
    pool = np.concatenate(pooled)
    if len(pool) < 2 * max(ROUNDS):
        raise ConfigError(
            f"These records have {len(pool)} rounds of cases with {FEWEST_OF_A_CASE} rounds or more, and "
            f"{2 * max(ROUNDS)} are needed: name more archives."
        )
    return pool
