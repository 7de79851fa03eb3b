"""The groups of a case: the groups in the sample, their sizes, and the groups that are too large to be shuffled."""

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
"""The bytes of memory that one value of a row needs in the Python process that trains the row's group. Arrow,
pandas, the matrix and the trainer each hold a copy. docs/per-group.md has the measurement."""
OTHER_VALUES = 4
"""The number of values of a row besides its features: its id, its label, its group, and HELD_OUT. (A time is not
counted.)"""

TASKS_PER_SLOT = 2
"""There is more than one Spark task per slot, because tasks differ in size and no slot should wait long for the last
task. The number is small, because each task costs 30 to 250 ms.
"""
BUCKET_BYTES = 32 * 2**20
"""The largest size in bytes of a task's rows, as float32 with their ids. A single group may be larger."""


@dataclass(frozen=True)
class Sizes:
    """The key of each group, and its numbers of training and hold-out rows.

    The arrays are in the order of the groups' codes; shapes (groups,).
    """

    keys: Array
    train: Array
    holdout: Array

    @property
    def rows(self) -> Array:
        total: Array = self.train + self.holdout
        return total


@dataclass(frozen=True)
class Groups:
    """The groups of one case.

    `codes` holds the codes of the sample's groups in ascending order. `refused` holds the codes of those groups
    that are too large to be trained.
    """

    grouping: Grouping
    sizes: Sizes
    codes: Array
    refused: Array

    @property
    def trained(self) -> Array:
        """The codes of the groups that every engine trains, in ascending order."""
        return np.setdiff1d(self.codes, self.refused, assume_unique=True)

    @property
    def is_everything(self) -> bool:
        """True if all groups of the grouping are trained, so that no row is filtered out."""
        return len(self.trained) == self.grouping.groups

    @property
    def trained_mask(self) -> Array | None:
        """A mask over all codes that is true if the group is trained; shape (all groups,).

        None if all groups are trained.
        """
        if self.is_everything:
            return None
        mask = np.zeros(self.grouping.groups, dtype=bool)
        mask[self.trained] = True
        return mask

    def buckets(self, slots: int, group_cost_rows: int, features: int) -> Array:
        """Returns the smallest code of each bucket. A bucket consists of consecutive groups that one task trains.

        All buckets take about the same time. There are TASKS_PER_SLOT buckets for each slot, and more if the rows
        need more than BUCKET_BYTES per bucket. `group_cost_rows` is the fixed cost of a group (see `Trainer`).
        """
        rows = self.sizes.rows[self.trained]
        size = int(rows.sum()) * shuffled_bytes(features)
        count = max(slots * TASKS_PER_SLOT, math.ceil(size / BUCKET_BYTES))
        first_codes: Array = self.trained[[first for first, _ in even_spans(rows + group_cost_rows, count)]]
        return first_codes

    def bytes_of(self, code: int, features: int) -> int:
        """Returns how many bytes of memory a group needs in the process that trains it."""
        return int(self.sizes.rows[code]) * row_bytes(features)


def even_spans(costs: Array, count: int) -> list[tuple[int, int]]:
    """Divides items into at most `count` spans with about the same sum of costs. `costs` has one cost per item.

    A span is the pair (first, last + 1) of positions of consecutive items.
    """
    ends = np.concatenate([[0], np.cumsum(costs)])
    targets = np.linspace(0, ends[-1], count + 1)[1:-1]
    after = np.searchsorted(ends, targets)
    nearer = after - (targets - ends[after - 1] < ends[after] - targets)
    return list(pairwise(np.unique([0, *nearer.tolist(), len(costs)]).tolist()))


def shuffled_bytes(features: int) -> int:
    """Returns the size in bytes of one row in a shuffle: its features as float32, and its other values."""
    return 4 * (features + 2 * OTHER_VALUES)


def row_bytes(features: int) -> int:
    """Returns how many bytes of memory one row needs in the process that trains its group."""
    return VALUE_BYTES * (features + OTHER_VALUES)


def sizes_of(data: PreparedDataset, grouping: Grouping) -> Sizes:
    """Reads the sizes of all groups from the file of keys that was written with the data."""
    return _sizes(join(data.root, grouping.keys), data.content_hash)


@cache
def _sizes(location: str, content: str) -> Sizes:  # noqa: ARG001 - part of the cache's key
    system, path = resolve(location)
    table = pq.read_table(path, filesystem=system)
    names = ("key", "train_rows", "holdout_rows")
    return Sizes(*(table.column(name).to_numpy(zero_copy_only=False) for name in names))


@cache
def _sampled(grouping: Grouping, fraction: float, sample_seed: int) -> Array:
    """Returns the codes of the sample's groups, ascending.

    The result is cached, because every phase needs it, and for a million groups it takes a second.
    """
    return np.array(sorted(grouping.sample(fraction, sample_seed)))


def grouping_named(data: PreparedDataset, by: str) -> Grouping | None:
    """Returns the grouping with the name `by`; the first one if `by` is empty. None if it does not exist."""
    return next((grouping for grouping in data.groupings if by in ("", grouping.name)), None)


def groups_of(
    data: PreparedDataset, by: str, fraction: float, sample_seed: int, most_bytes: float = float("inf")
) -> Groups:
    """Returns the groups of a sample. Groups that need more than `most_bytes` of memory for training are refused.

    `by` is the name of a grouping, or empty for the first. Raises KeyError if there is no such grouping.
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
