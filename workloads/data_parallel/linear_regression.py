"""Ridge regression on one-hot features, one model: scikit-learn compared with MLlib.

Both libraries minimise  Σ (y − Xw − b)² + alpha·‖w‖²  with an unpenalised intercept.
"""

from typing import Any

from sparkscale.contract.case import Task
from sparkscale.contract.context import Context
from sparkscale.contract.dataset import LABEL
from sparkscale.contract.errors import EngineUnsupported
from workloads.base import NodeEngine, Params, Sample, Workload
from workloads.data_parallel.network import one_hot_width
from workloads.data_parallel.one_hot import MLlibOneHot, SklearnOneHot
from workloads.data_parallel.pattern import DATA_PARALLEL, FEATURES, SUPERVISED
from workloads.data_parallel.rapids import Cuml, Rapids

MOST_COLUMNS = 4096
"""The largest number of columns that MLlib's normal equations can have
(org.apache.spark.ml.optim.WeightedLeastSquares.MAX_NUM_FEATURES).
"""
REGRESSION: frozenset[Task] = frozenset({"regression"})


class RidgeParams(Params):
    """The parameters of ridge regression.

    `alpha` is the L2 penalty for the sum of squared errors, as in scikit-learn.
    """

    alpha: float = 1.0
    max_iterations: int = 1000
    tolerance: float = 1e-6
    """scikit-learn's conjugate gradients stop at this relative residual. MLlib solves the normal equations and does
    not use this limit."""


class SklearnRidge(SklearnOneHot, NodeEngine):
    """scikit-learn's Ridge on a sparse matrix, solved by conjugate gradients.

    Differs: iterates until `tolerance` is reached, while MLlib solves the normal equations exactly.
    """

    name = "sklearn"
    tasks = REGRESSION
    defaults = {"alpha": 1.0, "max_iter": None, "tol": 1e-4, "solver": "auto"}

    def arguments(self, params: RidgeParams, sample: Sample) -> dict[str, Any]:  # noqa: ARG002
        # sparse_cg is the only solver that keeps the matrix sparse and fits an intercept without a step size
        return {
            "alpha": params.alpha,
            "max_iter": params.max_iterations,
            "tol": params.tolerance,
            "solver": "sparse_cg",
        }

    def fit(self, run: Context, train: tuple[Any, Any]) -> Any:
        return self.estimator(run, "linear_model.Ridge")(**run.arguments).fit(*train)


class CumlRidge(Cuml, SklearnRidge):
    """cuML's Ridge on a sparse matrix, solved by LSMR.

    Differs: stops when LSMR's estimate of the residual reaches `tolerance`.
    """

    defaults = {"alpha": 1.0, "max_iter": None, "tol": 1e-4, "solver": "auto"}

    def arguments(self, params: RidgeParams, sample: Sample) -> dict[str, Any]:
        return {**super().arguments(params, sample), "solver": "lsmr"}


class MLlibRidge(MLlibOneHot):
    """pyspark.ml's LinearRegression, solved by the normal equations in one pass over the rows.

    MLlib minimises 1/(2n)·Σ(y − Xw − b)² + regParam/(2σ)·‖w‖². Here σ is the standard deviation of the label, with
    the divisor n (org.apache.spark.ml.optim.WeightedLeastSquares standardises the label). So alpha is
    regParam·n/σ. No Spark job computes σ, because the data set's manifest has σ for exactly the rows of the
    sample.
    """

    name = "mllib"
    tasks = REGRESSION
    defaults = {"regParam": 0.0, "elasticNetParam": 0.0, "solver": "auto", "standardization": True}

    def arguments(self, params: RidgeParams, sample: Sample) -> dict[str, Any]:
        return {
            "regParam": params.alpha / sample.rows * self.penalty_scale(sample),
            "elasticNetParam": 0.0,
            "solver": "normal",
            "standardization": False,
        }

    def load(self, run: Context) -> Any:
        if one_hot_width(run.data) > MOST_COLUMNS:
            raise EngineUnsupported(
                f"The data has {one_hot_width(run.data):,} one-hot columns, but MLlib's normal equations take at "
                f"most {MOST_COLUMNS:,}."
            )
        return super().load(run)

    def fit(self, run: Context, rows: Any) -> Any:
        estimator = self.estimator(run, "regression.LinearRegression")
        return estimator(featuresCol=FEATURES, labelCol=LABEL, **run.arguments).fit(rows)

    def penalty_scale(self, sample: Sample) -> float:
        """Returns the number by which the library divides its penalty."""
        return sample.known_labels.std


class RapidsRidge(Rapids, MLlibRidge):
    """spark_rapids_ml's LinearRegression: cuML solves the normal equations by eigenvectors.

    If features are not standardised, it does not divide the penalty by the label's standard deviation
    (spark_rapids_ml.regression, version 26.6). So alpha is regParam·n.
    """

    def penalty_scale(self, sample: Sample) -> float:  # noqa: ARG002
        return 1.0


WORKLOAD = Workload(
    name="data_parallel.linear_regression",
    summary="Ridge regression on one-hot features, one model",
    pattern=DATA_PARALLEL,
    quality=SUPERVISED,
    params=RidgeParams(),
    engines=(SklearnRidge, CumlRidge, MLlibRidge, RapidsRidge),
)
