"""Makes the input of k-means, PCA and nearest neighbours: the standardised numeric columns of a data set.

Categorical columns are left out, because distances between categories are not defined.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from sparkscale.contract.case import Task
from sparkscale.contract.context import Context
from sparkscale.contract.dataset import ROW, Column, PreparedDataset
from sparkscale.contract.errors import EngineUnsupported
from workloads.data_parallel.pattern import FEATURES
from workloads.quality.scoring import Array

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

EVERY_TASK: frozenset[Task] = frozenset({"classification", "regression", "clustering"})


def numeric_columns(data: PreparedDataset) -> list[Column]:
    """Returns the numeric columns. Raises EngineUnsupported if the data set has none."""
    columns = [column for column in data.columns if column.kind == "numeric"]
    if not columns:
        raise EngineUnsupported(f"{data.name} has no numeric column.")
    return columns


def numeric_matrix(data: PreparedDataset, table: pa.Table) -> Array:
    """Returns the numeric columns of a table, standardised; shape (rows, columns), float64.

    The mean and the standard deviation come from the data set's manifest, so they are the same for every sample.
    """
    columns = numeric_columns(data)
    matrix = np.empty((table.num_rows, len(columns)))
    for position, column in enumerate(columns):
        numbers = table.column(column.name).to_numpy().astype(np.float64)
        matrix[:, position] = (numbers - column.mean) / (column.std or 1.0)
    return matrix


def numeric_vectors(run: Context, frame: "DataFrame") -> "DataFrame":
    """Returns the frame with a new column FEATURES: each row of `numeric_matrix` as a vector."""
    from pyspark.ml.feature import VectorAssembler
    from pyspark.sql.functions import col

    columns = numeric_columns(run.data)
    scaled = {
        column.name: (col(column.name).cast("double") - column.mean) / (column.std or 1.0) for column in columns
    }
    names = [column.name for column in columns]
    return VectorAssembler(inputCols=names, outputCol=FEATURES).transform(frame.withColumns(scaled))


def collected(frame: "DataFrame", vectors: Sequence[str] = (), plain: Sequence[str] = ()) -> tuple[Array, ...]:
    """Returns the row ids, a matrix for each column of `vectors`, and an array for each column of `plain`.

    All have the same row order.
    """
    from pyspark.ml.functions import vector_to_array
    from pyspark.sql.functions import col

    table = frame.select(ROW, *(vector_to_array(col(name)).alias(name) for name in vectors), *plain).toArrow()

    def matrix(name: str) -> Array:
        values: Array = table.column(name).combine_chunks().flatten().to_numpy()
        return values.reshape(table.num_rows, -1)

    return (table.column(ROW).to_numpy(), *map(matrix, vectors), *(table.column(name).to_numpy() for name in plain))
