"""How values of the user's columns become numbers and texts, and what is counted of them.

The one encoding that all engines share:

- numbers and booleans: float32; null, NaN and what float32 cannot hold are missing, filled with the median of the
  training rows, and marked by a column NAME_missing where more than 1 % of the values are;
- texts and categories: codes into the 255 most frequent values of the training rows, in the order of the values; any
  other value is "(other)", null is "(missing)";
- dates and timestamps: days since 1970 as a number; month, weekday and, of timestamps, hour as categories. All of
  them are of the timestamp's own zone, if it has one.
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
"""Not more different texts than these are no identifier, however few the rows."""
COUNTED_VALUES = 10_000
"""Different texts that are counted per part; of the rarer ones only their number is known."""
QUANTILES = 1025
MICROSECONDS_A_DAY = 86_400 * 10**6

Use = Literal["number", "text", "date", "timestamp", "none"]


def use_of(kind: pa.DataType) -> Use:
    """What a column of this type can be used as."""
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
    """Dictionaries decoded."""
    return values.cast(values.type.value_type) if pa.types.is_dictionary(values.type) else values


def texts(values: pa.Array) -> pa.Array:
    """Any simple column as strings, nulls kept."""
    return plain(values).cast(pa.string())


def moments(values: pa.Array) -> pa.Array:
    """Dates and timestamps as microseconds since 1970 UTC, int64, nulls kept."""
    values = plain(values)
    kind = pa.timestamp("us", tz="UTC") if getattr(values.type, "tz", None) else pa.timestamp("us")
    return values.cast(kind, safe=False).cast(pa.int64())


def numbers(values: pa.Array) -> Array:
    """Float32, missing as NaN; shape (rows,)."""
    values = plain(values)
    if pa.types.is_time(values.type) or pa.types.is_duration(values.type):
        values = values.view(pa.int64() if values.type.bit_width == 64 else pa.int32())
    with np.errstate(over="ignore"):
        found = values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False).astype(np.float32)
    return np.asarray(np.where(np.isfinite(found), found, np.float32(np.nan)))


def exact_numbers(values: pa.Array) -> Array:
    """The known values as they stand, in their order: int64, or float64 where they are not integers of 64 bits."""
    values = plain(values).drop_null()
    if pa.types.is_time(values.type) or pa.types.is_duration(values.type):
        values = values.view(pa.int64() if values.type.bit_width == 64 else pa.int32())
    if pa.types.is_integer(values.type) and not pa.types.is_uint64(values.type):
        return np.asarray(values.cast(pa.int64()).to_numpy(zero_copy_only=False))
    found = values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return np.asarray(found[np.isfinite(found)])


Primitive = tuple[str, str]
"""What is encoded on its own: a column of the user's and a part of it, such as ("when", "month"); "" is all of it."""


def name_of(primitive: Primitive) -> str:
    return "_".join(part for part in primitive if part)


def expand(source: str, values: pa.Array) -> dict[Primitive, Array | pa.Array]:
    """A column's primitives: NumPy arrays of numbers and Arrow arrays of texts."""
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
    """Of a number's training values, `trained` rows of which `known` have one; `missing` is over all rows."""

    rows: int
    missing: int
    trained: int
    known: int
    mean: float
    squares: float
    """Sum of squared deviations from the mean."""
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
        """Chan, Golub, LeVeque: Algorithms for computing the sample variance, 1983."""
        known = self.known + other.known
        apart = other.mean - self.mean
        return NumberCounts(
            rows=self.rows + other.rows,
            missing=self.missing + other.missing,
            trained=self.trained + other.trained,
            known=known,
            mean=self.mean + apart * other.known / max(1, known),
            squares=self.squares + other.squares + apart**2 * self.known * other.known / max(1, known),
            low=min(self.low, other.low),
            high=max(self.high, other.high),
            quantiles=np.concatenate([self.quantiles, other.quantiles]),
        )

    @property
    def missing_share(self) -> float:
        """Of the training rows."""
        return (self.trained - self.known) / self.trained

    @property
    def median(self) -> float:
        return quantile(self.quantiles, 0.5)

    def filled(self, value: float) -> tuple[float, float]:
        """Mean and standard deviation of the training rows, this value in place of what is missing."""
        share = self.missing_share
        apart = value - self.mean
        return self.mean + share * apart, float(np.sqrt(self.squares / self.trained + share * (1 - share) * apart**2))


def quantiles(values: Array) -> Array:
    """What is kept of a part's values to merge quantiles: rows of (value, how many it stands for)."""
    if len(values) <= QUANTILES:
        kept = np.sort(values)
    else:
        kept = np.quantile(values, np.linspace(0, 1, QUANTILES), method="lower")
    weight = len(values) / max(1, len(kept))
    return np.stack([kept.astype(np.float64), np.full(len(kept), weight)], axis=1)


def quantile(merged: Array, share: float) -> float:
    """The value below which `share` of the merged values lie; NaN for none."""
    if not len(merged):
        return float("nan")
    merged = merged[np.argsort(merged[:, 0], kind="stable")]
    reached = np.cumsum(merged[:, 1])
    return float(merged[min(np.searchsorted(reached, share * reached[-1]), len(merged) - 1), 0])


@dataclass
class TextCounts:
    """Of a text's training values; `missing` and `distinct` (a lower bound) over all rows."""

    rows: int
    missing: int
    counts: Counter[str] = field(default_factory=Counter)
    unique_rows: int = 0
    """Rows of parts in which nearly every value is another."""

    @classmethod
    def of(cls, values: pa.Array, training: Array) -> "TextCounts":
        found = pc.value_counts(values.filter(pa.array(training)).drop_null())
        counts = Counter(dict(zip(found.field(0).to_pylist(), found.field(1).to_pylist(), strict=True)))
        unique = len(counts) > max(FEW_LEVELS, int(training.sum()) // 2)
        kept = dict(sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:COUNTED_VALUES])
        return cls(len(values), values.null_count, Counter(kept), len(values) if unique else 0)

    def add(self, other: "TextCounts") -> "TextCounts":
        return TextCounts(
            self.rows + other.rows,
            self.missing + other.missing,
            self.counts + other.counts,
            self.unique_rows + other.unique_rows,
        )

    @property
    def is_identifier(self) -> bool:
        """Whether nearly every row has a value of its own: nothing can be learned from one."""
        return self.unique_rows > self.rows // 2

    @property
    def vocabulary(self) -> tuple[str, ...]:
        own = (value for value in self.counts if value not in (OTHER, MISSING))
        frequent = sorted(own, key=lambda value: (-self.counts[value], value))[:MOST_LEVELS]
        missing = (MISSING,) if self.missing else ()
        return (*in_order(frequent), OTHER, *missing)


def in_order(values: list[str]) -> list[str]:
    """Numbers as numbers, else as text."""
    if all(re.fullmatch(r"-?\d{1,18}", value) for value in values):
        return sorted(values, key=int)
    return sorted(values)


def codes(values: pa.Array, vocabulary: tuple[str, ...]) -> Array:
    """Int32 codes into the vocabulary, shape (rows,)."""
    own = [value for value in vocabulary if value not in (OTHER, MISSING)]
    found = pc.index_in(values, value_set=pa.array(own, pa.string()))
    found = found.fill_null(vocabulary.index(OTHER))
    if values.null_count:
        found = pc.if_else(values.is_null(), vocabulary.index(MISSING), found)
    return np.asarray(found.to_numpy(zero_copy_only=False)).astype(np.int32)
