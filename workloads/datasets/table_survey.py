"""The first look at a table: what its columns hold, which become features, what deserves a warning."""

import shlex
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
import pyarrow as pa

from sparkscale.contract.dataset import Column
from sparkscale.contract.errors import DatasetError
from workloads.datasets.slicing import Array
from workloads.datasets.table_files import TableFiles
from workloads.datasets.table_target import FEWEST_UNITS, Target, TargetCounts, count, kept
from workloads.datasets.table_values import (
    MISSING,
    NumberCounts,
    Primitive,
    TextCounts,
    codes,
    expand,
    name_of,
    use_of,
)

INDICATED_SHARE = 0.01
SUGGESTIVE = ("date", "timestamp")

NAMELESS = ""
"""A column of a CSV that was written with its index, often; Arrow cannot select it."""

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
    """Of one span or of all: per primitive column, and how many of the held-out labels are positive."""

    columns: Counts
    held_out: int
    held_out_positive: int

    def add(self, other: "FeatureCounts") -> "FeatureCounts":
        return FeatureCounts(
            {name: found.add(other.columns[name]) for name, found in self.columns.items()},  # type: ignore[arg-type]
            self.held_out + other.held_out,
            self.held_out_positive + other.held_out_positive,
        )


def count_features(job: tuple[Span, Target, tuple[str, ...]]) -> FeatureCounts:
    """A task: every feature of one span. Vocabulary, medians and scale come from training rows only."""
    span, target, sources = job
    parts: dict[Primitive, list[Any]] = {}
    training: list[Array] = []
    positive = 0
    for first, whole in span.files.batches(span.start, span.stop, columns_read(target, sources)):
        row, batch = usable(first, whole, target)
        held = target.held_out(row, batch)
        training.append(~held)
        positive += int((target.of(batch)[held] == 1).sum())
        for source in sources:
            for primitive, values in expand(source, batch.column(source)).items():
                parts.setdefault(primitive, []).append(values)
    mask = np.concatenate(training)
    return FeatureCounts(
        {name: _counts(values, mask) for name, values in parts.items()}, int((~mask).sum()), positive
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
    table: TableFiles, sources: tuple[str, ...], counts: Counts, listed: bool, label: str, where: str
) -> Features:
    """Encoded columns for every column with something to learn from. Raises DatasetError when there is none.

    A column that the user `listed` is kept even when it looks like an identifier.
    """
    used: list[Feature] = []
    left_out: dict[str, str] = {}
    for source in sources:
        made: list[Feature] = []
        for primitive in expand(source, pa.nulls(0, table.schema.field(source).type)):
            made += _features(primitive, counts[primitive], len(used) + len(made), listed, left_out)
        if not made:
            left_out.setdefault(source, "constant")
        used += made
    if not used:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in left_out.items())
        raise DatasetError(f"{where} has no usable feature beside '{label}'{f' ({reasons})' if reasons else ''}.")
    return Features(tuple(used), left_out)


def _features(
    primitive: Primitive,
    found: NumberCounts | TextCounts,
    number: int,
    listed: bool,
    left_out: dict[str, str],
) -> list[Feature]:
    """The encoded columns of one primitive; their names are safe for Spark whatever the user's are."""
    source, part = primitive
    slug = _slug(name_of(primitive))
    encoded = f"x{number:03d}_{slug}"
    if isinstance(found, TextCounts):
        if found.is_identifier and not listed:
            left_out[source] = "nearly every value is another: an identifier"
            return []
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


def profile(
    table: TableFiles, target: Target, totals: TargetCounts, features: FeatureCounts, chosen: Features
) -> dict[str, Any]:
    """What is told of the table, and stored with the records."""
    return {
        "rows": totals.rows,
        "rows_used": totals.rows - totals.unlabelled - totals.timeless,
        "rows_without_label": totals.unlabelled,
        "rows_without_time": totals.timeless,
        "files": len(table.files),
        "bytes": table.bytes,
        "label": _label(target, totals),
        "holdout": {"rule": target.rule, "rows": features.held_out},
        "group": _groups(target, totals),
        "columns": [_column(field, target, features.columns, chosen) for field in table.schema],
        "warnings": _warnings(table, target, totals),
    }


def _label(target: Target, totals: TargetCounts) -> dict[str, Any]:
    if target.task == "classification":
        negative, positive = (totals.classes[value] for value in target.classes)
        share = positive / (negative + positive)
        return {"name": target.label, "positive": str(target.classes[1]), "positive_share": share}
    return {"name": target.label}


def _groups(target: Target, totals: TargetCounts) -> dict[str, Any] | None:
    if target.group is None:
        return None
    sizes = np.array(list(totals.groups.values()))
    smallest, median, largest = int(sizes.min()), int(np.median(sizes)), int(sizes.max())
    return {"name": target.group, "groups": len(sizes), "rows": [smallest, median, largest]}


def _column(field: pa.Field, target: Target, counts: Counts, chosen: Features) -> dict[str, Any]:
    roles = {target.label: "label", target.group: "group", target.time: "time"}
    names = [feature.column.name for feature in chosen.used if feature.column.source == field.name]
    primitives = () if use_of(field.type) == "none" else expand(field.name, pa.nulls(0, field.type))
    found = [counts[name] for name in primitives if name in counts]
    role = "feature" if names else roles.get(field.name) or "not used"
    values = found[0] if found else None
    return {
        "name": field.name,
        "type": str(field.type),
        "role": role,
        "missing_share": values.missing / max(1, values.rows) if values else None,
        "levels": len(values.counts) if isinstance(values, TextCounts) else None,
        "encoded": names,
        "note": _why_not(field, chosen) if role == "not used" else "",
    }


def _why_not(field: pa.Field, chosen: Features) -> str:
    if field.name == NAMELESS:
        return "has no name"
    if field.name in chosen.left_out:
        return chosen.left_out[field.name]
    return "cannot be used: its type" if use_of(field.type) == "none" else "not among the features asked for"


def _warnings(table: TableFiles, target: Target, totals: TargetCounts) -> list[str]:
    found = []
    if target.rule == "random":
        timed = [target.time] if target.time else [f.name for f in table.schema if use_of(f.type) in SUGGESTIVE]
        if timed:
            found.append(
                f"The hold-out is random, but '{timed[0]}' is a time: rows near in time are often alike, and then "
                f"quality looks better than it is. Consider --time {shlex.quote(timed[0])} --holdout time."
            )
        if target.group:
            found.append(
                f"The hold-out is random, but rows come in groups of '{target.group}': a model can recognise a group "
                "it was trained on, and then quality looks better than it is. Consider --holdout group."
            )
    if target.rule == "group" and len(target.held_groups) < FEWEST_UNITS:
        found.append(f"Only {len(target.held_groups)} groups are held out: intervals of the quality will be wide.")
    if nameless := totals.groups.get(MISSING, 0):
        found.append(
            f"{nameless:,} rows have no value of the group column '{target.group}': they are a group of their own, "
            f"{MISSING}."
        )
    dropped = totals.unlabelled + totals.timeless
    if dropped:
        found.append(f"{dropped:,} of {totals.rows:,} rows have no label or no time and are left out.")
    return found
