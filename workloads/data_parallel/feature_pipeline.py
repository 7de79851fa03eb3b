"""Imputing, scaling, one-hot encoding and hashing: scikit-learn's ColumnTransformer compared with MLlib's Pipeline.

Rows come from the data set and get faults, which are the same for every engine. One value in twenty is missing. In
the hold-out, one category value in twenty is replaced by a value that does not occur in the training rows. The
category with the most values is hashed, and the other categories are one-hot encoded. The result has the numeric
columns first, then the one-hot columns, and then the hash buckets. The one-hot columns of a category are in
alphabetical order. `fit` learns from the training rows and transforms them; `predict` transforms the hold-out.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from sparkscale.contract.context import Context
from sparkscale.contract.dataset import LABEL, ROW, UNIT, Column, Moments, PreparedDataset
from sparkscale.contract.errors import EngineUnsupported, InvalidResult
from sparkscale.contract.record import SCORES
from workloads.base import NodeEngine, Params, Quality, Sample, SparkEngine, Workload
from workloads.data_parallel.numeric import EVERY_TASK, collected
from workloads.data_parallel.pattern import DATA_PARALLEL, FEATURES, spark_spread
from workloads.datasets.training_slices import moments_of
from workloads.io.filesystem import read_parquet, row_groups
from workloads.io.frames import spark_rows
from workloads.quality.qualities import BY_KEPT_CELLS, EQUAL_CELLS, KEPT_CELLS, KEPT_ROWS
from workloads.quality.scoring import Array, positions_of

if TYPE_CHECKING:
    import pandas as pd
    from pyspark.sql import Column as SparkColumn
    from pyspark.sql import DataFrame

FAULT_EVERY = 20
MISSING, UNSEEN = "missing", "unseen"
HASH_SEED = 42
"""The seed of MLlib's FeatureHasher (org.apache.spark.ml.feature.FeatureHasher)."""


class PipelineParams(Params):
    """The parameters of the pipeline. The hashed category becomes `buckets` columns."""

    buckets: int = 64


@dataclass(frozen=True)
class Parts:
    """The names of the columns, grouped by their transformation. `hashed` has at most one name."""

    numbers: list[str]
    one_hot: list[str]
    hashed: list[str]

    @classmethod
    def of(cls, data: PreparedDataset) -> "Parts":
        categories = [column for column in data.columns if column.kind == "categorical"]
        largest = max(categories, key=lambda column: len(column.vocabulary), default=None)
        return cls(
            [column.name for column in data.columns if column.kind == "numeric"],
            [column.name for column in categories if column is not largest],
            [largest.name] if largest else [],
        )


@dataclass(frozen=True)
class Matrix:
    """The transformed hold-out: `row` holds the row ids, `cells` the values with the shape (rows, columns)."""

    row: Array
    cells: Array


def faulty(row: Any, position: int) -> Any:
    """Returns a mask of the rows with a fault. `row` holds row ids, as an array or as a Spark column.

    The mask has the same type as `row`.

    For missing values, `position` is the column's position. For unseen categories, it is this position plus the
    number of columns.
    """
    return (row + position * 7919) * 2654435761 % 2**32 % FAULT_EVERY == 0


def raw_frame(run: Context, paths: list[str], holdout: bool) -> "pd.DataFrame":
    """Returns the rows of these folders with their faults, and with the column ROW.

    Missing numbers are NaN, missing categories are None. Categories are unseen only if `holdout` is true.
    """
    return raw_cells(run, read_parquet(paths, [ROW, *run.data.features]), holdout)


def raw_cells(run: Context, table: pa.Table, holdout: bool) -> "pd.DataFrame":
    """Returns the same frame as `raw_frame`, from rows that are already in memory."""
    import pandas as pd

    row = table.column(ROW).to_numpy().astype(np.int64)
    raw_columns: dict[str, Any] = {ROW: row}
    for position, column in enumerate(run.data.columns):
        cells = table.column(column.name).to_numpy()
        missing = faulty(row, position)
        if column.kind == "numeric":
            raw_columns[column.name] = np.where(missing, np.nan, cells.astype(np.float64))
        else:
            names = np.array([f"v{code}" for code in range(len(column.vocabulary))], dtype=object)
            text = names[cells]
            if holdout:
                text[faulty(row, position + len(run.data.columns))] = UNSEEN
            text[missing] = None
            raw_columns[column.name] = text
    return pd.DataFrame(raw_columns)


def raw_rows(run: Context, paths: list[str], holdout: bool) -> "DataFrame":
    """Returns the rows of `raw_frame` as a Spark DataFrame. No row is read yet."""
    from pyspark.sql.functions import col, concat, lit, when

    row = col(ROW).cast("long")

    def cell(position: int, column: Column) -> "SparkColumn":
        value = col(column.name).cast("double") if column.kind == "numeric" else concat(lit("v"), col(column.name))
        if holdout and column.kind == "categorical":
            value = when(faulty(row, position + len(run.data.columns)), lit(UNSEEN)).otherwise(value)
        return when(~faulty(row, position), value).alias(column.name)

    cells = [cell(position, column) for position, column in enumerate(run.data.columns)]
    return spark_rows(run, paths).select(ROW, *cells)


def check_comparable(run: Context) -> None:
    """Raises EngineUnsupported for the parameter set `defaults`: with it, libraries refuse unseen categories."""
    if run.case.parameter_set == "defaults":
        raise EngineUnsupported("With their defaults the libraries refuse categories that training rows do not have.")


def bucket(name: str, value: str, buckets: int) -> int:
    """Returns the number of a value's hash bucket, as in MLlib: MurmurHash3 of "name=value", modulo `buckets`."""
    from sklearn.utils import murmurhash3_32

    return int(murmurhash3_32(f"{name}={value}", seed=HASH_SEED)) % buckets


def hashed_columns(frame: "pd.DataFrame", buckets: int) -> Any:
    """Returns the only column of the frame as a sparse matrix of shape (rows, buckets).

    A row has a one in the hash bucket of its value. It has only zeros if the value is missing.
    """
    from scipy.sparse import csr_matrix

    (name,) = frame.columns
    values = frame[name].to_numpy()
    present = np.flatnonzero(frame[name].notna())
    bucket_of_value = {value: bucket(name, value, buckets) for value in set(values[present])}
    index = np.array([bucket_of_value[value] for value in values[present]], dtype=np.int64)
    return csr_matrix((np.ones(len(present)), (present, index)), shape=(len(values), buckets))


class SklearnPipeline(NodeEngine):
    """scikit-learn's ColumnTransformer: SimpleImputer, StandardScaler, OneHotEncoder, and a hash with MLlib's seed.

    Differs: divides by n in standard deviations, while MLlib divides by n − 1. It works in one thread. It hashes
    by a FunctionTransformer with scikit-learn's MurmurHash3, because the FeatureHasher of scikit-learn has another
    seed and alternating signs.
    """

    name = "sklearn"
    tasks = EVERY_TASK
    defaults = {
        "strategy": "mean",
        "with_mean": True,
        "with_std": True,
        "handle_unknown": "error",
        "n_features": 2**20,
    }

    def arguments(self, params: PipelineParams, sample: Sample) -> dict[str, Any]:  # noqa: ARG002
        return {
            "strategy": "mean",
            "with_mean": True,
            "with_std": True,
            "handle_unknown": "ignore",
            "n_features": params.buckets,
        }

    def load(self, run: Context) -> Any:
        check_comparable(run)
        return raw_frame(run, run.train_paths, holdout=False)

    def fit(self, run: Context, train: Any) -> Any:
        from sklearn.compose import ColumnTransformer
        from sklearn.impute import SimpleImputer
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

        arguments = run.arguments
        parts = Parts.of(run.data)
        numbers = make_pipeline(
            SimpleImputer(strategy=arguments["strategy"]),
            StandardScaler(with_mean=arguments["with_mean"], with_std=arguments["with_std"]),
        )
        one_hot = make_pipeline(
            SimpleImputer(missing_values=None, strategy="constant", fill_value=MISSING),
            OneHotEncoder(handle_unknown=arguments["handle_unknown"]),
        )
        hashing = FunctionTransformer(hashed_columns, kw_args={"buckets": arguments["n_features"]})
        model = ColumnTransformer(
            [
                ("numbers", numbers, parts.numbers),
                ("one_hot", one_hot, parts.one_hot),
                ("hash", hashing, parts.hashed),
            ]
        )
        if not parts.hashed:
            model.transformers.pop()
        model.fit_transform(train)
        return model

    def predict(self, run: Context, model: Any) -> Matrix:
        from scipy.sparse import issparse

        frame = raw_frame(run, [run.data.holdout_path], holdout=True)
        cells = model.transform(frame)
        return Matrix(frame[ROW].to_numpy(), cells.toarray() if issparse(cells) else np.asarray(cells))


class MLlibPipeline(SparkEngine):
    """pyspark.ml's Pipeline: Imputer, StandardScaler, StringIndexer, OneHotEncoder, FeatureHasher.

    StringIndexer gives the last index to all categories that do not occur in the training rows. OneHotEncoder
    drops this index, so the one-hot columns of such rows are zeros.

    Differs: divides by n − 1 in standard deviations, while scikit-learn divides by n.
    """

    name = "mllib"
    tasks = EVERY_TASK
    defaults = {
        "strategy": "mean",
        "withMean": False,
        "withStd": True,
        "handleInvalid": "error",
        "stringOrderType": "frequencyDesc",
        "dropLast": True,
        "numFeatures": 2**18,
    }

    def arguments(self, params: PipelineParams, sample: Sample) -> dict[str, Any]:  # noqa: ARG002
        return {
            "strategy": "mean",
            "withMean": True,
            "withStd": True,
            "handleInvalid": "keep",
            "stringOrderType": "alphabetAsc",
            "dropLast": True,
            "numFeatures": params.buckets,
        }

    def load(self, run: Context) -> Any:
        check_comparable(run)
        return spark_spread(run, raw_rows(run, run.train_paths, holdout=False))

    def fit(self, run: Context, train: Any) -> Any:
        from pyspark.ml import Pipeline

        model = Pipeline(stages=list(self._stages(run))).fit(train)
        model.transform(train).select(FEATURES).write.format("noop").mode("overwrite").save()
        return model

    def _stages(self, run: Context) -> Iterator[Any]:
        from pyspark.ml.feature import (
            FeatureHasher,
            Imputer,
            OneHotEncoder,
            SQLTransformer,
            StandardScaler,
            StringIndexer,
            VectorAssembler,
        )

        arguments = run.arguments
        parts = Parts.of(run.data)
        assembled = []
        if parts.numbers:
            filled = [f"{name}_filled" for name in parts.numbers]
            yield Imputer(inputCols=parts.numbers, outputCols=filled, strategy=arguments["strategy"])
            yield VectorAssembler(inputCols=filled, outputCol="numbers")
            yield StandardScaler(
                inputCol="numbers", outputCol="scaled", withMean=arguments["withMean"], withStd=arguments["withStd"]
            )
            assembled.append("scaled")
        if parts.one_hot:
            with_missing = ", ".join(f"coalesce(`{name}`, '{MISSING}') AS `{name}_known`" for name in parts.one_hot)
            yield SQLTransformer(statement=f"SELECT *, {with_missing} FROM __THIS__")
            indexed, hot = ([f"{name}_{kind}" for name in parts.one_hot] for kind in ("index", "hot"))
            yield StringIndexer(
                inputCols=[f"{name}_known" for name in parts.one_hot],
                outputCols=indexed,
                handleInvalid=arguments["handleInvalid"],
                stringOrderType=arguments["stringOrderType"],
            )
            yield OneHotEncoder(inputCols=indexed, outputCols=hot, dropLast=arguments["dropLast"])
            assembled += hot
        if parts.hashed:
            yield FeatureHasher(inputCols=parts.hashed, outputCol="hashed", numFeatures=arguments["numFeatures"])
            assembled.append("hashed")
        yield VectorAssembler(inputCols=assembled, outputCol=FEATURES)

    def predict(self, run: Context, model: Any) -> Matrix:
        holdout = raw_rows(run, [run.data.holdout_path], holdout=True)
        row, cells = collected(model.transform(holdout), vectors=[FEATURES])
        return Matrix(row, cells)


@dataclass(frozen=True)
class Learned:
    """The values that a pipeline learns from training rows.

    `scales` holds the mean and the standard deviation of each numeric column, by its name. `values` holds the
    values of each one-hot encoded category in alphabetical order, by its name.
    """

    scales: dict[str, tuple[float, float]]
    values: dict[str, list[str]]


def learned(run: Context, paths: list[str]) -> Learned:
    """Returns the values that a pipeline learns from the rows of these folders. They are computed with pandas.

    Row groups are read one after the other, because all training rows may not fit into memory together with the
    case's rows.
    """
    parts = Parts.of(run.data)
    moments: dict[str, list[Moments]] = {name: [] for name in parts.numbers}
    values: dict[str, set[str]] = {name: set() for name in parts.one_hot}
    rows = 0
    for group in row_groups(paths):
        frame = raw_cells(run, group.read([ROW, *run.data.features]), holdout=False)
        rows += len(frame)
        for name in parts.numbers:
            moments[name].append(moments_of(frame[name].dropna().to_numpy()))
        for name in parts.one_hot:
            values[name].update(frame[name].fillna(MISSING).unique())
    scales = {}
    for name, parts_of_column in moments.items():
        total = Moments.total(parts_of_column)
        # a missing value becomes the mean, so it counts as a row and adds no deviation
        scales[name] = total.mean, math.sqrt(total.squares / rows) or 1.0
    return Learned(scales, {name: sorted(seen) for name, seen in values.items()})


def blocks(run: Context, pipeline: Learned, holdout: "pd.DataFrame") -> Iterator[Array]:
    """Transforms the hold-out with `pipeline`. Yields one array for each column of the data.

    An array holds the columns that the pipeline makes of this column; shape (rows, columns). The arrays have the
    order of the engine's matrix.
    """
    import pandas as pd

    for name, (mean, deviation) in pipeline.scales.items():
        yield ((holdout[[name]].fillna(mean) - mean) / deviation).to_numpy()
    for name, seen in pipeline.values.items():
        chosen = pd.Categorical(holdout[name].fillna(MISSING), categories=seen)
        yield pd.get_dummies(chosen, dtype=float).to_numpy()
    for name in Parts.of(run.data).hashed:
        yield hashed_columns(holdout[[name]], run.case.params["buckets"]).toarray()


def score(run: Context, matrix: Matrix) -> dict[str, float]:
    """Returns the qualities `equal_cells`, `kept_cells` and `kept_rows`.

    They compare the engine's result with two pipelines that pandas computes: one learns from the case's rows, and
    one from all training rows.

    `equal_cells` shows if the engine's result is right. It is the share of the matrix's values that are equal to
    the values that pandas computes from the case's rows. The libraries' standard deviations differ by the factor
    √((n − 1) / n), where n is the number of training rows. So values count as equal if they differ by at most one
    part in n. Raises InvalidResult if a value is not equal, or if the numbers of rows or columns are wrong.

    `kept_cells` shows if the sample is enough. It is the share of the hold-out's values (before the
    transformation) that a pipeline from all training rows would transform in the same way. A number counts as the
    same if the difference is at most SAME_NUMBER standard deviations, computed over all training rows. A category
    that does not occur in the sample counts as different. `kept_rows` is the share of hold-out rows with no
    different value.
    """
    holdout = raw_frame(run, [run.data.holdout_path], holdout=True).sort_values(ROW, ignore_index=True)
    cells = matrix.cells[positions_of(holdout[ROW].to_numpy(), matrix.row)]
    own = learned(run, run.train_paths)
    expected = list(blocks(run, own, holdout))
    ends = np.cumsum([block.shape[1] for block in expected])
    if cells.shape[1] != ends[-1]:
        raise InvalidResult(f"The matrix has {cells.shape[1]} columns instead of {ends[-1]}.")
    cells_of_columns = np.split(cells, ends[:-1], axis=1)
    equal = [
        np.abs(g - e) <= 1e-9 + np.abs(e) / run.case.rows for g, e in zip(cells_of_columns, expected, strict=True)
    ]
    unequal = 1 - sum(int(block.sum()) for block in equal) / cells.size
    if unequal:
        raise InvalidResult(
            f"{unequal:.3%} of the matrix's values differ from what pandas computes from the same rows."
        )
    whole = learned(run, run.data.train_paths(1, run.case.sample_seed))
    share = kept_cells(run, own, whole, cells_of_columns, holdout).mean(axis=1)
    units = read_parquet([run.data.holdout_path], [ROW, UNIT]).sort_by(ROW)
    table = units.append_column(LABEL, pa.array(np.ones(len(share)))).append_column("score", pa.array(share))
    run.table(SCORES, table)
    return {"kept_cells": float(share.mean()), "equal_cells": 1.0, "kept_rows": float((share == 1).mean())}


SAME_NUMBER = 0.05
"""Scaled numbers count as the same if they differ by at most this. A shift by a twentieth of a standard deviation
hardly affects a model. The mean of a sample of n rows is wrong by about 1/√n standard deviations, so 400 rows are
just at this limit.
"""


def kept_cells(run: Context, own: Learned, whole: Learned, given: list[Array], holdout: "pd.DataFrame") -> Array:
    """Returns a mask over the hold-out's values, with the shape (rows, columns of the data).

    It is true if the engine's pipeline transforms a value as a pipeline from all training rows would. `own` and
    `whole` are learned by pandas from the sample and from all training rows. `given` holds one array per
    column of the data: the features that the engine made from this column. Its order is that of `blocks`.
    """
    numbers = len(own.scales)
    seen = list(own.values.items())
    same_cells = []
    for position, (block, expected) in enumerate(zip(given, blocks(run, whole, holdout), strict=True)):
        if position < numbers:
            same = np.abs(block - expected) <= SAME_NUMBER
        elif position < numbers + len(seen):
            name, values = seen[position - numbers]
            widened = np.zeros_like(expected)
            widened[:, np.searchsorted(whole.values[name], values)] = block
            same = widened == expected
        else:
            same = block == expected
        same_cells.append(same.all(axis=1))
    return np.stack(same_cells, axis=1)


WORKLOAD = Workload(
    name="data_parallel.feature_pipeline",
    summary="Imputing, scaling, one-hot encoding and hashing of faulty rows",
    pattern=DATA_PARALLEL,
    quality=Quality(
        score,
        dict.fromkeys(sorted(EVERY_TASK), BY_KEPT_CELLS),
        (KEPT_CELLS, EQUAL_CELLS, KEPT_ROWS),
        ("kept_rows",),
    ),
    params=PipelineParams(),
    engines=(SklearnPipeline, MLlibPipeline),
    version=2,  # in version 1 the stored scores were shares of equal values; now they are shares of kept values
)
