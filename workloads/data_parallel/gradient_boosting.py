"""Gradient-boosted trees, one model on one data set: single-node libraries compared with Spark."""

import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal
from weakref import finalize

import numpy as np

from sparkscale.contract.case import Capacity, Device, Task
from sparkscale.contract.context import Context
from sparkscale.contract.dataset import LABEL, ROW
from workloads.base import CPU_AND_GPU, CUDA_NAMES, SPARK_CONTEXT, Sample, SparkEngine, Workload
from workloads.data_parallel import xgboost_timeline
from workloads.data_parallel.pattern import (
    DATA_PARALLEL,
    FEATURES,
    SUPERVISED,
    labels,
    ordinal_matrix,
    spark_scores,
    spark_spread,
)
from workloads.data_parallel.trees import (
    BOTH,
    SUFFIXES,
    MLlibTrees,
    SklearnTrees,
    XGBoostTrees,
    xgboost_arguments,
)
from workloads.data_parallel.xgboost_timeline import add_figures, timeline
from workloads.io.filesystem import RowGroup, row_groups
from workloads.io.frames import spark_rows
from workloads.libraries.tasks import ranks_of
from workloads.libraries.xgboost import DEFAULTS, OBJECTIVES, BoostedTrees, boosting_arguments, on_its_device
from workloads.quality.scoring import Scores


class BoostingParams(BoostedTrees):
    """The parameters of all engines. Only `xgboost-spark` uses `spark_workers`."""

    spark_workers: Literal["core", "executor"] = "executor"
    """With `executor`, each executor has one XGBoost worker, which has one thread for each core. With `core`, each
    core has one XGBoost worker with one thread. docs/spark-engines.md has measurements on executors with two cores.
    """

    def min_child_rows(self, task: Task) -> int:
        """Returns the smallest number of rows with which the sum of Hessians can reach `min_child_weight`.

        Libraries that count rows instead of Hessians get this number.

        The Hessian of one row is at most 1/4 for the log-loss. It is 1 for the squared error, because XGBoost uses
        half of the square as the loss.
        """
        return max(1, math.ceil(MOST_HESSIAN_INVERSE[task] * self.min_child_weight))


MOST_HESSIAN_INVERSE: dict[Task, int] = {"classification": 4, "regression": 1}


class SklearnHistGB(SklearnTrees):
    """scikit-learn's HistGradientBoostingClassifier and -Regressor. They bin rows in `fit`.

    Differs: needs at least 4·min_child_weight rows in a leaf (regression: 1·min_child_weight), while XGBoost needs
    a sum of Hessians. If there are more than 200,000 rows, it computes the bins from a sample of 200,000 rows.
    """

    name = "sklearn"
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

    def fit(self, run: Context, train: tuple[Any, Any]) -> Any:
        boosting = self.estimator(run, f"ensemble.HistGradientBoosting{SUFFIXES[run.data.task]}")
        return boosting(random_state=run.case.model_seed, **run.arguments).fit(*train)


class XGBoost(XGBoostTrees):
    """xgboost.train on one node, with histogram trees.

    On CPUs, it bins rows in `load`. On a GPU, it bins rows in `fit`, because the GPU computes the bins.
    """

    name = "xgboost"
    defaults = DEFAULTS

    def arguments(self, params: BoostingParams, sample: Sample) -> dict[str, Any]:  # noqa: ARG002
        return boosting_arguments(params)

    def fit(self, run: Context, train: Any) -> Any:
        import xgboost

        arguments = run.arguments
        rounds = arguments.pop("n_estimators")
        objective = OBJECTIVES[run.data.task]
        booster_arguments = {**xgboost_arguments(run), "objective": objective, **arguments}
        callbacks = on_its_device(run.case.device)
        return xgboost.train(booster_arguments, train, num_boost_round=rounds, callbacks=callbacks)


class XGBoostExternalMemory(XGBoost):
    """xgboost.train with the binned rows in a file.

    `load` reads one row group after the other; `fit` reads the binned rows page by page.

    Differs: computes the bins from a sketch over row groups, so they are close to the bins of `xgboost` but not
    the same.
    """

    name = "xgboost-external-memory"
    devices = frozenset({"cpu"})  # on a GPU, XGBoost needs each batch to be in GPU memory already

    def load(self, run: Context) -> Any:
        import xgboost

        folder = TemporaryDirectory(prefix="external-memory-")
        remaining: Iterator[RowGroup] = iter(())

        class RowGroups(xgboost.DataIter):
            def reset(self) -> None:
                nonlocal remaining
                remaining = iter(row_groups(run.train_paths))

            def next(self, input_data: Callable[..., None]) -> bool:
                for group in remaining:
                    table = group.read([LABEL, *run.data.features])
                    input_data(data=ordinal_matrix(run.data, table), label=labels(table))
                    return True
                return False

        bins, threads = run.arguments["max_bin"], run.case.known_threads
        batches = RowGroups(cache_prefix=str(Path(folder.name) / "bins"))
        matrix = xgboost.ExtMemQuantileDMatrix(batches, max_bin=bins, nthread=threads)
        # runs after the matrix is freed: XGBoost then removes its file, and fails if the file is gone
        finalize(matrix, folder.cleanup)
        return matrix

    def predict(self, run: Context, model: Any) -> Scores:
        parts = []
        for group in row_groups([run.data.holdout_path]):
            table = group.read([ROW, *run.data.features])
            parts.append((table.column(ROW).to_numpy(), model.inplace_predict(ordinal_matrix(run.data, table))))
        return Scores(*(np.concatenate(column) for column in zip(*parts, strict=True)))


class XGBoostSpark(SparkEngine):
    """xgboost.spark's SparkXGBClassifier and -Regressor, with a barrier task per core, executor or GPU.

    Bins rows in `fit`.

    Differs: computes the bins from a sketch that XGBoost's workers merge, so they are close to the bins of
    `xgboost` but not the same.
    """

    name = "xgboost-spark"
    keeps_processes = True
    devices = CPU_AND_GPU
    tasks = BOTH
    needs = frozenset({SPARK_CONTEXT})
    defaults = DEFAULTS

    @classmethod
    def task_threads(cls, params: BoostingParams, device: Device, executor_cores: int) -> int:
        """Returns the number of cores for each Spark task: all cores of the executor, or one.

        An XGBoost worker trains with one thread for each core of its Spark task, because xgboost.spark sets
        `nthread`. On GPUs each Spark task has one core and one GPU, because a task with all cores would leave the
        executor's other GPUs idle.
        """
        return executor_cores if params.spark_workers == "executor" and device == "cpu" else 1

    def arguments(self, params: BoostingParams, sample: Sample) -> dict[str, Any]:  # noqa: ARG002
        return boosting_arguments(params)

    def load(self, run: Context) -> Any:
        return spark_spread(run, spark_rows(run, run.train_paths).select(LABEL, *run.data.features))

    def fit(self, run: Context, train: Any) -> Any:
        began = time.time()
        model = self.made(run, timeline(), *on_its_device(run.case.device)).fit(train)
        add_figures(run, model.get_booster(), began)
        return model

    def made(self, run: Context, *callbacks: Any) -> Any:
        """Returns the estimator with the case's arguments. XGBoost calls the `callbacks` while it trains."""
        from xgboost.spark import SparkXGBClassifier, SparkXGBRegressor

        return (SparkXGBClassifier if run.data.task == "classification" else SparkXGBRegressor)(
            features_col=run.data.features,
            label_col=LABEL,
            tree_method="hist",
            num_workers=ranks_of(run),
            device=CUDA_NAMES[run.case.device],
            callbacks=list(callbacks),
            random_state=run.case.model_seed,
            # by default xgboost.spark evaluates every round on the training rows; the single-node engines do not
            disable_default_eval_metric=True,
            **run.arguments,
        )

    def predict(self, run: Context, model: Any) -> Scores:
        return spark_scores(run, model.transform(spark_rows(run, [run.data.holdout_path])))


def mllib_step(learning_rate: float, sample: Sample) -> float:
    """Returns the `stepSize` that shrinks MLlib's trees as much as `learning_rate` does in other libraries.

    MLlib allows at most 1.

    In regression, MLlib fits trees to the negative gradient of the squared error, which is twice the residual
    (org.apache.spark.mllib.tree.loss.SquaredError). So the step is half the learning rate.

    In classification, MLlib fits trees to 4·(y − P), where P is the logistic function of twice the sum of the
    trees (LogLoss, with labels of -1 and 1). So a leaf moves the log-odds by 8·stepSize·mean(y − P). A Newton step
    moves the log-odds by rate·mean(y − P)/mean(P·(1 − P)), where rate is the learning rate. The steps are equal if
    stepSize = rate/(8·mean(P·(1 − P))). For every leaf, this function uses the value of the mean before the first
    tree. It is p·(1 − p), where p is the share of class 1 in the sample.
    """
    if sample.task == "regression":
        return min(1.0, learning_rate / 2)
    base_rate = sample.known_labels.mean
    return learning_rate / max(8 * base_rate * (1 - base_rate), learning_rate)


class MLlibGBT(MLlibTrees):
    """pyspark.ml's GBTClassifier and GBTRegressor.

    Differs: takes candidate splits from a sample of 10,000 rows, so its quality varies more from seed to seed. It
    has no L2 penalty. The learning rate does not shrink the first tree. A leaf needs at least 4·min_child_weight
    rows (regression: 1·min_child_weight), while XGBoost needs a sum of Hessians. In classification, a leaf makes
    no Newton step. Its step is scaled by the smaller of rate/(p·(1 − p)) and 8, where rate is the learning rate
    and p the share of class 1. At a learning rate of 0.1, the factor is 8 if p is below 1.3 %.
    """

    name = "mllib"
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
            "stepSize": mllib_step(params.learning_rate, sample),
            "maxBins": params.bins,
            "minInstancesPerNode": params.min_child_rows(sample.task),
            "featureSubsetStrategy": "all",
            "subsamplingRate": 1.0,
        }

    def made(self, run: Context) -> Any:
        estimator = self.estimator(run, f"{run.data.task}.GBT{SUFFIXES[run.data.task]}")
        return estimator(featuresCol=FEATURES, labelCol=LABEL, seed=run.case.model_seed, **run.arguments)


WORKLOAD = Workload(
    name="data_parallel.gradient_boosting",
    summary="Gradient-boosted trees, one model",
    pattern=DATA_PARALLEL,
    quality=SUPERVISED,
    figures=xgboost_timeline.FIGURES,
    params=BoostingParams(),
    engines=(SklearnHistGB, XGBoost, XGBoostExternalMemory, XGBoostSpark, MLlibGBT),
    capacity=Capacity(param="trees", least=10, most=640),
    version=2,  # in version 1 MLlib's step in classification was different, and `fit` of `tuned` made the split
)
