"""Determines the label, the learning task, the groups, the times and the hold-out of a user's table."""

import math
from collections import Counter
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sparkscale.contract.dataset import HoldoutRule, Moments
from sparkscale.contract.errors import DatasetError
from workloads.datasets.table_time import Times
from workloads.datasets.table_values import MISSING, exact_numbers, moments, plain, texts, use_of
from workloads.datasets.training_slices import (
    HOLDOUT_KEY,
    HOLDOUT_LEAST_SHARE,
    HOLDOUT_MOST_SHARE,
    HOLDOUT_SHARE,
    RANDOM_UNITS,
    Array,
    held_out_at_random,
    mix,
    random_units,
)

CLASSES_COUNTED = 1000
GROUP_SLACK = 0.02
ENOUGH_GROUPS = 10
"""If a fifth of the rows contains fewer groups than this, more than a fifth is held out."""

FAR = 100
"""A label is centred if its mean lies more than this many standard deviations from 0. Otherwise float32 would have
too few digits for its spread."""
LARGEST = 1e100
"""A label with a larger absolute value cannot be a measurement, and its square may be too large for a float."""
NO_VALUES = Moments(rows=0, mean=0.0, squares=0.0)

TableTask = Literal["classification", "regression"]


@dataclass
class TargetCounts:
    """Counts of labels, groups and times, over the rows of one part, or over all parts."""

    rows: int
    unlabelled: int
    """The number of rows without a label."""
    timeless: int
    """The number of rows with a label but without a time."""
    classes: Counter[Any]
    """The number of rows for each value of the label. Empty if there are more than CLASSES_COUNTED values."""
    many_classes: bool
    infinite: int
    """The number of rows with an infinite label, or a label with an absolute value above LARGEST."""
    groups: Counter[str]
    times: Times
    values: Moments = NO_VALUES
    """The moments of a numeric label."""

    def add(self, other: "TargetCounts") -> "TargetCounts":
        classes = self.classes + other.classes
        many = self.many_classes or other.many_classes or len(classes) > CLASSES_COUNTED
        return TargetCounts(
            self.rows + other.rows,
            self.unlabelled + other.unlabelled,
            self.timeless + other.timeless,
            Counter() if many else classes,
            many,
            self.infinite + other.infinite,
            self.groups + other.groups,
            self.times.add(other.times),
            Moments.total([self.values, other.values]),
        )


def labels(batch: pa.RecordBatch, label: str) -> pa.Array:
    """Returns the labels of a batch. NaN becomes null."""
    return without_nan(plain(batch.column(label)))


def without_nan(values: pa.Array) -> pa.Array:
    """Returns the values with null instead of NaN."""
    if not pa.types.is_floating(values.type):
        return values
    return pc.if_else(pc.is_nan(values), pa.scalar(None, values.type), values)


def has_target(batch: pa.RecordBatch, label: str, time: str | None) -> Array:
    """Returns a mask that is true for rows with a label and, if `time` names a column, with a time."""
    mask = labels(batch, label).is_valid()
    if time is not None:
        mask = pc.and_(mask, batch.column(time).is_valid())
    return np.asarray(mask.to_numpy(zero_copy_only=False))


def group_keys(batch: pa.RecordBatch, group: str) -> pa.Array:
    """Returns the groups as texts. Null and NaN are the same group, and -0.0 becomes 0."""
    values = plain(batch.column(group))
    if pa.types.is_floating(values.type):
        values = pc.add(without_nan(values), pa.scalar(0.0, values.type))
    return texts(values).fill_null(MISSING)


def count(batch: pa.RecordBatch, label: str, group: str | None, time: str | None) -> TargetCounts:
    """Returns the counts of one batch."""
    values = labels(batch, label)
    keep = pa.array(has_target(batch, label, time))
    used = values.filter(keep)
    values_and_counts = pc.value_counts(used)
    classes = Counter(
        dict(zip(values_and_counts.field(0).to_pylist(), values_and_counts.field(1).to_pylist(), strict=True))
    )
    many = len(classes) > CLASSES_COUNTED
    groups: Counter[str] = Counter()
    if group is not None:
        keys = pc.value_counts(group_keys(batch, group).filter(keep))
        groups = Counter(dict(zip(keys.field(0).to_pylist(), keys.field(1).to_pylist(), strict=True)))
    times = np.empty(0, dtype=np.int64)
    if time is not None:
        times = moments(batch.column(time)).filter(keep).to_numpy(zero_copy_only=False)
    unlabelled = values.null_count
    return TargetCounts(
        rows=batch.num_rows,
        unlabelled=unlabelled,
        timeless=batch.num_rows - unlabelled - len(used),
        classes=Counter() if many else classes,
        many_classes=many,
        infinite=pc.sum(pc.greater(pc.abs(used), LARGEST)).as_py() or 0 if pa.types.is_floating(used.type) else 0,
        groups=groups,
        times=Times.of(times),
        values=_values(used),
    )


def _values(used: pa.Array) -> Moments:
    """Returns the moments of the labels.

    Returns NO_VALUES (the moments of no rows) if there are no labels, if they are not numbers, or if an absolute
    value is above LARGEST.
    """
    if use_of(used.type) != "number" or pa.types.is_boolean(used.type):
        return NO_VALUES
    numbers = exact_numbers(used).astype(np.float64)
    if not len(numbers) or np.abs(numbers).max() > LARGEST:
        return NO_VALUES
    mean = float(numbers.mean())
    return Moments(rows=len(numbers), mean=mean, squares=float(((numbers - mean) ** 2).sum()))


def offset_of(values: Moments) -> float:
    """Returns the number that is subtracted from every label of a regression.

    It is 0 unless the mean lies more than FAR standard deviations from 0. In that case it is the mean, rounded to
    about the precision of the standard deviation. XGBoost and networks compute in float32, which has seven digits.
    So without an offset, labels of 1,700,000,000 ± 30 would lose all their differences.
    """
    if not values.std or abs(values.mean) <= FAR * values.std:
        return 0.0
    step = 10.0 ** math.floor(math.log10(values.std))
    return round(values.mean / step) * step


@dataclass(frozen=True)
class Target:
    """Computes labels, groups, times and units of rows, and chooses the hold-out rows. Every task gets a copy."""

    label: str
    task: TableTask
    classes: tuple[Any, ...]
    """The label's two values in a classification, the negative one first. Empty for a regression."""
    rule: HoldoutRule
    rows: int
    group: str | None
    keys: tuple[str, ...]
    """The keys of the groups, in order. A group's code is the position of its key."""
    held_groups: frozenset[int]
    time: str | None
    first_held: int
    """The hold-out begins at this time, in microseconds since 1970. 0 if the rule is not `time`."""
    offset: float = 0.0
    """The number that is subtracted from the labels of a regression (`offset_of`)."""
    stretches: tuple[int, ...] = ()
    """The start time of each period of the hold-out. Empty if the rule is not `time`, or until it is computed."""

    def of(self, batch: pa.RecordBatch) -> Array:
        """Returns the labels of rows that all have a label: int8 for a classification, float64 for a regression."""
        values = labels(batch, self.label)
        if self.task == "regression":
            return np.asarray(values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)) - self.offset
        positive = pc.equal(values, pa.scalar(self.classes[1], values.type))
        return np.asarray(positive.to_numpy(zero_copy_only=False)).astype(np.int8)

    def group_codes(self, batch: pa.RecordBatch) -> Array:
        """Returns the codes of the rows' groups, int32."""
        codes = pc.index_in(group_keys(batch, str(self.group)), value_set=pa.array(self.keys, pa.string()))
        return np.asarray(codes.to_numpy(zero_copy_only=False)).astype(np.int32)

    def times(self, batch: pa.RecordBatch) -> Array:
        """Returns the rows' times in microseconds since 1970, int64."""
        return np.asarray(moments(batch.column(self.time)).to_numpy(zero_copy_only=False))

    def held_out(self, row: Array, batch: pa.RecordBatch) -> Array:
        """Returns a mask that is true for hold-out rows. `row` holds the ids of the rows in `batch`."""
        if self.rule == "random":
            return held_out_at_random(row, self.rows)
        if self.rule == "group":
            held = np.zeros(len(self.keys), dtype=bool)
            held[list(self.held_groups)] = True
            return np.asarray(held[self.group_codes(batch)])
        return np.asarray(self.times(batch) >= self.first_held)

    def units(self, row: Array, batch: pa.RecordBatch) -> Array:
        """Returns the unit of each row, int32. A unit is a group, a period, or a random bundle of rows."""
        if self.rule == "time":
            after = np.searchsorted(np.array(self.stretches, dtype=np.int64), self.times(batch), side="right")
            return np.asarray((after - 1).astype(np.int32))
        return random_units(row) if self.group is None else self.group_codes(batch)

    @property
    def unit_count(self) -> int:
        """Returns the number of units. The units of hold-out rows are 0 … unit_count - 1."""
        if self.rule == "time":
            return len(self.stretches)
        return RANDOM_UNITS if self.group is None else len(self.keys)

    @property
    def unit_name(self) -> str:
        """Returns the name of a unit for messages and reports."""
        if self.rule == "time":
            return "stretch of time"
        return "bundle of rows" if self.group is None else "group"


def task_of(
    label: str, kind: pa.DataType, counts: TargetCounts, requested: TableTask | None, where: str
) -> TableTask:
    """Returns the learning task that suits the label. `requested` is the user's choice; None if the label decides.

    `where` names the table in messages. Raises DatasetError if no task, or not the requested one, suits the label.
    """
    column = f"{where}: the label column '{label}'"
    if counts.rows == counts.unlabelled:
        raise DatasetError(f"{column} is null in all {counts.rows:,} rows: name another column with --label.")
    if counts.infinite:
        raise DatasetError(f"{column} is infinite, or beyond ±{LARGEST:g}, in {counts.infinite:,} rows: remove them.")
    number = use_of(kind) == "number" and not pa.types.is_time(kind) and not pa.types.is_duration(kind)
    classes = "many" if counts.many_classes else f"{len(counts.classes):,}"
    if len(counts.classes) == 1 and not counts.many_classes:
        value = next(iter(counts.classes))
        raise DatasetError(
            f"{column} is constant: {value!r} in every row with a label. Name another column with --label."
        )
    two = len(counts.classes) == 2
    task = requested or ("classification" if two or not number else "regression")
    if task == "regression" and (not number or pa.types.is_boolean(kind)):
        raise DatasetError(
            f"{column} has the type {kind}, but regression needs a number: name another column with --label."
        )
    if task == "classification" and not two:
        advice = " or use --task regression" if number else ""
        raise DatasetError(
            f"{column} ({kind}) has {classes} different values, but classification needs two: make it binary{advice}."
        )
    return task


def held_groups(counts: TargetCounts, keys: tuple[str, ...], group: str, where: str) -> frozenset[int]:
    """Returns the codes of the groups that are held out. Together they have about a fifth of the rows.

    Groups are chosen in the order of their hashes. If fewer than ENOUGH_GROUPS are chosen, more groups follow, up
    to HOLDOUT_MOST_SHARE of the rows. The reason is that confidence intervals depend more on the number of groups
    than on the number of rows. Raises DatasetError if the chosen groups have less than HOLDOUT_LEAST_SHARE of the
    rows.
    """
    order = np.argsort(mix(np.arange(len(keys)), HOLDOUT_KEY), kind="stable").tolist()
    sizes = [counts.groups[key] for key in keys]
    total = sum(sizes)
    held: set[int] = set()
    rows = 0
    for code in order:
        if rows + sizes[code] <= (HOLDOUT_SHARE + GROUP_SLACK) * total:
            held.add(code)
            rows += sizes[code]
        if rows >= (HOLDOUT_SHARE - GROUP_SLACK) * total:
            break
    for code in order:
        if len(held) >= ENOUGH_GROUPS:
            break
        if code not in held and rows + sizes[code] <= HOLDOUT_MOST_SHARE * total:
            held.add(code)
            rows += sizes[code]
    if rows < HOLDOUT_LEAST_SHARE * total:
        raise DatasetError(
            f"{where}: the groups of '{group}' are too few or too uneven to hold out whole ones with "
            f"{HOLDOUT_LEAST_SHARE:.0%} to {HOLDOUT_MOST_SHARE:.0%} of the rows: the largest has "
            f"{max(sizes) / total:.1%}. Use --holdout random or time."
        )
    return frozenset(held)
