"""The data-parallel pattern, and the functions with which its engines read a data set."""

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from sparkscale.contract.context import Context
from sparkscale.contract.dataset import LABEL, ROW, PreparedDataset
from sparkscale.contract.record import SCORES
from workloads.base import NodeEngine, Pattern, Quality, SparkEngine
from workloads.data_parallel.figures import CAPACITY
from workloads.data_parallel.tuning import Tuned
from workloads.io.filesystem import read_parquet
from workloads.quality.qualities import AUC, BY_AUC, BY_RMSE, LOG_LOSS, R2, RMSE, SKILL
from workloads.quality.scoring import Scores, check_classes, score_holdout

if TYPE_CHECKING:
    from pyspark.sql import DataFrame
    from scipy.sparse import csr_matrix

DATA_PARALLEL = Pattern(
    name="data_parallel",
    phases=("load", "fit", "predict"),
    time_to_model=("load", "fit"),
    tables=(SCORES,),
    report="data_parallel",
    figures=(CAPACITY,),
    tuned=Tuned,
)

SUPERVISED = Quality(
    score_holdout,
    {"classification": BY_AUC, "regression": BY_RMSE},
    (AUC, LOG_LOSS, RMSE, R2, SKILL),
    ("log_loss", "r2"),
    check_classes,
)

FEATURES = "features"
"""The vector column that MLlib's estimators read."""

FEW_ROWS = 1000
"""If there are fewer rows per slot than this, `spark_spread` first brings all rows together in one partition."""

Array = np.ndarray[Any, Any]


def read_train(run: Context) -> pa.Table:
    """Reads the case's training rows with pyarrow. Only the folders of the case's sample are read."""
    return read_parquet(run.train_paths, [LABEL, *run.data.features])


def read_holdout(run: Context) -> pa.Table:
    """Reads the hold-out's rows with pyarrow."""
    return read_parquet([run.data.holdout_path], [ROW, *run.data.features])


class InMemory(NodeEngine):
    """Base of engines that read all training rows into one table.

    `prepared` turns this table into the input of `fit`.
    """

    def load(self, run: Context) -> Any:
        return self.prepared(run, read_train(run))

    def predict(self, run: Context, model: Any) -> Scores:
        table = read_holdout(run)
        return Scores(row=table.column(ROW).to_numpy(), score=self.scored(run, model, table))

    @abstractmethod
    def prepared(self, run: Context, table: pa.Table) -> Any:
        """Returns the input of `fit`, made from a table with the labels (column LABEL) and the features."""

    @abstractmethod
    def scored(self, run: Context, model: Any, table: pa.Table) -> Array:
        """Returns the predictions for a table with the features; values as in `Scores`, shape (rows,)."""


class MLlibEstimator(SparkEngine):
    """Base of engines that fit one estimator of pyspark.ml."""

    library = "pyspark.ml"

    @abstractmethod
    def made(self, run: Context) -> Any:
        """Returns the estimator with the case's arguments."""

    def frame(self, rows: Any) -> "DataFrame":
        """Returns the training frame, made from the result of `load`."""
        frame: DataFrame = rows
        return frame

    def finished(self, model: Any, rows: Any) -> Any:  # noqa: ARG002
        """Returns the result of `fit`, made from the fitted model and the result of `load`."""
        return model

    def fit(self, run: Context, rows: Any) -> Any:
        return self.finished(self.made(run).fit(self.frame(rows)), rows)


def labels(table: pa.Table) -> Array:
    """Returns the labels: 0 and 1 as int8 for classification, float64 for regression; shape (rows,)."""
    array: Array = table.column(LABEL).to_numpy()
    return array


def ordinal_matrix(data: PreparedDataset, table: pa.Table) -> Array:
    """Returns features for trees: unchanged numbers, and categories as ordinal codes.

    The matrix has the shape (rows, columns) and the type float32.
    """
    matrix = np.empty((table.num_rows, len(data.columns)), dtype=np.float32)
    for position, name in enumerate(data.features):
        matrix[:, position] = table.column(name).to_numpy()
    return matrix


def one_hot_matrix(data: PreparedDataset, table: pa.Table) -> "csr_matrix":
    """Returns features for linear models: standardised numbers, and categories one-hot over the whole vocabulary.

    Columns follow the data set's order. A category has as many columns as its vocabulary has values.
    """
    from scipy.sparse import csr_matrix

    rows, width = table.num_rows, len(data.columns)
    index = np.empty((rows, width), dtype=np.int32)
    value = np.ones((rows, width), dtype=np.float64)
    offset = 0
    for position, column in enumerate(data.columns):
        numbers = table.column(column.name).to_numpy()
        if column.kind == "numeric":
            index[:, position] = offset
            value[:, position] = (numbers.astype(np.float64) - column.mean) / (column.std or 1.0)
            offset += 1
        else:
            index[:, position] = offset + numbers
            offset += len(column.vocabulary)
    size = np.int32 if rows * width < 2**31 else np.int64
    pointers = np.arange(0, rows * width + 1, width, dtype=size)
    return csr_matrix((value.ravel(), index.ravel(), pointers), shape=(rows, offset))


def spark_spread(run: Context, frame: "DataFrame") -> "DataFrame":
    """Returns the frame with its rows spread evenly over one partition per slot, cached and computed.

    So training reads only from memory. Spark spreads the rows of each input partition separately. So if few rows
    lie in many files, some partitions could get no row. Few rows are therefore first brought together in one
    partition. `limit` with the number of all rows does this, because Spark's optimiser would remove a `coalesce`.
    """
    few = run.case.rows < FEW_ROWS * run.slots
    return spark_cached(run, (frame.limit(run.case.rows) if few else frame).repartition(run.slots))


def spark_cached(run: Context, frame: "DataFrame") -> "DataFrame":
    """Returns the frame, cached and computed. Writing to the `noop` sink computes all columns.

    The cache is released when the case ends.
    """
    cached = frame.persist()
    run.at_end(cached.unpersist)
    cached.write.format("noop").mode("overwrite").save()
    return cached


def ordinal_vectors(run: Context, frame: "DataFrame") -> "DataFrame":
    """Returns the frame with a new column FEATURES: each row of `ordinal_matrix` as a vector."""
    from pyspark.ml.feature import VectorAssembler

    return VectorAssembler(inputCols=run.data.features, outputCol=FEATURES).transform(frame)


def one_hot_vectors(run: Context, frame: "DataFrame") -> "DataFrame":
    """Returns the frame with a new column FEATURES: each row of `one_hot_matrix` as a vector.

    The vocabulary's size is added as column metadata, so that OneHotEncoder needs no pass over the data.
    """
    from pyspark.ml.feature import OneHotEncoder, VectorAssembler
    from pyspark.sql.functions import col

    categories = [column for column in run.data.columns if column.kind == "categorical"]
    numbers = {
        column.name: (col(column.name).cast("double") - column.mean) / (column.std or 1.0)
        for column in run.data.columns
        if column.kind == "numeric"
    }
    frame = frame.withColumns(numbers) if numbers else frame
    for column in categories:
        size = {"ml_attr": {"type": "nominal", "num_vals": len(column.vocabulary)}}
        frame = frame.withMetadata(column.name, size)
    if categories:
        encoder = OneHotEncoder(
            inputCols=[column.name for column in categories],
            outputCols=[_hot(column.name) for column in categories],
            dropLast=False,
        )
        frame = encoder.fit(frame).transform(frame)
    assembled = [_hot(c.name) if c.kind == "categorical" else c.name for c in run.data.columns]
    return VectorAssembler(inputCols=assembled, outputCol=FEATURES).transform(frame)


def spark_scores(run: Context, predictions: "DataFrame") -> Scores:
    """Returns the row ids and the predictions: probabilities of class 1, or predicted values in a regression."""
    from pyspark.ml.functions import vector_to_array
    from pyspark.sql.functions import col

    is_classification = run.data.task == "classification"
    score = vector_to_array(col("probability"))[1] if is_classification else col("prediction")
    table = predictions.select(ROW, score.alias("score")).toArrow()
    return Scores(row=table.column(ROW).to_numpy(), score=table.column("score").to_numpy())


def _hot(name: str) -> str:
    return f"{name}_one_hot"
