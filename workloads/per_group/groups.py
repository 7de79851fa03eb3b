"""The groups of a case: which the sample holds, how large they are, and which are too large to be shuffled."""

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
"""Of one value of a group in the Python process that trains it: Arrow's copy, pandas', the matrix and the trainer's.

Measured: docs/per-group.md."""
OTHER_VALUES = 4
"""Of a row beside its features: id, label, group, whether it is held out (and when it was)."""

TASKS_PER_SLOT = 2
"""Groups differ, so tasks do, and no slot should wait long for the last one; but a task costs 30 to 250 ms."""
BUCKET_BYTES = 32 * 2**20
"""Of a task's rows as float32 and their ids, at most, where no group has more."""


@dataclass(frozen=True)
class Sizes:
    """Rows of every group of a grouping, in the order of the codes; shapes (groups,)."""

    keys: Array
    train: Array
    holdout: Array

    @property
    def rows(self) -> Array:
        found: Array = self.train + self.holdout
        return found


@dataclass(frozen=True)
class Groups:
    """The groups of one case. `codes` ascend; those of `refused` are not trained, for they are too large."""

    grouping: Grouping
    sizes: Sizes
    codes: Array
    refused: Array

    @property
    def trained(self) -> Array:
        """The codes that every engine is to train."""
        return np.setdiff1d(self.codes, self.refused, assume_unique=True)

    @property
    def is_everything(self) -> bool:
        """Whether no row need be filtered out."""
        return len(self.trained) == self.grouping.groups

    @property
    def wanted(self) -> Array | None:
        """Whether each code's group is trained, shape (all groups,); None where every row is wanted."""
        if self.is_everything:
            return None
        mask = np.zeros(self.grouping.groups, dtype=bool)
        mask[self.trained] = True
        return mask

    def buckets(self, slots: int, group_cost_rows: int, features: int) -> Array:
        """The least code of each bucket: a run of groups that one task of Spark trains, taking about as long as any
        other, TASKS_PER_SLOT for each slot and more where there are many rows.
        """
        rows = self.sizes.rows[self.trained]
        size = int(rows.sum()) * shuffled_bytes(features)
        count = max(slots * TASKS_PER_SLOT, math.ceil(size / BUCKET_BYTES))
        found: Array = self.trained[[first for first, _ in even_spans(rows + group_cost_rows, count)]]
        return found

    def bytes_of(self, code: int, features: int) -> int:
        """What a group needs in the process that trains it."""
        return int(self.sizes.rows[code]) * row_bytes(features)


def even_spans(costs: Array, count: int) -> list[tuple[int, int]]:
    """Runs of groups that cost about as much each, in their order: `first`, and one past the last."""
    ends = np.concatenate([[0], np.cumsum(costs)])
    wanted = np.linspace(0, ends[-1], count + 1)[1:-1]
    after = np.searchsorted(ends, wanted)
    nearer = after - (wanted - ends[after - 1] < ends[after] - wanted)
    return list(pairwise(np.unique([0, *nearer.tolist(), len(costs)]).tolist()))


def shuffled_bytes(features: int) -> int:
    """Of one row while it is brought to its group: its features as float32, and what is beside them."""
    return 4 * (features + 2 * OTHER_VALUES)


def row_bytes(features: int) -> int:
    """Of one row in the process that trains its group."""
    return VALUE_BYTES * (features + OTHER_VALUES)


def sizes_of(data: PreparedDataset, grouping: Grouping) -> Sizes:
    """Read from the file of keys that was written with the data."""
    return _sizes(join(data.root, grouping.keys), data.content_hash)


@cache
def _sizes(location: str, content: str) -> Sizes:  # noqa: ARG001 - another content is another entry
    system, path = resolve(location)
    table = pq.read_table(path, filesystem=system)
    names = ("key", "train_rows", "holdout_rows")
    return Sizes(*(table.column(name).to_numpy(zero_copy_only=False) for name in names))


@cache
def _sampled(grouping: Grouping, fraction: float, sample_seed: int) -> Array:
    """Ascending; kept, for a million groups take a second, and every phase asks."""
    return np.array(sorted(grouping.sample(fraction, sample_seed)))


def chosen(data: PreparedDataset, by: str) -> Grouping | None:
    """The grouping of this name, the first one for the empty name; None where there is none."""
    return next((grouping for grouping in data.groupings if by in ("", grouping.name)), None)


def groups_of(
    data: PreparedDataset, by: str, fraction: float, sample_seed: int, most_bytes: float = float("inf")
) -> Groups:
    """The groups of a sample; those that need more than `most_bytes` to be trained are refused.

    Raises KeyError for a grouping that the data set does not have.
    """
    grouping = chosen(data, by)
    if grouping is None:
        raise KeyError(by)
    sizes = sizes_of(data, grouping)
    codes = np.arange(grouping.groups)
    if fraction < 1:
        codes = _sampled(grouping, fraction, sample_seed)
    too_large = sizes.rows[codes] * float(row_bytes(len(data.columns))) > most_bytes
    return Groups(grouping, sizes, codes, codes[too_large])
