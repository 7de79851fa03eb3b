"""k-means on standardised numeric columns: scikit-learn compared with MLlib, each with the best of several seeds.

scikit-learn and MLlib cannot start from each other's initial centres, so single trainings end in different minima.
So every engine trains with the same number of seeds, and its model with the smallest training inertia is used.
"""

import math
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
from scipy.spatial.distance import cdist

from sparkscale.contract.context import Context
from sparkscale.contract.dataset import ROW
from sparkscale.contract.declared import Figure
from sparkscale.contract.errors import EngineUnsupported
from workloads.base import NodeEngine, Params, Quality, Sample, SparkEngine, Workload
from workloads.data_parallel.figures import ITERATIONS
from workloads.data_parallel.numeric import EVERY_TASK, collected, numeric_matrix, numeric_vectors
from workloads.data_parallel.pattern import (
    DATA_PARALLEL,
    FEATURES,
    read_holdout,
    read_train,
    spark_spread,
)
from workloads.data_parallel.rapids import Cuml, Rapids
from workloads.io.frames import spark_rows
from workloads.quality.qualities import BY_INERTIA, INERTIA, VARIANCE_EXPLAINED
from workloads.quality.scoring import Array
from workloads.quality.scoring_unlabelled import Clusters, score_clusters


class KMeansParams(Params):
    """Parameters of Lloyd's algorithm with `seeds` initialisations, by k-means++ or its parallel form k-means||."""

    clusters: int = 20
    seeds: int = 5
    max_iterations: int = 100
    tolerance: float = 1e-4
    """The limit at which the algorithm stops. It is compared with the sum of the centres' squared moves, divided
    by the mean variance of the columns.
    """


def enough_rows(run: Context, clusters: int) -> None:
    """Raises EngineUnsupported if there are more clusters than rows. MLlib would silently return fewer clusters."""
    if clusters > run.case.rows:
        raise EngineUnsupported(
            f"{clusters} clusters of {run.case.rows} rows are too many: measure a larger fraction."
        )


class SklearnKMeans(NodeEngine):
    """scikit-learn's KMeans, Lloyd's algorithm.

    Differs: chooses the initial centres by k-means++, while MLlib uses the parallel form k-means||.
    """

    name = "sklearn"
    library = "sklearn"
    tasks = EVERY_TASK
    defaults = {"n_clusters": 8, "n_init": "auto", "max_iter": 300, "tol": 1e-4, "init": "k-means++"}

    def arguments(self, params: KMeansParams, sample: Sample) -> dict[str, Any]:  # noqa: ARG002
        return {
            "n_clusters": params.clusters,
            "n_init": params.seeds,
            "max_iter": params.max_iterations,
            "tol": params.tolerance,
            "init": "k-means++",
        }

    def load(self, run: Context) -> Any:
        enough_rows(run, run.arguments["n_clusters"])
        return numeric_matrix(run.data, read_train(run))

    def fit(self, run: Context, train: Any) -> Any:
        model = self.estimator(run, "cluster.KMeans")(random_state=run.case.model_seed, **run.arguments).fit(train)
        run.figure(ITERATIONS.name, model.n_iter_)
        run.figure("training_inertia", model.inertia_ / len(train))
        return model

    def predict(self, run: Context, model: Any) -> Clusters:
        table = read_holdout(run)
        clusters = model.predict(numeric_matrix(run.data, table))
        return Clusters(table.column(ROW).to_numpy(), clusters, model.cluster_centers_)


class CumlKMeans(Cuml, SklearnKMeans):
    """cuML's KMeans, Lloyd's algorithm.

    Differs: compares `tolerance` with the sum of the centres' squared moves, while scikit-learn first divides this
    sum by the variance of the columns. Here this variance is 1.
    """

    defaults = {**SklearnKMeans.defaults, "init": "scalable-k-means++"}


class MLlibKMeans(SparkEngine):
    """pyspark.ml's KMeans, Lloyd's algorithm.

    MLlib stops when no centre moves by more than `tol`, which is √(tolerance / clusters). Then the sum of the
    centres' squared moves is at most `tolerance`. Columns have unit variance, so scikit-learn would stop, too.

    Differs: chooses the initial centres by k-means||, which samples in parallel. It stops when the largest move of
    a centre is small, while scikit-learn stops when the sum of the centres' squared moves is small. So MLlib never
    stops earlier, and sometimes some iterations later.
    """

    name = "mllib"
    library = "pyspark.ml"
    tasks = EVERY_TASK
    defaults = {"k": 2, "seeds": 1, "maxIter": 20, "tol": 1e-4, "initMode": "k-means||", "initSteps": 2}

    def arguments(self, params: KMeansParams, sample: Sample) -> dict[str, Any]:  # noqa: ARG002
        return {
            "k": params.clusters,
            "seeds": params.seeds,
            "maxIter": params.max_iterations,
            "tol": math.sqrt(params.tolerance / params.clusters),
            "initMode": "k-means||",
            "initSteps": 2,
        }

    def load(self, run: Context) -> Any:
        enough_rows(run, run.arguments["k"])
        return spark_spread(run, numeric_vectors(run, spark_rows(run, run.train_paths)).select(FEATURES))

    def fit(self, run: Context, train: Any) -> Any:
        arguments = run.arguments
        seeds = range(run.case.model_seed, run.case.model_seed + arguments.pop("seeds"))
        estimator = self.estimator(run, "clustering.KMeans")
        models = [estimator(featuresCol=FEATURES, seed=seed, **arguments).fit(train) for seed in seeds]
        costs = [self.cost(model, train) for model in models]
        run.figure("training_inertia", min(costs) / run.case.rows)
        best = models[costs.index(min(costs))]
        if best.hasSummary:
            run.figure("iterations", best.summary.numIter)
        return best

    def cost(self, model: Any, train: Any) -> float:  # noqa: ARG002
        """Returns the sum of squared distances of the training rows to their centres."""
        return float(model.summary.trainingCost)

    def predict(self, run: Context, model: Any) -> Clusters:
        holdout = numeric_vectors(run, spark_rows(run, [run.data.holdout_path]))
        row, cluster = collected(model.transform(holdout), plain=["prediction"])
        return Clusters(row, cluster, np.array(model.clusterCenters()))


class RapidsKMeans(Rapids, MLlibKMeans):
    """spark_rapids_ml's KMeans: cuML runs Lloyd's algorithm over all GPUs.

    Differs: does not store the inertia in the model, so `fit` needs one more pass over the rows for each seed.
    Like `cuml`, it compares `tolerance` with the sum of the centres' squared moves.
    """

    def arguments(self, params: KMeansParams, sample: Sample) -> dict[str, Any]:
        return {**super().arguments(params, sample), "tol": params.tolerance}

    def cost(self, model: Any, train: Any) -> float:
        from pyspark.ml.functions import vector_to_array
        from pyspark.sql.functions import col

        part = partial(squared_distances, centres=np.array(model.clusterCenters()))
        costs = train.select(vector_to_array(col(FEATURES)).alias(FEATURES)).mapInArrow(part, "cost double")
        return float(costs.groupBy().sum("cost").first()[0])


def squared_distances(batches: Iterator[pa.RecordBatch], centres: Array) -> Iterator[pa.RecordBatch]:
    """Yields one value `cost` for each batch: the sum of the rows' squared distances to their nearest centres.

    `centres` has the shape (clusters, columns).
    """
    for batch in batches:
        rows = batch.column(0).flatten().to_numpy(zero_copy_only=False).reshape(batch.num_rows, -1)
        nearest = cdist(rows, centres, "sqeuclidean").min(axis=1) if len(rows) else np.zeros(0)
        yield pa.RecordBatch.from_pydict({"cost": [float(nearest.sum())]})


WORKLOAD = Workload(
    name="data_parallel.kmeans",
    summary="k-means on standardised numbers, the best of several seeds",
    pattern=DATA_PARALLEL,
    quality=Quality(
        score_clusters,
        dict.fromkeys(sorted(EVERY_TASK), BY_INERTIA),
        (INERTIA, VARIANCE_EXPLAINED),
        ("training_inertia", "iterations"),
    ),
    figures=(
        Figure(name="training_inertia", heading="inertia on its training rows", direction="lower"),
        ITERATIONS,
    ),
    params=KMeansParams(),
    engines=(SklearnKMeans, CumlKMeans, MLlibKMeans, RapidsKMeans),
)
