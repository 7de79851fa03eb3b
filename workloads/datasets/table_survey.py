"""The first look at a table: what its columns hold, and which become features."""

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
from workloads.datasets.table_target import Target, TargetCounts, count, kept
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
"""A column of a CSV that was written with its index, often; Arrow cannot select it."""

"""Ends the reason why a column is left out that tells rows apart."""

Counts = dict[Primitive, NumberCounts | TextCounts]


@dataclass(frozen=True)
class Span:
    """Rows of a table that one task looks at. `files` and `target` go along."""

    files: TableFiles
    start: int
    stop: int
    label: str
    group: str | None
    time: str | None


def count_target(span: Span) -> TargetCounts:
    """A task: label, groups and times of one span."""
    columns = list(dict.fromkeys(name for name in (span.label, span.group, span.time) if name))
    batches = span.files.batches(span.start, span.stop, columns)
    return reduce(TargetCounts.add, (count(batch, span.label, span.group, span.time) for _, batch in batches))


def usable(first: int, batch: pa.RecordBatch, target: Target) -> tuple[Array, pa.RecordBatch]:
    """Ids and values of the rows that have a label (and a time)."""
    mask = kept(batch, target.label, target.time)
    return np.arange(first, first + batch.num_rows)[mask], batch.filter(pa.array(mask))


def columns_read(target: Target, sources: tuple[str, ...]) -> list[str]:
    needed = (target.label, target.group, target.time, *sources)
    return list(dict.fromkeys(name for name in needed if name))


@dataclass(frozen=True)
class FeatureCounts:
    """Counts of one span, or of all spans: `columns` per primitive column, `orders` per column of numbers."""

    columns: Counts
    orders: dict[str, OrderCounts]
    held_out: int
    held_out_positive: int
    held_out_times: Times

    def add(self, other: "FeatureCounts") -> "FeatureCounts":
        return FeatureCounts(
            {name: found.add(other.columns[name]) for name, found in self.columns.items()},  # type: ignore[arg-type]
            {name: found.add(other.orders[name]) for name, found in self.orders.items()},
            self.held_out + other.held_out,
            self.held_out_positive + other.held_out_positive,
            self.held_out_times.add(other.held_out_times),
        )


def count_features(job: tuple[Span, Target, tuple[str, ...]]) -> FeatureCounts:
    """A task: every feature of one span. Vocabulary, medians and scale come from training rows only."""
    span, target, sources = job
    parts: dict[Primitive, list[Any]] = {}
    training: list[Array] = []
    found: list[dict[str, OrderCounts]] = []
    times = [np.empty(0, dtype=np.int64)]
    positive = 0
    for first, whole in span.files.batches(span.start, span.stop, columns_read(target, sources)):
        row, batch = usable(first, whole, target)
        held = target.held_out(row, batch)
        training.append(~held)
        positive += int((target.of(batch)[held] == 1).sum())
        if target.rule == "time":
            times.append(target.times(batch)[held])
        found.append(orders(batch, sources))
        for source in sources:
            for primitive, values in expand(source, batch.column(source)).items():
                parts.setdefault(primitive, []).append(values)
    mask = np.concatenate(training)
    return FeatureCounts(
        {name: _counts(values, mask) for name, values in parts.items()},
        {name: reduce(OrderCounts.add, [one[name] for one in found]) for name in found[0]},
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
    """One encoded column: of which primitive column, filled with what, or marking what is missing."""

    column: Column
    primitive: Primitive
    fill: float = 0.0
    marks_missing: bool = False

    def encode(self, values: Any) -> Array:
        if self.column.kind == "categorical":
            return codes(values, self.column.vocabulary)
        missing = np.isnan(values)
        if self.marks_missing:
            return np.asarray(missing.astype(np.float32))
        return np.asarray(np.where(missing, np.float32(self.fill), values))


@dataclass(frozen=True)
class Features:
    """What becomes of the columns: the encoded ones, and why the others are not used."""

    used: tuple[Feature, ...]
    left_out: dict[str, str]


def choose(
    table: TableFiles, sources: tuple[str, ...], counts: FeatureCounts, listed: bool, label: str, where: str
) -> Features:
    """Encoded columns for every column with something to learn from. Raises DatasetError when there is none.

    A column that the user `listed` is kept even when it looks like an identifier.
    """
    used: list[Feature] = []
    left_out: dict[str, str] = {}
    identifiers = {} if listed else _identifiers(sources, counts)
    for source in sources:
        if source in identifiers:
            left_out[source] = identifiers[source] + AN_IDENTIFIER
            continue
        made: list[Feature] = []
        for primitive in expand(source, pa.nulls(0, table.schema.field(source).type)):
            made += _features(primitive, counts.columns[primitive], len(used) + len(made), left_out)
        if not made:
            left_out.setdefault(source, "constant")
        used += made
    if not used:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in left_out.items())
        advice = " To use an identifier all the same, name it with --features." if identifiers else ""
        raise DatasetError(
            f"{where} has no usable feature beside '{label}'{f' ({reasons})' if reasons else ''}.{advice}"
        )
    return Features(tuple(used), left_out)


def _identifiers(sources: tuple[str, ...], counts: FeatureCounts) -> dict[str, str]:
    """The columns that tell rows apart, and how they do."""
    found = {}
    for source in sources:
        order, values = counts.orders.get(source), counts.columns.get((source, ""))
        if order is not None and (reason := order.identifies):
            found[source] = reason
        elif isinstance(values, TextCounts) and values.is_identifier:
            found[source] = "nearly every value is another"
    return found


def _features(
    primitive: Primitive,
    found: NumberCounts | TextCounts,
    number: int,
    left_out: dict[str, str],
) -> list[Feature]:
    """The encoded columns of one primitive; their names are safe for Spark whatever the user's are."""
    source, part = primitive
    slug = _slug(name_of(primitive))
    encoded = f"x{number:03d}_{slug}"
    if isinstance(found, TextCounts):
        if len(found.counts) <= 1 and not (found.counts and found.missing):
            if not part:
                left_out[source] = "constant" if found.counts else "null in every training row"
            return []
        return [
            Feature(Column(name=encoded, kind="categorical", vocabulary=found.vocabulary, source=source), primitive)
        ]
    made = []
    if found.known == 0:
        left_out[source] = "null in every training row"
        return []
    median = found.median
    if found.low < found.high:
        mean, std = found.filled(median)
        column = Column(name=encoded, kind="numeric", mean=mean, std=std, source=source)
        made.append(Feature(column, primitive, fill=median))
    share = found.missing_share
    if share > INDICATED_SHARE:
        column = Column(
            name=f"x{number + len(made):03d}_{slug}_missing",
            kind="numeric",
            mean=share,
            std=float(np.sqrt(share * (1 - share))),
            source=source,
        )
        made.append(Feature(column, primitive, marks_missing=True))
    return made


def _slug(name: str) -> str:
    """Lower-case letters, digits and underscores."""
    return "".join(char if char.isascii() and char.isalnum() else "_" for char in name.lower())[:40]
