"""All metrics that records can have: common metrics, metrics of a pattern, and metrics that workloads declare."""

from collections.abc import Iterable, Sequence

from sparkscale.analysis.metrics import EVERYWHERE, Metric, scored, timed
from sparkscale.analysis.patterns import PATTERNS
from sparkscale.contract.declared import Figure, QualityFigure, WorkloadDescription
from sparkscale.contract.record import RunRecord


def metrics(descriptions: Iterable[WorkloadDescription], every_figure: bool = False) -> dict[str, Metric]:
    """Returns every metric that records of these workloads can have, by name.

    Most follow from the phases, qualities and figures that the workloads declare. If `every_figure` is true, figures
    that are not declared as metrics are included.
    """
    phases: dict[str, dict[str, None]] = {}
    qualities: dict[str, tuple[QualityFigure, dict[str, None]]] = {}
    figures: dict[str, tuple[Figure, dict[str, None]]] = {}
    by_report: dict[str, dict[str, None]] = {}
    for workload in descriptions:
        by_report.setdefault(workload.report, {})[workload.pattern] = None
        for phase in workload.phases:
            phases.setdefault(phase, {})[workload.pattern] = None
        for quality in workload.qualities:
            if quality.metric:
                qualities.setdefault(quality.name, (quality, {}))[1][workload.pattern] = None
        for figure in workload.figures:
            if figure.metric or every_figure:
                figures.setdefault(figure.name, (figure, {}))[1][workload.pattern] = None
    all_metrics = [
        *EVERYWHERE,
        *(
            metric
            for name, patterns in by_report.items()
            if name in PATTERNS
            for metric in PATTERNS[name].metrics(tuple(patterns))
        ),
        *(_phase(name, tuple(patterns)) for name, patterns in phases.items()),
        *(_quality(quality, tuple(patterns)) for quality, patterns in qualities.values()),
        *(_figure(figure, tuple(patterns)) for figure, patterns in figures.values()),
    ]
    return {metric.name: metric for metric in all_metrics}


def of_records(records: Iterable[RunRecord], every_figure: bool = False) -> dict[str, Metric]:
    """Returns every metric that these records can have, by name. See `metrics` for `every_figure`."""
    declared = {record.workload or record.case.workload: record.declared for record in records}
    return metrics(declared.values(), every_figure)


def _phase(name: str, patterns: tuple[str, ...]) -> Metric:
    def samples(records: Sequence[RunRecord]) -> list[float]:
        return [record.seconds[name] for record in timed(records) if name in record.seconds]

    return Metric(f"seconds_{name}", "s", "lower", 1, f"seconds of the phase `{name}`", samples, patterns)


def _quality(declared: QualityFigure, patterns: tuple[str, ...]) -> Metric:
    """Returns the metric of a quality.

    In metrics, lower is better. So if a higher quality is better, the metric is 1 minus the quality.
    """

    def samples(records: Sequence[RunRecord]) -> list[float]:
        with_quality = [record for record in scored(records) if declared.name in record.quality]
        return [_loss(record, declared.name) for record in with_quality]

    return Metric(declared.metric, declared.metric_unit, "lower", 1, declared.summary, samples, patterns)


def _loss(record: RunRecord, name: str) -> float:
    """Returns a quality as a loss: 1 minus its value if the direction is "higher", otherwise its value."""
    value = record.quality[name]
    return 1 - value if record.declared.quality(name).direction == "higher" else value


def _figure(declared: Figure, patterns: tuple[str, ...]) -> Metric:
    name = declared.name

    def samples(records: Sequence[RunRecord]) -> list[float]:
        return [record.figures[name] for record in timed(records) if name in record.figures]

    direction = declared.direction or "lower"
    return Metric(name, declared.unit, direction, 1, declared.summary, samples, patterns, declared.in_history)
