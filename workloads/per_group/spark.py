"""Engines in which Spark itself brings the rows of a group together, by a shuffle or in a bucketed table."""

import json
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from sparkscale.contract.context import Context
from sparkscale.contract.location import for_spark
from workloads.base import SparkEngine
from workloads.io.filesystem import remove_folder
from workloads.per_group import results
from workloads.per_group.group_rows import FEATURES, rows_of_frame, rows_of_table, spark_groups
from workloads.per_group.groups import Groups
from workloads.per_group.layout import other_columns
from workloads.per_group.pattern import GroupEngine, case_groups, job_of
from workloads.per_group.training import Job, train_group

if TYPE_CHECKING:
    import pandas as pd
    from pyspark.sql import DataFrame, GroupedData

BUCKET = "bucket"

Loaded = tuple[Job, "DataFrame"]


class OnSpark(GroupEngine, SparkEngine):
    """Base of engines on Spark. `load` only plans. `fit` reads each row once, so nothing is cached."""

    trains_in_tasks = True
    keeps_processes = True

    def job(self, run: Context, groups: Groups) -> Job:
        """Returns the job that tasks get. Each task has one thread."""
        return job_of(run, self.trainer, groups.grouping, 1, in_task=True)


class ApplyInPandas(OnSpark):
    """groupBy(g).applyInPandas: Spark shuffles the rows and passes each group to Python as a pandas DataFrame."""

    name = "apply-in-pandas"

    def load(self, run: Context, layout: None) -> Loaded:  # noqa: ARG002
        groups = case_groups(run)
        job = self.job(run, groups)
        return job, into_buckets(run, self.rows(spark_groups(run, job, groups), job), job, groups)

    def rows(self, frame: "DataFrame", job: Job) -> "DataFrame":  # noqa: ARG002
        """Returns the rows with the columns that are shuffled."""
        return frame

    def fit(self, run: Context, loaded: Loaded) -> str:
        job, frame = loaded
        folder = results.models_folder(run)
        keys = [BUCKET, job.group] if BUCKET in frame.columns else [job.group]
        self.applied(job, frame.groupBy(*keys)).write.mode("overwrite").parquet(for_spark(folder))
        return folder

    def applied(self, job: Job, groups: "GroupedData") -> "DataFrame":
        """Returns the DataFrame of results, with one row for each group. Nothing is computed yet."""
        frame: DataFrame = groups.applyInPandas(with_pandas(job), spark_schema())
        return frame


class GroupedMap(ApplyInPandas):
    """The control: the legacy groupBy(g).apply with a grouped-map UDF, which PySpark runs as applyInPandas."""

    name = "grouped-map"

    def applied(self, job: Job, groups: "GroupedData") -> "DataFrame":
        from pyspark.sql.pandas.functions import PandasUDFType, pandas_udf

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pyspark warns that this interface is deprecated
            frame: DataFrame = groups.apply(pandas_udf(with_pandas(job), spark_schema(), PandasUDFType.GROUPED_MAP))
        return frame


class ApplyInPandasBucketed(ApplyInPandas):
    """applyInPandas on a table that is bucketed and sorted by group.

    `layout` writes this table, so `fit` shuffles nothing.

    Differs: Spark assigns groups to buckets by a hash, so the tasks of this engine differ more in size than the
    tasks of other engines.
    """

    name = "apply-in-pandas-bucketed"
    lays_out = True

    def layout(self, run: Context) -> str:
        groups = case_groups(run)
        job = self.job(run, groups)
        table, location = f"groups_{run.case.id}", results.layout_folder(run)
        count = len(groups.buckets(run.slots, job.trainer.group_cost_rows, len(job.features)))
        run.spark.sql(f"DROP TABLE IF EXISTS {table}")
        run.at_end(lambda: remove_folder(location))
        run.at_end(lambda: run.spark.sql(f"DROP TABLE IF EXISTS {table}"))
        (
            # without this, each task would write a file for every bucket; with it, each bucket has one file
            spark_groups(run, job, groups)
            .repartition(count, job.group)
            .write.bucketBy(count, job.group)
            .sortBy(job.group)
            .option("path", for_spark(location))
            .option("__globPaths__", "false")  # Spark must not read characters of the table's path as a pattern
            .saveAsTable(table)
        )
        return table

    def load(self, run: Context, layout: str) -> Loaded:  # type: ignore[override]
        return self.job(run, case_groups(run)), run.spark.table(layout)


class ApplyInArrow(ApplyInPandas):
    """groupBy(g).applyInArrow: Spark shuffles the rows and passes each group to Python as an Arrow table.

    Differs: one array column holds all features, while pandas functions get a column for each feature. The reason
    is that Spark writes an Arrow stream per group, and each column of a stream costs time.
    """

    name = "apply-in-arrow"

    def rows(self, frame: "DataFrame", job: Job) -> "DataFrame":
        from pyspark.sql.functions import array, col

        if not job.features:
            return frame
        features = array(*(col(name).cast("float") for name in job.features))
        return frame.select(*other_columns(job), features.alias(FEATURES))

    def applied(self, job: Job, groups: "GroupedData") -> "DataFrame":
        def train(table: pa.Table) -> pa.Table:
            code = table.column(job.group)[0].as_py()
            return results.as_table([train_group(job, code, rows_of_table(job, table), partition())])

        frame: DataFrame = groups.applyInArrow(train, spark_schema())
        return frame


def into_buckets(run: Context, frame: "DataFrame", job: Job, groups: Groups) -> "DataFrame":
    """Shuffles the rows into the buckets of `groups`, one partition for each bucket, and adds the column BUCKET.

    After that, grouping by bucket and group needs no second shuffle. A shuffle by a hash of the group would also
    need no second one, but with few groups, its tasks would differ in size.
    """
    from pyspark.sql.functions import col, from_json, get, lit

    firsts = groups.buckets(run.slots, job.trainer.group_cost_rows, len(job.features))
    bucket_of = np.searchsorted(firsts, np.arange(len(groups.sizes.rows)), side="right") - 1
    # Spark computes the array of a literal only once. With one branch per bucket, each row would try all branches
    lookup = from_json(lit(json.dumps(np.maximum(bucket_of, 0).tolist())), "array<int>")
    return frame.withColumn(BUCKET, get(lookup, col(job.group))).repartitionById(len(firsts), col(BUCKET))


def with_pandas(job: Job) -> Callable[["pd.DataFrame"], "pd.DataFrame"]:
    """Returns the function for applyInPandas. It takes a group's DataFrame, and returns one row of results."""

    def train(frame: Any) -> Any:
        import pandas as pd

        code = int(frame[job.group].iloc[0])
        result = train_group(job, code, rows_of_frame(job, frame), partition())
        return pd.DataFrame([result], columns=results.RESULT.names)

    return train


def partition() -> int:
    """Returns the number of this Spark task's partition; 0 outside of a Spark task."""
    from pyspark import TaskContext

    context = TaskContext.get()
    return context.partitionId() if context else 0


def spark_schema() -> Any:
    """Returns the schema of groups' results (RESULT) in Spark's types."""
    from pyspark.sql.pandas.types import from_arrow_schema

    return from_arrow_schema(results.RESULT)
