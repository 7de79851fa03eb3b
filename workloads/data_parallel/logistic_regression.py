"""L2-regularised logistic regression on one-hot features: scikit-learn against MLlib.

All engines minimise  C · Σ log-loss + ½‖w‖²  with an unpenalised intercept, by L-BFGS.
"""

from abc import abstractmethod
from typing import Any

import pyarrow as pa

from sparkscale.contract.context import Context
from sparkscale.contract.dataset import LABEL, ROW
from workloads.base import Engine, NodeEngine, Params, Sample, SparkEngine, Workload
from workloads.data_parallel.pattern import (
    DATA_PARALLEL,
    FEATURES,
    SUPERVISED,
    labels,
    one_hot_matrix,
    one_hot_vectors,
    read_holdout,
    read_train,
    spark_cached,
    spark_rows,
    spark_scores,
)
from workloads.scoring import Scores


class LogisticParams(Params):
    """`C` is the inverse of the L2 penalty, in scikit-learn's sense: per sum, not per mean, of the losses."""

    C: float = 1.0
    max_iterations: int = 200
    gradient_tolerance: float = 1e-4
    """scikit-learn stops when no component of the mean loss's gradient is larger (its own default)."""
    loss_tolerance: float = 1e-6
    """MLlib stops when the loss gains less, relative to its size (its own default)."""


class SklearnOnRows(Engine):
    """scikit-learn's LogisticRegression on a sparse matrix; where the rows come from is left to subclasses."""

    defaults = {"C": 1.0, "max_iter": 100, "tol": 1e-4, "solver": "lbfgs"}

    def arguments(self, params: LogisticParams, sample: Sample) -> dict[str, Any]:  # noqa: ARG002
        return {"C": params.C, "max_iter": params.max_iterations, "tol": params.gradient_tolerance, "solver": "lbfgs"}

    @abstractmethod
    def train_rows(self, run: Context) -> pa.Table: ...

    @abstractmethod
    def holdout_rows(self, run: Context) -> pa.Table: ...

    def load(self, run: Context) -> tuple[Any, Any]:
        table = self.train_rows(run)
        return one_hot_matrix(run.data, table), labels(table)

    def fit(self, run: Context, train: tuple[Any, Any]) -> Any:
        from sklearn.linear_model import LogisticRegression

        model = LogisticRegression(**run.arguments).fit(*train)
        run.figure("iterations", model.n_iter_[0])
        return model

    def predict(self, run: Context, model: Any) -> Scores:
        table = self.holdout_rows(run)
        score = model.predict_proba(one_hot_matrix(run.data, table))[:, 1]
        return Scores(row=table.column(ROW).to_numpy(), score=score)


class SklearnLogistic(SklearnOnRows, NodeEngine):
    """scikit-learn's LogisticRegression on a sparse matrix, one process.

    Differs: stops on the largest gradient component of the mean loss, where MLlib stops on the relative gain
    in loss.
    """

    name = "sklearn"

    def train_rows(self, run: Context) -> pa.Table:
        return read_train(run)

    def holdout_rows(self, run: Context) -> pa.Table:
        return read_holdout(run)


class SklearnDriver(SklearnOnRows, SparkEngine):
    """The same scikit-learn model on a Spark DataFrame: `toPandas` brings every row into the driver first.

    Differs: as `sklearn`; training uses the driver's cores only.
    """

    name = "sklearn-driver"

    def train_rows(self, run: Context) -> pa.Table:
        return self._collect(run, run.train_paths, [LABEL, *run.data.features])

    def holdout_rows(self, run: Context) -> pa.Table:
        return self._collect(run, [run.data.holdout_path], [ROW, *run.data.features])

    def _collect(self, run: Context, paths: list[str], columns: list[str]) -> pa.Table:
        return pa.Table.from_pandas(spark_rows(run, paths).select(*columns).toPandas())


class MLlibLogistic(SparkEngine):
    """pyspark.ml's LogisticRegression; regParam = 1/(n·C), standardisation off.

    Differs: stops on the relative gain in loss, where scikit-learn stops on the gradient.
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

    def load(self, run: Context) -> Any:
        rows = one_hot_vectors(run, spark_rows(run, run.train_paths))
        return spark_cached(run, rows.select(LABEL, FEATURES))

    def fit(self, run: Context, train: Any) -> Any:
        from pyspark.ml.classification import LogisticRegression

        model = LogisticRegression(featuresCol=FEATURES, labelCol=LABEL, **run.arguments).fit(train)
        run.figure("iterations", model.summary.totalIterations)
        return model

    def predict(self, run: Context, model: Any) -> Scores:
        holdout = one_hot_vectors(run, spark_rows(run, [run.data.holdout_path]))
        return spark_scores(run, model.transform(holdout))


WORKLOAD = Workload(
    name="data_parallel.logistic_regression",
    summary="L2-regularised logistic regression on one-hot features, one model",
    pattern=DATA_PARALLEL,
    quality=SUPERVISED,
    params=LogisticParams(),
    engines=(SklearnLogistic, SklearnDriver, MLlibLogistic),
)
