"""What there is to choose from, as tables."""

from collections import Counter
from collections.abc import Iterator
from typing import Any, get_args

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from cluster import profile
from cluster.state import ClusterState
from sparkscale.analysis.metrics import metrics
from sparkscale.contract.case import Device
from sparkscale.contract.dataset import PreparedDataset
from sparkscale.measure.plan import suite
from sparkscale.measure.run.data import Cached
from workloads import registry
from workloads.datasets.source import MERGED_PREFIX
from workloads.datasets.table import Table as UserTable

Rows = Iterator[tuple[str, ...]]


def catalogue(topic: str) -> Table:
    """The table of one topic of `sparkscale list`."""
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
    from sparkscale.measure.plan import plan

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
    for name, source in registry.DATASETS.items():
        yield name, source.SUMMARY
    yield "PATH or URI", UserTable.SUMMARY


def _clusters() -> Rows:
    for name in profile.names():
        found = profile.load(name)
        yield name, found.kind, found.shape, found.summary


def _metrics() -> Rows:
    for metric in metrics().values():
        yield metric.name, metric.unit, metric.direction, str(metric.version), metric.summary


def engine_matrix() -> RenderableType:
    """Engine × kind of cluster × device, from the engines' needs and devices and the kinds' capabilities."""
    from cluster import gpu

    table = Table(header_style="bold")
    for name in ("workload", "engine", *profile.KINDS):
        table.add_column(name, no_wrap=True)
    reasons: dict[str, None] = {}
    for workload in registry.workloads().values():
        for engine in workload.engines:
            cells = []
            for kind, found in profile.KINDS.items():
                missing = {
                    device: engine.unsupported(kind, found.capabilities, device) for device in get_args(Device)
                }
                reasons |= dict.fromkeys(reason for reason in missing.values() if reason)
                cells.append(", ".join(device for device, reason in missing.items() if not reason) or "–")
            table.add_row(workload.name, engine.name, *cells)
    there = gpu.discover()
    here = f"{len(there.devices)} here" if there.devices else f"none here ({there.reason})"
    return Group(
        table,
        *(Text(f"– {reason}.") for reason in reasons),
        Text(
            f"On device gpu an engine runs where the profile grants GPUs: {here}. A `–` is recorded as unsupported."
        ),
    )


def cluster_table(found: list[ClusterState]) -> RenderableType:
    """What is up on this machine."""
    if not found:
        return Text("No cluster is up: `sparkscale cluster up standalone-2x1` starts one.")
    table = Table(header_style="bold")
    for name in ("cluster", "address", "state", "daemon", "process", "log"):
        table.add_column(name, overflow="fold")
    for one in found:
        word = "up" if one.whole else "stale: the next start ends it" if one.stale else "damaged: a run restores it"
        for number, daemon in enumerate(one.daemons or [None]):
            first = (one.profile.name, one.address, word if one.ready or one.stale else "starting")
            table.add_row(
                *(first if number == 0 else ("", "", "")),
                *(
                    (daemon.name, f"{daemon.pid}{'' if daemon.alive else ' (ended)'}", str(daemon.log))
                    if daemon
                    else ("", "", "")
                ),
            )
    return table


def cached_table(storage: str, found: list[Cached]) -> RenderableType:
    """What lies in the cache; a merged copy counts for the data set it is one of."""
    if not found:
        return Text(f"Nothing is cached in {storage}: `sparkscale data prepare flights` makes a first data set.")
    table = Table(header_style="bold", title=f"Data sets in {storage}", title_justify="left", title_style="")
    for name in ("id", "task"):
        table.add_column(name, no_wrap=name == "id", overflow="fold")
    for name in ("training rows", "hold-out rows", "features", "MiB"):
        table.add_column(name, justify="right")
    table.add_column("state", overflow="fold")
    for one in found:
        if one.is_merged:
            continue
        copies = [
            other.bytes for other in found if one.manifest and other.name == f"{MERGED_PREFIX}{one.manifest.id}"
        ]
        size = f"{(one.bytes + sum(copies)) / 2**20:,.1f}"
        data = one.data
        if data is None:
            table.add_row(one.id, "", "", "", "", size, "half-written: prepare it again, or remove it")
        else:
            numbers = f"{sum(data.slice_rows):,}", f"{data.holdout_rows:,}", str(len(data.columns)), size
            table.add_row(one.id, data.task, *numbers, "ready")
    return table


def described(data: PreparedDataset) -> RenderableType:
    """Everything a user may want to know of a data set."""
    table = Table(show_header=False, title=f"{data.name} ({data.task})", title_justify="left", title_style="bold")
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in _facts(data):
        table.add_row(name, value)
    parts: list[RenderableType] = [table]
    if data.profile:
        parts.append(_columns(data.profile["columns"]))
        parts += [Text(f"Note: {note}") for note in data.profile.get("notes", [])]
        parts += [Text(f"Warning: {warning}") for warning in data.profile["warnings"]]
    return Group(*parts)


def _facts(data: PreparedDataset) -> Iterator[tuple[str, str]]:
    yield "id", data.dataset_id
    yield "content hash", data.content_hash
    yield "lies in", data.root
    yield "bytes", f"{data.bytes:,}"
    yield (
        "training rows",
        f"{sum(data.slice_rows):,} in 64 slices of {min(data.slice_rows):,} to {max(data.slice_rows):,}",
    )
    yield "hold-out rows", f"{data.holdout_rows:,}, {data.holdout}, in units of a {data.unit_name}"
    if holdout := data.profile.get("holdout"):
        yield "hold-out units", f"{holdout['units']:,}, worth {holdout['effective_units']:,.1f} of equal size"
        if holdout["class_rows"]:
            yield "hold-out classes", ", ".join(f"{rows:,} of {name}" for name, rows in holdout["class_rows"].items())
    kinds = Counter(column.kind for column in data.columns)
    yield "features", ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    for group in data.groupings:
        smallest, median, largest = group.rows
        yield (
            f"groups by {group.name}",
            f"{group.groups:,}, of {smallest:,} to {largest:,} rows, median {median:,}; {group.trainable:,} have "
            f"{group.min_rows} rows or more",
        )
    if data.ceiling:
        yield "the truth reaches", ", ".join(f"{name} {value:.6g}" for name, value in data.ceiling.items())
    label = data.profile.get("label", {})
    if label:
        share = f", {label['positive_share']:.1%} are {label['positive']}" if "positive" in label else ""
        yield "label", f"{label['name']}{share}"
        yield "rows used", f"{data.profile['rows_used']:,} of {data.profile['rows']:,}"
    settings = {
        k: v
        for k, v in data.definition.items()
        if k not in ("format", "kind", "content", "file_format") and v is not None
    }
    yield (
        "definition",
        ", ".join(f"{name}={value}" for name, value in settings.items() if not isinstance(value, dict)),
    )


def _columns(found: list[dict[str, Any]]) -> Table:
    table = Table(header_style="bold", title="Columns of the table", title_justify="left", title_style="")
    for name in ("column", "type", "used as"):
        table.add_column(name, overflow="fold")
    table.add_column("missing", justify="right")
    table.add_column("levels", justify="right")
    table.add_column("encoded as, or why not", overflow="fold")
    for column in found:
        missing = "–" if column["missing_share"] is None else f"{column['missing_share']:.1%}"
        levels = "–" if column["levels"] is None else f"{column['levels']:,}"
        encoded = ", ".join(column["encoded"]) or column["note"]
        table.add_row(column["name"], column["type"], column["role"], missing, levels, encoded)
    return table
