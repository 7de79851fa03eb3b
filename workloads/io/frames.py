"""Makes Spark DataFrames from the files of a prepared data set."""

from typing import TYPE_CHECKING

from sparkscale.contract.context import Context
from sparkscale.contract.location import to_read
from workloads.io.filesystem import schema_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def spark_rows(run: Context, paths: list[str]) -> "DataFrame":
    """Returns a DataFrame with the rows of these folders.

    Only the schema of the first file is read, so that Spark needs no job to read the schemas of all files.
    """
    from pyspark.sql.pandas.types import from_arrow_schema

    schema = from_arrow_schema(schema_of(paths[0]))
    frame: DataFrame = run.spark.read.schema(schema).parquet(*map(to_read, paths))
    return frame
