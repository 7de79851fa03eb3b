"""L2-regularised logistic regression on one-hot features: scikit-learn compared with MLlib.

All engines minimise C · Σ log-loss + ½‖w‖² with an unpenalised intercept. The quality `objective` is the value
that the engine reached, divided by C and by the number of rows. So it is the mean log-loss on the training rows
plus the penalty per row, in nats.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from sparkscale.contract.case import Task
from sparkscale.contract.context import Context
from sparkscale.contract.dataset import LABEL, ROW
from sparkscale.contract.location import to_read
from workloads.base import NodeEngine, Params, Quality, Sample, SparkEngine, Workload
from workloads.data_parallel.figures import ITERATIONS
from workloads.data_parallel.one_hot import MLlibOneHot, SklearnOneHot
from workloads.data_parallel.pattern import (
    DATA_PARALLEL,
    FEATURES,
    labels,
    one_hot_matrix,
    one_hot_vectors,
)
from workloads.data_parallel.rapids import Cuml, Rapids
from workloads.io.filesystem import RowGroup, map_row_groups, row_groups
from workloads.io.frames import spark_rows
from workloads.quality.qualities import AUC, BY_AUC, LOG_LOSS, OBJECTIVE, SKILL
from workloads.quality.scoring import Array, Scores, check_classes, score_holdout


class LogisticParams(Params):
    """The parameters of logistic regression.

    `C` is the inverse of the L2 penalty. As in scikit-learn, it is the factor of the sum of the losses.
    """

    C: float = 1.0
    max_iterations: int = 200
    gradient_tolerance: float = 1e-4
    """scikit-learn stops when no component of the mean loss's gradient exceeds this value (its default)."""
    loss_tolerance: float = 1e-6
    """MLlib stops when the relative gain in loss is below this value (the library's default)."""
    epochs: int = 5
    """The number of times that `sgd` reads the training rows."""


@dataclass(frozen=True)
class LinearScores(Scores):
    """Predictions, and the weights and the intercept of the model that made them.

    `weights` has one weight for each column of `one_hot_matrix`, shape (columns,).
    """

    weights: Array
    intercept: float

    @classmethod
    def of(cls, scores: Scores, weights: Array, intercept: float) -> "LinearScores":
        return cls(scores.row, scores.score, weights, float(intercept))


def objective(run: Context, weights: Array, intercept: float, C: float) -> float:
    """Returns the mean log-loss on the case's training rows plus ‖w‖²/(2·n·C), in nats.

    Here n is the number of training rows. Row groups are processed in parallel, on all cores.
    """

    def loss_of(table: pa.Table) -> float:
        margin = one_hot_matrix(run.data, table) @ weights + intercept
        return float(np.logaddexp(0, -(2.0 * labels(table) - 1) * margin).sum())

    loss = sum(map_row_groups(run.train_paths, [LABEL, *run.data.features], loss_of))
    return (loss + float(weights @ weights) / (2 * C)) / run.case.rows


def score(run: Context, scores: LinearScores) -> dict[str, float]:
    """Returns the AUC and the log-loss on the hold-out, and the objective.

    With the parameter set `defaults` there is no objective, because each library then minimises its own objective.
    """
    qualities = score_holdout(run, scores)
    C = run.case.params.get("C")
    if C is None:
        return qualities
    return {**qualities, "objective": objective(run, scores.weights, scores.intercept, C)}


class SklearnLBFGS(SklearnOneHot):
    """scikit-learn's LogisticRegression on a sparse matrix. Subclasses define where the rows come from."""

    defaults = {"C": 1.0, "max_iter": 100, "tol": 1e-4, "solver": "lbfgs"}

    def arguments(self, params: LogisticParams, sample: Sample) -> dict[str, Any]:  # noqa: ARG002
        return {"C": params.C, "max_iter": params.max_iterations, "tol": params.gradient_tolerance, "solver": "lbfgs"}

    def fit(self, run: Context, train: tuple[Any, Any]) -> Any:
        model = self.estimator(run, "linear_model.LogisticRegression")(**run.arguments).fit(*train)
        run.figure("iterations", model.n_iter_[0])
        return model

    def predict(self, run: Context, model: Any) -> LinearScores:
        return LinearScores.of(super().predict(run, model), model.coef_[0], model.intercept_[0])


class SklearnLogistic(SklearnLBFGS, NodeEngine):
    """scikit-learn's LogisticRegression by L-BFGS on a sparse matrix, in one process.

    Differs: stops when the largest component of the mean loss's gradient is small, while MLlib stops when the
    relative gain in loss is small.
    """

    name = "sklearn"


class CumlLogistic(Cuml, SklearnLBFGS, NodeEngine):
    """cuML's LogisticRegression by its quasi-Newton solver on a sparse matrix.

    Differs: stops when the gradient's norm relative to the loss is small, while scikit-learn stops when the
    gradient's largest component is small.
    """

    defaults = {"C": 1.0, "max_iter": 1000, "tol": 1e-4, "solver": "qn"}

    def arguments(self, params: LogisticParams, sample: Sample) -> dict[str, Any]:
        return {**super().arguments(params, sample), "solver": "qn"}


class SklearnDriver(SklearnLBFGS, SparkEngine):
    """The model of `sklearn`, trained on a Spark DataFrame: `toPandas` first brings every row to the driver.

    Differs: in the same way as `sklearn`. In addition, training uses only the driver's cores.
    """

    name = "sklearn-driver"

    def train_rows(self, run: Context) -> pa.Table:
        return self._collect(run, run.train_paths, [LABEL, *run.data.features])

    def holdout_rows(self, run: Context) -> pa.Table:
        return self._collect(run, [run.data.holdout_path], [ROW, *run.data.features])

    def _collect(self, run: Context, paths: list[str], columns: list[str]) -> pa.Table:
        return pa.Table.from_pandas(spark_rows(run, paths).select(*columns).toPandas())


class SGD(NodeEngine):
    """scikit-learn's SGDClassifier by `partial_fit`, one row group after the other. Only one row group is in memory.

    Differs: uses stochastic gradient descent with averaged weights, for a fixed number of passes. It never exactly
    reaches the minimum that the other engines find, so its objective is higher.
    """

    name = "sgd"
    defaults = {
        "loss": "hinge",
        "penalty": "l2",
        "alpha": 1e-4,
        "learning_rate": "optimal",
        "eta0": 0.01,
        "average": False,
        "epochs": 1,
    }

    def arguments(self, params: LogisticParams, sample: Sample) -> dict[str, Any]:
        return {
            "loss": "log_loss",
            "penalty": "l2",
            "alpha": 1 / (sample.rows * params.C),
            # "optimal" begins with steps of 1/alpha, which is the number of rows times C; then training diverged
            "learning_rate": "constant",
            "eta0": 0.01,
            "average": True,
            "epochs": params.epochs,
        }

    def default_arguments(self, task: Task) -> dict[str, Any]:
        """Returns the library's defaults, but with a logistic regression's loss and only one pass over the rows."""
        return {**super().default_arguments(task), "loss": "log_loss"}

    def load(self, run: Context) -> list[RowGroup]:
        return row_groups(run.train_paths)

    def fit(self, run: Context, train: list[RowGroup]) -> Any:
        from sklearn.linear_model import SGDClassifier

        arguments = run.arguments
        epochs = arguments.pop("epochs")
        model = SGDClassifier(random_state=run.case.model_seed, **arguments)
        order = np.random.default_rng(run.case.model_seed)
        for _ in range(epochs):
            for number in order.permutation(len(train)):
                table = train[number].read([LABEL, *run.data.features])
                rows = order.permutation(table.num_rows)
                model.partial_fit(one_hot_matrix(run.data, table)[rows], labels(table)[rows], classes=[0, 1])
        run.figure("iterations", epochs)
        return model

    def predict(self, run: Context, model: Any) -> LinearScores:
        row_and_score = []
        for group in row_groups([run.data.holdout_path]):
            table = group.read([ROW, *run.data.features])
            row_and_score.append(
                (table.column(ROW).to_numpy(), model.predict_proba(one_hot_matrix(run.data, table))[:, 1])
            )
        row, score = (np.concatenate(column) for column in zip(*row_and_score, strict=True))
        return LinearScores(row, score, model.coef_[0], float(model.intercept_[0]))


class MLlibLogistic(MLlibOneHot):
    """pyspark.ml's LogisticRegression, with regParam = 1/(n·C) and without standardisation.

    Differs: stops when the relative gain in loss is small, while scikit-learn stops when the gradient is small.
    """

    name = "mllib"
    defaults = {
        "regParam": 0.0,
        "elasticNetParam": 0.0,
        "maxIter": 100,
        "tol": 1e-6,
        "standardization": True,
    }

    def arguments(self, params: LogisticParams, sample: Sample) -> dict[str, Any]:
        return {
            "regParam": 1 / (sample.rows * params.C),
            "elasticNetParam": 0.0,
            "maxIter": params.max_iterations,
            "tol": params.loss_tolerance,
            "standardization": False,
        }

    def fit(self, run: Context, train: Any) -> Any:
        estimator = self.estimator(run, "classification.LogisticRegression")
        model = estimator(featuresCol=FEATURES, labelCol=LABEL, **run.arguments).fit(train)
        run.figure("iterations", self.iterations(model))
        return model

    def iterations(self, model: Any) -> int:
        return int(model.summary.totalIterations)

    def predict(self, run: Context, model: Any) -> LinearScores:
        return LinearScores.of(super().predict(run, model), model.coefficients.toArray(), model.intercept)


class RapidsLogistic(Rapids, MLlibLogistic):
    """spark_rapids_ml's LogisticRegression: cuML's quasi-Newton solver, over all GPUs.

    Differs: compares `loss_tolerance` with the gradient's norm relative to the loss, while MLlib compares it with
    the relative gain in loss.
    """

    def iterations(self, model: Any) -> int:
        return int(model.num_iters)


class MLlibPlain(MLlibLogistic):
    """The estimator of `mllib` on a Parquet DataFrame without caching, as in a first attempt.

    The comparison with `mllib` shows the gain from caching.

    Differs: in the same way as `mllib`. In addition, features are computed twice: for the columns' statistics, and
    for the blocks that MLlib itself caches. They are computed in the Spark tasks that read the files, and there
    may be fewer of these tasks than slots.
    """

    name = "mllib-plain"

    def load(self, run: Context) -> Any:
        rows = run.spark.read.parquet(*map(to_read, run.train_paths))
        return one_hot_vectors(run, rows).select(LABEL, FEATURES)


WORKLOAD = Workload(
    name="data_parallel.logistic_regression",
    summary="L2-regularised logistic regression on one-hot features, one model",
    pattern=DATA_PARALLEL,
    quality=Quality(
        score,
        {"classification": BY_AUC},
        (AUC, LOG_LOSS, OBJECTIVE, SKILL),
        ("log_loss", "objective", "iterations"),
        check_classes,
    ),
    figures=(ITERATIONS,),
    params=LogisticParams(),
    engines=(SklearnLogistic, CumlLogistic, SklearnDriver, SGD, MLlibLogistic, MLlibPlain, RapidsLogistic),
)
