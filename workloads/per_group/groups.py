"""The groups of a case: which ones the sample holds, their sizes, and which ones are too large to be shuffled."""

import math
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from sparkscale.contract.dataset import Grouping, PreparedDataset
from sparkscale.contract.location import join
from workloads.io.filesystem import resolve

Array = np.ndarray[Any, Any]

VALUE_BYTES = 40
"""Bytes that one value takes in the Python process that trains its group: the copies of Arrow and of pandas, the
matrix and the trainer's copy. Measured: docs/per-group.md."""
OTHER_VALUES = 4
"""The values of a row besides its features: id, label, group, and whether it is held out. (Time comes on top.)"""

TASKS_PER_SLOT = 2
"""More than one, because tasks differ in size and no slot should wait long for the last one. Few, because each task
costs 30 to 250 ms.
"""
BUCKET_BYTES = 32 * 2**20
"""The most bytes of a task's rows, as float32 with their ids. A single group may have more."""


@dataclass(frozen=True)
class Sizes:
    """Rows of every group of a grouping, in the order of the codes; shapes (groups,)."""

    keys: Array
    train: Array
    holdout: Array

    @property
    def rows(self) -> Array:
        total: Array = self.train + self.holdout
        return total


@dataclass(frozen=True)
class Groups:
    """The groups of one case. `codes` ascend. The groups of `refused` are too large and are not trained."""

    grouping: Grouping
    sizes: Sizes
    codes: Array
    refused: Array

    @property
    def trained(self) -> Array:
        """The codes of the groups that every engine trains."""
        return np.setdiff1d(self.codes, self.refused, assume_unique=True)

    @property
    def is_everything(self) -> bool:
        """True if all groups of the grouping are trained, so that no row is filtered out."""
        return len(self.trained) == self.grouping.groups

    @property
    def trained_mask(self) -> Array | None:
        """For each code, true if its group is trained; shape (all groups,). None if all groups are trained."""
        if self.is_everything:
            return None
        mask = np.zeros(self.grouping.groups, dtype=bool)
        mask[self.trained] = True
        return mask

    def buckets(self, slots: int, group_cost_rows: int, features: int) -> Array:
        """Returns the smallest code of each bucket, a run of groups that one Spark task trains.

        Buckets take about equally long. There are TASKS_PER_SLOT for each slot, and more if there are many rows.
        """
        rows = self.sizes.rows[self.trained]
        size = int(rows.sum()) * shuffled_bytes(features)
        count = max(slots * TASKS_PER_SLOT, math.ceil(size / BUCKET_BYTES))
        first_codes: Array = self.trained[[first for first, _ in even_spans(rows + group_cost_rows, count)]]
        return first_codes

    def bytes_of(self, code: int, features: int) -> int:
        """Returns the bytes that a group needs in the process that trains it."""
        return int(self.sizes.rows[code]) * row_bytes(features)


def even_spans(costs: Array, count: int) -> list[tuple[int, int]]:
    """Returns at most `count` runs of items, in order, that cost about the same: (first, one past the last)."""
    ends = np.concatenate([[0], np.cumsum(costs)])
    targets = np.linspace(0, ends[-1], count + 1)[1:-1]
    after = np.searchsorted(ends, targets)
    nearer = after - (targets - ends[after - 1] < ends[after] - targets)
    return list(pairwise(np.unique([0, *nearer.tolist(), len(costs)]).tolist()))


def shuffled_bytes(features: int) -> int:
    """Returns the bytes of one row while it is shuffled: its features as float32, and its other values."""
    return 4 * (features + 2 * OTHER_VALUES)


def row_bytes(features: int) -> int:
    """Returns the bytes of one row in the process that trains its group."""
    return VALUE_BYTES * (features + OTHER_VALUES)


def sizes_of(data: PreparedDataset, grouping: Grouping) -> Sizes:
    """Reads the sizes from the file of keys that was written with the data."""
    return _sizes(join(data.root, grouping.keys), data.content_hash)


@cache
def _sizes(location: str, content: str) -> Sizes:  # noqa: ARG001 - other content is another entry of the cache
    system, path = resolve(location)
    table = pq.read_table(path, filesystem=system)
    names = ("key", "train_rows", "holdout_rows")
    return Sizes(*(table.column(name).to_numpy(zero_copy_only=False) for name in names))


@cache
def _sampled(grouping: Grouping, fraction: float, sample_seed: int) -> Array:
    """Returns the sample's codes, ascending. Cached: a million groups take a second, and every phase calls this."""
    return np.array(sorted(grouping.sample(fraction, sample_seed)))


def grouping_named(data: PreparedDataset, by: str) -> Grouping | None:
    """Returns the grouping of this name, or the first one if the name is empty. None if there is no such grouping."""
    return next((grouping for grouping in data.groupings if by in ("", grouping.name)), None)


def groups_of(
    data: PreparedDataset, by: str, fraction: float, sample_seed: int, most_bytes: float = float("inf")
) -> Groups:
    """Returns the groups of a sample. Those that need more than `most_bytes` to be trained are refused.

    Raises KeyError for a grouping that the data set does not have.
    """
    grouping = grouping_named(data, by)
    if grouping is None:
        raise KeyError(by)
    sizes = sizes_of(data, grouping)
    codes = np.arange(grouping.groups)
    if fraction < 1:
        codes = _sampled(grouping, fraction, sample_seed)
    too_large = sizes.rows[codes] * float(row_bytes(len(data.columns))) > most_bytes
    return Groups(grouping, sizes, codes, codes[too_large])
