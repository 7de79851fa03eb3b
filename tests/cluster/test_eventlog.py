"""Spark's task metrics, attributed to what ran between two calls."""

import pytest

from cluster.session import SparkRuntime
from sparkscale.contract.record import SparkMetrics

pytestmark = pytest.mark.spark


def taken(spark: SparkRuntime) -> SparkMetrics:
    assert spark.events is not None
    return spark.events.take()


def test_each_section_holds_its_own_tasks(spark: SparkRuntime) -> None:
    taken(spark)
    spark.spark.range(1000, numPartitions=7).write.format("noop").mode("overwrite").save()
    first = taken(spark)
    spark.spark.range(1000, numPartitions=3).write.format("noop").mode("overwrite").save()
    second = taken(spark)
    nothing = taken(spark)
    assert (first.tasks, second.tasks, nothing.tasks) == (7, 3, 0)
    assert first.executor_run_seconds > 0
    assert nothing.executor_run_seconds == 0


def test_shuffled_bytes_are_counted_on_both_sides(spark: SparkRuntime) -> None:
    taken(spark)
    frame = spark.spark.range(100_000, numPartitions=4).repartition(5)
    frame.write.format("noop").mode("overwrite").save()
    found = taken(spark)
    assert found.tasks == 9
    assert found.shuffle_write_bytes > 100_000
    assert found.shuffle_read_bytes == found.shuffle_write_bytes
    assert found.shuffle_remote_bytes == 0
    assert found.failed_tasks == 0


def test_failed_tasks_are_counted(spark: SparkRuntime) -> None:
    from pyspark.errors import PySparkException
    from pyspark.sql.functions import expr

    taken(spark)
    with pytest.raises(PySparkException):
        spark.spark.range(10, numPartitions=1).select(expr("raise_error('on purpose')")).collect()
    assert taken(spark).failed_tasks == 1


def test_markers_leave_no_tag_behind(spark: SparkRuntime) -> None:
    taken(spark)
    assert not spark.spark.sparkContext.getLocalProperty("spark.job.tags")
