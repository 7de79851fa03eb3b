"""Divides training rows into 64 slices, and writes parts of a data set as Parquet files.

A data set is written in parts of consecutive rows. Only the data set's definition determines the rows of a part. A
part has one file in the folder of each slice and one in the folder of the hold-out. So the files are the same for any
number of tasks that write parts.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sparkscale.contract.case import SLICES, Task
from sparkscale.contract.dataset import (
    HOLDOUT_FOLDER,
    LABEL,
    ROW,
    TIME,
    TRUTH,
    UNIT,
    Column,
    Moments,
    slice_folder,
)
from workloads.io.filesystem import resolve

Array = np.ndarray[Any, Any]

BLOCK_ROWS = 65_536
PART_BLOCKS = 16
PART_BYTES = 112 * 2**20
"""The largest size of a part's encoded rows. A task has one part in memory. Python, NumPy and PyArrow need about 200
MiB more."""
ROW_GROUP_ROWS = 65_536
"""The number of rows in a row group. A reader that streams has one row group in memory."""

HOLDOUT_SHARE = 0.2
HOLDOUT_LEAST_SHARE, HOLDOUT_MOST_SHARE = 0.05, 0.4
"""The limits of the hold-out's share of the rows. Whole groups or times may not add up to exactly a fifth, but
their share must lie within these limits."""
HOLDOUT_MOST = 1_000_000
"""The largest number of rows in a random hold-out. With a million rows, an AUC is known to within 0.001. A larger
hold-out would cost storage, because every case stores the scores of all hold-out rows."""
HOLDOUT = SLICES
"""The number that marks a hold-out row. Training rows have the number of their slice, 0 to 63."""

HOLDOUT_KEY, SLICE_KEY, UNIT_KEY = 0x68_6F_6C_64, 0x73_6C_69_63, 0x75_6E_69_74
RANDOM_UNITS = 256
"""If rows are independent of each other, they are divided at random into this many units."""

LABEL_TYPES: dict[Task, pa.DataType] = {
    "classification": pa.int8(),
    "regression": pa.float64(),
    "clustering": pa.int32(),
}


def mix(values: Array, key: int) -> Array:
    """Returns a 64-bit hash of each integer. Hashes with different keys are independent of each other.

    Source: the finaliser of SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
    """
    with np.errstate(over="ignore"):
        z = values.astype(np.uint64) + np.uint64(key) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def holdout_units(units: Array, share: float) -> set[int]:
    """Returns the units (such as weeks or groups) that are held out: those with the smallest hashes.

    `share` is the share of all units that is held out.
    """
    distinct = np.unique(units)
    order = np.argsort(mix(distinct, HOLDOUT_KEY), kind="stable")
    return set(distinct[order[: round(share * len(distinct))]].tolist())


def held_out_at_random(row: Array, rows: int) -> Array:
    """Returns a mask over the ids in `row`, which is true for hold-out rows.

    A hash of the id decides. It chooses about a fifth of the table's `rows` rows, or HOLDOUT_MOST if that is
    fewer.
    """
    share = min(HOLDOUT_SHARE, HOLDOUT_MOST / rows)
    mask: Array = mix(row, HOLDOUT_KEY) < np.uint64(int(share * 2**64))
    return mask


def slices_of(row: Array) -> Array:
    """Returns the slice of each row id. The slice does not depend on the hash that chooses the hold-out."""
    return (mix(row, SLICE_KEY) % np.uint64(SLICES)).astype(np.int64)


def random_units(row: Array) -> Array:
    """Returns a random unit for each row id. Used if rows are independent of each other."""
    return (mix(row, UNIT_KEY) % np.uint64(RANDOM_UNITS)).astype(np.int32)


def part_starts(rows: int, row_bytes: int) -> list[int]:
    """Returns the first row of each part of a table.

    A part consists of as many whole blocks of rows as PART_BLOCKS and PART_BYTES allow.
    """
    blocks = max(1, min(PART_BLOCKS, PART_BYTES // (BLOCK_ROWS * row_bytes)))
    return list(range(0, rows, blocks * BLOCK_ROWS))


@dataclass(frozen=True)
class Shape:
    """The columns of a data set's files."""

    task: Task
    columns: tuple[Column, ...]
    groups: tuple[str, ...] = ()
    has_time: bool = False
    has_truth: bool = False
    compression: str = "zstd"

    def schema(self, held_out: bool) -> pa.Schema:
        """Returns the schema of the files.

        Only hold-out files have the column TRUTH (predictions of the model that generated the data), so no
        training can read it by accident.
        """
        types = {"numeric": pa.float32(), "categorical": pa.int32()}
        fields = [
            (ROW, pa.int64()),
            (UNIT, pa.int32()),
            (LABEL, LABEL_TYPES[self.task]),
            *([(TRUTH, pa.float64())] if self.has_truth and held_out else []),
            *([(TIME, pa.int64())] if self.has_time else []),
            *((group, pa.int32()) for group in self.groups),
            *((column.name, types[column.kind]) for column in self.columns),
        ]
        return pa.schema([pa.field(name, kind, nullable=False) for name, kind in fields])

    @property
    def row_bytes(self) -> int:
        """Returns the size of one row in bytes, encoded but not compressed."""
        return sum(int(kind.bit_width) for kind in self.schema(held_out=True).types) // 8

    @property
    def coded(self) -> list[str]:
        """Returns the names of columns with few different values, which are written with a dictionary."""
        return [UNIT, *self.groups, *(column.name for column in self.columns if column.kind == "categorical")]


@dataclass(frozen=True)
class PartReport:
    """A task's report about the part that it wrote.

    `slice_rows` and `slice_labels` hold one entry per slice. `sha256` holds the hash of each file, by its path
    relative to the root.
    """

    slice_rows: tuple[int, ...]
    slice_labels: tuple[Moments, ...]
    holdout_rows: int
    sha256: dict[str, str]


def part_file(folder: str, part: int) -> str:
    """Returns the path of the file of the part with the number `part` in a folder."""
    return f"{folder}/part-{part:05d}.parquet"


def order_by_place(row: Array, held_out: Array) -> tuple[Array, Array]:
    """Returns the order that sorts rows by slice, with the hold-out last, and the index at which each slice begins.

    The hold-out counts as the 65th slice. Within a slice, rows keep their order. The last index is the number of
    rows. Shapes: (rows,) and (66,).
    """
    place = np.where(held_out, HOLDOUT, slices_of(row))
    counts = np.bincount(place, minlength=HOLDOUT + 1)
    return np.argsort(place, kind="stable"), np.concatenate([[0], np.cumsum(counts)])


def write_part(
    root: str, part: int, shape: Shape, blocks: Sequence[dict[str, Array]], starts: Sequence[Array]
) -> PartReport:
    """Writes the rows of one part, and returns a report.

    The arrays of a block have the shape (rows,) and are sorted by slice (see `order_by_place`). So the rows of each
    file are a view, and no row is copied. `starts` holds, for each block, the index at which each slice begins.
    """
    counts, labels, sha256 = [], [], {}
    for place in range(HOLDOUT + 1):
        folder = HOLDOUT_FOLDER if place == HOLDOUT else slice_folder(place)
        schema = shape.schema(held_out=place == HOLDOUT)
        table = pa.Table.from_batches(
            [
                pa.RecordBatch.from_arrays(
                    [
                        pa.array(arrays[field.name][start[place] : start[place + 1]], type=field.type)
                        for field in schema
                    ],
                    schema=schema,
                )
                for arrays, start in zip(blocks, starts, strict=True)
            ],
            schema=schema,
        )
        path = part_file(folder, part)
        counts.append(table.num_rows)
        labels.append(moments_of(table.column(LABEL).to_numpy()))
        sha256[path] = write_table(root, path, table, shape)
    return PartReport(tuple(counts[:HOLDOUT]), tuple(labels[:HOLDOUT]), counts[HOLDOUT], sha256)


def moments_of(values: Array) -> Moments:
    """Returns the moments of numeric values. `values` has the shape (rows,); without values all moments are 0."""
    if not len(values):
        return Moments(rows=0, mean=0.0, squares=0.0)
    mean = float(values.mean(dtype=np.float64))
    return Moments(rows=len(values), mean=mean, squares=float(((values - mean) ** 2).sum(dtype=np.float64)))


def write_table(root: str, path: str, table: pa.Table, shape: Shape) -> str:
    """Writes one file below the root and returns its SHA-256."""
    sink = pa.BufferOutputStream()
    pq.write_table(
        table,
        sink,
        row_group_size=ROW_GROUP_ROWS,
        compression=shape.compression,
        use_dictionary=shape.coded,
        write_statistics=False,
    )
    return write_file(root, path, sink.getvalue())


def write_file(root: str, path: str, content: pa.Buffer | bytes) -> str:
    """Writes one file below the root and returns its SHA-256."""
    system, base = resolve(root)
    target = f"{base}/{path}"
    system.create_dir(target.rsplit("/", 1)[0], recursive=True)
    with system.open_output_stream(target) as stream:
        stream.write(content)
    return hashlib.sha256(content).hexdigest()
