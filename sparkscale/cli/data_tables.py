"""Tables that `sparkscale data` prints: the cached data sets, and the details of one."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from sparkscale.contract.dataset import PreparedDataset
from sparkscale.measure.run.data import Cached
from workloads.datasets.source import MERGED_PREFIX


def cached_table(storage: str, entries: list[Cached]) -> RenderableType:
    """Returns a table of the cached data sets.

    The size of a data set includes its copies in fewer files (see `workloads.datasets.source.merged`).
    """
    if not entries:
        return Text(f"Nothing is cached in {storage}. Prepare a data set with `sparkscale data prepare flights`.")
    table = Table(header_style="bold", title=f"Data sets in {storage}", title_justify="left", title_style="")
    for name in ("id", "task"):
        table.add_column(name, no_wrap=name == "id", overflow="fold")
    for name in ("training rows", "hold-out rows", "features", "MiB"):
        table.add_column(name, justify="right")
    table.add_column("state", overflow="fold")
    for entry in entries:
        if entry.is_merged:
            continue
        copies = [
            other.bytes for other in entries if entry.manifest and other.name == f"{MERGED_PREFIX}{entry.manifest.id}"
        ]
        size = f"{(entry.bytes + sum(copies)) / 2**20:,.1f}"
        data = entry.data
        if data is None:
            table.add_row(entry.id, "", "", "", "", size, "half-written: prepare it again or remove it")
        else:
            numbers = f"{sum(data.slice_rows):,}", f"{data.holdout_rows:,}", str(len(data.columns)), size
            table.add_row(entry.id, data.task, *numbers, "ready")
    return table


def described(data: PreparedDataset) -> RenderableType:
    """Returns the details of a data set. A user's table also has its columns, notes and warnings."""
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
    yield "stored in", data.root
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
        yield "ceiling", ", ".join(f"{name} {value:.6g}" for name, value in data.ceiling.items())
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


def _columns(columns: list[dict[str, Any]]) -> Table:
    table = Table(header_style="bold", title="Columns of the table", title_justify="left", title_style="")
    for name in ("column", "type", "used as"):
        table.add_column(name, overflow="fold")
    table.add_column("missing", justify="right")
    table.add_column("levels", justify="right")
    table.add_column("encoded as, or why not", overflow="fold")
    for column in columns:
        missing = "–" if column["missing_share"] is None else f"{column['missing_share']:.1%}"
        levels = "–" if column["levels"] is None else f"{column['levels']:,}"
        encoded = ", ".join(column["encoded"]) or column["note"]
        table.add_row(column["name"], column["type"], column["role"], missing, levels, encoded)
    return table
