"""Numbers that tell rows apart instead of describing them: row counters and times since 1970.

A random hold-out gives such a column away: rows beside a held-out one are alike, and the number says which they are.
"""

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from workloads.datasets.table_values import FEW_LEVELS, exact_numbers, plain, use_of
from workloads.datasets.training_slices import Array, mix

DISTINCT_KEY = 0x64_69_73_74
SMALLEST_HASHES = 4096
SAMPLED = 32
"""Values of a batch that are kept, evenly spaced, to compare the column with the order of the rows."""

NEARLY_UNIQUE = 0.9
NEARLY_ALWAYS = 0.95
"""This share of neighbouring rows rises, or falls, in a column that follows the order of the rows."""
IN_STEP = 0.99
"""Rank correlation with the order of the rows, likewise."""
DENSE = 2
"""Integers drawn at random from a range of twice as many are at most 79 % different: 2·(1 - exp(-1/2))."""

EPOCHS = {"seconds": 1, "milliseconds": 10**3, "microseconds": 10**6, "nanoseconds": 10**9}
FIRST_EPOCH, LAST_EPOCH = 631_152_000, 4_102_444_800
"""The years 1990 and 2100, in seconds since 1970."""
EPOCH_SPAN = 25 * 365.25 * 86_400
"""Seconds that a table's epochs span at most. Amounts in the same range are rarely so close together."""
BLANKS = (0, -1)
"""Written where an epoch is missing."""


@dataclass(frozen=True)
class OrderCounts:
    """Counts over a number's known values, in the order of the rows. They are of one batch, or of several together.

    `rises` and `falls` count neighbouring rows. `low` and `high` are without BLANKS. `in_epochs` counts, per unit of
    EPOCHS, the values that are times between 1990 and 2100. `hashes` are the smallest of the different values.
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
        return replace(counts, hashes=smallest(mix(bits(values), DISTINCT_KEY))) if counts._may_tell else counts

    def add(self, other: "OrderCounts") -> "OrderCounts":
        """`other` is of the rows that follow."""
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
        return replace(both, hashes=smallest(known)) if both._may_tell else both

    @property
    def _may_tell(self) -> bool:
        """False once no further rows can make it a counter or an epoch."""
        return self.whole or self.known - self.blank in self.in_epochs

    @property
    def distinct(self) -> float:
        """The number of different values: exact below SMALLEST_HASHES, else with a standard error of 1.6 %.

        Source: Beyer et al., On synopses for distinct-value estimation under multiset operations, 2007.
        """
        if len(self.hashes) < SMALLEST_HASHES:
            return len(self.hashes)
        return (SMALLEST_HASHES - 1) / (float(self.hashes[-1]) / 2**64)

    @property
    def is_sorted(self) -> bool:
        """True if the table is sorted by this column, up or down. Ties and a few exceptions are allowed."""
        odd = min(self.rises, self.falls)
        return odd <= (1 - NEARLY_ALWAYS) * (self.known - 1) and abs(self.rank_correlation) >= IN_STEP

    @property
    def rank_correlation(self) -> float:
        """Spearman's, of sampled values with the order of their rows; 0 where there is nothing to compare."""
        values, place, times = np.unique(self.sample, return_inverse=True, return_counts=True)
        if len(values) < 2:
            return 0.0
        ranks = (np.cumsum(times) - (times - 1) / 2)[place]
        return float(np.corrcoef(ranks, np.arange(len(ranks)))[0, 1])

    @property
    def counts_rows(self) -> bool:
        """True if whole numbers, nearly all different, rise or fall with the rows or leave few gaps."""
        if not self.whole or self.distinct <= max(FEW_LEVELS, NEARLY_UNIQUE * self.known):
            return False
        steady = max(self.rises, self.falls) >= NEARLY_ALWAYS * (self.known - 1)
        dense = self.high - self.low < DENSE * self.known
        return steady or dense or abs(self.rank_correlation) >= IN_STEP

    @property
    def epoch(self) -> str | None:
        """The unit, if these are many different times since 1970. None if they are not."""
        filled = self.known - self.blank
        if 2 * filled <= self.known or self.distinct <= FEW_LEVELS:
            return None
        for (name, unit), count in zip(EPOCHS.items(), self.in_epochs, strict=True):
            if count == filled and (self.high - self.low <= EPOCH_SPAN * unit or self.is_sorted):
                return name
        return None

    @property
    def identifies(self) -> str | None:
        """Why the column tells rows apart, in words. None if it does not."""
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
    """The SMALLEST_HASHES smallest different ones, in order.

    They are sought first among the few hashes below a bound, which is several times as fast where most values differ.
    """
    if len(hashes) > 4 * SMALLEST_HASHES:
        bound = np.uint64(2**64 // len(hashes) * 2 * SMALLEST_HASHES)
        found = np.unique(hashes[hashes < bound])
        if len(found) >= SMALLEST_HASHES:
            return found[:SMALLEST_HASHES]
    return np.unique(hashes)[:SMALLEST_HASHES]


def bits(values: Array) -> Array:
    """Int64 or float64 as unsigned 64-bit integers, equal where the values are: -0.0 is 0.0."""
    found: Array = (values + 0).view(np.uint64)
    return found


def orders(batch: pa.RecordBatch, sources: tuple[str, ...]) -> dict[str, OrderCounts]:
    """Counts of each column of numbers among `sources`."""
    found = {}
    for source in sources:
        values = batch.column(source)
        if use_of(values.type) == "number" and not pa.types.is_boolean(plain(values).type):
            found[source] = OrderCounts.of(values)
    return found
