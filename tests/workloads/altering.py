"""Copies of a prepared data set in which something is not as it was."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sparkscale.contract.dataset import PreparedDataset

Change = Callable[[pa.Table], pa.Table]


def changed(data: PreparedDataset, folder: Path, change: Change) -> PreparedDataset:
    """A copy whose every file went through `change`."""
    shutil.copytree(data.root, folder)
    for file in folder.rglob("*.parquet"):
        pq.write_table(change(pq.read_table(file)), file)
    return data.model_copy(update={"root": str(folder), "merged": {}})


def with_column(name: str, value: float) -> Change:
    def change(table: pa.Table) -> pa.Table:
        if name not in table.column_names:
            return table
        position = table.column_names.index(name)
        column = pa.array(np.full(table.num_rows, value), table.schema.field(name).type)
        return table.set_column(position, table.schema.field(name), column)

    return change
