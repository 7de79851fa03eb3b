"""What engines without a label share: the data set's numeric columns, standardised. A category has no distance."""

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
    """Raises EngineUnsupported for a data set that has none."""
    found = [column for column in data.columns if column.kind == "numeric"]
    if not found:
        raise EngineUnsupported(f"{data.name} has no numeric column.")
    return found


def numeric_matrix(data: PreparedDataset, table: pa.Table) -> Array:
    """Standardised by the data set's own mean and deviation. (rows, columns) of float64."""
    columns = numeric_columns(data)
    matrix = np.empty((table.num_rows, len(columns)))
    for position, column in enumerate(columns):
        numbers = table.column(column.name).to_numpy().astype(np.float64)
        matrix[:, position] = (numbers - column.mean) / (column.std or 1.0)
    return matrix


def numeric_vectors(run: Context, frame: "DataFrame") -> "DataFrame":
    """Adds FEATURES: what `numeric_matrix` is to a node engine."""
    from pyspark.ml.feature import VectorAssembler
    from pyspark.sql.functions import col

    columns = numeric_columns(run.data)
    scaled = {
        column.name: (col(column.name).cast("double") - column.mean) / (column.std or 1.0) for column in columns
    }
    names = [column.name for column in columns]
    return VectorAssembler(inputCols=names, outputCol=FEATURES).transform(frame.withColumns(scaled))


def collected(frame: "DataFrame", vectors: Sequence[str] = (), plain: Sequence[str] = ()) -> tuple[Array, ...]:
    """Row ids, then each vector column as a matrix, then each plain column, all in one order."""
    from pyspark.ml.functions import vector_to_array
    from pyspark.sql.functions import col

    table = frame.select(ROW, *(vector_to_array(col(name)).alias(name) for name in vectors), *plain).toArrow()

    def matrix(name: str) -> Array:
        found: Array = table.column(name).combine_chunks().flatten().to_numpy()
        return found.reshape(table.num_rows, -1)

    return (table.column(ROW).to_numpy(), *map(matrix, vectors), *(table.column(name).to_numpy() for name in plain))
