"""How training rows fall into 64 slices, and how a part of them is written as Parquet.

A data set is written in parts: a fixed run of rows each, decided by its definition alone. A part is one file in every
slice's folder and one in the hold-out's, so any number of tasks may write parts and the files are the same.
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
"""Encoded rows of a part at most: a task holds one part, beside which Python, NumPy and PyArrow take some 200 MiB."""
ROW_GROUP_ROWS = 65_536
"""What a streaming reader holds at once."""

HOLDOUT_SHARE = 0.2
HOLDOUT_LEAST_SHARE, HOLDOUT_MOST_SHARE = 0.05, 0.4
"""Whole groups or times may not add up to a fifth; within these bounds the nearest is taken."""
HOLDOUT_MOST = 1_000_000
"""Random hold-outs end here: at this size an AUC is known within 0.001, and every case stores its scores."""
HOLDOUT = SLICES
"""The place of a held-out row, beside those of the slices 0 … 63."""

HOLDOUT_KEY, SLICE_KEY, UNIT_KEY = 0x68_6F_6C_64, 0x73_6C_69_63, 0x75_6E_69_74
RANDOM_UNITS = 256
"""Rows that are independent of each other are bundled at random into as many units."""

LABEL_TYPES: dict[Task, pa.DataType] = {
    "classification": pa.int8(),
    "regression": pa.float64(),
    "clustering": pa.int32(),
}


def mix(values: Array, key: int) -> Array:
    """A 64-bit hash of each integer, independent for different keys.

    The finaliser of SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
    """
    with np.errstate(over="ignore"):
        z = values.astype(np.uint64) + np.uint64(key) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def holdout_units(units: Array, share: float) -> set[int]:
    """The units (weeks, groups) that form the hold-out: those with the smallest hashes."""
    distinct = np.unique(units)
    order = np.argsort(mix(distinct, HOLDOUT_KEY), kind="stable")
    return set(distinct[order[: round(share * len(distinct))]].tolist())


def held_out_at_random(row: Array, rows: int) -> Array:
    """A mask over row ids: a fifth of them by hash, HOLDOUT_MOST at most, of a table of so many rows."""
    share = min(HOLDOUT_SHARE, HOLDOUT_MOST / rows)
    mask: Array = mix(row, HOLDOUT_KEY) < np.uint64(int(share * 2**64))
    return mask


def slices_of(row: Array) -> Array:
    """The slice of each row id; independent of the hold-out's hash."""
    return (mix(row, SLICE_KEY) % np.uint64(SLICES)).astype(np.int64)


def random_units(row: Array) -> Array:
    """Units of rows that are alike by nothing but chance."""
    return (mix(row, UNIT_KEY) % np.uint64(RANDOM_UNITS)).astype(np.int32)


def part_starts(rows: int, row_bytes: int) -> list[int]:
    """First rows of the parts of a table: whole blocks, as many as PART_BLOCKS and PART_BYTES allow."""
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
        """TRUTH stands in the hold-out only: no training can read it by accident."""
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
        """Of one row, encoded and not compressed."""
        return sum(int(kind.bit_width) for kind in self.schema(held_out=True).types) // 8

    @property
    def coded(self) -> list[str]:
        """Columns of few values, worth a dictionary."""
        return [UNIT, *self.groups, *(column.name for column in self.columns if column.kind == "categorical")]


@dataclass(frozen=True)
class PartReport:
    """What a task says of the part it wrote. `sha256` is per file, by its path relative to the root."""

    slice_rows: tuple[int, ...]
    slice_labels: tuple[Moments, ...]
    holdout_rows: int
    sha256: dict[str, str]


def part_file(folder: str, part: int) -> str:
    return f"{folder}/part-{part:05d}.parquet"


def placed(row: Array, held_out: Array) -> tuple[Array, Array]:
    """The order that puts rows by place (slices, then the hold-out), and where each of the 65 places begins.

    Shapes (rows,) and (66,); within a place rows keep their order.
    """
    place = np.where(held_out, HOLDOUT, slices_of(row))
    counts = np.bincount(place, minlength=HOLDOUT + 1)
    return np.argsort(place, kind="stable"), np.concatenate([[0], np.cumsum(counts)])


def write_part(
    root: str, part: int, shape: Shape, blocks: Sequence[dict[str, Array]], starts: Sequence[Array]
) -> PartReport:
    """Writes the rows of one part.

    A block's arrays, shape (rows,), are in the order of `placed`, so that each file's rows are slices of them and
    nothing is copied. `starts` are `placed`'s second result, one per block.
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
    """The moments of values, shape (rows,), of any numeric type."""
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
