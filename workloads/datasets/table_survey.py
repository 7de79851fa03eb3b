"""Surveys a table: counts the values of its columns, and chooses the features."""

from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
import pyarrow as pa

from sparkscale.contract.dataset import Column
from sparkscale.contract.errors import DatasetError
from sparkscale.contract.profile import AN_IDENTIFIER
from workloads.datasets.table_files import TableFiles
from workloads.datasets.table_order import OrderCounts, orders
from workloads.datasets.table_target import Target, TargetCounts, count, has_target
from workloads.datasets.table_time import Times
from workloads.datasets.table_values import (
    NumberCounts,
    Primitive,
    TextCounts,
    codes,
    expand,
    name_of,
)
from workloads.datasets.training_slices import Array

INDICATED_SHARE = 0.01

NAMELESS = ""
"""Arrow's name for a column without a name. Such a column is often an index that was written to a CSV file. Arrow
cannot select it."""

Counts = dict[Primitive, NumberCounts | TextCounts]


@dataclass(frozen=True)
class Span:
    """The rows `start` to `stop` - 1 of a table, which one task reads.

    `label`, `group` and `time` are names of columns. `group` and `time` are None if the user named no such column.
    """

    files: TableFiles
    start: int
    stop: int
    label: str
    group: str | None
    time: str | None


def count_target(span: Span) -> TargetCounts:
    """Returns the counts of the labels, groups and times of one span. This runs as a task."""
    columns = list(dict.fromkeys(name for name in (span.label, span.group, span.time) if name))
    batches = span.files.batches(span.start, span.stop, columns)
    return reduce(TargetCounts.add, (count(batch, span.label, span.group, span.time) for _, batch in batches))


def usable_rows(first: int, batch: pa.RecordBatch, target: Target) -> tuple[Array, pa.RecordBatch]:
    """Returns the ids and the values of the rows that have a label (and a time if the table has times).

    `first` is the id of the batch's first row.
    """
    mask = has_target(batch, target.label, target.time)
    return np.arange(first, first + batch.num_rows)[mask], batch.filter(pa.array(mask))


def needed_columns(target: Target, sources: tuple[str, ...]) -> list[str]:
    """Returns the names of the columns to read, each once.

    These are the columns of the label, group and time, and `sources`: the columns from which features are made.
    """
    needed = (target.label, target.group, target.time, *sources)
    return list(dict.fromkeys(name for name in needed if name))


@dataclass(frozen=True)
class FeatureCounts:
    """Counts of feature values, over one span or over all spans.

    `columns` holds the counts of each primitive, which is a column or a part of one. `orders` holds the
    OrderCounts of each column of numbers, by name. `held_out` is the number of hold-out rows, and
    `held_out_positive` the number of those of class 1. `held_out_times` is empty if the rule of the hold-out is
    not `time`.
    """

    columns: Counts
    orders: dict[str, OrderCounts]
    held_out: int
    held_out_positive: int
    held_out_times: Times

    def add(self, other: "FeatureCounts") -> "FeatureCounts":
        return FeatureCounts(
            {name: counts.add(other.columns[name]) for name, counts in self.columns.items()},  # type: ignore[arg-type]
            {name: order.add(other.orders[name]) for name, order in self.orders.items()},
            self.held_out + other.held_out,
            self.held_out_positive + other.held_out_positive,
            self.held_out_times.add(other.held_out_times),
        )


def count_features(job: tuple[Span, Target, tuple[str, ...]]) -> FeatureCounts:
    """Returns the counts of all features of one span. This runs as a task.

    Vocabularies, medians and scales come from training rows only.
    """
    span, target, sources = job
    parts: dict[Primitive, list[Any]] = {}
    training: list[Array] = []
    batch_orders: list[dict[str, OrderCounts]] = []
    times = [np.empty(0, dtype=np.int64)]
    positive = 0
    for first, whole in span.files.batches(span.start, span.stop, needed_columns(target, sources)):
        row, batch = usable_rows(first, whole, target)
        held = target.held_out(row, batch)
        training.append(~held)
        positive += int((target.of(batch)[held] == 1).sum())
        if target.rule == "time":
            times.append(target.times(batch)[held])
        batch_orders.append(orders(batch, sources))
        for source in sources:
            for primitive, values in expand(source, batch.column(source)).items():
                parts.setdefault(primitive, []).append(values)
    mask = np.concatenate(training)
    return FeatureCounts(
        {name: _counts(values, mask) for name, values in parts.items()},
        {name: reduce(OrderCounts.add, [counts[name] for counts in batch_orders]) for name in batch_orders[0]},
        int((~mask).sum()),
        positive,
        Times.of(np.concatenate(times)),
    )


def _counts(values: list[Any], training: Array) -> NumberCounts | TextCounts:
    if isinstance(values[0], np.ndarray):
        return NumberCounts.of(np.concatenate(values), training)
    return TextCounts.of(pa.chunked_array(values).combine_chunks(), training)


@dataclass(frozen=True)
class Feature:
    """One encoded column, made from a primitive (a column of the user's table, or a part of one).

    `fill` replaces missing numbers. If `marks_missing` is true, the column is 1 in rows where the primitive is
    missing, and 0 in all others.
    """

    column: Column
    primitive: Primitive
    fill: float = 0.0
    marks_missing: bool = False

    def encode(self, values: Any) -> Array:
        """Returns the encoded column from the primitive's values; int32 codes or float32, shape (rows,)."""
        if self.column.kind == "categorical":
            return codes(values, self.column.vocabulary)
        missing = np.isnan(values)
        if self.marks_missing:
            return np.asarray(missing.astype(np.float32))
        return np.asarray(np.where(missing, np.float32(self.fill), values))


@dataclass(frozen=True)
class Features:
    """The features of a table. `left_out` maps each column that is not used to the reason."""

    used: tuple[Feature, ...]
    left_out: dict[str, str]


def choose(
    table: TableFiles, sources: tuple[str, ...], counts: FeatureCounts, listed: bool, label: str, where: str
) -> Features:
    """Returns the encoded columns that a model can learn from, and the columns that are left out.

    If `listed` is true, the user listed the features, and a column is used even if it looks like an identifier.
    Raises DatasetError if no column can be used.
    """
    used: list[Feature] = []
    left_out: dict[str, str] = {}
    identifiers = {} if listed else _identifiers(sources, counts)
    for source in sources:
        if source in identifiers:
            left_out[source] = identifiers[source] + AN_IDENTIFIER
            continue
        from_source: list[Feature] = []
        for primitive in expand(source, pa.nulls(0, table.schema.field(source).type)):
            from_source += _features(primitive, counts.columns[primitive], len(used) + len(from_source), left_out)
        if not from_source:
            left_out.setdefault(source, "constant")
        used += from_source
    if not used:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in left_out.items())
        advice = " To use an identifier all the same, name it with --features." if identifiers else ""
        raise DatasetError(
            f"{where} has no usable feature besides '{label}'{f' ({reasons})' if reasons else ''}.{advice}"
        )
    return Features(tuple(used), left_out)


def _identifiers(sources: tuple[str, ...], counts: FeatureCounts) -> dict[str, str]:
    """Returns the reason for each column that identifies rows, by the column's name."""
    reasons = {}
    for source in sources:
        order, values = counts.orders.get(source), counts.columns.get((source, ""))
        if order is not None and (reason := order.identifies):
            reasons[source] = reason
        elif isinstance(values, TextCounts) and values.is_identifier:
            reasons[source] = "nearly every value is different"
    return reasons


def _features(
    primitive: Primitive,
    counts: NumberCounts | TextCounts,
    number: int,
    left_out: dict[str, str],
) -> list[Feature]:
    """Returns the encoded columns of one primitive (see `Feature`).

    Spark accepts the names of encoded columns, even if it would reject the user's names. `number` is the number of
    the first encoded column. If no column is encoded, this function or `choose` adds the reason to `left_out`.
    """
    source, part = primitive
    slug = _slug(name_of(primitive))
    encoded = f"x{number:03d}_{slug}"
    if isinstance(counts, TextCounts):
        if len(counts.counts) <= 1 and not (counts.counts and counts.missing):
            if not part:
                left_out[source] = "constant" if counts.counts else "null in every training row"
            return []
        return [
            Feature(Column(name=encoded, kind="categorical", vocabulary=counts.vocabulary, source=source), primitive)
        ]
    encoded_columns = []
    if counts.known == 0:
        left_out[source] = "null in every training row"
        return []
    median = counts.median
    if counts.low < counts.high:
        mean, std = counts.filled(median)
        column = Column(name=encoded, kind="numeric", mean=mean, std=std, source=source)
        encoded_columns.append(Feature(column, primitive, fill=median))
    share = counts.missing_share
    if share > INDICATED_SHARE:
        column = Column(
            name=f"x{number + len(encoded_columns):03d}_{slug}_missing",
            kind="numeric",
            mean=share,
            std=float(np.sqrt(share * (1 - share))),
            source=source,
        )
        encoded_columns.append(Feature(column, primitive, marks_missing=True))
    return encoded_columns


def _slug(name: str) -> str:
    """Returns a name with lower-case ASCII letters, digits and underscores only, at most 40 characters."""
    return "".join(char if char.isascii() and char.isalnum() else "_" for char in name.lower())[:40]
