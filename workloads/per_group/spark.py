"""Engines on Spark: groups brought together by a shuffle, or laid out once."""

import warnings
from collections import defaultdict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from sparkscale.contract.context import Context
from sparkscale.contract.location import for_spark
from workloads.base import SparkEngine
from workloads.per_group import results
from workloads.per_group.layout import Piece, kept, plan, read_bucket
from workloads.per_group.pattern import CPU_AND_GPU, GroupEngine, case_groups, job_of
from workloads.per_group.reading import FEATURES, rows_of_frame, rows_of_table, spark_groups
from workloads.per_group.training import Job, train_group
from workloads.tasks import SparkTasks

if TYPE_CHECKING:
    import pandas as pd
    from pyspark.sql import DataFrame

Loaded = tuple[Job, "DataFrame"]


class OnSpark(GroupEngine, SparkEngine):
    """What runs on Spark. Nothing is cached: rows are read once, in `fit`, so `load` only plans."""

    devices = CPU_AND_GPU

    def layout(self, run: Context) -> Any:
        """There is none."""

    def planned(self, run: Context) -> Loaded:
        """What goes to the tasks, and the rows of the groups as a DataFrame that is not computed yet."""
        groups = case_groups(run)
        job = job_of(run, self.trainer, groups.grouping, 1, in_task=True)
        return job, spark_groups(run, job, groups)


class ApplyInPandas(OnSpark):
    """groupBy(g).applyInPandas: rows are shuffled, and each group reaches Python as a pandas DataFrame."""

    name = "apply-in-pandas"

    def load(self, run: Context, layout: None) -> Loaded:  # noqa: ARG002
        job, frame = self.planned(run)
        return job, frame.repartition(run.slots * self.trainer.tasks_per_slot, job.group)

    def fit(self, run: Context, loaded: Loaded) -> str:
        folder = results.models_folder(run)
        self.applied(*loaded).write.mode("overwrite").parquet(for_spark(folder))
        return folder

    def applied(self, job: Job, frame: "DataFrame") -> "DataFrame":
        found: DataFrame = frame.groupBy(job.group).applyInPandas(with_pandas(job), spark_schema())
        return found


class GroupedMap(ApplyInPandas):
    """The legacy groupBy(g).apply of a grouped-map pandas UDF, which Spark hands on to applyInPandas: the control."""

    name = "grouped-map"

    def applied(self, job: Job, frame: "DataFrame") -> "DataFrame":
        from pyspark.sql.pandas.functions import PandasUDFType, pandas_udf

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that it is legacy
            function = pandas_udf(with_pandas(job), spark_schema(), PandasUDFType.GROUPED_MAP)
            found: DataFrame = frame.groupBy(job.group).apply(function)
        return found


class ApplyInPandasBucketed(ApplyInPandas):
    """applyInPandas on a table that is bucketed and sorted by group, which is its layout: `fit` shuffles nothing."""

    name = "apply-in-pandas-bucketed"
    lays_out = True

    def layout(self, run: Context) -> str:
        job, frame = self.planned(run)
        table = f"groups_{run.case.id}"
        location = results.layout_folder(run)
        buckets = run.slots * self.trainer.tasks_per_slot
        run.spark.sql(f"DROP TABLE IF EXISTS {table}")
        run.at_end(lambda: results.remove(location))
        run.at_end(lambda: run.spark.sql(f"DROP TABLE IF EXISTS {table}"))
        (
            # a file for each bucket: without this each task would write one for every bucket
            frame.repartition(buckets, job.group)
            .write.bucketBy(buckets, job.group)
            .sortBy(job.group)
            .option("path", for_spark(location))
            .saveAsTable(table)
        )
        return table

    def load(self, run: Context, layout: str) -> Loaded:  # type: ignore[override]
        groups = case_groups(run)
        return job_of(run, self.trainer, groups.grouping, 1, in_task=True), run.spark.table(layout)


class ApplyInArrow(ApplyInPandas):
    """groupBy(g).applyInArrow: rows are shuffled, and a group reaches Python as a table of Arrow, with no pandas."""

    name = "apply-in-arrow"

    def load(self, run: Context, layout: None) -> Loaded:  # noqa: ARG002
        """Features travel as one array: Spark writes a stream of Arrow for each group, at a price for each column."""
        from pyspark.sql.functions import array, col

        job, frame = self.planned(run)
        features = array(*(col(name).cast("float") for name in job.features))
        packed = frame.select(*kept(job), features.alias(FEATURES))
        return job, packed.repartition(run.slots * self.trainer.tasks_per_slot, job.group)

    def applied(self, job: Job, frame: "DataFrame") -> "DataFrame":
        def train(table: pa.Table) -> pa.Table:
            code = table.column(job.group)[0].as_py()
            return results.as_table([train_group(job, code, rows_of_table(job, table), partition())])

        found: DataFrame = frame.groupBy(job.group).applyInArrow(train, spark_schema())
        return found


class ParquetGroups(OnSpark):
    """Rows laid out by group once, by Spark's tasks (see `layout`); then each task reads its own groups with PyArrow,
    trains, and writes its models: no row passes through the JVM.
    """

    name = "parquet-groups"
    lays_out = True

    def layout(self, run: Context) -> list[list[Piece]]:
        """The pieces of each bucket, the largest bucket first, for Spark starts tasks in their order."""
        groups = case_groups(run)
        folder = results.layout_folder(run)
        job = job_of(run, self.trainer, groups.grouping, 1, in_task=True)
        planned = plan(run.data, job, groups, folder, run.slots)
        run.at_end(lambda: results.remove(folder))
        results.make(folder)
        buckets: dict[int, list[Piece]] = defaultdict(list)
        for pieces in SparkTasks(run.spark).map(planned.lay_out, range(len(planned.shares))):
            for bucket, piece in pieces:
                buckets[bucket].append(piece)
        return sorted(buckets.values(), key=lambda found: -sum(piece.rows for piece in found))

    def load(self, run: Context, layout: list[list[Piece]]) -> tuple[Job, list[list[Piece]]]:
        grouping = case_groups(run).grouping
        return job_of(run, self.trainer, grouping, 1, in_task=True), layout

    def fit(self, run: Context, loaded: tuple[Job, list[list[Piece]]]) -> str:
        job, buckets = loaded
        models, folder = results.models_folder(run), results.layout_folder(run)

        def train(number: int) -> None:
            block = read_bucket(job, folder, buckets[number])
            found = (train_group(job, code, rows, number) for code, rows in block.groups())
            results.write(models, number, found)

        results.make(models)
        SparkTasks(run.spark).map(train, range(len(buckets)))
        return models


def with_pandas(job: Job) -> Callable[["pd.DataFrame"], "pd.DataFrame"]:
    """The function of applyInPandas: a group's frame in, a frame of one row out."""

    def train(frame: Any) -> Any:
        import pandas as pd

        code = int(frame[job.group].iloc[0])
        result = train_group(job, code, rows_of_frame(job, frame), partition())
        return pd.DataFrame([result], columns=results.RESULT.names)

    return train


def partition() -> int:
    """The number of the Spark task's partition."""
    from pyspark import TaskContext

    context = TaskContext.get()
    return context.partitionId() if context else 0


def spark_schema() -> Any:
    """RESULT in Spark's words."""
    from pyspark.sql.pandas.types import from_arrow_schema

    return from_arrow_schema(results.RESULT)
