"""Makes Spark read the rows to be predicted, in equal parts and in batches of equal size for every engine."""

from functools import partial
from typing import TYPE_CHECKING

from sparkscale.contract.context import Context
from sparkscale.contract.dataset import ROW
from workloads.io.filesystem import files_below
from workloads.io.frames import spark_rows

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

BATCH_ROWS = ("spark.sql.execution.arrow.maxRecordsPerBatch", "spark.sql.parquet.columnarReaderBatchSize")
"""The settings for the number of rows per batch.

The first setting applies to Python functions that take whole batches. Functions that take columns get the batches
of the Parquet reader, for which only the second setting counts (4,096 rows by default; tried on Spark 4.3).
"""


def rows_to_predict(run: Context, batch_rows: int) -> "DataFrame":
    """Returns the row ids and features of the case's rows, in at most as many parts as tasks can run at once.

    `parquet-map` divides the rows in the same way. With default settings, Spark would give seven eighths of a
    small data set to one of two tasks. For a large data set, Spark would start a task for every 128 MB, and each
    task would load the model. The session's settings are restored when the case ends.
    """
    sizes = [info.size or 0 for path in run.train_paths for info in files_below(path, ".parquet")]
    settings = {
        **dict.fromkeys(BATCH_ROWS, batch_rows),
        "spark.sql.files.openCostInBytes": 0,
        "spark.sql.files.minPartitionNum": 1,
        "spark.sql.files.maxPartitionBytes": part_bytes(sizes, run.slots),
    }
    for name, value in settings.items():
        value_before = run.spark.conf.get(name, None)
        run.spark.conf.set(name, value)
        restore = run.spark.conf.unset if value_before is None else partial(run.spark.conf.set, value=value_before)
        run.at_end(partial(restore, name))
    return spark_rows(run, run.train_paths).select(ROW, *run.data.features)


def part_bytes(sizes: list[int], parts: int) -> int:
    """Returns the smallest part size with which Spark makes at most `parts` parts from files of these sizes.

    The size is found by bisection.
    """
    low, high = max(1, -(-sum(sizes) // parts)), max(1, sum(sizes))
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if len(parts_of(sizes, middle)) <= parts else (middle + 1, high)
    return high


def parts_of(sizes: list[int], limit: int) -> list[list[int]]:
    """Returns the parts that Spark makes from files of these sizes. A part is a list of its pieces' sizes (bytes).

    Spark cuts files into pieces of at most `limit` bytes, and sorts them from the largest to the smallest. A piece
    goes into the current part if the part then has at most `limit` bytes. Otherwise a new part begins. Source:
    org.apache.spark.sql.execution.datasources.FilePartition, if the cost of opening a file is set to 0.
    """
    pieces = [min(limit, size - begin) for size in sizes for begin in range(0, size, limit)]
    parts: list[list[int]] = []
    room = 0
    for piece in sorted(pieces, reverse=True):
        if not parts or piece > room:
            parts.append([])
            room = limit
        parts[-1].append(piece)
        room -= piece
    return parts
