"""Lays rows out by group on storage. This is a shuffle through Parquet files, without the JVM.

A task sorts its share of the rows by group and writes one file, with a row group for each bucket. A bucket
consists of consecutive groups that one task trains. (In Spark's sort shuffle, a task writes a file with a segment
for each partition.) The task that trains a bucket reads this bucket's row group of every file. So a task has
either a share of the rows or one bucket in memory. Shares and buckets do not grow with the number of groups.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sparkscale.contract.context import Context
from sparkscale.contract.dataset import LABEL, ROW, TIME
from sparkscale.contract.location import join
from workloads.io.filesystem import RowGroup, resolve, row_groups
from workloads.per_group.group_rows import (
    FEATURES,
    HELD_OUT,
    Block,
    columns_of,
    feature_matrix,
    group_order,
    marked,
    train_paths,
)
from workloads.per_group.groups import Groups, even_spans, shuffled_bytes
from workloads.per_group.training import Array, Job

SHARE_BYTES = 128 * 2**20
"""The largest size in bytes of the rows that one task sorts, as float32 with their ids. A task may get up to one
row group more."""

Part = tuple[RowGroup, bool]
"""A row group of the data set, and a flag that is true if the row group belongs to the hold-out."""


@dataclass(frozen=True)
class Piece:
    """A row group of a laid-out file. It has rows of one bucket, sorted by group."""

    path: str
    number: int
    rows: int


@dataclass(frozen=True)
class Plan:
    """The rows that each task sorts by group and writes, and the folder for these files. Can be pickled.

    `trained_mask` and `buckets` are the results of the members of `Groups` with the same names.
    """

    job: Job
    folder: str
    trained_mask: Array | None
    buckets: Array
    shares: tuple[tuple[Part, ...], ...]
    """The row groups that each task lays out."""

    def lay_out(self, number: int) -> list[tuple[int, Piece]]:
        """Sorts one share of the rows by group, and writes it as one file. `number` is the number of the share.

        Returns a pair for each row group of the file: the number of its bucket, and the row group as a Piece. Runs
        in a task. Spark may run a task twice at the same time, so each run writes a file with a new name.
        """
        system, path = resolve(join(self.folder, f"part-{number:05d}-{uuid4().hex}.parquet"))
        columns = columns_of(self.job)
        table = pa.concat_tables(
            marked(self.job, rows.read(columns), self.trained_mask, held_out)
            for rows, held_out in self.shares[number]
        ).combine_chunks()
        code = table.column(self.job.group).to_numpy()
        order = group_order(code, table.column(ROW).to_numpy())
        packed = pack(self.job, table, order)
        bounds = np.searchsorted(code[order], [*self.buckets, np.iinfo(code.dtype).max]).tolist()
        pieces: list[tuple[int, Piece]] = []
        with pq.ParquetWriter(
            path, packed.schema, filesystem=system, compression="none", use_dictionary=False, write_statistics=False
        ) as writer:
            for bucket, (first, last) in enumerate(pairwise(bounds)):
                if last > first:
                    pieces.append((bucket, Piece(path, len(pieces), last - first)))
                    writer.write_table(packed.slice(first, last - first), row_group_size=last - first)
        return pieces


def plan(run: Context, job: Job, groups: Groups, folder: str) -> Plan:
    """Divides the groups into buckets, and the data set's row groups among tasks. Reads no row."""
    parts = [(rows, False) for rows in row_groups(train_paths(run))]
    parts += [(rows, True) for rows in row_groups([run.data.holdout_path])]
    return Plan(
        job,
        folder,
        groups.trained_mask,
        groups.buckets(run.slots, job.trainer.group_cost_rows, len(job.features)),
        shares(parts, run.slots, shuffled_bytes(len(job.features))),
    )


def shares(parts: Sequence[Part], slots: int, row_bytes: int) -> tuple[tuple[Part, ...], ...]:
    """Divides parts into shares with about the same number of rows. Every slot gets the same number of shares.

    There are enough shares that each has at most about SHARE_BYTES.
    """
    rows = np.array([row_group.rows for row_group, _ in parts])
    rounds = math.ceil(int(rows.sum()) * row_bytes / (SHARE_BYTES * slots))
    return tuple(tuple(parts[first:last]) for first, last in even_spans(rows, rounds * slots))


def pack(job: Job, table: pa.Table, order: Array) -> pa.Table:
    """Returns the rows of `table` in the order `order`. One binary column has all features of a row as float32.

    So a reader makes one copy of all features together, not one copy for each feature.
    """
    columns = {name: pa.array(table.column(name).to_numpy()[order]) for name in other_columns(job)}
    if not job.features:
        return pa.table(columns)
    matrix = feature_matrix(job, table)[order]
    width = pa.binary(4 * matrix.shape[1])
    columns[FEATURES] = pa.FixedSizeBinaryArray.from_buffers(width, len(matrix), [None, pa.py_buffer(matrix)])
    return pa.table(columns)


def other_columns(job: Job) -> list[str]:
    """Returns the names of all columns that are not features."""
    return [job.group, ROW, LABEL, HELD_OUT, *([TIME] if job.has_time else [])]


def read_bucket(job: Job, folder: str, pieces: Sequence[Piece]) -> Block:
    """Returns the rows of one bucket, sorted by group. `pieces` are the bucket's row groups."""
    system, _ = resolve(folder)
    tables = []
    for piece in pieces:
        with pq.ParquetFile(piece.path, filesystem=system) as file:
            tables.append(file.read_row_group(piece.number, use_threads=False))
    table = pa.concat_tables(tables)
    if not job.features:
        return Block.of(job, table, np.empty((table.num_rows, 0), dtype=np.float32))
    packed = table.column(FEATURES).combine_chunks()
    chunk = packed if isinstance(packed, pa.Array) else packed.chunk(0)
    matrix = np.frombuffer(
        chunk.buffers()[1], np.float32, len(chunk) * len(job.features), 4 * len(job.features) * chunk.offset
    )
    return Block.of(job, table, matrix.reshape(len(chunk), -1))
