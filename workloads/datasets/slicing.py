"""Cuts a table into a hold-out of whole units and 64 slices of training rows, and writes it as Parquet."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from sparkscale.contract.case import SLICES
from sparkscale.contract.dataset import LABEL, ROW, UNIT, Column, slice_folder

HOLDOUT_KEY, SLICE_KEY = 0x68_6F_6C_64, 0x73_6C_69_63


def mix(values: "np.ndarray[Any, Any]", key: int) -> "np.ndarray[Any, Any]":
    """A 64-bit hash of each integer, independent for different keys.

    The finaliser of SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
    """
    with np.errstate(over="ignore"):
        z = values.astype(np.uint64) + np.uint64(key) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def holdout_units(units: "np.ndarray[Any, Any]", share: float) -> set[int]:
    """The units (days, groups) that form the hold-out: those with the smallest hashes."""
    distinct = np.unique(units)
    order = np.argsort(mix(distinct, HOLDOUT_KEY), kind="stable")
    return set(distinct[order[: round(share * len(distinct))]].tolist())


def write(
    folder: Path, rows: pd.DataFrame, columns: tuple[Column, ...], held_out: "np.ndarray[Any, Any]"
) -> tuple[tuple[int, ...], int]:
    """Writes `holdout/` and `train/slice-00` … `slice-63`; returns rows per slice and of the hold-out.

    `rows` has ROW, UNIT and LABEL beside the features; `held_out` is a boolean mask over its rows.
    """
    types = {"numeric": pa.float32(), "categorical": pa.int32()}
    schema = pa.schema(
        [
            pa.field(ROW, pa.int64(), nullable=False),
            pa.field(UNIT, pa.int32(), nullable=False),
            pa.field(LABEL, pa.int8(), nullable=False),
            *(pa.field(column.name, types[column.kind], nullable=False) for column in columns),
        ]
    )
    rows = rows.sort_values(ROW)
    slices = (mix(rows[ROW].to_numpy(), SLICE_KEY) % np.uint64(SLICES)).astype(int)
    held_out = held_out[rows.index.to_numpy()]
    table = pa.Table.from_pandas(rows, schema=schema, preserve_index=False)

    def store(relative: str, mask: "np.ndarray[Any, Any]") -> int:
        part = table.filter(pa.array(mask))
        (folder / relative).mkdir(parents=True)
        pq.write_table(part, folder / relative / "part-0.parquet", compression="zstd")
        return int(part.num_rows)

    counts = tuple(store(slice_folder(s), ~held_out & (slices == s)) for s in range(SLICES))
    return counts, store("holdout", held_out)
