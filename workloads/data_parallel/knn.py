"""Nearest neighbours on standardised numeric columns. The model is the whole data set.

Nothing is learnt, so most of the time is needed in `predict`. Time to model therefore includes `predict`.
`predict` finds the neighbours of `queries` evenly spaced hold-out rows. The predicted class of a query is the
class of most of its neighbours.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from sparkscale.contract.context import Context
from sparkscale.contract.dataset import LABEL, ROW, UNIT, PreparedDataset
from sparkscale.contract.errors import InvalidResult
from sparkscale.contract.record import SCORES
from workloads.base import NodeEngine, Params, Pattern, Quality, Sample, SparkEngine, Workload
from workloads.data_parallel.numeric import numeric_columns, numeric_matrix, numeric_vectors
from workloads.data_parallel.pattern import FEATURES, spark_cached, spark_spread
from workloads.data_parallel.rapids import Cuml
from workloads.io.filesystem import read_parquet, row_groups
from workloads.io.frames import spark_rows
from workloads.quality.qualities import ACCURACY, BY_ACCURACY, RECALL, SKILL
from workloads.quality.scoring import Array, mean_label, skill

LAZY = Pattern(
    name="data_parallel_lazy",
    phases=("load", "fit", "predict"),
    time_to_model=("load", "fit", "predict"),
    tables=(SCORES,),
    report="data_parallel",
)
NOBODY = -1
"""The row id and the label of a neighbour that was not found."""
QUERY, DISTANCE = "query", "distance"
CLOSE = 1 + 1e-9
"""A neighbour counts as found if its distance, divided by the distance of the k-th nearest row, is at most this.
The factor allows for rounding errors."""


class KnnParams(Params):
    """Parameters of the search for `neighbours` nearest neighbours of `queries` hold-out rows.

    LSH (locality-sensitive hashing) uses `tables` hash tables with buckets of the length `bucket_length`.
    """

    neighbours: int = 10
    queries: int = 200
    tables: int = 3
    bucket_length: float = 0.2


@dataclass(frozen=True)
class Neighbours:
    """The training rows that were found for each query, nearest first.

    `query` holds the row ids of the queries, shape (queries,). `row` and `label` hold the row ids and the labels
    of their neighbours, shape (queries, neighbours). If a query has fewer neighbours, NOBODY (-1) fills the rest.
    """

    query: Array
    row: Array
    label: Array

    @classmethod
    def nearest(cls, query: Array, candidates: pa.Table, count: int) -> "Neighbours":
        """Returns the `count` nearest candidates of each query. If some are equally near, smaller row ids come first.

        `candidates` is a table {query, row, label, distance}. Its column `query` holds the position
        of a query in the argument `query`.
        """
        ordered = candidates.sort_by([(QUERY, "ascending"), (DISTANCE, "ascending"), (ROW, "ascending")])
        number = ordered.column(QUERY).to_numpy()
        rank = np.arange(len(number)) - np.searchsorted(number, number)
        is_near = rank < count
        row, label = np.full((len(query), count), NOBODY), np.full((len(query), count), NOBODY)
        row[number[is_near], rank[is_near]] = ordered.column(ROW).to_numpy()[is_near]
        label[number[is_near], rank[is_near]] = ordered.column(LABEL).to_numpy()[is_near]
        return cls(query, row, label)


def queries(run: Context) -> tuple[Array, Array]:
    """Returns the row ids of the queries, shape (queries,), and their features, shape (queries, columns).

    The queries are evenly spaced hold-out rows.
    """
    names = [column.name for column in numeric_columns(run.data)]
    holdout = read_parquet([run.data.holdout_path], [ROW, *names]).sort_by(ROW)
    chosen = np.unique(np.linspace(0, holdout.num_rows - 1, run.arguments["queries"]).astype(int))
    table = holdout.take(pa.array(chosen))
    return table.column(ROW).to_numpy(), numeric_matrix(run.data, table)


def search(
    estimator: Any, data: PreparedDataset, features: Array, count: int, threads: int, table: pa.Table
) -> pa.Table:
    """Returns the `count` rows of `table` nearest to each query, as a table {query, row, label, distance}.

    The search is exact. `features` holds the features of the queries. `estimator` is scikit-learn's
    NearestNeighbors, or the same class of a library with scikit-learn's interface.
    """
    count = min(count, table.num_rows)
    brute = estimator(n_neighbors=count, algorithm="brute", n_jobs=threads).fit(numeric_matrix(data, table))
    distance, position = brute.kneighbors(features)
    return pa.table(
        {
            QUERY: np.repeat(np.arange(len(features)), count),
            ROW: table.column(ROW).to_numpy()[position.ravel()].astype(np.int64),
            LABEL: table.column(LABEL).to_numpy()[position.ravel()].astype(np.int64),
            DISTANCE: distance.ravel(),
        }
    )


def train_columns(run: Context) -> list[str]:
    return [ROW, LABEL, *(column.name for column in numeric_columns(run.data))]


class SklearnNeighbours(NodeEngine):
    """scikit-learn's NearestNeighbors by brute force, which is exact."""

    name = "sklearn"
    library = "sklearn"
    defaults = {"n_neighbors": 5, "queries": 200}

    def arguments(self, params: KnnParams, sample: Sample) -> dict[str, Any]:  # noqa: ARG002
        return {"n_neighbors": params.neighbours, "queries": params.queries}

    def load(self, run: Context) -> pa.Table:
        return read_parquet(run.train_paths, train_columns(run))

    def fit(self, run: Context, train: pa.Table) -> pa.Table:  # noqa: ARG002
        return train

    def predict(self, run: Context, model: pa.Table) -> Neighbours:
        query, features = queries(run)
        count = run.arguments["n_neighbors"]
        estimator = self.estimator(run, "neighbors.NearestNeighbors")
        candidates = search(estimator, run.data, features, count, run.case.known_threads, model)
        return Neighbours.nearest(query, candidates, count)


class CumlNeighbours(Cuml, SklearnNeighbours):
    """cuML's NearestNeighbors by brute force.

    Differs: computes distances in single precision. So if two rows are almost equally near, it may find the
    farther row.
    """


class SparkBrute(SparkEngine):
    """Exact search by Spark: each partition returns its nearest rows for each query, and the driver merges them."""

    name = "spark-brute"
    keeps_processes = True
    library = "sklearn"
    defaults = {"n_neighbors": 5, "queries": 200}

    def arguments(self, params: KnnParams, sample: Sample) -> dict[str, Any]:  # noqa: ARG002
        return {"n_neighbors": params.neighbours, "queries": params.queries}

    def load(self, run: Context) -> Any:
        return spark_spread(run, spark_rows(run, run.train_paths).select(*train_columns(run)))

    def fit(self, run: Context, train: Any) -> Any:  # noqa: ARG002
        return train

    def predict(self, run: Context, model: Any) -> Neighbours:
        query, features = queries(run)
        count = run.arguments["n_neighbors"]
        estimator = self.estimator(run, "neighbors.NearestNeighbors")
        search_table = partial(search, estimator, run.data, features, count, run.case.known_threads)
        part = partial(search_partition, search_table)
        candidates = model.mapInArrow(part, f"{QUERY} long, {ROW} long, {LABEL} long, {DISTANCE} double").toArrow()
        return Neighbours.nearest(query, candidates, count)


def search_partition(search_table: Any, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Yields the result of `search_table` for all rows of a partition together; nothing for an empty partition."""
    rows = list(batches)
    if sum(batch.num_rows for batch in rows):
        yield from search_table(pa.Table.from_batches(rows)).to_batches()


class MLlibLSH(SparkEngine):
    """pyspark.ml's BucketedRandomProjectionLSH, which compares a query only with rows in the same buckets.

    A candidate shares a bucket with the query in at least one hash table.

    Differs: searches approximately, so each record states the recall. A query may get fewer neighbours, or none.
    MLlib has no default for the length of a bucket, so `defaults` has the length of the workload's parameters.
    """

    name = "mllib-lsh"
    defaults = {"n_neighbors": 5, "queries": 200, "numHashTables": 1, "bucketLength": 0.2}

    def arguments(self, params: KnnParams, sample: Sample) -> dict[str, Any]:  # noqa: ARG002
        return {
            "n_neighbors": params.neighbours,
            "queries": params.queries,
            "numHashTables": params.tables,
            "bucketLength": params.bucket_length,
        }

    def load(self, run: Context) -> Any:
        rows = numeric_vectors(run, spark_rows(run, run.train_paths))
        return spark_spread(run, rows.select(ROW, LABEL, FEATURES))

    def fit(self, run: Context, train: Any) -> tuple[Any, Any]:
        from pyspark.ml.feature import BucketedRandomProjectionLSH

        lsh_arguments = {name: run.arguments[name] for name in ("numHashTables", "bucketLength")}
        lsh = BucketedRandomProjectionLSH(
            inputCol=FEATURES, outputCol="hashes", seed=run.case.model_seed, **lsh_arguments
        )
        model = lsh.fit(train)
        return model, spark_cached(run, model.transform(train))

    def predict(self, run: Context, model: tuple[Any, Any]) -> Neighbours:
        from pyspark.ml.linalg import Vectors
        from pyspark.sql import Window
        from pyspark.sql.functions import col, row_number

        query, features = queries(run)
        count = run.arguments["n_neighbors"]
        lsh, hashed = model
        query_frame = run.spark.createDataFrame(
            [(number, Vectors.dense(vector)) for number, vector in enumerate(features)], [QUERY, FEATURES]
        )
        pairs = lsh.approxSimilarityJoin(hashed, query_frame, float("inf"), DISTANCE).select(
            col(f"datasetB.{QUERY}").alias(QUERY),
            col(f"datasetA.{ROW}").cast("long").alias(ROW),
            col(f"datasetA.{LABEL}").cast("long").alias(LABEL),
            DISTANCE,
        )
        nearest = row_number().over(Window.partitionBy(QUERY).orderBy(DISTANCE, ROW))
        candidates = pairs.withColumn("rank", nearest).where(col("rank") <= count).drop("rank").toArrow()
        return Neighbours.nearest(query, candidates, count)


def score(run: Context, neighbours: Neighbours) -> dict[str, float]:
    """Returns accuracy, recall and skill. Stores the table {row, unit, label, score} of the queries.

    The score is the share of class 1 among the neighbours. The predicted class is the class of most neighbours.
    Recall is the share of the true neighbours that were found. Skill compares the error with the error of a
    constant prediction: the most frequent class of the training rows.

    A neighbour counts as found if it is as near as the k-th nearest row, even if another row is equally near
    (Aumüller, Bernhardsson & Faithfull, ANN-Benchmarks, 2020). Raises InvalidResult if the queries are wrong, if
    there are fewer rows than neighbours, or if a row was found twice or is not in the sample.
    """
    query, features = queries(run)
    if run.case.rows < neighbours.row.shape[1]:
        raise InvalidResult(f"There cannot be {neighbours.row.shape[1]} neighbours among {run.case.rows} rows.")
    if not np.array_equal(neighbours.query, query):
        raise InvalidResult("The neighbours are not those of the queries.")
    distances, least = _true_distances(run, neighbours, features)
    near = (neighbours.row != NOBODY) & (distances <= least[:, None] * CLOSE)
    holdout = read_parquet([run.data.holdout_path], [ROW, UNIT, LABEL])
    chosen = holdout.filter(pa.compute.is_in(holdout.column(ROW), pa.array(query))).sort_by(ROW)
    is_found = neighbours.row != NOBODY
    share = np.where(is_found, neighbours.label, 0).sum(axis=1) / np.maximum(is_found.sum(axis=1), 1)
    run.table(SCORES, chosen.append_column("score", pa.array(share)))
    is_one = chosen.column(LABEL).to_numpy() == 1
    wrong = float(((share > 0.5) != is_one).mean())
    constant = float((is_one != (mean_label(run.train_paths) > 0.5)).mean())
    return {"accuracy": 1 - wrong, "recall": float(near.mean()), **skill(wrong, constant)}


def _true_distances(run: Context, neighbours: Neighbours, features: Array) -> tuple[Array, Array]:
    """Returns two arrays: the true distance of each row that was found, and the distance of the k-th nearest row.

    The shapes are (queries, neighbours) and (queries,). A distance is infinite where no row was found (NOBODY).
    Row groups are read one after the other.

    Raises InvalidResult if a row was found twice, or is not in the sample.
    """
    from scipy.spatial.distance import cdist

    count = neighbours.row.shape[1]
    distances = np.full(neighbours.row.shape, np.inf)
    nearest = np.full((len(features), count), np.inf)
    for rows_of_query in neighbours.row:
        rows_found = rows_of_query[rows_of_query != NOBODY]
        if len(np.unique(rows_found)) < len(rows_found):
            raise InvalidResult("A query has the same neighbour twice.")
    for group in row_groups(run.train_paths):
        table = group.read(train_columns(run))
        row = table.column(ROW).to_numpy()
        distances_to_group = cdist(features, numeric_matrix(run.data, table))
        candidates = np.concatenate([nearest, distances_to_group], axis=1)
        nearest = np.partition(candidates, count - 1, axis=1)[:, :count]
        order = np.argsort(row)
        position = np.minimum(np.searchsorted(row[order], neighbours.row), len(row) - 1)
        is_in_group = row[order][position] == neighbours.row
        distances_found = np.take_along_axis(distances_to_group, order[position], axis=1)
        distances[is_in_group] = distances_found[is_in_group]
    if np.any(np.isinf(distances) & (neighbours.row != NOBODY)):
        raise InvalidResult("A neighbour is not one of the sample's rows.")
    return distances, nearest.max(axis=1)


WORKLOAD = Workload(
    name="data_parallel.knn",
    summary="Nearest neighbours of a few rows, the model being the whole data set",
    pattern=LAZY,
    quality=Quality(score, {"classification": BY_ACCURACY}, (ACCURACY, RECALL, SKILL), ("recall",)),
    params=KnnParams(),
    engines=(SklearnNeighbours, CumlNeighbours, SparkBrute, MLlibLSH),
)
