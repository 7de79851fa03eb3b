"""Makes the rows of qualities: they are paired on seeds and, where scores are stored, on the hold-out's units."""

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit

from sparkscale.analysis import crossed, metrics
from sparkscale.analysis.criterion import Criterion
from sparkscale.analysis.patterns.data_parallel.scores import reading
from sparkscale.analysis.questions.compare.pairing import Pair
from sparkscale.analysis.questions.compare.parts import Absent, Limits, only
from sparkscale.analysis.questions.compare.row import NO_SCORES, Row
from sparkscale.analysis.questions.compare.side import Seeds, Side, seeds_of
from sparkscale.analysis.statistics import FEWEST_ROUNDS, LEVEL, Interval
from sparkscale.analysis.unit_quality import UnitQuality
from sparkscale.contract.declared import Judged, QualityFigure
from sparkscale.contract.phrases import count
from sparkscale.contract.record import RunRecord
from sparkscale.store.store import Store


class _Model(NamedTuple):
    """An execution and the quality of its model."""

    record: RunRecord
    value: float


def of_quality(
    base: Side, head: Side, pair: Pair, quality: QualityFigure, criterion: Criterion, limits: Limits
) -> Iterator[Row | Absent]:
    """Yields the row of a quality. `criterion` is the workload's own. It counts for the quality that it names."""
    own, its = _models(quality, pair.of_base), _models(quality, pair.of_head)
    if not own and not its:
        return
    if not own or not its:
        yield Absent(pair.head, quality.title, only(bool(own)), bool(own))
        return
    if pair.base.dataset_id != pair.head.dataset_id:
        yield Absent(pair.head, quality.title, "the sides have other hold-outs", True)
        return
    pairs = _paired(own, its)
    if not pairs:
        yield Absent(pair.head, quality.title, "the sides have no seeds in common", True)
        return
    if lost := sum(seeds not in its for seeds in own):
        yield Absent(pair.head, quality.title, f"the head lacks {count(lost, 'pair')} of seeds of the base", False)
    yield _row(base, head, pair, quality, criterion, limits, pairs)


def _row(
    base: Side,
    head: Side,
    pair: Pair,
    quality: QualityFigure,
    criterion: Criterion,
    limits: Limits,
    pairs: Sequence[tuple[_Model, _Model]],
) -> Row:
    values = [(one.value, two.value) for one, two in pairs]
    is_judged = quality.name == criterion.key and criterion.tolerance > 0
    used = criterion if is_judged else _ad_hoc(quality, limits.default, [one for one, _ in values])
    stated = limits.of(quality.metric or quality.name, pair.head) or limits.of(quality.name, pair.head)
    needs_scores = is_judged and used.judged.estimator is not None
    estimate = _from_scores(base.reader.store, head.reader.store, pairs, used) if needs_scores else None
    if estimate is None:
        given_up = [float(used.given_up(one, two)) for one, two in values]
        estimate = _from_seeds(given_up, NO_SCORES if needs_scores else "")
    is_equal = all(one == two for one, two in values) and estimate.interval in (None, Interval(0.0, 0.0))
    return Row(
        pair.head,
        quality.title,
        "",
        used.judged.direction,
        stated or used.tolerance,
        tuple(one for one, _ in values),
        tuple(two for _, two in values),
        given_up=estimate,
        criterion=used,
        exact=(1.0,) * len(values) if is_equal else (),
    )


def _models(quality: QualityFigure, records: Sequence[RunRecord]) -> dict[Seeds, list[_Model]]:
    """Returns the executions with this quality, by their seeds. A quality that is not a number is left out."""
    models: dict[Seeds, list[_Model]] = defaultdict(list)
    for record in metrics.scored(records):
        value = record.quality.get(quality.name, math.nan)
        if math.isfinite(value):
            models[seeds_of(record)].append(_Model(record, float(value)))
    return dict(models)


def _paired(own: dict[Seeds, list[_Model]], its: dict[Seeds, list[_Model]]) -> list[tuple[_Model, _Model]]:
    """Returns pairs of models with the same seeds.

    If all executions with some seeds have the same quality, they are the same model, and make one pair. Otherwise
    chance decides beside the seeds, and each execution is paired with another one of the other side.
    """
    pairs = []
    for seeds, models in own.items():
        others = its.get(seeds, [])
        is_fixed = len({one.value for one in models}) == 1 and len({one.value for one in others}) == 1
        both = list(zip(models, others, strict=False))
        pairs += both[:1] if is_fixed else both
    return pairs


def _ad_hoc(quality: QualityFigure, threshold: float, base: Sequence[float]) -> Criterion:
    """Returns a criterion for a quality that the workload does not judge by: it may change by this share.

    If some value of the base is not positive, the share of its median is an absolute tolerance.
    """
    is_relative = min(base) > 0
    judged = Judged(
        quality=quality.name,
        direction=quality.direction or "lower",
        tolerance=threshold if is_relative else threshold * abs(float(np.median(base))),
        relative=is_relative,
        within=f"{quality.title} within {threshold:.0%}",
        form=".4g",
        given_up_form="+.2%" if is_relative else "+.4g",
    )
    return Criterion(judged, quality.title)


def _from_scores(
    own_store: Store, its_store: Store, pairs: Sequence[tuple[_Model, _Model]], criterion: Criterion
) -> crossed.Estimate | None:
    """Returns what the head gives up, from stored scores. None if no pair has scores of the same units."""
    known: dict[str, UnitQuality | None] = {}

    def scored(store: Store, record: RunRecord) -> UnitQuality | None:
        key = f"{store.path} {record.id}"
        if key not in known:
            try:
                known[key] = reading(store, record, criterion)()[0]
            except KeyError:
                known[key] = None
        return known[key]

    both = [(scored(own_store, one.record), scored(its_store, two.record)) for one, two in pairs]
    usable = [(one, two) for one, two in both if one is not None and two is not None and one.units == two.units]
    return crossed.estimate(usable, criterion.given_up) if usable else None


def _from_seeds(given_up: Sequence[float], why_none: str) -> crossed.Estimate:
    """Returns what the head gives up, as a mean over seeds with Student's t. It is valid for this hold-out.

    There is no interval with fewer than FEWEST_ROUNDS seeds, or if `why_none` says why, unless nothing is given up
    with any of the seeds.
    """
    values, seeds = np.asarray(given_up), len(given_up)
    mean = float(values.mean())
    error = float(values.std(ddof=1)) / math.sqrt(seeds) if seeds > 1 else math.nan
    if values.any() and (why_none or seeds < FEWEST_ROUNDS):
        return crossed.Estimate(mean, None, error, 0.0, 0, 0.0, seeds, why_none or count(seeds, "seed"))
    half = float(stdtrit(seeds - 1, (1 + LEVEL) / 2)) * error if values.any() else 0.0
    degrees = max(1, seeds - 1)
    return crossed.Estimate(mean, Interval(mean - half, mean + half), error, degrees, 0, math.inf, seeds)
