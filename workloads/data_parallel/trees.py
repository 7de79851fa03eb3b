"""What engines that grow trees share: ordinal features in, scores out. Fitting is each workload's own."""

from typing import Any

from sparkscale.contract.case import Task
from sparkscale.contract.context import Context
from sparkscale.contract.dataset import LABEL, ROW
from workloads.base import CPU_AND_GPU, CUDA_NAMES, NodeEngine, SparkEngine
from workloads.data_parallel.pattern import (
    FEATURES,
    labels,
    ordinal_matrix,
    ordinal_vectors,
    read_holdout,
    read_train,
    spark_scores,
    spark_spread,
)
from workloads.frames import spark_rows
from workloads.scoring import Scores

BOTH: frozenset[Task] = frozenset({"classification", "regression"})
SUFFIXES: dict[Task, str] = {"classification": "Classifier", "regression": "Regressor"}
"""How the libraries' estimators of both tasks are named."""


class SklearnTrees(NodeEngine):
    """scikit-learn's estimators of trees on a dense matrix."""

    library = "sklearn"
    tasks = BOTH

    def load(self, run: Context) -> tuple[Any, Any]:
        table = read_train(run)
        return ordinal_matrix(run.data, table), labels(table)

    def predict(self, run: Context, model: Any) -> Scores:
        table = read_holdout(run)
        matrix = ordinal_matrix(run.data, table)
        classifying = run.data.task == "classification"
        score = model.predict_proba(matrix)[:, 1] if classifying else model.predict(matrix)
        return Scores(row=table.column(ROW).to_numpy(), score=score)


class XGBoostTrees(NodeEngine):
    """xgboost.train on one node, histogram trees. Bins in `load`; on a GPU in `fit`, for there the device does it."""

    devices = CPU_AND_GPU
    tasks = BOTH

    def load(self, run: Context) -> Any:
        import xgboost

        table = read_train(run)
        rows, label, threads = ordinal_matrix(run.data, table), labels(table), run.case.threads
        if run.case.device == "gpu":
            return xgboost.DMatrix(rows, label, nthread=threads)
        return xgboost.QuantileDMatrix(rows, label, max_bin=run.arguments["max_bin"], nthread=threads)

    def predict(self, run: Context, model: Any) -> Scores:
        import xgboost

        table = read_holdout(run)
        rows = ordinal_matrix(run.data, table)
        # in place it would predict on the device where the rows are, which is the host
        score = model.predict(xgboost.DMatrix(rows)) if run.case.device == "gpu" else model.inplace_predict(rows)
        return Scores(row=table.column(ROW).to_numpy(), score=score)


class MLlibTrees(SparkEngine):
    """pyspark.ml's estimators of trees on vectors."""

    library = "pyspark.ml"
    tasks = BOTH

    def load(self, run: Context) -> Any:
        rows = ordinal_vectors(run, spark_rows(run, run.train_paths))
        return spark_spread(run, rows.select(LABEL, FEATURES))

    def predict(self, run: Context, model: Any) -> Scores:
        holdout = ordinal_vectors(run, spark_rows(run, [run.data.holdout_path]))
        return spark_scores(run, model.transform(holdout))


def xgboost_words(run: Context) -> dict[str, Any]:
    """What every training on one node is called with, beside the case's own arguments."""
    return {
        "tree_method": "hist",
        "nthread": run.case.threads,
        "seed": run.case.model_seed,
        "device": CUDA_NAMES[run.case.device],
    }
