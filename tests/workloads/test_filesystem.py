"""Row groups on several threads."""

import os
import threading
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from workloads.io.filesystem import map_row_groups


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six row groups in two files."""
    for number in range(2):
        table = pa.table({"a": range(30 * number, 30 * number + 30), "b": [0] * 30})
        pq.write_table(table, tmp_path / f"{number}.parquet", row_group_size=10)
    return tmp_path


def test_row_groups_are_worked_on_side_by_side_and_come_back_in_order(folder: Path) -> None:
    """One after the other they would never meet at the barrier."""
    together = min(2, len(os.sched_getaffinity(0)))
    barrier = threading.Barrier(together)

    def first_value(table: pa.Table) -> int:
        assert table.column_names == ["a"]
        barrier.wait(timeout=60)
        return int(table.column("a")[0].as_py())

    assert list(map_row_groups([str(folder)], ["a"], first_value)) == [0, 10, 20, 30, 40, 50]


def test_what_a_row_group_raises_is_raised(folder: Path) -> None:
    def fails(table: pa.Table) -> int:
        raise ValueError(f"{table.num_rows} rows")

    with pytest.raises(ValueError, match="10 rows"):
        list(map_row_groups([str(folder)], ["a"], fails))
