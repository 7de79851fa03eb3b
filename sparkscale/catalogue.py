"""What there is to choose from, as tables."""

from collections.abc import Iterator

from rich.table import Table

from cluster import profile
from sparkscale.analysis.metrics import metrics
from sparkscale.measure import suite
from workloads import registry

Rows = Iterator[tuple[str, ...]]


def catalogue(topic: str) -> Table:
    """The table of one topic of `sparkscale list`."""
    columns, rows = {
        "suites": (("suite", "rounds", "cases", "what"), _suites),
        "workloads": (("workload", "pattern", "phases", "parameters", "what"), _workloads),
        "engines": (("workload", "engine", "placement", "devices", "what"), _engines),
        "datasets": (("data set", "what"), _datasets),
        "clusters": (("cluster", "kind", "cores", "memory", "what"), _clusters),
        "metrics": (("metric", "unit", "better", "version", "what"), _metrics),
    }[topic]
    table = Table(header_style="bold")
    for position, column in enumerate(columns):
        table.add_column(column, no_wrap=position == 0, overflow="fold")
    for row in rows():
        table.add_row(*row)
    return table


def _suites() -> Rows:
    from sparkscale.measure import plan

    for name in suite.names():
        found = suite.load(name)
        yield name, str(found.rounds), str(len(plan.cases(found))), found.summary


def _workloads() -> Rows:
    for workload in registry.workloads().values():
        parameters = ", ".join(f"{name}={value}" for name, value in workload.params.model_dump().items())
        yield (
            workload.name,
            workload.pattern.name,
            ", ".join(workload.pattern.phases),
            parameters,
            workload.summary,
        )


def _engines() -> Rows:
    for workload in registry.workloads().values():
        for engine in workload.engines:
            yield workload.name, engine.name, engine.placement, ", ".join(engine.devices), engine.summary()


def _datasets() -> Rows:
    for name in registry.DATASET_MODULES:
        yield name, registry.dataset(name).SUMMARY


def _clusters() -> Rows:
    for name in profile.names():
        found = profile.load(name)
        yield name, found.kind, str(found.cores), found.memory, found.summary


def _metrics() -> Rows:
    for metric in metrics().values():
        yield metric.name, metric.unit, metric.direction, str(metric.version), metric.summary
