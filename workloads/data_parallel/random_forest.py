"""Random forests, one model on one data set: scikit-learn and XGBoost's forest mode compared with MLlib."""

from typing import Any

import numpy as np
import pyarrow as pa

from sparkscale.contract.case import Capacity, Task
from sparkscale.contract.context import Context
from sparkscale.contract.dataset import LABEL
from workloads.base import Params, Sample, Workload
from workloads.data_parallel.pattern import DATA_PARALLEL, FEATURES, SUPERVISED
from workloads.data_parallel.rapids import Cuml, Rapids
from workloads.data_parallel.trees import (
    SUFFIXES,
    MLlibTrees,
    SklearnTrees,
    XGBoostTrees,
    xgboost_arguments,
)
from workloads.libraries.xgboost import on_its_device
from workloads.quality.scoring import Array

DISTINCT_SHARE = 1 - float(np.exp(-1))
"""The share of n rows that is drawn at least once in n draws with replacement: 0.632 (Efron & Tibshirani 1997)."""


class ForestParams(Params):
    """The parameters of a forest.

    Each tree is trained on a bootstrap sample. Each split considers the share `features_share` of the features,
    rounded down.
    """

    trees: int = 50
    depth: int = 8
    bins: int = 64
    features_share: float = 0.4
    min_leaf_rows: int = 5

    def features_per_split(self, sample: Sample) -> int:
        """Returns the number of features that a split considers, at least one."""
        return max(1, int(self.features_share * sample.features))


class SklearnForest(SklearnTrees):
    """scikit-learn's RandomForestClassifier and -Regressor.

    Differs: considers all values as splits, without bins.
    """

    name = "sklearn"
    defaults = {
        "n_estimators": 100,
        "max_depth": None,
        "max_features": "sqrt",
        "min_samples_leaf": 1,
        "bootstrap": True,
    }

    def default_arguments(self, task: Task) -> dict[str, Any]:
        return {**self.defaults, "max_features": "sqrt" if task == "classification" else 1.0}

    def arguments(self, params: ForestParams, sample: Sample) -> dict[str, Any]:
        return {
            "n_estimators": params.trees,
            "max_depth": params.depth,
            "max_features": params.features_per_split(sample),
            "min_samples_leaf": params.min_leaf_rows,
            "bootstrap": True,
        }

    def fit(self, run: Context, train: tuple[Any, Any]) -> Any:
        estimator = self.estimator(run, f"ensemble.RandomForest{SUFFIXES[run.data.task]}")
        return estimator(random_state=run.case.model_seed, **self.workers(run), **run.arguments).fit(*train)

    def workers(self, run: Context) -> dict[str, Any]:
        """Returns the number of cores as an argument of the library."""
        return {"n_jobs": run.case.known_threads}


class CumlForest(Cuml, SklearnForest):
    """cuML's RandomForestClassifier and -Regressor, with histogram trees.

    Differs: splits on binned values, while scikit-learn splits on exact values. It grows trees in parallel
    streams, so two trainings with the same seed differ.
    """

    defaults = {
        "n_estimators": 100,
        "max_depth": 16,
        "max_features": "sqrt",
        "min_samples_leaf": 1,
        "bootstrap": True,
        "n_bins": 128,
    }

    def arguments(self, params: ForestParams, sample: Sample) -> dict[str, Any]:
        return {**super().arguments(params, sample), "n_bins": params.bins}

    def workers(self, run: Context) -> dict[str, Any]:  # noqa: ARG002
        return {}


class XGBoostForest(XGBoostTrees):
    """xgboost.train in forest mode: one round of many parallel trees.

    Rows are binned in `load`; on a GPU, they are binned in `fit`. Except with the parameter set `defaults`, it
    minimises the squared error. With 0/1 labels, this gives the same splits as the Gini index. Values of leaves
    are shares of class 1, as in the trees of other libraries. With the log-loss, a single Newton step could not
    reach a probability above 0.88.

    Differs: trains each tree on 63 % of the rows, drawn without replacement, while the other engines draw a
    bootstrap sample.
    """

    name = "xgboost"
    defaults = {
        "objective": "binary:logistic",
        "num_parallel_tree": 100,
        "max_depth": 6,
        "max_bin": 256,
        "colsample_bynode": 0.8,
        "subsample": 0.8,
        "min_child_weight": 1.0,
        "reg_lambda": 1e-5,
        "learning_rate": 1.0,
    }

    def default_arguments(self, task: Task) -> dict[str, Any]:
        objective = self.defaults["objective"] if task == "classification" else "reg:squarederror"
        return {**self.defaults, "objective": objective}

    def arguments(self, params: ForestParams, sample: Sample) -> dict[str, Any]:
        return {
            "objective": "reg:squarederror",
            "num_parallel_tree": params.trees,
            "max_depth": params.depth,
            "max_bin": params.bins,
            # half a feature more, so that XGBoost's rounding down gives the intended number
            "colsample_bynode": min(1.0, (params.features_per_split(sample) + 0.5) / sample.features),
            "subsample": DISTINCT_SHARE,
            "min_child_weight": params.min_leaf_rows,
            "reg_lambda": 0.0,
            "learning_rate": 1.0,
        }

    def fit(self, run: Context, train: Any) -> Any:
        import xgboost

        arguments = {**xgboost_arguments(run), **run.arguments}
        return xgboost.train(arguments, train, num_boost_round=1, callbacks=on_its_device(run.case.device))

    def scored(self, run: Context, model: Any, table: pa.Table) -> Array:
        values = super().scored(run, model, table)
        # sums of shares may leave [0, 1] by a rounding error
        return values if run.data.task == "regression" else np.clip(values, 0, 1)


class MLlibForest(MLlibTrees):
    """pyspark.ml's RandomForestClassifier and -Regressor.

    Differs: takes candidate splits from a sample of 10,000 rows. For each tree, the number of times that a row is
    drawn has a Poisson distribution.
    """

    name = "mllib"
    defaults = {
        "numTrees": 20,
        "maxDepth": 5,
        "maxBins": 32,
        "featureSubsetStrategy": "auto",
        "minInstancesPerNode": 1,
        "bootstrap": True,
        "subsamplingRate": 1.0,
    }

    def arguments(self, params: ForestParams, sample: Sample) -> dict[str, Any]:
        return {
            "numTrees": params.trees,
            "maxDepth": params.depth,
            "maxBins": params.bins,
            "featureSubsetStrategy": str(params.features_per_split(sample)),
            "minInstancesPerNode": params.min_leaf_rows,
            "bootstrap": True,
            "subsamplingRate": 1.0,
        }

    def made(self, run: Context) -> Any:
        estimator = self.estimator(run, f"{run.data.task}.RandomForest{SUFFIXES[run.data.task]}")
        return estimator(featuresCol=FEATURES, labelCol=LABEL, seed=run.case.model_seed, **run.arguments)


class RapidsForest(Rapids, MLlibForest):
    """spark_rapids_ml's RandomForestClassifier and -Regressor. Each GPU grows its share of the trees on its own rows.

    Differs: each tree is trained only on the rows of one GPU, and its bins come from all rows of that GPU.
    """


WORKLOAD = Workload(
    name="data_parallel.random_forest",
    summary="Random forests, one model",
    pattern=DATA_PARALLEL,
    quality=SUPERVISED,
    params=ForestParams(),
    engines=(SklearnForest, CumlForest, XGBoostForest, MLlibForest, RapidsForest),
    capacity=Capacity(param="trees", least=5, most=320),
    version=2,  # in version 1 `fit` of `tuned` made the split
)
