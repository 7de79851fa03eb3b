"""How Spark deals the rows that are predicted to its tasks."""

from collections.abc import Callable

import pytest

from cluster.session import SparkRuntime
from sparkscale.contract.context import Context
from sparkscale.contract.errors import EngineUnsupported
from workloads.inference import boosting
from workloads.inference.spark_input import BATCH_ROWS, part_bytes, parts_of, rows_to_predict
from workloads.libraries.tasks import ranks_of

Runs = Callable[..., Context]
ENGINE = boosting.WORKLOAD.engine("map-in-arrow")
MERGED = [100 * 2**j for j in (0, 0, 1, 2, 3, 4, 5)]
"""Bytes of files as small data sets have them."""


@pytest.mark.parametrize(
    ("sizes", "parts"),
    [(MERGED, 2), (MERGED, 3), ([7] * 640, 2), ([7] * 7, 2), ([1000], 4), ([3, 1], 8), ([1], 1), ([], 2)],
)
def test_files_are_read_in_even_parts(sizes: list[int], parts: int) -> None:
    found = parts_of(sizes, part_bytes(sizes, parts))
    assert len(found) <= parts
    assert sum(map(sum, found)) == sum(sizes)
    fair = sum(sizes) / parts
    assert max(map(sum, found), default=0) <= fair + max(sizes, default=0) / 2


@pytest.mark.spark
@pytest.mark.parametrize("fraction", [1 / 32, 1 / 16, 1 / 4, 1.0])
@pytest.mark.parametrize("slots", [2, 3])
def test_spark_reads_as_many_parts_as_tasks_run_at_once(
    runs: Runs, spark: SparkRuntime, fraction: float, slots: int
) -> None:
    """Of a small data set, whose files hold 1, 1, 2, 4 … slices; as counted in Spark's own parts."""
    from pyspark.sql.functions import spark_partition_id

    run = runs(boosting.WORKLOAD, ENGINE, fraction, spark=spark)
    run.slots = slots
    before = {name: run.spark.conf.get(name) for name in BATCH_ROWS}
    frame = rows_to_predict(run, 5000)
    found = {row[0]: row[1] for row in frame.groupBy(spark_partition_id()).count().collect()}
    assert sum(found.values()) == run.case.rows
    assert len(found) == slots if slots == 2 else len(found) <= slots
    if slots == 2:  # row groups, of which three of about as many rows are not to be made, are not cut
        assert max(found.values()) <= 1.15 * run.case.rows / slots
    assert {run.spark.conf.get(name) for name in BATCH_ROWS} == {"5000"}
    run.stack.close()
    assert {name: run.spark.conf.get(name) for name in BATCH_ROWS} == before
    assert run.spark.conf.get("spark.sql.files.minPartitionNum", None) is None


@pytest.mark.spark
def test_ranks_that_would_share_a_gpu_are_refused(runs: Runs, spark: SparkRuntime) -> None:
    """Also in local mode, where Spark's tasks are given no devices."""
    run = runs(boosting.WORKLOAD, ENGINE, 1 / 64, spark=spark, device="gpu")
    run.gpus = 2
    assert ranks_of(run) == 2
    run.gpus = 1
    with pytest.raises(EngineUnsupported, match="set tasks_per_gpu = 1"):
        ranks_of(run)
