"""The phases `load` and `predict` of engines with one-hot features. Each workload defines `fit` itself."""

from typing import Any

import pyarrow as pa

from sparkscale.contract.context import Context
from sparkscale.contract.dataset import LABEL, ROW
from workloads.base import Engine, SparkEngine
from workloads.data_parallel.pattern import (
    FEATURES,
    labels,
    one_hot_matrix,
    one_hot_vectors,
    read_holdout,
    read_train,
    spark_scores,
    spark_spread,
)
from workloads.io.frames import spark_rows
from workloads.quality.scoring import Scores


class SklearnOneHot(Engine):
    """scikit-learn's linear estimators on a sparse matrix. A subclass may read the rows in another way."""

    library = "sklearn"

    def train_rows(self, run: Context) -> pa.Table:
        return read_train(run)

    def holdout_rows(self, run: Context) -> pa.Table:
        return read_holdout(run)

    def load(self, run: Context) -> tuple[Any, Any]:
        table = self.train_rows(run)
        return one_hot_matrix(run.data, table), labels(table)

    def predict(self, run: Context, model: Any) -> Scores:
        table = self.holdout_rows(run)
        matrix = one_hot_matrix(run.data, table)
        is_classification = run.data.task == "classification"
        score = model.predict_proba(matrix)[:, 1] if is_classification else model.predict(matrix)
        return Scores(row=table.column(ROW).to_numpy(), score=score)


class MLlibOneHot(SparkEngine):
    """pyspark.ml's estimators on feature vectors that are computed once and cached."""

    library = "pyspark.ml"

    def load(self, run: Context) -> Any:
        rows = one_hot_vectors(run, spark_rows(run, run.train_paths))
        return spark_spread(run, rows.select(LABEL, FEATURES))

    def predict(self, run: Context, model: Any) -> Scores:
        holdout = one_hot_vectors(run, spark_rows(run, [run.data.holdout_path]))
        return spark_scores(run, model.transform(holdout))
