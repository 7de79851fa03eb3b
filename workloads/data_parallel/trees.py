"""The phases `load` and `predict` of engines that grow trees, with ordinal features.

Each workload defines `fit` itself.
"""

from typing import Any

import pyarrow as pa

from sparkscale.contract.case import Device, Task
from sparkscale.contract.context import Context
from sparkscale.contract.dataset import LABEL, PreparedDataset
from workloads.base import CPU_AND_GPU, CUDA_NAMES
from workloads.data_parallel.pattern import (
    FEATURES,
    InMemory,
    MLlibEstimator,
    labels,
    ordinal_matrix,
    ordinal_vectors,
    spark_scores,
    spark_spread,
)
from workloads.io.frames import spark_rows
from workloads.quality.scoring import Array, Scores

BOTH: frozenset[Task] = frozenset({"classification", "regression"})
SUFFIXES: dict[Task, str] = {"classification": "Classifier", "regression": "Regressor"}
"""The endings of the estimators' class names, by learning task."""


class SklearnTrees(InMemory):
    """scikit-learn's tree estimators. Features are one dense matrix."""

    library = "sklearn"
    tasks = BOTH

    def prepared(self, run: Context, table: pa.Table) -> tuple[Any, Any]:
        return ordinal_matrix(run.data, table), labels(table)

    def scored(self, run: Context, model: Any, table: pa.Table) -> Array:
        return sklearn_scores(run.data, model, table)


class XGBoostTrees(InMemory):
    """xgboost.train on one node, with histogram trees.

    On CPUs, it bins rows in `load`. On a GPU, it bins rows in `fit`, because the GPU computes the bins.
    """

    devices = CPU_AND_GPU
    tasks = BOTH

    def prepared(self, run: Context, table: pa.Table) -> Any:
        import xgboost

        rows, label, threads = ordinal_matrix(run.data, table), labels(table), run.case.known_threads
        if run.case.device == "gpu":
            return xgboost.DMatrix(rows, label, nthread=threads)
        return xgboost.QuantileDMatrix(rows, label, max_bin=run.arguments["max_bin"], nthread=threads)

    def scored(self, run: Context, model: Any, table: pa.Table) -> Array:
        return xgboost_scores(run.data, model, table, run.case.device)


class MLlibTrees(MLlibEstimator):
    """pyspark.ml's tree estimators. Features are one vector column."""

    tasks = BOTH

    def load(self, run: Context) -> Any:
        rows = ordinal_vectors(run, spark_rows(run, run.train_paths))
        return spark_spread(run, rows.select(LABEL, FEATURES))

    def predict(self, run: Context, model: Any) -> Scores:
        holdout = ordinal_vectors(run, spark_rows(run, [run.data.holdout_path]))
        return spark_scores(run, model.transform(holdout))


def sklearn_scores(data: PreparedDataset, model: Any, table: pa.Table) -> Array:
    """Returns scikit-learn's predictions: P(label = 1), or the label's expected value; shape (rows,)."""
    matrix = ordinal_matrix(data, table)
    scores: Array = model.predict_proba(matrix)[:, 1] if data.task == "classification" else model.predict(matrix)
    return scores


def xgboost_scores(data: PreparedDataset, model: Any, table: pa.Table, device: Device) -> Array:
    """Returns an XGBoost booster's predictions: P(label = 1), or the label's expected value; shape (rows,)."""
    import xgboost

    rows = ordinal_matrix(data, table)
    # inplace_predict would compute on the CPU, because the rows are in the host's memory
    scores: Array = model.predict(xgboost.DMatrix(rows)) if device == "gpu" else model.inplace_predict(rows)
    return scores


def xgboost_arguments(run: Context) -> dict[str, Any]:
    """Returns the arguments that all XGBoost trainings on one node share, without the case's own arguments."""
    return {
        "tree_method": "hist",
        "nthread": run.case.known_threads,
        "seed": run.case.model_seed,
        "device": CUDA_NAMES[run.case.device],
    }
