"""k-means on standardised numeric columns: scikit-learn against MLlib, the best of several seeds each.

Neither library takes the other's initial centres, so single runs end in different local minima: what is compared is
the best training inertia over the same number of seeds.
"""

import math
from typing import Any

from sparkscale.contract.context import Context
from sparkscale.contract.dataset import ROW
from workloads.base import NodeEngine, Params, Quality, Sample, SparkEngine, Workload
from workloads.data_parallel.numeric import EVERY_TASK, collected, numeric_matrix, numeric_vectors
from workloads.data_parallel.pattern import (
    DATA_PARALLEL,
    FEATURES,
    read_holdout,
    read_train,
    spark_cached,
    spark_rows,
)
from workloads.scoring_unlabelled import Clusters, score_clusters


class KMeansParams(Params):
    """Lloyd's algorithm from `seeds` initialisations by k-means++ or its parallel kin."""

    clusters: int = 20
    seeds: int = 5
    max_iterations: int = 100
    tolerance: float = 1e-4
    """Stop when the centres' squared moves sum to less, relative to the mean variance of a column."""


class SklearnKMeans(NodeEngine):
    """scikit-learn's KMeans, Lloyd's algorithm.

    Differs: initial centres by k-means++ over all rows.
    """

    name = "sklearn"
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
        return numeric_matrix(run.data, read_train(run))

    def fit(self, run: Context, train: Any) -> Any:
        from sklearn.cluster import KMeans

        model = KMeans(random_state=run.case.model_seed, **run.arguments).fit(train)
        run.figure("iterations", model.n_iter_)
        run.figure("training_inertia", model.inertia_ / len(train))
        return model

    def predict(self, run: Context, model: Any) -> Clusters:
        table = read_holdout(run)
        found = model.predict(numeric_matrix(run.data, table))
        return Clusters(table.column(ROW).to_numpy(), found, model.cluster_centers_)


class MLlibKMeans(SparkEngine):
    """pyspark.ml's KMeans, Lloyd's algorithm.

    MLlib stops when no centre moves by more than `tol`. Columns have unit variance, so √(tolerance / clusters) bounds
    the sum of the squared moves as scikit-learn's tolerance does.

    Differs: initial centres by k-means||, which samples in parallel; stops on the largest move of a centre, at the
    latest when scikit-learn's sum would stop.
    """

    name = "mllib"
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
        return spark_cached(run, numeric_vectors(run, spark_rows(run, run.train_paths)).select(FEATURES))

    def fit(self, run: Context, train: Any) -> Any:
        from pyspark.ml.clustering import KMeans

        arguments = run.arguments
        seeds = range(run.case.model_seed, run.case.model_seed + arguments.pop("seeds"))
        models = [KMeans(featuresCol=FEATURES, seed=seed, **arguments).fit(train) for seed in seeds]
        best = min(models, key=lambda model: model.summary.trainingCost)
        run.figure("iterations", best.summary.numIter)
        run.figure("training_inertia", best.summary.trainingCost / run.case.rows)
        return best

    def predict(self, run: Context, model: Any) -> Clusters:
        import numpy as np

        holdout = numeric_vectors(run, spark_rows(run, [run.data.holdout_path]))
        row, cluster = collected(model.transform(holdout), plain=["prediction"])
        return Clusters(row, cluster, np.array(model.clusterCenters()))


WORKLOAD = Workload(
    name="data_parallel.kmeans",
    summary="k-means on standardised numbers, the best of several seeds",
    pattern=DATA_PARALLEL,
    quality=Quality(score_clusters, dict.fromkeys(sorted(EVERY_TASK), "inertia")),
    params=KMeansParams(),
    engines=(SklearnKMeans, MLlibKMeans),
)
