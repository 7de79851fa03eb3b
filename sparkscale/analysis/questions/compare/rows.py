"""Makes the rows of a comparison: one for each metric of a case."""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from sparkscale.analysis import metrics
from sparkscale.analysis.criterion import criterion_of
from sparkscale.analysis.every_metric import of_records
from sparkscale.analysis.metrics import Metric
from sparkscale.analysis.questions import two_sides
from sparkscale.analysis.questions.compare.pairing import Pair
from sparkscale.analysis.questions.compare.parts import Absent, Limits, only
from sparkscale.analysis.questions.compare.quality import of_quality
from sparkscale.analysis.questions.compare.row import Row
from sparkscale.analysis.questions.compare.side import Seeds, Side, seeds_of
from sparkscale.contract.declared import Direction, QualityFigure, WorkloadDescription
from sparkscale.contract.phrases import count
from sparkscale.contract.record import RunRecord

OF_TIME_TO_MODEL = tuple(
    one.name for one in (metrics.TIME_TO_MODEL, metrics.SECONDS_PER_MILLION_ROWS, metrics.ROWS_PER_SECOND)
)
MEMORY = (metrics.MEMORY_NEEDED.name, metrics.PEAK_MEMORY.name)
DEFAULT = (metrics.TIME_TO_MODEL.name, metrics.MEMORY_NEEDED.name, "model_bytes")
"""The metrics that are compared if none is named, beside the judged quality."""
FIXED_UNITS = ("bytes", "files", "groups", "loads", "models", "rows", "tasks")
"""Units of figures that can depend on the seeds alone. Seconds and memory never do."""
FEWEST_EQUAL = 3
"""The fewest equal values of a side that show that a figure does not vary."""


def of_pair(
    base: Side, head: Side, pair: Pair, wanted: Sequence[str] | None, limits: Limits, alpha: float
) -> Iterator[Row | Absent]:
    """Yields the rows of one case, without their verdicts, and the metrics that are not compared.

    `wanted` names the metrics. None: DEFAULT, every metric that `limits` names, and the judged quality. Of these, a
    metric that neither side has is left out.
    """
    every = of_records(pair.of_base, every_figure=True) | of_records(pair.of_head, every_figure=True)
    description = pair.of_head[0].declared
    criterion = criterion_of(pair.of_head[0])
    names = list(dict.fromkeys(DEFAULT + limits.metrics if wanted is None else wanted))
    if wanted is None and criterion.tolerance > 0:
        names.append(criterion.key)
    compared: set[str] = set()
    for name in names:
        quality = _quality(description, name)
        if quality is not None:
            if quality.name not in compared:
                compared.add(quality.name)
                parts = list(of_quality(base, head, pair, quality, criterion, limits))
                yield from parts or _nobody_has(pair, name, wanted)
        elif name in every:
            is_optional = wanted is None and name in MEMORY
            parts = list(_of_metric(pair, every[name], description, limits, alpha, is_optional))
            yield from parts or _nobody_has(pair, name, wanted)
        else:
            yield from _nobody_has(pair, name, wanted)


def _nobody_has(pair: Pair, name: str, wanted: Sequence[str] | None) -> Iterator[Absent]:
    """Yields a metric that neither side has, if the user named it."""
    if wanted is not None:
        yield Absent(pair.head, name, "neither side has a value", False)


def known_metrics(base: Side, head: Side) -> list[str]:
    """Returns the names of all metrics and qualities that the records of both sides can have."""
    records = list({r.workload or r.case.workload: r for r in (*base.records, *head.records)}.values())
    qualities = (one.name for record in records for one in record.declared.qualities)
    return list(dict.fromkeys([*of_records(records, every_figure=True), *qualities]))


def _quality(description: WorkloadDescription, name: str) -> QualityFigure | None:
    """Returns the quality with this name, or with a metric of this name. None if `name` is no quality."""
    return next((one for one in description.qualities if name in (one.name, one.metric)), None)


def _direction(description: WorkloadDescription, metric: Metric) -> Direction | None:
    """Returns whether lower or higher values of a metric are better. None if the workload declares neither."""
    declared = next((figure for figure in description.figures if figure.name == metric.name), None)
    return declared.direction if declared else metric.direction


def _of_metric(
    pair: Pair,
    metric: Metric,
    description: WorkloadDescription,
    limits: Limits,
    alpha: float,
    is_optional: bool,
) -> Iterator[Row | Absent]:
    """Yields the row of a metric that is no quality, and how many executions have no value of it."""
    own, its = _samples(metric, pair.of_base), _samples(metric, pair.of_head)
    if not own and not its:
        return
    if not own or not its:
        yield Absent(pair.head, metric.name, only(bool(own)), bool(own))
        return
    if lacking := _lacking(metric, description, pair, len(own), len(its)):
        yield lacking
    threshold = limits.of(metric.name, pair.head) or limits.default
    direction = _direction(description, metric)
    row = Row(pair.head, metric.name, metric.unit, direction, threshold, own, its)
    row = replace(row, is_optional=is_optional and min(row.rounds) < 2)
    exact = _exact_ratios(metric, pair)
    yield replace(row, exact=exact) if exact else replace(row, measured=two_sides.difference(own, its, alpha))


def _samples(metric: Metric, records: Sequence[RunRecord]) -> tuple[float, ...]:
    """Returns the values of a metric, one for each execution.

    A timeout counts as longer than any time, and as no work at all in a rate. An execution that is ok, but lacks a
    figure that has no value when it gets worse, counts as the worst value. Values that are not numbers are left out.
    """
    values = [value for value in metric.samples(records) if not math.isnan(value)]
    worst = math.inf if metric.direction == "lower" else 0.0
    if metric.name in OF_TIME_TO_MODEL:
        values += [worst for _ in metrics.timeouts(records)]
    elif metric.name.startswith("seconds_"):
        values += [worst for _ in metrics.timeouts(records, metric.name.removeprefix("seconds_"))]
    if not metric.in_history and values:
        values += [worst] * max(0, len(metrics.timed(records)) - len(values))
    return tuple(values)


def _lacking(metric: Metric, description: WorkloadDescription, pair: Pair, own: int, its: int) -> Absent | None:
    """Returns how many executions of the head lack a figure or a phase, if fewer of the base do. None otherwise."""
    is_timed = metric.name not in MEMORY and any(figure.name == metric.name for figure in description.figures)
    if not is_timed and not metric.name.startswith("seconds_"):
        return None
    without = [len(metrics.timed(of)) - known for of, known in ((pair.of_base, own), (pair.of_head, its))]
    if without[1] <= max(0, without[0]):
        return None
    return Absent(pair.head, metric.name, f"{count(without[1], 'execution')} of the head have no value of it", True)


def _exact_ratios(metric: Metric, pair: Pair) -> tuple[float, ...]:
    """Returns the ratio of the head to the base for each pair of seeds, if the values depend on the seeds alone.

    Returns nothing if they may also depend on chance: seconds and memory always do. For another figure, several
    executions of one side or of both must show that they do not. The same records on both sides are always equal.
    """
    if {record.id: record for record in pair.of_base} == {record.id: record for record in pair.of_head}:
        return (1.0,)
    if metric.unit not in FIXED_UNITS or metric.name in MEMORY:
        return ()
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
        values[seeds_of(record)] += metric.samples([record])
    return {seeds: of_seeds for seeds, of_seeds in values.items() if of_seeds}


def _is_fixed(by_seeds: Mapping[Seeds, Sequence[float]]) -> bool:
    """Returns true if several executions show that the values depend on the seeds alone."""
    each = [set(values) for values in by_seeds.values()]
    number = sum(len(values) for values in by_seeds.values())
    is_repeated = number >= FEWEST_EQUAL and any(len(values) > 1 for values in by_seeds.values())
    is_constant = number >= FEWEST_EQUAL and len(set.union(*each)) == 1
    return all(len(values) == 1 for values in each) and (is_repeated or is_constant)
