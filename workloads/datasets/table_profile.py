"""Describes a user's own table, and warns about everything that may make measured qualities wrong.

This description is stored as `profile` in the description of the data set.
"""

import shlex
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from sparkscale.contract.phrases import named
from sparkscale.contract.profile import NOT_ASKED
from workloads.datasets.table_files import TableFiles
from workloads.datasets.table_holdout import Holdout
from workloads.datasets.table_survey import NAMELESS, Counts, FeatureCounts, Features
from workloads.datasets.table_target import Target, TargetCounts
from workloads.datasets.table_time import in_words, jump
from workloads.datasets.table_values import FEW_LEVELS, MISSING, TextCounts, expand, use_of

SUGGESTIVE = ("date", "timestamp")


def profile(
    table: TableFiles,
    target: Target,
    totals: TargetCounts,
    features: FeatureCounts,
    chosen: Features,
    holdout: Holdout,
) -> dict[str, Any]:
    """Returns the description of the table, as values that JSON can hold."""
    return {
        "rows": totals.rows,
        "rows_used": totals.rows - totals.unlabelled - totals.timeless,
        "rows_without_label": totals.unlabelled,
        "rows_without_time": totals.timeless,
        "files": len(table.files),
        "bytes": table.bytes,
        "label": _label(target, totals),
        "holdout": holdout.facts(),
        "group": _groups(target, totals),
        "columns": _columns(table, target, features.columns, chosen),
        "notes": [*_of_reading(table), *_of_offset(target)],
        "warnings": [
            *_of_a_random_holdout(table, target, features, chosen),
            *_of_times(target, totals),
            *holdout.warnings(),
            *_of_rows(target, totals),
        ],
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


def _columns(table: TableFiles, target: Target, counts: Counts, chosen: Features) -> list[dict[str, Any]]:
    encoded: dict[str, list[str]] = {}
    for feature in chosen.used:
        encoded.setdefault(feature.column.source, []).append(feature.column.name)
    return [
        _column(field, target, counts, chosen, encoded.get(field.name, []), table.notes.get(field.name, ""))
        for field in table.schema
    ]


def _column(
    field: pa.Field, target: Target, counts: Counts, chosen: Features, names: list[str], reading: str
) -> dict[str, Any]:
    """Returns the description of one column.

    `names` are the names of the encoded columns that are made from this column. `reading` is a note about how the
    column was read; empty if there is nothing to note.
    """
    roles = {target.label: "label", target.group: "group", target.time: "time"}
    primitives = () if use_of(field.type) == "none" else expand(field.name, pa.nulls(0, field.type))
    known = [counts[name] for name in primitives if name in counts]
    role = "feature" if names else roles.get(field.name) or "not used"
    values = known[0] if known else None
    reason = _why_not(field, chosen) if role == "not used" else ""
    return {
        "name": field.name,
        "type": str(field.type),
        "role": role,
        "missing_share": values.missing / max(1, values.rows) if values else None,
        "levels": len(values.counts) if isinstance(values, TextCounts) else None,
        "encoded": names,
        "note": "; ".join(part for part in (reason, reading) if part),
    }


def _why_not(field: pa.Field, chosen: Features) -> str:
    """Returns the reason why a column is not used, such as "has no name"."""
    if field.name == NAMELESS:
        return "has no name"
    if field.name in chosen.left_out:
        return chosen.left_out[field.name]
    return "cannot be used: its type" if use_of(field.type) == "none" else NOT_ASKED


def _of_reading(table: TableFiles) -> Iterator[str]:
    """Yields sentences that say how CSV files with unusual encodings or numbers were read."""
    if table.encodings:
        yield f"Not all of it is UTF-8: {' and '.join(table.encodings)} was read."
    by_note: dict[str, list[str]] = {}
    for name, note in table.notes.items():
        by_note.setdefault(note, []).append(name)
    for note, names in by_note.items():
        yield f"{named(names)}: {note}."


def _of_offset(target: Target) -> Iterator[str]:
    if target.offset:
        yield (
            f"{target.offset:,.10g} is subtracted from every '{target.label}', because its values lie far from 0 for "
            "their spread: some engines compute in float32, and would lose digits. RMSE and R² stay the same."
        )


def _of_a_random_holdout(
    table: TableFiles, target: Target, features: FeatureCounts, chosen: Features
) -> Iterator[str]:
    """Yields a warning for each way in which a random hold-out lets a model guess labels of hold-out rows.

    The ways are times, groups, and features that follow the order of the rows.
    """
    if target.rule != "random":
        return
    timed = [target.time] if target.time else [f.name for f in table.schema if use_of(f.type) in SUGGESTIVE]
    if timed:
        yield (
            f"The hold-out is random, but '{timed[0]}' is a time: rows that are near in time are often alike, and "
            f"then quality looks better than it is. Consider --time {shlex.quote(timed[0])} --holdout time."
        )
    if target.group:
        yield (
            f"The hold-out is random, but rows come in groups of '{target.group}': a model can recognise a group "
            "that it was trained on, and then quality looks better than it is. Consider --holdout group."
        )
    used = {feature.column.source for feature in chosen.used}
    for name, order in features.orders.items():
        if name in used and order.is_sorted and order.rises + order.falls > max(FEW_LEVELS, order.known // 10):
            yield (
                f"The hold-out is random, but the rows are in the order of the feature '{name}'. If it stands for "
                "time or for the order of arrival, quality looks better than it is: leave it out of --features."
            )


def _of_times(target: Target, totals: TargetCounts) -> Iterator[str]:
    if target.rule == "time" and (ends := jump(totals.times)):
        before, after = (in_words(moment) for moment in ends)
        yield (
            f"The times '{target.time}' jump from {before} to {after}, which is longer than all time before the "
            "jump. The rows after the jump are held out as the latest. If that time is a placeholder or a typing "
            "error, empty or correct it: rows without a time are left out."
        )


def _of_rows(target: Target, totals: TargetCounts) -> Iterator[str]:
    if nameless := totals.groups.get(MISSING, 0):
        yield (
            f"{nameless:,} rows have no value of the group column '{target.group}': together they are the group "
            f"{MISSING}."
        )
    if dropped := totals.unlabelled + totals.timeless:
        yield f"{dropped:,} of {totals.rows:,} rows have no label or no time and are left out."
