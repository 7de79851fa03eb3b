"""Spark's task metrics, attributed to what ran between two calls."""

import pytest

from cluster.session import SparkRuntime

pytestmark = pytest.mark.spark


def test_each_section_holds_its_own_tasks(spark: SparkRuntime) -> None:
    spark.events.take()
    spark.spark.range(1000, numPartitions=7).write.format("noop").mode("overwrite").save()
    first = spark.events.take()
    spark.spark.range(1000, numPartitions=3).write.format("noop").mode("overwrite").save()
    second = spark.events.take()
    nothing = spark.events.take()
    assert (first.tasks, second.tasks, nothing.tasks) == (7, 3, 0)
    assert first.executor_run_seconds > 0
    assert nothing.executor_run_seconds == 0


def test_shuffled_bytes_are_counted_on_both_sides(spark: SparkRuntime) -> None:
    spark.events.take()
    frame = spark.spark.range(100_000, numPartitions=4).repartition(5)
    frame.write.format("noop").mode("overwrite").save()
    found = spark.events.take()
    assert found.tasks == 9
    assert found.shuffle_write_bytes > 100_000
    assert found.shuffle_read_bytes == found.shuffle_write_bytes
    assert found.failed_tasks == 0


def test_failed_tasks_are_counted(spark: SparkRuntime) -> None:
    from pyspark.errors import PySparkException
    from pyspark.sql.functions import expr

    spark.events.take()
    with pytest.raises(PySparkException):
        spark.spark.range(10, numPartitions=1).select(expr("raise_error('on purpose')")).collect()
    assert spark.events.take().failed_tasks == 1


def test_markers_leave_no_job_group_behind(spark: SparkRuntime) -> None:
    spark.events.take()
    assert spark.spark.sparkContext.getLocalProperty("spark.jobGroup.id") is None
