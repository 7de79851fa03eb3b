"""Turns values of the user's columns into numbers and texts, and counts them.

All engines share one encoding:

- Numbers and booleans become float32. Null, NaN and numbers that float32 cannot hold count as missing. The median of
  the training rows replaces missing numbers. If more than 1 % of the values are missing, a column NAME_missing marks
  them.
- Texts and categories become codes of the 255 most frequent values of the training rows, in the order of the values.
  All other values become "(other)", and null becomes "(missing)".
- Dates and timestamps become the days since 1970 as a number, and month and weekday as categories. Timestamps also
  give the hour as a category. If a timestamp has a zone, all of these are in this zone.
"""

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from workloads.datasets.training_slices import Array

MOST_LEVELS = 255
OTHER, MISSING = "(other)", "(missing)"
FEW_LEVELS = 30
"""A column with at most this many different values does not count as an identifier, even if the table has few
rows."""
COUNTED_VALUES = 10_000
"""In each part, only the most frequent texts are counted, and at most this many."""
QUANTILES = 1025
MICROSECONDS_A_DAY = 86_400 * 10**6

Use = Literal["number", "text", "date", "timestamp", "none"]


def use_of(kind: pa.DataType) -> Use:
    """Returns the way in which a column with this type is used; "none" if it cannot be used."""
    if pa.types.is_dictionary(kind):
        return use_of(kind.value_type)
    if pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return "number"
    if pa.types.is_decimal(kind) or pa.types.is_time(kind) or pa.types.is_duration(kind):
        return "number"
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return "text"
    if pa.types.is_date(kind):
        return "date"
    return "timestamp" if pa.types.is_timestamp(kind) else "none"


def plain(values: pa.Array) -> pa.Array:
    """Returns the values without dictionary encoding."""
    return values.cast(values.type.value_type) if pa.types.is_dictionary(values.type) else values


def texts(values: pa.Array) -> pa.Array:
    """Returns the values of any simple type as strings. Nulls stay null."""
    return plain(values).cast(pa.string())


def moments(values: pa.Array) -> pa.Array:
    """Returns dates and timestamps as microseconds since 1970 in UTC, int64. Nulls stay null."""
    values = plain(values)
    kind = pa.timestamp("us", tz="UTC") if getattr(values.type, "tz", None) else pa.timestamp("us")
    return values.cast(kind, safe=False).cast(pa.int64())


def numbers(values: pa.Array) -> Array:
    """Returns numbers as float32; missing numbers become NaN; shape (rows,)."""
    values = plain(values)
    if pa.types.is_time(values.type) or pa.types.is_duration(values.type):
        values = values.view(pa.int64() if values.type.bit_width == 64 else pa.int32())
    with np.errstate(over="ignore"):
        floats = values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False).astype(np.float32)
    return np.asarray(np.where(np.isfinite(floats), floats, np.float32(np.nan)))


def exact_numbers(values: pa.Array) -> Array:
    """Returns the known values in their order; shape (known values,). Null, NaN and infinite values are left out.

    Integers, times of day and durations become int64, without any loss. uint64 and all other numbers become
    float64.
    """
    values = plain(values).drop_null()
    if pa.types.is_time(values.type) or pa.types.is_duration(values.type):
        values = values.view(pa.int64() if values.type.bit_width == 64 else pa.int32())
    if pa.types.is_integer(values.type) and not pa.types.is_uint64(values.type):
        return np.asarray(values.cast(pa.int64()).to_numpy(zero_copy_only=False))
    floats = values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return np.asarray(floats[np.isfinite(floats)])


Primitive = tuple[str, str]
"""The name of a user's column and of a part of it, such as ("when", "month"). Each primitive is encoded separately.
The part "" is the whole column."""


def name_of(primitive: Primitive) -> str:
    """Returns the name of a primitive (see `Primitive`), such as "when_month"."""
    return "_".join(part for part in primitive if part)


def expand(source: str, values: pa.Array) -> dict[Primitive, Array | pa.Array]:
    """Returns the values of each primitive (see `Primitive`) of the column with the name `source`.

    Numbers are NumPy arrays, and texts are Arrow arrays.
    """
    use = use_of(values.type)
    if use == "number":
        return {(source, ""): numbers(values)}
    if use == "text":
        return {(source, ""): texts(values)}
    when = plain(values).cast(pa.timestamp("us"), safe=False) if use == "date" else plain(values)
    if getattr(when.type, "tz", None):
        when = pc.local_timestamp(when)
    days = moments(when).to_numpy(zero_copy_only=False).astype(np.float64) / MICROSECONDS_A_DAY
    parts: dict[Primitive, Array | pa.Array] = {
        (source, "days"): np.floor(days).astype(np.float32),
        (source, "month"): pc.month(when).cast(pa.string()),
        (source, "weekday"): pc.day_of_week(when).cast(pa.string()),
    }
    if use == "timestamp":
        parts[source, "hour"] = pc.hour(when).cast(pa.string())
    return parts


@dataclass
class NumberCounts:
    """Counts over a column of numbers.

    `rows` and `missing` count all rows; all other fields only count training rows. `trained` is the number of
    training rows. `known` is the number of training rows with a value. `low` and `high` are the smallest and the
    largest value. `quantiles` is the result of the function with this name.
    """

    rows: int
    missing: int
    trained: int
    known: int
    mean: float
    squares: float
    """The sum of squared deviations from the mean."""
    low: float
    high: float
    quantiles: Array

    @classmethod
    def of(cls, values: Array, training: Array) -> "NumberCounts":
        known = values[training & ~np.isnan(values)].astype(np.float64)
        some = len(known) > 0
        mean = float(known.mean()) if some else 0.0
        return cls(
            rows=len(values),
            missing=int(np.isnan(values).sum()),
            trained=int(training.sum()),
            known=len(known),
            mean=mean,
            squares=float(((known - mean) ** 2).sum()),
            low=float(known.min()) if some else np.inf,
            high=float(known.max()) if some else -np.inf,
            quantiles=quantiles(known),
        )

    def add(self, other: "NumberCounts") -> "NumberCounts":
        """Returns the counts of both objects together.

        Source: Chan, Golub, LeVeque: Algorithms for computing the sample variance, 1983.
        """
        known = self.known + other.known
        difference = other.mean - self.mean
        return NumberCounts(
            rows=self.rows + other.rows,
            missing=self.missing + other.missing,
            trained=self.trained + other.trained,
            known=known,
            mean=self.mean + difference * other.known / max(1, known),
            squares=self.squares + other.squares + difference**2 * self.known * other.known / max(1, known),
            low=min(self.low, other.low),
            high=max(self.high, other.high),
            quantiles=np.concatenate([self.quantiles, other.quantiles]),
        )

    @property
    def missing_share(self) -> float:
        """Returns the share of the training rows without a value."""
        return (self.trained - self.known) / self.trained

    @property
    def median(self) -> float:
        return quantile(self.quantiles, 0.5)

    def filled(self, value: float) -> tuple[float, float]:
        """Returns the mean and standard deviation of the training rows if this value replaces missing values."""
        share = self.missing_share
        difference = value - self.mean
        variance = self.squares / self.trained + share * (1 - share) * difference**2
        return self.mean + share * difference, float(np.sqrt(variance))


def quantiles(values: Array) -> Array:
    """Returns a summary of the values of one part; shape (at most QUANTILES, 2).

    Each row of the summary has a value and the number of values that it stands for. `quantile` takes the summaries
    of all parts, one after the other, as one array.
    """
    if len(values) <= QUANTILES:
        chosen = np.sort(values)
    else:
        chosen = np.quantile(values, np.linspace(0, 1, QUANTILES), method="lower")
    weight = len(values) / max(1, len(chosen))
    return np.stack([chosen.astype(np.float64), np.full(len(chosen), weight)], axis=1)


def quantile(merged: Array, share: float) -> float:
    """Returns the value below which the share `share` of all values lies; NaN if there are no values.

    `merged` holds the summaries that `quantiles` returned.
    """
    if not len(merged):
        return float("nan")
    merged = merged[np.argsort(merged[:, 0], kind="stable")]
    reached = np.cumsum(merged[:, 1])
    return float(merged[min(np.searchsorted(reached, share * reached[-1]), len(merged) - 1), 0])


@dataclass
class TextCounts:
    """Counts over a column of texts. `counts` only counts training rows; all other fields count all rows."""

    rows: int
    missing: int
    counts: Counter[str] = field(default_factory=Counter)
    unique_rows: int = 0
    """The number of rows in parts where most rows have a text of their own. In such a part, the number
    of different texts is above FEW_LEVELS, and above half of the number of training rows."""

    @classmethod
    def of(cls, values: pa.Array, training: Array) -> "TextCounts":
        distinct = pc.value_counts(values.filter(pa.array(training)).drop_null())
        counts = Counter(dict(zip(distinct.field(0).to_pylist(), distinct.field(1).to_pylist(), strict=True)))
        unique = len(counts) > max(FEW_LEVELS, int(training.sum()) // 2)
        frequent = dict(sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:COUNTED_VALUES])
        return cls(len(values), values.null_count, Counter(frequent), len(values) if unique else 0)

    def add(self, other: "TextCounts") -> "TextCounts":
        return TextCounts(
            self.rows + other.rows,
            self.missing + other.missing,
            self.counts + other.counts,
            self.unique_rows + other.unique_rows,
        )

    @property
    def is_identifier(self) -> bool:
        """True if more than half of all rows lie in parts where most texts differ (see `unique_rows`).

        A model cannot learn from such a column.
        """
        return self.unique_rows > self.rows // 2

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """Returns the most frequent values (at most MOST_LEVELS) in the order of `in_order`, followed by OTHER.

        OTHER stands for all other values. If values are missing, the last entry is MISSING, which stands for them.
        """
        ordinary = (value for value in self.counts if value not in (OTHER, MISSING))
        frequent = sorted(ordinary, key=lambda value: (-self.counts[value], value))[:MOST_LEVELS]
        missing = (MISSING,) if self.missing else ()
        return (*in_order(frequent), OTHER, *missing)


def in_order(values: list[str]) -> list[str]:
    """Returns the texts in numeric order if all are whole numbers, otherwise in alphabetical order."""
    if all(re.fullmatch(r"-?\d{1,18}", value) for value in values):
        return sorted(values, key=int)
    return sorted(values)


def codes(values: pa.Array, vocabulary: tuple[str, ...]) -> Array:
    """Returns the position of each value in the vocabulary, int32, shape (rows,).

    A value that the vocabulary lacks gets the position of the entry OTHER. A null gets that of MISSING.
    """
    known_values = [value for value in vocabulary if value not in (OTHER, MISSING)]
    positions = pc.index_in(values, value_set=pa.array(known_values, pa.string()))
    positions = positions.fill_null(vocabulary.index(OTHER))
    if values.null_count:
        positions = pc.if_else(values.is_null(), vocabulary.index(MISSING), positions)
    return np.asarray(positions.to_numpy(zero_copy_only=False)).astype(np.int32)
