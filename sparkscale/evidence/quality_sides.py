"""Tests by simulation how a comparison judges the AUC of two sides: how often is a loss claimed, or missed?

The models are real ones, from stored sums over the units of their hold-out. Both sides of a seed are models of the
same case from two different seeds, in random order. So their AUC differs, but none is better. Equal seeds would often
give equal models, which are always the same. The hold-out's units are drawn with replacement for each comparison.

A loss is planted in the head, as if a part of its scores were replaced by chance. Two scores of which one is chance
are in the right order half the time. So if a share λ of all pairs has such a score, the number of pairs in the right
order becomes 1 - λ times the real one, plus λ/2 of all pairs. The AUC falls by λ (AUC - 1/2).
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path

import numpy as np

from sparkscale.analysis import crossed, metrics
from sparkscale.analysis.criterion import criterion_of
from sparkscale.analysis.patterns.data_parallel.scores import reading
from sparkscale.analysis.questions.two_sides import Change
from sparkscale.analysis.statistics import SEED, Array
from sparkscale.analysis.unit_quality import UnitAuc, value
from sparkscale.contract.record import RunRecord
from sparkscale.store import archive
from sparkscale.store.store import Store

FEWEST_SEEDS = 3
"""Cases with fewer different models are left out."""
ROUNDS = (3, 5, 8, 12)
LOSSES = (0.0, 0.005, 0.01, 0.02)
TOLERANCE = 0.005
"""An AUC that differs by at most this counts as the same, as in the workloads."""


@dataclass(frozen=True)
class QualityVerdicts:
    """The verdicts on many simulated comparisons with the same planted loss, as shares of all."""

    rounds: int
    loss: float
    worse: float
    same: float
    better: float
    not_resolved: float


def real_models(paths: Sequence[Path]) -> list[list[UnitAuc]]:
    """Returns the models of each case with an AUC, from the records of archives and of folders.

    A case whose seeds all give the same AUC is left out. Raises ConfigError if a path has no records.
    """
    cases: list[list[UnitAuc]] = []
    for path in paths:
        with Store.existing(path) if path.is_dir() else archive.unpacked(path) as store:
            by_case: dict[tuple[str, str], dict[tuple[int, int], UnitAuc]] = defaultdict(dict)
            for record in metrics.scored(metrics.latest(store.records())):
                if (model := _model(store, record)) is not None:
                    by_case[record.invocation, record.case.experiment].setdefault(record.case.seeds, model)
            cases += [list(models.values()) for models in by_case.values()]
    return [models for models in cases if len({value(model) for model in models}) >= FEWEST_SEEDS]


def _model(store: Store, record: RunRecord) -> UnitAuc | None:
    criterion = criterion_of(record)
    if not criterion.judged.estimator:
        return None
    try:
        model, _ = reading(store, record, criterion)()
    except KeyError:
        return None
    return model if isinstance(model, UnitAuc) else None


def simulated(cases: Sequence[Sequence[UnitAuc]], comparisons: int) -> list[QualityVerdicts]:
    """Returns the verdicts for all ROUNDS and LOSSES. Empty if there are no cases."""
    return [judged(cases, rounds, loss, comparisons) for rounds in ROUNDS for loss in LOSSES if cases]


def judged(cases: Sequence[Sequence[UnitAuc]], rounds: int, loss: float, comparisons: int) -> QualityVerdicts:
    """Returns the verdicts on this number of simulated comparisons of one case with `rounds` seeds."""
    generator = np.random.default_rng([SEED, rounds, round(10_000 * loss)])
    verdicts = [_verdict(_pairs(generator, cases, rounds, loss)) for _ in range(comparisons)]
    names: tuple[Change, ...] = ("worse", "same", "better", "not resolved")
    return QualityVerdicts(rounds, loss, *(verdicts.count(one) / comparisons for one in names))


def _pairs(
    generator: np.random.Generator, cases: Sequence[Sequence[UnitAuc]], rounds: int, loss: float
) -> list[tuple[UnitAuc, UnitAuc]]:
    """Returns base and head for each seed of one comparison."""
    models = cases[int(generator.integers(len(cases)))]
    orders = list(permutations(range(len(models)), 2))
    units = generator.integers(models[0].units, size=models[0].units)
    chosen = [orders[position] for position in generator.integers(len(orders), size=rounds)]
    return [(_drawn(models[base], units), _worse(_drawn(models[head], units), loss)) for base, head in chosen]


def _drawn(model: UnitAuc, units: Array) -> UnitAuc:
    return UnitAuc(model.concordant[np.ix_(units, units)], model.positives[units], model.negatives[units])


def _worse(model: UnitAuc, loss: float) -> UnitAuc:
    """Returns a model with an AUC that is smaller by `loss`."""
    chance = np.outer(model.positives, model.negatives) / 2
    share = loss / (value(model) - 0.5)
    return UnitAuc((1 - share) * model.concordant + share * chance, model.positives, model.negatives)


def _verdict(pairs: Sequence[tuple[UnitAuc, UnitAuc]]) -> Change:
    """Returns the verdict on the AUC that the head gives up, by its interval and TOLERANCE."""
    bounds = crossed.estimate(pairs, lambda base, head: base - head).interval
    if bounds is None:
        return "not resolved"
    if bounds.low >= -TOLERANCE and bounds.high <= TOLERANCE:
        return "same"
    if bounds.low > TOLERANCE:
        return "worse"
    return "better" if bounds.high < -TOLERANCE else "not resolved"
