"""Nearest neighbours on standardised numeric columns: the algorithm whose model is the whole data set.

Nothing is learnt, so the cost lies in `predict`, and time to model counts it: neighbours of `queries` hold-out rows,
evenly spaced. A query's class is the majority's among its neighbours.
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
QUERY, DISTANCE = "query", "distance"
CLOSE = 1 + 1e-9
"""Neighbours are as near as the k-th within rounding."""


class KnnParams(Params):
    """`neighbours` of each of `queries` hold-out rows; LSH has `tables` of buckets `bucket_length` wide."""

    neighbours: int = 10
    queries: int = 200
    tables: int = 3
    bucket_length: float = 0.2


@dataclass(frozen=True)
class Neighbours:
    """Of each query the training rows found, nearest first, and their labels, NOBODY where there are fewer.

    Shapes (queries,), (queries, neighbours) and (queries, neighbours).
    """

    query: Array
    row: Array
    label: Array

    @classmethod
    def nearest(cls, query: Array, found: pa.Table, count: int) -> "Neighbours":
        """From a table {query, row, label, distance} of candidates, of which the nearest count; ties go by row."""
        best = found.sort_by([(QUERY, "ascending"), (DISTANCE, "ascending"), (ROW, "ascending")])
        number = best.column(QUERY).to_numpy()
        rank = np.arange(len(number)) - np.searchsorted(number, number)
        kept = rank < count
        row, label = np.full((len(query), count), NOBODY), np.full((len(query), count), NOBODY)
        row[number[kept], rank[kept]] = best.column(ROW).to_numpy()[kept]
        label[number[kept], rank[kept]] = best.column(LABEL).to_numpy()[kept]
        return cls(query, row, label)


def queries(run: Context) -> tuple[Array, Array]:
    """Row ids and features of the evenly spaced hold-out rows that are asked for."""
    names = [column.name for column in numeric_columns(run.data)]
    holdout = read_parquet([run.data.holdout_path], [ROW, *names]).sort_by(ROW)
    chosen = np.unique(np.linspace(0, holdout.num_rows - 1, run.arguments["queries"]).astype(int))
    table = holdout.take(pa.array(chosen))
    return table.column(ROW).to_numpy(), numeric_matrix(run.data, table)


def search(
    estimator: Any, data: PreparedDataset, wanted: Array, count: int, threads: int, table: pa.Table
) -> pa.Table:
    """Exact: the table {query, row, label, distance} of each query's nearest among these rows.

    `estimator` is NearestNeighbors of scikit-learn, or of a library with its interface.
    """
    count = min(count, table.num_rows)
    brute = estimator(n_neighbors=count, algorithm="brute", n_jobs=threads).fit(numeric_matrix(data, table))
    distance, position = brute.kneighbors(wanted)
    return pa.table(
        {
            QUERY: np.repeat(np.arange(len(wanted)), count),
            ROW: table.column(ROW).to_numpy()[position.ravel()].astype(np.int64),
            LABEL: table.column(LABEL).to_numpy()[position.ravel()].astype(np.int64),
            DISTANCE: distance.ravel(),
        }
    )


def train_columns(run: Context) -> list[str]:
    return [ROW, LABEL, *(column.name for column in numeric_columns(run.data))]


class SklearnNeighbours(NodeEngine):
    """scikit-learn's NearestNeighbors by brute force: exact."""

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
        query, wanted = queries(run)
        count = run.arguments["n_neighbors"]
        estimator = self.estimator(run, "neighbors.NearestNeighbors")
        found = search(estimator, run.data, wanted, count, run.case.threads, model)
        return Neighbours.nearest(query, found, count)


class CumlNeighbours(Cuml, SklearnNeighbours):
    """cuML's NearestNeighbors by brute force.

    Differs: distances in single precision, so of two rows almost equally near the farther one may be found.
    """


class SparkBrute(SparkEngine):
    """Queries go to every partition, which answers with its own nearest; the driver merges them. Exact."""

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
        query, wanted = queries(run)
        count = run.arguments["n_neighbors"]
        estimator = self.estimator(run, "neighbors.NearestNeighbors")
        searching = partial(search, estimator, run.data, wanted, count, run.case.threads)
        part = partial(search_partition, searching)
        found = model.mapInArrow(part, f"{QUERY} long, {ROW} long, {LABEL} long, {DISTANCE} double").toArrow()
        return Neighbours.nearest(query, found, count)


def search_partition(searching: Any, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """One search over all rows of a partition, which may have none."""
    rows = list(batches)
    if sum(batch.num_rows for batch in rows):
        yield from searching(pa.Table.from_batches(rows)).to_batches()


class MLlibLSH(SparkEngine):
    """pyspark.ml's BucketedRandomProjectionLSH: candidates share a bucket with the query in one of the tables.

    Differs: approximate; its recall is a figure of each record, and a query may get fewer neighbours, or none.
    MLlib has no default for the buckets' length, so `defaults` has the workload's.
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

        words = {name: run.arguments[name] for name in ("numHashTables", "bucketLength")}
        lsh = BucketedRandomProjectionLSH(inputCol=FEATURES, outputCol="hashes", seed=run.case.model_seed, **words)
        model = lsh.fit(train)
        return model, spark_cached(run, model.transform(train))

    def predict(self, run: Context, model: tuple[Any, Any]) -> Neighbours:
        from pyspark.ml.linalg import Vectors
        from pyspark.sql import Window
        from pyspark.sql.functions import col, row_number

        query, wanted = queries(run)
        count = run.arguments["n_neighbors"]
        lsh, hashed = model
        asked = run.spark.createDataFrame(
            [(number, Vectors.dense(vector)) for number, vector in enumerate(wanted)], [QUERY, FEATURES]
        )
        pairs = lsh.approxSimilarityJoin(hashed, asked, float("inf"), DISTANCE).select(
            col(f"datasetB.{QUERY}").alias(QUERY),
            col(f"datasetA.{ROW}").cast("long").alias(ROW),
            col(f"datasetA.{LABEL}").cast("long").alias(LABEL),
            DISTANCE,
        )
        nearest = row_number().over(Window.partitionBy(QUERY).orderBy(DISTANCE, ROW))
        found = pairs.withColumn("rank", nearest).where(col("rank") <= count).drop("rank").toArrow()
        return Neighbours.nearest(query, found, count)


def score(run: Context, found: Neighbours) -> dict[str, float]:
    """Recall against an exact search, the majority's accuracy, and the skill: how much smaller its error is than that
    of the most frequent class of the training rows. Stores the table {row, unit, label, score} of the queries, the
    score being the share of class 1 among the neighbours.

    A neighbour counts when it is as near as the k-th nearest, whichever of several equally near rows it is (Aumüller,
    Bernhardsson & Faithfull, ANN-Benchmarks, 2020). Raises InvalidResult for other queries than those asked, a row
    found twice, or one that is not in the sample.
    """
    query, wanted = queries(run)
    if run.case.rows < found.row.shape[1]:
        raise InvalidResult(f"{found.row.shape[1]} neighbours among {run.case.rows} rows.")
    if not np.array_equal(found.query, query):
        raise InvalidResult("The neighbours are not those of the queries.")
    distances, least = _true_distances(run, found, wanted)
    near = (found.row != NOBODY) & (distances <= least[:, None] * CLOSE)
    holdout = read_parquet([run.data.holdout_path], [ROW, UNIT, LABEL])
    chosen = holdout.filter(pa.compute.is_in(holdout.column(ROW), pa.array(query))).sort_by(ROW)
    there = found.row != NOBODY
    share = np.where(there, found.label, 0).sum(axis=1) / np.maximum(there.sum(axis=1), 1)
    run.table(SCORES, chosen.append_column("score", pa.array(share)))
    is_one = chosen.column(LABEL).to_numpy() == 1
    wrong = float(((share > 0.5) != is_one).mean())
    constant = float((is_one != (mean_label(run.train_paths) > 0.5)).mean())
    return {"accuracy": 1 - wrong, "recall": float(near.mean()), **skill(wrong, constant)}


def _true_distances(run: Context, found: Neighbours, wanted: Array) -> tuple[Array, Array]:
    """Of each row found, of shape (queries, neighbours), and of each query's k-th nearest; row group by row group."""
    from scipy.spatial.distance import cdist

    count = found.row.shape[1]
    distances = np.full(found.row.shape, np.inf)
    nearest = np.full((len(wanted), count), np.inf)
    for query in found.row:
        there = query[query != NOBODY]
        if len(np.unique(there)) < len(there):
            raise InvalidResult("A query has the same neighbour twice.")
    for group in row_groups(run.train_paths):
        table = group.read(train_columns(run))
        row = table.column(ROW).to_numpy()
        every = cdist(wanted, numeric_matrix(run.data, table))
        together = np.concatenate([nearest, every], axis=1)
        nearest = np.partition(together, count - 1, axis=1)[:, :count]
        order = np.argsort(row)
        position = np.minimum(np.searchsorted(row[order], found.row), len(row) - 1)
        here = row[order][position] == found.row
        own = np.take_along_axis(every, order[position], axis=1)
        distances[here] = own[here]
    if np.any(np.isinf(distances) & (found.row != NOBODY)):
        raise InvalidResult("A neighbour is none of the sample's rows.")
    return distances, nearest.max(axis=1)


WORKLOAD = Workload(
    name="data_parallel.knn",
    summary="Nearest neighbours of a few rows, the model being the whole data set",
    pattern=LAZY,
    quality=Quality(score, {"classification": BY_ACCURACY}, (ACCURACY, RECALL, SKILL), ("recall",)),
    params=KnnParams(),
    engines=(SklearnNeighbours, CumlNeighbours, SparkBrute, MLlibLSH),
)
