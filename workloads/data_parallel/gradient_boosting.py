"""Gradient-boosted trees, one model on one data set: single-node libraries against Spark."""

import json
import math
from typing import Any

from sparkscale.contract.case import Device, Task
from sparkscale.contract.context import Context
from sparkscale.contract.dataset import LABEL, ROW
from sparkscale.contract.errors import DeviceError
from workloads.base import SPARK_CONTEXT, NodeEngine, Params, Sample, SparkEngine, Workload
from workloads.data_parallel.pattern import (
    DATA_PARALLEL,
    FEATURES,
    SUPERVISED,
    labels,
    ordinal_matrix,
    ordinal_vectors,
    read_holdout,
    read_train,
    spark_cached,
    spark_rows,
    spark_scores,
)
from workloads.scoring import Scores


class BoostingParams(Params):
    """Trees grow level by level to `depth`, with no cap on leaves, on histograms of `bins`.

    `min_child_weight` is the least sum of Hessians in a leaf.
    """

    trees: int = 100
    depth: int = 6
    learning_rate: float = 0.1
    bins: int = 64
    l2: float = 1.0
    min_child_weight: float = 1.0

    def min_child_rows(self, task: Task) -> int:
        """For libraries that count rows: the fewest whose Hessians can reach the weight.

        A row's Hessian is at most 1/4 in the log-loss and 1 in XGBoost's squared error, which is half the square.
        """
        return math.ceil(MOST_HESSIAN_INVERSE[task] * self.min_child_weight)


CPU_AND_GPU: frozenset[Device] = frozenset({"cpu", "gpu"})
XGBOOST_DEVICES: dict[Device, str] = {"cpu": "cpu", "gpu": "cuda"}
MOST_HESSIAN_INVERSE: dict[Task, int] = {"classification": 4, "regression": 1}
BOTH: frozenset[Task] = frozenset({"classification", "regression"})


class SklearnHistGB(NodeEngine):
    """scikit-learn's HistGradientBoostingClassifier and -Regressor. Bins in `fit`.

    Differs: a leaf needs 4·min_child_weight rows (regression: 1·), not a sum of Hessians; bins come from 200,000 rows
    where there are more.
    """

    name = "sklearn"
    tasks = BOTH
    defaults = {
        "max_iter": 100,
        "max_depth": None,
        "max_leaf_nodes": 31,
        "learning_rate": 0.1,
        "max_bins": 255,
        "l2_regularization": 0.0,
        "min_samples_leaf": 20,
        "early_stopping": "auto",
    }

    def arguments(self, params: BoostingParams, sample: Sample) -> dict[str, Any]:
        return {
            "max_iter": params.trees,
            "max_depth": params.depth,
            "max_leaf_nodes": None,
            "learning_rate": params.learning_rate,
            "max_bins": params.bins,
            "l2_regularization": params.l2,
            "min_samples_leaf": params.min_child_rows(sample.task),
            "early_stopping": False,
        }

    def load(self, run: Context) -> tuple[Any, Any]:
        table = read_train(run)
        return ordinal_matrix(run.data, table), labels(table)

    def fit(self, run: Context, train: tuple[Any, Any]) -> Any:
        from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

        classifying = run.data.task == "classification"
        estimator = HistGradientBoostingClassifier if classifying else HistGradientBoostingRegressor
        return estimator(random_state=run.case.model_seed, **run.arguments).fit(*train)

    def predict(self, run: Context, model: Any) -> Scores:
        table = read_holdout(run)
        matrix = ordinal_matrix(run.data, table)
        classifying = run.data.task == "classification"
        score = model.predict_proba(matrix)[:, 1] if classifying else model.predict(matrix)
        return Scores(row=table.column(ROW).to_numpy(), score=score)


XGBOOST_DEFAULTS = {
    "n_estimators": 100,
    "max_depth": 6,
    "max_leaves": 0,
    "learning_rate": 0.3,
    "max_bin": 256,
    "reg_lambda": 1.0,
    "min_child_weight": 1.0,
}


XGBOOST_OBJECTIVES: dict[Task, str] = {"classification": "binary:logistic", "regression": "reg:squarederror"}


def xgboost_arguments(params: BoostingParams) -> dict[str, Any]:
    """The words of XGBoost's scikit-learn interface, which its Spark estimator shares."""
    return {
        "n_estimators": params.trees,
        "max_depth": params.depth,
        "max_leaves": 0,
        "learning_rate": params.learning_rate,
        "max_bin": params.bins,
        "reg_lambda": params.l2,
        "min_child_weight": params.min_child_weight,
    }


def on_its_device(device: Device) -> list[Any]:
    """Callbacks by which a training that was to run on a GPU, and did not, fails where it ran.

    XGBoost falls back to the CPU with a warning only; the configuration of the model tells.
    """
    from xgboost.callback import TrainingCallback

    class OnGpu(TrainingCallback):
        def after_training(self, model: Any) -> Any:
            check_ran_on_gpu(model)
            return model

    return [OnGpu()] if device == "gpu" else []


def check_ran_on_gpu(model: Any) -> None:
    """Raises DeviceError unless a booster's configuration names a CUDA device."""
    used = json.loads(model.save_config())["learner"]["generic_param"]["device"]
    if not used.startswith("cuda"):
        raise DeviceError(f"XGBoost trained on '{used}', not on a GPU: it found no device that it can use.")


class XGBoost(NodeEngine):
    """xgboost.train on one node, histogram trees. Bins in `load`; on a GPU in `fit`, for there the device does it."""

    name = "xgboost"
    devices = CPU_AND_GPU
    tasks = BOTH
    defaults = XGBOOST_DEFAULTS

    def arguments(self, params: BoostingParams, sample: Sample) -> dict[str, Any]:  # noqa: ARG002
        return xgboost_arguments(params)

    def load(self, run: Context) -> Any:
        import xgboost

        table = read_train(run)
        rows, label, threads = ordinal_matrix(run.data, table), labels(table), run.case.threads
        if run.case.device == "gpu":
            return xgboost.DMatrix(rows, label, nthread=threads)
        return xgboost.QuantileDMatrix(rows, label, max_bin=run.arguments["max_bin"], nthread=threads)

    def fit(self, run: Context, train: Any) -> Any:
        import xgboost

        arguments = run.arguments
        rounds = arguments.pop("n_estimators")
        fixed = {
            "objective": XGBOOST_OBJECTIVES[run.data.task],
            "tree_method": "hist",
            "nthread": run.case.threads,
            "seed": run.case.model_seed,
            "device": XGBOOST_DEVICES[run.case.device],
        }
        return xgboost.train(
            {**fixed, **arguments}, train, num_boost_round=rounds, callbacks=on_its_device(run.case.device)
        )

    def predict(self, run: Context, model: Any) -> Scores:
        import xgboost

        table = read_holdout(run)
        rows = ordinal_matrix(run.data, table)
        # in place it would predict on the device where the rows are, which is the host
        score = model.predict(xgboost.DMatrix(rows)) if run.case.device == "gpu" else model.inplace_predict(rows)
        return Scores(row=table.column(ROW).to_numpy(), score=score)


class XGBoostSpark(SparkEngine):
    """xgboost.spark's SparkXGBClassifier and -Regressor: a barrier task per core, or GPU. Bins in `fit`.

    Differs: bins come from a sketch that the workers merge, so they are close to `xgboost`'s but not the same.
    """

    name = "xgboost-spark"
    devices = CPU_AND_GPU
    tasks = BOTH
    needs = frozenset({SPARK_CONTEXT})
    defaults = XGBOOST_DEFAULTS

    def arguments(self, params: BoostingParams, sample: Sample) -> dict[str, Any]:  # noqa: ARG002
        return xgboost_arguments(params)

    def load(self, run: Context) -> Any:
        return spark_cached(run, spark_rows(run, run.train_paths).select(LABEL, *run.data.features))

    def fit(self, run: Context, train: Any) -> Any:
        from xgboost.spark import SparkXGBClassifier, SparkXGBRegressor

        estimator = (SparkXGBClassifier if run.data.task == "classification" else SparkXGBRegressor)(
            features_col=run.data.features,
            label_col=LABEL,
            tree_method="hist",
            num_workers=run.slots,
            device=XGBOOST_DEVICES[run.case.device],
            callbacks=on_its_device(run.case.device),
            random_state=run.case.model_seed,
            # xgboost.spark evaluates every round on the training rows; the single-node engines do not
            disable_default_eval_metric=True,
            **run.arguments,
        )
        return estimator.fit(train)

    def predict(self, run: Context, model: Any) -> Scores:
        return spark_scores(run, model.transform(spark_rows(run, [run.data.holdout_path])))


MLLIB_GRADIENT: dict[Task, float] = {"classification": 1.0, "regression": 2.0}
"""MLlib's trees are fitted to the negative gradient of the squared error, which is twice the residual: half the step
size gives the shrinkage of the other libraries (org.apache.spark.mllib.tree.loss.SquaredError)."""


class MLlibGBT(SparkEngine):
    """pyspark.ml's GBTClassifier and GBTRegressor.

    Differs: candidate splits from a sample of 10,000 rows, so its quality varies more from seed to seed; no L2 and,
    in classification, no Newton step in the leaves; the first tree is not shrunk by the learning rate; a leaf needs
    4·min_child_weight rows (regression: 1·), not a sum of Hessians.
    """

    name = "mllib"
    tasks = BOTH
    defaults = {
        "maxIter": 20,
        "maxDepth": 5,
        "stepSize": 0.1,
        "maxBins": 32,
        "minInstancesPerNode": 1,
        "featureSubsetStrategy": "all",
        "subsamplingRate": 1.0,
    }

    def arguments(self, params: BoostingParams, sample: Sample) -> dict[str, Any]:
        return {
            "maxIter": params.trees,
            "maxDepth": params.depth,
            "stepSize": params.learning_rate / MLLIB_GRADIENT[sample.task],
            "maxBins": params.bins,
            "minInstancesPerNode": params.min_child_rows(sample.task),
            "featureSubsetStrategy": "all",
            "subsamplingRate": 1.0,
        }

    def load(self, run: Context) -> Any:
        rows = ordinal_vectors(run, spark_rows(run, run.train_paths))
        return spark_cached(run, rows.select(LABEL, FEATURES))

    def fit(self, run: Context, train: Any) -> Any:
        from pyspark.ml.classification import GBTClassifier
        from pyspark.ml.regression import GBTRegressor

        estimator = GBTClassifier if run.data.task == "classification" else GBTRegressor
        boosting = estimator(featuresCol=FEATURES, labelCol=LABEL, seed=run.case.model_seed, **run.arguments)
        return boosting.fit(train)

    def predict(self, run: Context, model: Any) -> Scores:
        holdout = ordinal_vectors(run, spark_rows(run, [run.data.holdout_path]))
        return spark_scores(run, model.transform(holdout))


WORKLOAD = Workload(
    name="data_parallel.gradient_boosting",
    summary="Gradient-boosted trees, one model",
    pattern=DATA_PARALLEL,
    quality=SUPERVISED,
    params=BoostingParams(),
    engines=(SklearnHistGB, XGBoost, XGBoostSpark, MLlibGBT),
)
