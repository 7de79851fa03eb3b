"""How Spark reads the rows that are predicted: in equal parts, and in batches of one size, for every engine alike."""

from functools import partial
from typing import TYPE_CHECKING

from sparkscale.contract.context import Context
from sparkscale.contract.dataset import ROW
from workloads.io.filesystem import files_below
from workloads.io.frames import spark_rows

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

BATCH_ROWS = ("spark.sql.execution.arrow.maxRecordsPerBatch", "spark.sql.parquet.columnarReaderBatchSize")
"""Functions of columns are given what Parquet's reader makes, 4,096 rows by default, and the first setting has no say
in it (tried on Spark 4.3); functions of whole batches are given what the first one says.
"""


def rows_to_predict(run: Context, batch_rows: int) -> "DataFrame":
    """Row ids and features of the case's rows, in as many parts as tasks run at once, as `parquet-map` deals them:
    by itself Spark would give seven eighths of a small data set to one of two tasks, and start a task, which loads
    the model, for every 128 MB of a large one. The session's settings are put back when the case ends.
    """
    sizes = [info.size or 0 for path in run.train_paths for info in files_below(path, ".parquet")]
    settings = {
        **dict.fromkeys(BATCH_ROWS, batch_rows),
        "spark.sql.files.openCostInBytes": 0,
        "spark.sql.files.minPartitionNum": 1,
        "spark.sql.files.maxPartitionBytes": part_bytes(sizes, run.slots),
    }
    for name, value in settings.items():
        before = run.spark.conf.get(name, None)
        run.spark.conf.set(name, value)
        undo = run.spark.conf.unset if before is None else partial(run.spark.conf.set, value=before)
        run.at_end(partial(undo, name))
    return spark_rows(run, run.train_paths).select(ROW, *run.data.features)


def part_bytes(sizes: list[int], parts: int) -> int:
    """The size of a part with which Spark reads files of these sizes in no more than so many, found by bisection."""
    low, high = max(1, -(-sum(sizes) // parts)), max(1, sum(sizes))
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if len(parts_of(sizes, middle)) <= parts else (middle + 1, high)
    return high


def parts_of(sizes: list[int], limit: int) -> list[list[int]]:
    """The pieces of files of which Spark makes each part: files are cut into pieces of `limit` bytes, and the largest
    first, pieces fill one part after the other. Source: org.apache.spark.sql.execution.datasources.FilePartition,
    with no cost of opening a file.
    """
    pieces = [min(limit, size - begin) for size in sizes for begin in range(0, size, limit)]
    found: list[list[int]] = []
    room = 0
    for piece in sorted(pieces, reverse=True):
        if not found or piece > room:
            found.append([])
            room = limit
        found[-1].append(piece)
        room -= piece
    return found
