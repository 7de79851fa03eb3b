"""The tables of `sparkscale list`."""

from collections.abc import Iterator
from typing import get_args

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from cluster import profile
from sparkscale.analysis.every_metric import metrics
from sparkscale.contract.case import Device
from sparkscale.measure.plan import suite
from workloads import registry
from workloads.datasets.table import Table as UserTable

Rows = Iterator[tuple[str, ...]]


def catalogue(topic: str) -> Table:
    """Returns the table of one topic of `sparkscale list`."""
    columns, rows = {
        "suites": (("suite", "rounds", "cases", "what"), _suites),
        "workloads": (("workload", "pattern", "phases", "parameters", "what"), _workloads),
        "engines": (("workload", "engine", "placement", "devices", "what"), _engines),
        "datasets": (("data set", "what"), _datasets),
        "clusters": (("cluster", "kind", "size", "what"), _clusters),
        "metrics": (("metric", "unit", "better", "version", "what"), _metrics),
    }[topic]
    table = Table(header_style="bold")
    for position, column in enumerate(columns):
        table.add_column(column, no_wrap=position == 0, overflow="fold")
    for row in rows():
        table.add_row(*row)
    return table


def _suites() -> Rows:
    from sparkscale.measure.plan.cases import planned_cases

    for name in suite.names():
        loaded = suite.load(name)
        yield name, str(loaded.rounds), str(len(planned_cases(loaded))), loaded.summary


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
    for name, source in registry.DATASETS.items():
        yield name, source.SUMMARY
    yield "PATH or URI", UserTable.SUMMARY


def _clusters() -> Rows:
    for name in profile.names():
        loaded = profile.load(name)
        price = [loaded.price.text] if loaded.price else []
        yield name, loaded.kind, loaded.shape, "; ".join([loaded.summary, *price])


def _metrics() -> Rows:
    for metric in metrics(registry.descriptions()).values():
        yield metric.name, metric.unit, metric.direction, str(metric.version), metric.summary


def engine_matrix() -> RenderableType:
    """Returns a table of the devices on which each engine runs, for each kind of cluster. `–` means none.

    Kinds with equal columns share one. The reasons follow below the table. The table is computed from the engines'
    needs and devices, and from the capabilities of each kind of cluster.
    """
    from cluster import gpu

    engines = [(workload.name, engine) for workload in registry.workloads().values() for engine in workload.engines]
    reasons: dict[str, None] = {}
    kinds_by_column: dict[tuple[str, ...], list[str]] = {}
    for kind, cluster_kind in profile.KINDS.items():
        cells = []
        for _, engine in engines:
            obstacles = {
                device: engine.unsupported(kind, cluster_kind.capabilities, device) for device in get_args(Device)
            }
            reasons |= dict.fromkeys(reason for reason in obstacles.values() if reason)
            cells.append(", ".join(device for device, reason in obstacles.items() if not reason) or "–")
        kinds_by_column.setdefault(tuple(cells), []).append(kind)
    table = Table(header_style="bold")
    for name in ("workload", "engine", *("\n".join(kinds) for kinds in kinds_by_column.values())):
        table.add_column(name, no_wrap=True)
    for (workload_name, engine), *row in zip(engines, *kinds_by_column, strict=True):
        table.add_row(workload_name, engine.name, *row)
    gpus = gpu.discover()
    gpu_count = f"{len(gpus.devices)} on this host" if gpus.devices else f"none on this host: {gpus.reason}"
    return Group(
        table,
        *(Text(f"– {reason}.") for reason in reasons),
        Text(
            f"On device gpu, an engine runs if the profile grants GPUs ({gpu_count}). A case with `–` is recorded as "
            "unsupported."
        ),
    )
