"""Reads the rows of all groups, and converts a group's rows to the arrays that the trainer needs."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from sparkscale.contract.context import Context
from sparkscale.contract.dataset import LABEL, ROW, TIME, PreparedDataset
from workloads.io.filesystem import read_parquet, schema_of
from workloads.io.frames import spark_rows
from workloads.per_group.groups import Groups
from workloads.per_group.training import Array, Job, Rows

if TYPE_CHECKING:
    import pandas as pd
    from pyspark.sql import DataFrame

ROW_BITS = 40
"""The number of bits for a row id in the sort key of `group_order`."""
FEATURES = "features"
"""The column with all features, in engines that move all features as one column."""
HELD_OUT = "held_out"
"""The column that is true for a group's hold-out rows and false for the group's training rows."""


def train_paths(run: Context) -> list[str]:
    """Returns the paths of all training rows.

    All slices are needed, because a sample consists of groups, and each slice has rows of every group.
    """
    return run.data.train_paths(1, run.case.sample_seed)


def has_time(data: PreparedDataset) -> bool:
    return TIME in schema_of(data.holdout_path).names


def columns_of(job: Job) -> list[str]:
    """Returns the columns that engines read from the files.

    The column HELD_OUT, which is true for hold-out rows, is added later.
    """
    return [job.group, ROW, LABEL, *([TIME] if job.has_time else []), *job.features]


def read_groups(run: Context, job: Job, groups: Groups) -> pa.Table:
    """Reads the rows of the groups to train, with pyarrow and in no particular order.

    The added column HELD_OUT is true for hold-out rows.
    """
    columns = columns_of(job)
    parts = []
    for paths, held_out in ((train_paths(run), False), ([run.data.holdout_path], True)):
        parts.append(marked(job, read_parquet(paths, columns), groups.trained_mask, held_out))
    return pa.concat_tables(parts)


def marked(job: Job, table: pa.Table, trained_mask: Array | None, held_out: bool) -> pa.Table:
    """Returns the rows of groups that are trained. In the new column HELD_OUT, all rows have the value `held_out`.

    `trained_mask` is the value of `Groups.trained_mask`; None if all groups are trained.
    """
    if trained_mask is not None:
        table = table.filter(pa.array(trained_mask[table.column(job.group).to_numpy()]))
    return table.append_column(HELD_OUT, pa.array(np.full(table.num_rows, held_out)))


def spark_groups(run: Context, job: Job, groups: Groups) -> "DataFrame":
    """Returns the rows that `read_groups` reads, as a DataFrame. No row is read yet."""
    from pyspark.sql.functions import broadcast, lit

    columns = columns_of(job)
    train = spark_rows(run, train_paths(run)).select(*columns, lit(False).alias(HELD_OUT))
    held_out = spark_rows(run, [run.data.holdout_path]).select(*columns, lit(True).alias(HELD_OUT))
    frame = train.union(held_out)
    if groups.is_everything:
        return frame
    trained = run.spark.createDataFrame(pa.table({job.group: pa.array(groups.trained, pa.int32())}))
    return frame.join(broadcast(trained), job.group, "left_semi")


def rows_of_frame(job: Job, frame: "pd.DataFrame") -> Rows:
    """Converts the pandas DataFrame of one group to Rows."""
    features = np.empty((len(frame), len(job.features)), dtype=np.float32)
    for position, name in enumerate(job.features):
        features[:, position] = frame[name].to_numpy()
    return _rows(job, lambda name: frame[name].to_numpy(), features)


def rows_of_table(job: Job, table: pa.Table) -> Rows:
    """Converts the Arrow table of one group to Rows. The column FEATURES of the table has lists of float32."""
    features = np.empty((len(table), 0), dtype=np.float32)
    if job.features:
        features = table.column(FEATURES).combine_chunks().flatten().to_numpy().reshape(len(table), -1)
    return _rows(job, lambda name: table.column(name).to_numpy(), features)


def _rows(job: Job, column: Callable[[str], Array], features: Array) -> Rows:
    when = column(TIME) if job.has_time else None
    return Rows.ordered(column(ROW), features, column(LABEL).astype(np.float64), column(HELD_OUT), when)


def feature_matrix(job: Job, table: pa.Table) -> Array:
    """Returns the features, with categories as their codes; shape (rows, features), float32."""
    features = np.empty((table.num_rows, len(job.features)), dtype=np.float32)
    for position, name in enumerate(job.features):
        features[:, position] = table.column(name).to_numpy()
    return features


def group_order(code: Array, row: Array) -> Array:
    """Returns the order that sorts rows by group, and by id within a group; shape (rows,).

    `code` holds the rows' group codes, and `row` their ids. If both fit into one key of 63 bits, the function
    sorts once, by this key. Ids may have 40 bits (10^12 rows). Otherwise it sorts by two keys, which takes twice
    as long.
    """
    if len(code) and (int(code.max()) >= 1 << (63 - ROW_BITS) or int(row.max()) >= 1 << ROW_BITS):
        return np.lexsort((row, code))
    order: Array = np.argsort(code.astype(np.int64) << ROW_BITS | row)
    return order


@dataclass(frozen=True)
class Block:
    """Rows of several groups, in the order of `group_order`. Group i has the rows starts[i] … starts[i + 1] - 1.

    The arrays have the same shapes as in `Rows`. An engine with blocks makes columns and matrices once for all
    groups of a block, not once for each group.
    """

    codes: Array
    starts: Array
    features: Array
    label: Array
    held_out: Array
    time: Array | None

    @classmethod
    def of(cls, job: Job, table: pa.Table, features: Array) -> "Block":
        """Returns a block, made from rows in any order.

        `features` is the result of `feature_matrix` for these rows.
        """
        code = table.column(job.group).to_numpy()
        order = group_order(code, table.column(ROW).to_numpy())

        def column(name: str) -> Array:
            ordered: Array = table.column(name).to_numpy()[order]
            return ordered

        code = code[order]
        starts = np.flatnonzero(np.concatenate([[True], code[1:] != code[:-1], [True]]))
        return cls(
            codes=code[starts[:-1]],
            starts=starts,
            features=features[order],
            label=column(LABEL).astype(np.float64),
            held_out=column(HELD_OUT),
            time=column(TIME) if job.has_time else None,
        )

    def groups(self, first: int = 0, last: int | None = None) -> Iterator[tuple[int, Rows]]:
        """Yields the code and the rows of each group from number `first` to number `last` - 1 of the block.

        If `last` is None, the last group of the block is also the last here.
        """
        last = len(self.codes) if last is None else last
        bounds = self.starts[first : last + 1].tolist()
        for code, start, stop in zip(self.codes[first:last].tolist(), bounds[:-1], bounds[1:], strict=True):
            when = None if self.time is None else self.time[start:stop]
            yield code, Rows(self.features[start:stop], self.label[start:stop], self.held_out[start:stop], when)
