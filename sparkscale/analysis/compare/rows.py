"""Makes the rows of a comparison: a metric is tested by ranks, and a quality is paired on its seeds."""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit

from sparkscale.analysis import crossed, metrics
from sparkscale.analysis.compare.pairing import Pair
from sparkscale.analysis.compare.row import NO_SCORES, Row
from sparkscale.analysis.compare.side import Side, Subject
from sparkscale.analysis.criterion import Criterion, criterion_of
from sparkscale.analysis.every_metric import of_records
from sparkscale.analysis.metrics import Metric
from sparkscale.analysis.patterns.data_parallel.cell import Cell, Seeds
from sparkscale.analysis.questions import two_sides
from sparkscale.analysis.statistics import FEWEST_ROUNDS, LEVEL, Interval
from sparkscale.contract.declared import Direction, Judged, QualityFigure, WorkloadDescription
from sparkscale.contract.phrases import count
from sparkscale.contract.record import RunRecord
from sparkscale.contract.threshold import Threshold

DEFAULT = ("time_to_model", "memory_needed", "model_bytes")
"""The metrics that are compared if none is named, beside the judged quality."""


ALL = "every metric"
"""The metric of a case that is absent as a whole."""


class Absent(NamedTuple):
    """A metric of a case that is not compared, and the reason.

    `is_gap` is true if the base has the metric, so that nobody can say whether it became worse.
    """

    subject: Subject
    metric: str
    reason: str
    is_gap: bool


class Limits(NamedTuple):
    """The thresholds of a comparison. The first of `rules` that applies counts, otherwise `default`."""

    default: float = two_sides.THRESHOLD
    rules: tuple[Threshold, ...] = ()

    def of(self, metric: str, subject: Subject) -> float | None:
        """Returns the threshold that a rule states for this metric of a case. None if no rule applies."""
        return next(
            (rule.threshold for rule in self.rules if rule.applies(metric, subject.workload, subject.engine)), None
        )


def of_pair(
    base: Side, head: Side, pair: Pair, wanted: Sequence[str] | None, limits: Limits, alpha: float
) -> Iterator[Row | Absent]:
    """Yields the rows of one case, without their verdicts, and the metrics that are not compared.

    `wanted` names the metrics. None: DEFAULT, every metric that `limits` names, and the judged quality. A metric that
    neither side has is left out.
    """
    every = of_records(pair.of_base, every_figure=True) | of_records(pair.of_head, every_figure=True)
    description = pair.of_head[0].declared
    criterion = criterion_of(pair.of_head[0])
    names = list(dict.fromkeys(DEFAULT + tuple(rule.metric for rule in limits.rules) if wanted is None else wanted))
    if wanted is None and criterion.tolerance > 0:
        names.append(criterion.key)
    compared: set[str] = set()
    for name in names:
        quality = _quality(description, name)
        if quality is not None:
            if quality.name not in compared:
                compared.add(quality.name)
                yield from _of_quality(base, head, pair, quality, criterion, limits)
        elif name in every:
            yield from _of_metric(pair, every[name], _direction(description, every[name]), limits, alpha)


def known_metrics(base: Side, head: Side) -> list[str]:
    """Returns the names of all metrics and qualities that the records of both sides can have."""
    records = [*base.records, *head.records]
    qualities = (one.name for record in _one_of_each(records) for one in record.declared.qualities)
    return list(dict.fromkeys([*of_records(records, every_figure=True), *qualities]))


def _one_of_each(records: Sequence[RunRecord]) -> list[RunRecord]:
    return list({record.workload or record.case.workload: record for record in records}.values())


def _quality(description: WorkloadDescription, name: str) -> QualityFigure | None:
    """Returns the quality with this name, or with a metric of this name. None if `name` is no quality."""
    return next((one for one in description.qualities if name in (one.name, one.metric)), None)


def _direction(description: WorkloadDescription, metric: Metric) -> Direction | None:
    """Returns whether lower or higher values of a metric are better. None if the workload declares neither."""
    declared = next((figure for figure in description.figures if figure.name == metric.name), None)
    return declared.direction if declared else metric.direction


def _of_metric(
    pair: Pair, metric: Metric, direction: Direction | None, limits: Limits, alpha: float
) -> Iterator[Row | Absent]:
    """Yields the row of a metric that is no quality."""
    own, its = (_samples(metric, records) for records in (pair.of_base, pair.of_head))
    if not own and not its:
        return
    if not own or not its:
        yield Absent(pair.head, metric.name, _only(bool(own)), bool(own))
        return
    threshold = limits.of(metric.name, pair.head) or limits.default
    row = Row(pair.head, metric.name, metric.unit, direction, threshold, own, its)
    exact = _exact_ratios(metric, pair)
    yield replace(row, exact=exact) if exact else replace(row, measured=two_sides.difference(own, its, alpha))


def _only(has_base: bool) -> str:
    return f"only the {'base' if has_base else 'head'} has a value"


def _samples(metric: Metric, records: Sequence[RunRecord]) -> tuple[float, ...]:
    """Returns the values of a metric. A timeout counts as longer than any time, if the metric is one of seconds."""
    values = metric.samples(records)
    if metric.name in (metrics.TIME_TO_MODEL.name, metrics.SECONDS_PER_MILLION_ROWS.name):
        values = [*values, *(math.inf for _ in metrics.timeouts(records))]
    elif metric.name.startswith("seconds_"):
        values = [*values, *(math.inf for _ in metrics.timeouts(records, metric.name.removeprefix("seconds_")))]
    return tuple(values)


def _exact_ratios(metric: Metric, pair: Pair) -> tuple[float, ...]:
    """Returns the ratio of the head to the base for each pair of seeds, if the values depend on the seeds alone.

    Returns nothing if they may also depend on chance: if executions with the same seeds differ, or if no two
    executions, of one side or of both, show that they do not.
    """
    own, its = _by_seeds(metric, pair.of_base), _by_seeds(metric, pair.of_head)
    shared = [seeds for seeds in own if seeds in its]
    is_equal = len(shared) > 1 and all(set(own[seeds]) == set(its[seeds]) for seeds in shared)
    if not shared or not (is_equal or (_is_fixed(own) and _is_fixed(its))):
        return ()
    if any(own[seeds][0] <= 0 or its[seeds][0] <= 0 for seeds in shared):
        return (1.0,) if all(own[seeds][0] == its[seeds][0] for seeds in shared) else ()
    return tuple(its[seeds][0] / own[seeds][0] for seeds in shared)


def _by_seeds(metric: Metric, records: Sequence[RunRecord]) -> dict[Seeds, list[float]]:
    """Returns the values of a metric, by the seeds of the executions."""
    values: dict[Seeds, list[float]] = defaultdict(list)
    for record in records:
        values[record.case.seeds] += metric.samples([record])
    return {seeds: of_seeds for seeds, of_seeds in values.items() if of_seeds}


def _is_fixed(by_seeds: Mapping[Seeds, Sequence[float]]) -> bool:
    """Returns true if several executions show that the values depend on the seeds alone."""
    each = [set(values) for values in by_seeds.values()]
    is_repeated = any(len(values) > 1 for values in by_seeds.values())
    is_constant = len(each) > 1 and len(set.union(*each)) == 1
    return all(len(values) == 1 for values in each) and (is_repeated or is_constant)


def _of_quality(
    base: Side, head: Side, pair: Pair, quality: QualityFigure, criterion: Criterion, limits: Limits
) -> Iterator[Row | Absent]:
    """Yields the row of a quality, paired on seeds and, if scores are stored, on the units of the hold-out."""
    own, its = _values(quality, pair.of_base), _values(quality, pair.of_head)
    if not own and not its:
        return
    if not own or not its:
        yield Absent(pair.head, quality.title, _only(bool(own)), bool(own))
        return
    if pair.base.dataset_id != pair.head.dataset_id:
        yield Absent(pair.head, quality.title, "the sides have other hold-outs", True)
        return
    shared = [seeds for seeds in own if seeds in its]
    if not shared:
        yield Absent(pair.head, quality.title, "the sides have no seeds in common", True)
        return
    is_judged = quality.name == criterion.key and criterion.tolerance > 0
    used = criterion if is_judged else _ad_hoc(quality, limits.default)
    stated = limits.of(quality.metric or quality.name, pair.head) or limits.of(quality.name, pair.head)
    needs_scores = is_judged and used.judged.estimator is not None
    estimate = _from_scores(base, head, pair, used) if needs_scores else None
    if estimate is None:
        given_up = [float(used.given_up(own[seeds], its[seeds])) for seeds in shared]
        estimate = _from_seeds(given_up, NO_SCORES if needs_scores else "")
    yield Row(
        pair.head,
        quality.title,
        "",
        used.judged.direction,
        stated or used.tolerance,
        tuple(own[seeds] for seeds in shared),
        tuple(its[seeds] for seeds in shared),
        given_up=estimate,
        criterion=used,
        exact=(1.0,) * estimate.seeds if estimate.interval == Interval(0.0, 0.0) else (),
    )


def _values(quality: QualityFigure, records: Sequence[RunRecord]) -> dict[Seeds, float]:
    """Returns the values of a quality, by the seeds of the executions."""
    with_quality = [record for record in metrics.scored(records) if quality.name in record.quality]
    return {record.case.seeds: float(record.quality[quality.name]) for record in with_quality}


def _ad_hoc(quality: QualityFigure, threshold: float) -> Criterion:
    """Returns a criterion for a quality that the workload does not judge by: it may change by this share."""
    judged = Judged(
        quality=quality.name,
        direction=quality.direction or "lower",
        tolerance=threshold,
        relative=True,
        within=f"{quality.title} within {threshold:.0%}",
        form=".4g",
        given_up_form="+.2%",
    )
    return Criterion(judged, quality.title)


def _from_scores(base: Side, head: Side, pair: Pair, criterion: Criterion) -> crossed.Estimate | None:
    """Returns what the head gives up, from stored scores. None if no two executions with equal seeds have scores."""
    own, its = (
        Cell(records[0].case, list(records), side.reader.store).qualities
        for side, records in ((base, pair.of_base), (head, pair.of_head))
    )
    pairs = [(own[seeds], its[seeds]) for seeds in own if seeds in its and own[seeds].units == its[seeds].units]
    return crossed.estimate(pairs, criterion.given_up) if pairs else None


def _from_seeds(given_up: Sequence[float], why_none: str) -> crossed.Estimate:
    """Returns what the head gives up, as a mean over seeds with Student's t. It is valid for this hold-out.

    There is no interval with fewer than FEWEST_ROUNDS seeds, or if `why_none` says why, unless nothing is given up
    with any of the seeds.
    """
    values, seeds = np.asarray(given_up), len(given_up)
    if not values.any():
        return crossed.Estimate(0.0, Interval(0.0, 0.0), 0.0, max(1, seeds - 1), 0, 0.0, seeds)
    mean = float(values.mean())
    error = float(values.std(ddof=1)) / math.sqrt(seeds) if seeds > 1 else math.nan
    if why_none or seeds < FEWEST_ROUNDS or not error:
        return crossed.Estimate(mean, None, error, 0.0, 0, 0.0, seeds, why_none or f"{count(seeds, 'seed')}")
    half = float(stdtrit(seeds - 1, (1 + LEVEL) / 2)) * error
    return crossed.Estimate(mean, Interval(mean - half, mean + half), error, seeds - 1, 0, math.inf, seeds)
