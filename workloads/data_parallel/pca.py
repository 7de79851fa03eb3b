"""Principal components of standardised numeric columns: scikit-learn compared with MLlib."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from sparkscale.contract.context import Context
from sparkscale.contract.dataset import ROW
from sparkscale.contract.errors import EngineUnsupported
from workloads.base import NodeEngine, Params, Quality, Sample, SparkEngine, Workload
from workloads.data_parallel.numeric import EVERY_TASK, collected, numeric_columns, numeric_matrix, numeric_vectors
from workloads.data_parallel.pattern import (
    DATA_PARALLEL,
    FEATURES,
    read_holdout,
    read_train,
    spark_spread,
)
from workloads.data_parallel.rapids import Cuml, Rapids
from workloads.io.frames import spark_rows
from workloads.quality.qualities import BY_VARIANCE_EXPLAINED, VARIANCE_EXPLAINED
from workloads.quality.scoring import Array
from workloads.quality.scoring_unlabelled import Projections, score_projections

CENTRED, PROJECTED = "centred", "projected"


class PcaParams(Params):
    """The parameters of the analysis: `components` is the number of principal components."""

    components: int = 8


def enough_columns(run: Context, components: int | None) -> None:
    """Raises EngineUnsupported if there are fewer numeric columns than components."""
    columns = len(numeric_columns(run.data))
    if components is not None and components > columns:
        raise EngineUnsupported(f"{components} components of {run.data.name}, which has {columns} numeric columns.")


class SklearnPCA(NodeEngine):
    """scikit-learn's PCA by the eigenvectors of the covariance matrix, which is MLlib's method too."""

    name = "sklearn"
    library = "sklearn"
    tasks = EVERY_TASK
    defaults = {"n_components": None, "svd_solver": "auto"}

    def arguments(self, params: PcaParams, sample: Sample) -> dict[str, Any]:  # noqa: ARG002
        return {"n_components": params.components, "svd_solver": "covariance_eigh"}

    def load(self, run: Context) -> Any:
        enough_columns(run, run.arguments["n_components"])
        return numeric_matrix(run.data, read_train(run))

    def fit(self, run: Context, train: Any) -> Any:
        return self.estimator(run, "decomposition.PCA")(**self.seed(run), **run.arguments).fit(train)

    def seed(self, run: Context) -> dict[str, Any]:
        """Returns the seed as an argument of the library, because its default solver may use random numbers."""
        return {"random_state": run.case.model_seed}

    def predict(self, run: Context, model: Any) -> Projections:
        table = read_holdout(run)
        projected = model.transform(numeric_matrix(run.data, table))
        return Projections(table.column(ROW).to_numpy(), projected, model.components_, model.mean_)


class CumlPCA(Cuml, SklearnPCA):
    """cuML's PCA by the eigenvectors of the covariance matrix."""

    defaults = {"n_components": None, "svd_solver": "auto"}

    def arguments(self, params: PcaParams, sample: Sample) -> dict[str, Any]:
        return {**super().arguments(params, sample), "svd_solver": "full"}

    def seed(self, run: Context) -> dict[str, Any]:  # noqa: ARG002
        return {}


@dataclass(frozen=True)
class Centred:
    """MLlib's fitted pipeline, with the mean and the principal axes that it learned.

    Shapes: `mean` (columns,), `axes` (columns, components).
    """

    pipeline: Any
    mean: Array
    axes: Array


class MLlibPCA(SparkEngine):
    """pyspark.ml's PCA, after a StandardScaler that only centres the columns.

    MLlib computes the covariance of centred columns, but `transform` of MLlib's PCA does not subtract the mean. So
    rows are centred first. `k` has no default in MLlib, so `defaults` keeps all components, as scikit-learn does.
    """

    name = "mllib"
    library = "pyspark.ml"
    tasks = EVERY_TASK
    defaults = {"k": None, "withMean": True, "withStd": False}

    def arguments(self, params: PcaParams, sample: Sample) -> dict[str, Any]:  # noqa: ARG002
        return {"k": params.components, "withMean": True, "withStd": False}

    def load(self, run: Context) -> Any:
        enough_columns(run, run.arguments["k"])
        return spark_spread(run, numeric_vectors(run, spark_rows(run, run.train_paths)).select(FEATURES))

    def fit(self, run: Context, train: Any) -> Centred:
        from pyspark.ml import Pipeline
        from pyspark.ml.feature import StandardScaler

        arguments = run.arguments
        k = arguments.pop("k") or len(numeric_columns(run.data))
        centring = StandardScaler(inputCol=FEATURES, outputCol=CENTRED, **arguments)
        components = self.estimator(run, "feature.PCA")(inputCol=CENTRED, outputCol=PROJECTED, k=k)
        model: Any = Pipeline(stages=[centring, components]).fit(train)
        return Centred(model, model.stages[0].mean.toArray(), model.stages[1].pc.toArray())

    def predict(self, run: Context, model: Centred) -> Projections:
        holdout = numeric_vectors(run, spark_rows(run, [run.data.holdout_path]))
        row, projected = collected(model.pipeline.transform(holdout), vectors=[PROJECTED])
        return Projections(row, projected, np.ascontiguousarray(model.axes.T), model.mean)


class RapidsPCA(Rapids, MLlibPCA):
    """spark_rapids_ml's PCA on all GPUs, after a StandardScaler on CPUs that only centres the columns."""


WORKLOAD = Workload(
    name="data_parallel.pca",
    summary="Principal components of standardised numbers",
    pattern=DATA_PARALLEL,
    quality=Quality(
        score_projections, dict.fromkeys(sorted(EVERY_TASK), BY_VARIANCE_EXPLAINED), (VARIANCE_EXPLAINED,)
    ),
    params=PcaParams(),
    engines=(SklearnPCA, CumlPCA, MLlibPCA, RapidsPCA),
)
