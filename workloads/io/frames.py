"""Spark DataFrames over the files of a prepared data set."""

from typing import TYPE_CHECKING

from sparkscale.contract.context import Context
from sparkscale.contract.location import to_read
from workloads.io.filesystem import schema_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def spark_rows(run: Context, paths: list[str]) -> "DataFrame":
    """Returns a DataFrame over these folders. It reads only the schema of the first file, which saves Spark a job."""
    from pyspark.sql.pandas.types import from_arrow_schema

    schema = from_arrow_schema(schema_of(paths[0]))
    frame: DataFrame = run.spark.read.schema(schema).parquet(*map(to_read, paths))
    return frame
