"""Finds columns of numbers that identify rows instead of describing them, such as row counters and times.

With a random hold-out, such a column lets a model look up the label. The rows before and after a hold-out row are
often similar to that row, and the values of the column show which rows these are.
"""

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from workloads.datasets.table_values import FEW_LEVELS, exact_numbers, plain, use_of
from workloads.datasets.training_slices import Array, mix

DISTINCT_KEY = 0x64_69_73_74
SMALLEST_HASHES = 4096
SAMPLED = 32
"""From each batch, this number of evenly spaced values is compared with the order of the rows."""

NEARLY_UNIQUE = 0.9
NEARLY_ALWAYS = 0.95
"""A column follows the order of the rows if at least this share of its changes from row to row goes in one
direction."""
IN_STEP = 0.99
"""A column follows the order of the rows if its rank correlation with the row ids reaches this absolute value."""
DENSE = 2
"""A column of whole numbers, nearly all different, looks like a counter if its range is less than this many times
its number of values. Random integers from such a range repeat, so at most 79 % differ: 2·(1 - exp(-1/2))."""

EPOCHS = {"seconds": 1, "milliseconds": 10**3, "microseconds": 10**6, "nanoseconds": 10**9}
FIRST_EPOCH, LAST_EPOCH = 631_152_000, 4_102_444_800
"""The beginnings of the years 1990 and 2100, in seconds since 1970."""
EPOCH_SPAN = 25 * 365.25 * 86_400
"""If a table is not sorted by a column, the column's values count as times since 1970 only if they span at most
this many seconds. Amounts of the same size are rarely so close together."""
BLANKS = (0, -1)
"""Values that stand for a missing time."""


@dataclass(frozen=True)
class OrderCounts:
    """Counts over the known values of a column of numbers, in the order of the rows, for one or several batches.

    `known` counts the values, and `blank` those that may stand for a missing time (BLANKS). `whole` is true if all
    values are whole numbers. `rises` and `falls` count the rows with a larger or smaller value than the row
    before. `low` and `high` are the smallest and the largest value, without BLANKS. `in_epochs` has one count for
    each unit of time in EPOCHS: the values that are times between 1990 and 2100 in this unit. `hashes` holds the
    smallest hashes of the different values. `sample` holds SAMPLED values of each batch.
    """

    known: int
    blank: int
    whole: bool
    first: float
    last: float
    rises: int
    falls: int
    low: float
    high: float
    in_epochs: tuple[int, ...]
    hashes: Array
    sample: Array

    @classmethod
    def of(cls, column: pa.Array) -> "OrderCounts":
        """Returns the counts of one batch of a column."""
        values = exact_numbers(column)
        if not len(values):
            return NOTHING
        filled = values[(values != BLANKS[0]) & (values != BLANKS[1])]
        whole = values.dtype == np.int64 or bool((values == np.floor(values)).all())
        in_epochs = tuple(
            int(((filled >= FIRST_EPOCH * unit) & (filled <= LAST_EPOCH * unit)).sum()) for unit in EPOCHS.values()
        )
        counts = cls(
            known=len(values),
            blank=len(values) - len(filled),
            whole=whole,
            first=values[0].item(),
            last=values[-1].item(),
            rises=int((values[1:] > values[:-1]).sum()),
            falls=int((values[1:] < values[:-1]).sum()),
            low=filled.min().item() if len(filled) else np.inf,
            high=filled.max().item() if len(filled) else -np.inf,
            in_epochs=in_epochs,
            hashes=NOTHING.hashes,
            sample=values[np.unique(np.linspace(0, len(values) - 1, SAMPLED).astype(np.int64))].astype(np.float64),
        )
        return replace(counts, hashes=smallest(mix(bits(values), DISTINCT_KEY))) if counts._may_identify else counts

    def add(self, other: "OrderCounts") -> "OrderCounts":
        """Returns the counts of both objects together. The rows of `other` come after the rows of this object."""
        if not self.known or not other.known:
            return self if self.known else other
        both = OrderCounts(
            known=self.known + other.known,
            blank=self.blank + other.blank,
            whole=self.whole and other.whole,
            first=self.first,
            last=other.last,
            rises=self.rises + other.rises + (other.first > self.last),
            falls=self.falls + other.falls + (other.first < self.last),
            low=min(self.low, other.low),
            high=max(self.high, other.high),
            in_epochs=tuple(ours + theirs for ours, theirs in zip(self.in_epochs, other.in_epochs, strict=True)),
            hashes=NOTHING.hashes,
            sample=np.concatenate([self.sample, other.sample]),
        )
        known = np.concatenate([self.hashes, other.hashes])
        return replace(both, hashes=smallest(known)) if both._may_identify else both

    @property
    def _may_identify(self) -> bool:
        """False if the rows that are counted so far show that the column is neither a counter nor a time."""
        return self.whole or self.known - self.blank in self.in_epochs

    @property
    def distinct(self) -> float:
        """Returns the number of different values.

        If there are many (at least SMALLEST_HASHES), the number is an estimate with a standard error of 1.6 %.

        Source: Beyer et al., On synopses for distinct-value estimation under multiset operations, 2007.
        """
        if len(self.hashes) < SMALLEST_HASHES:
            return len(self.hashes)
        return (SMALLEST_HASHES - 1) / (float(self.hashes[-1]) / 2**64)

    @property
    def is_sorted(self) -> bool:
        """True if the table is sorted by this column in ascending or descending order.

        Equal values and a few exceptions are allowed.
        """
        exceptions = min(self.rises, self.falls)
        return exceptions <= (1 - NEARLY_ALWAYS) * (self.known - 1) and abs(self.rank_correlation) >= IN_STEP

    @property
    def rank_correlation(self) -> float:
        """Returns Spearman's correlation of the sampled values with the order of their rows.

        It is 0 if all values are equal.
        """
        values, place, times = np.unique(self.sample, return_inverse=True, return_counts=True)
        if len(values) < 2:
            return 0.0
        ranks = (np.cumsum(times) - (times - 1) / 2)[place]
        return float(np.corrcoef(ranks, np.arange(len(ranks)))[0, 1])

    @property
    def counts_rows(self) -> bool:
        """True if the column looks like a counter of rows.

        Such a column has whole numbers, which are nearly all different. They rise or fall with the row ids, or
        they fill most of their range (see DENSE).
        """
        if not self.whole or self.distinct <= max(FEW_LEVELS, NEARLY_UNIQUE * self.known):
            return False
        steady = max(self.rises, self.falls) >= NEARLY_ALWAYS * (self.known - 1)
        dense = self.high - self.low < DENSE * self.known
        return steady or dense or abs(self.rank_correlation) >= IN_STEP

    @property
    def epoch(self) -> str | None:
        """Returns the unit, such as "seconds", if the values look like many different times since 1970.

        Returns None if they do not.
        """
        filled = self.known - self.blank
        if 2 * filled <= self.known or self.distinct <= FEW_LEVELS:
            return None
        for (name, unit), count in zip(EPOCHS.items(), self.in_epochs, strict=True):
            if count == filled and (self.high - self.low <= EPOCH_SPAN * unit or self.is_sorted):
                return name
        return None

    @property
    def identifies(self) -> str | None:
        """Returns the reason why the column identifies rows, such as "counts the rows"; None if it does not."""
        if self.epoch:
            return f"a time in {self.epoch} since 1970"
        return "counts the rows" if self.counts_rows else None


NOTHING = OrderCounts(
    known=0,
    blank=0,
    whole=True,
    first=0,
    last=0,
    rises=0,
    falls=0,
    low=np.inf,
    high=-np.inf,
    in_epochs=(0,) * len(EPOCHS),
    hashes=np.empty(0, dtype=np.uint64),
    sample=np.empty(0),
)


def smallest(hashes: Array) -> Array:
    """Returns the smallest of the different hashes in ascending order, at most SMALLEST_HASHES of them.

    The function first looks only at hashes below a bound. This is several times faster if most values are
    different.
    """
    if len(hashes) > 4 * SMALLEST_HASHES:
        bound = np.uint64(2**64 // len(hashes) * 2 * SMALLEST_HASHES)
        candidates = np.unique(hashes[hashes < bound])
        if len(candidates) >= SMALLEST_HASHES:
            return candidates[:SMALLEST_HASHES]
    return np.unique(hashes)[:SMALLEST_HASHES]


def bits(values: Array) -> Array:
    """Returns int64 or float64 values as unsigned 64-bit integers.

    Equal values give equal integers, so -0.0 becomes 0.0.
    """
    integers: Array = (values + 0).view(np.uint64)
    return integers


def orders(batch: pa.RecordBatch, sources: tuple[str, ...]) -> dict[str, OrderCounts]:
    """Returns the counts of one batch for each column of numbers among `sources`, by the column's name."""
    counts = {}
    for source in sources:
        values = batch.column(source)
        if use_of(values.type) == "number" and not pa.types.is_boolean(plain(values).type):
            counts[source] = OrderCounts.of(values)
    return counts
