"""Declared defaults are the libraries' own, and aligned parameters reach the models."""

from collections.abc import Callable
from typing import Any

import pytest

from cluster.session import SparkRuntime
from sparkscale.contract.case import Task
from sparkscale.contract.context import Context
from sparkscale.contract.dataset import Moments
from workloads import registry
from workloads.base import Engine, Sample, Workload
from workloads.data_parallel import feature_pipeline as pipeline
from workloads.data_parallel import gradient_boosting as boosting
from workloads.data_parallel import kmeans, knn, mlp, pca
from workloads.data_parallel import linear_regression as linear
from workloads.data_parallel import logistic_regression as logistic
from workloads.data_parallel import random_forest as forest
from workloads.data_parallel.pattern import one_hot_matrix, one_hot_vectors, read_train
from workloads.io.frames import spark_rows
from workloads.libraries import xgboost as xgboost_common

PARAMS = boosting.BoostingParams(trees=3, depth=4, learning_rate=0.5, bins=32, l2=2.0, min_child_weight=3.0)

ENGINES = [
    pytest.param(workload, engine, id=f"{workload.name}-{engine.name}")
    for workload in registry.workloads().values()
    for engine in workload.engines
]


@pytest.mark.parametrize(("workload", "engine"), ENGINES)
def test_an_engine_has_every_phase_of_its_pattern(workload: Workload, engine: type[Engine]) -> None:
    assert all(callable(getattr(engine, phase)) for phase in workload.pattern.phases)
    assert engine.summary()
    for task in engine.tasks:
        made = engine()
        sample = Sample(task, 1000, 20, labels=Moments(rows=1000, mean=0.5, squares=250.0))
        assert set(made.default_arguments(task)) == set(made.arguments(workload.params, sample))


def test_sklearn_defaults_are_its_own() -> None:
    from sklearn.cluster import KMeans
    from sklearn.decomposition import PCA
    from sklearn.ensemble import (
        HistGradientBoostingClassifier,
        HistGradientBoostingRegressor,
        RandomForestClassifier,
        RandomForestRegressor,
    )
    from sklearn.linear_model import LogisticRegression, Ridge

    estimators: list[tuple[type[Engine], Task, Any]] = [
        (boosting.SklearnHistGB, "classification", HistGradientBoostingClassifier()),
        (boosting.SklearnHistGB, "regression", HistGradientBoostingRegressor()),
        (logistic.SklearnLogistic, "classification", LogisticRegression()),
        (linear.SklearnRidge, "regression", Ridge()),
        (forest.SklearnForest, "classification", RandomForestClassifier()),
        (forest.SklearnForest, "regression", RandomForestRegressor()),
        (kmeans.SklearnKMeans, "clustering", KMeans()),
        (pca.SklearnPCA, "clustering", PCA()),
    ]
    for engine, task, estimator in estimators:
        defaults, own = engine().default_arguments(task), estimator.get_params()
        assert {name: own[name] for name in defaults} == defaults


def test_pipeline_defaults_are_the_stages_own() -> None:
    from sklearn.feature_extraction import FeatureHasher
    from sklearn.impute import SimpleImputer
    from sklearn.neighbors import NearestNeighbors
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    stages = (SimpleImputer(), StandardScaler(), OneHotEncoder(), FeatureHasher())
    own = {name: value for stage in stages for name, value in stage.get_params().items()}
    assert {name: own[name] for name in pipeline.SklearnPipeline.defaults} == dict(pipeline.SklearnPipeline.defaults)
    assert NearestNeighbors().n_neighbors == knn.SklearnNeighbours.defaults["n_neighbors"]


@pytest.mark.spark
def test_pipeline_defaults_are_mllibs_own(spark: SparkRuntime) -> None:
    from pyspark.ml.feature import (
        BucketedRandomProjectionLSH,
        FeatureHasher,
        Imputer,
        OneHotEncoder,
        StandardScaler,
        StringIndexer,
    )

    assert spark.spark
    stages = (Imputer(), StandardScaler(), OneHotEncoder(), StringIndexer(), FeatureHasher())
    own = {param.name: value for stage in stages for param, value in stage.extractParamMap().items()}
    assert {name: own[name] for name in pipeline.MLlibPipeline.defaults} == dict(pipeline.MLlibPipeline.defaults)
    lsh = BucketedRandomProjectionLSH()
    assert lsh.getNumHashTables() == knn.MLlibLSH.defaults["numHashTables"]
    assert not lsh.hasDefault("bucketLength")


def test_sgd_defaults_are_its_own_but_for_the_loss() -> None:
    """`epochs` is no word of the estimator's: one call of `partial_fit` is one pass."""
    from sklearn.linear_model import SGDClassifier

    own = {**SGDClassifier().get_params(), "epochs": 1}
    assert {name: own[name] for name in logistic.SGD.defaults} == dict(logistic.SGD.defaults)


def test_the_perceptrons_defaults_are_adams_own() -> None:
    import inspect
    import os

    os.environ["KERAS_BACKEND"] = "torch"
    import keras
    import torch

    def own(function: Any, *names: str) -> dict[str, Any]:
        return {name: inspect.signature(function).parameters[name].default for name in names}

    defaults = mlp.Keras.defaults
    assert own(keras.optimizers.Adam, "learning_rate", "epsilon").items() <= defaults.items()
    assert own(torch.optim.Adam, "lr", "eps").items() <= mlp.TORCH_DEFAULTS.items()
    fit = own(keras.Model.fit, "epochs", "batch_size")
    assert fit["epochs"] == defaults["epochs"] == mlp.TORCH_DEFAULTS["epochs"]
    assert fit["batch_size"] is None, "Keras then takes 32, as it documents"
    assert defaults["batch_size"] == mlp.TORCH_DEFAULTS["batch_size"] == 32


def test_the_forest_modes_defaults_are_those_of_xgboosts_own_forest() -> None:
    from xgboost import XGBRFClassifier, XGBRFRegressor

    tasks: list[tuple[Task, Any]] = [("classification", XGBRFClassifier()), ("regression", XGBRFRegressor())]
    for task, estimator in tasks:
        own = estimator.get_xgb_params()
        own["num_parallel_tree"] = estimator.n_estimators or (estimator.get_num_boosting_rounds() and 100)
        defaults = forest.XGBoostForest().default_arguments(task)
        stated = {name: own[name] for name in defaults if own.get(name) is not None}
        assert stated == {name: defaults[name] for name in stated}
        assert {"objective", "colsample_bynode", "subsample", "reg_lambda", "learning_rate"} <= stated.keys()


def test_xgboost_defaults_are_its_own() -> None:
    """XGBoost leaves its parameters unset; the ones in effect stand in a trained model's configuration."""
    import json

    import numpy as np
    from xgboost import XGBClassifier, XGBRegressor

    generator = np.random.default_rng(0)
    for estimator in (XGBClassifier(), XGBRegressor()):
        model = estimator.fit(generator.random((500, 3)), generator.integers(0, 2, 500))
        assert model.get_booster().num_boosted_rounds() == xgboost_common.DEFAULTS["n_estimators"]
        config = json.loads(model.get_booster().save_config())["learner"]["gradient_booster"]["tree_train_param"]
        for name in ("max_depth", "max_leaves", "learning_rate", "max_bin", "reg_lambda", "min_child_weight"):
            assert float(config[name]) == pytest.approx(xgboost_common.DEFAULTS[name])


@pytest.mark.spark
def test_mllib_defaults_are_its_own(spark: SparkRuntime) -> None:
    from pyspark.ml.classification import (
        GBTClassifier,
        LogisticRegression,
        MultilayerPerceptronClassifier,
        RandomForestClassifier,
    )
    from pyspark.ml.clustering import KMeans
    from pyspark.ml.regression import GBTRegressor, LinearRegression, RandomForestRegressor

    assert spark.spark
    for engine, estimator in (
        (boosting.MLlibGBT, GBTClassifier()),
        (boosting.MLlibGBT, GBTRegressor()),
        (logistic.MLlibLogistic, LogisticRegression()),
        (linear.MLlibRidge, LinearRegression()),
        (forest.MLlibForest, RandomForestClassifier()),
        (forest.MLlibForest, RandomForestRegressor()),
        (kmeans.MLlibKMeans, KMeans()),
        (mlp.MLlibPerceptron, MultilayerPerceptronClassifier()),
    ):
        own = {param.name: value for param, value in estimator.extractParamMap().items()}
        own |= {"seeds": 1, "hidden": mlp.HIDDEN}  # words of ours: MLlib starts once, and has no architecture
        assert {name: own[name] for name in engine.defaults} == dict(engine.defaults)


def test_xgboost_trains_with_what_it_was_given(runs: Callable[..., Context]) -> None:
    import json

    run = runs(boosting.WORKLOAD, boosting.XGBoost, 1 / 64, PARAMS)
    engine = boosting.XGBoost()
    model = engine.fit(run, engine.load(run))
    config = json.loads(model.save_config())["learner"]
    tree = config["gradient_booster"]["tree_train_param"]
    assert model.num_boosted_rounds() == 3
    found = [
        float(tree[name]) for name in ("max_depth", "learning_rate", "max_bin", "reg_lambda", "min_child_weight")
    ]
    assert found == [4, 0.5, 32, 2, 3]
    assert config["generic_param"]["nthread"] == "2"


@pytest.mark.spark
def test_xgboost_on_spark_trains_with_what_it_was_given_and_without_evaluation(
    runs: Callable[..., Context], spark: SparkRuntime
) -> None:
    run = runs(boosting.WORKLOAD, boosting.XGBoostSpark, 1 / 64, PARAMS, spark=spark)
    engine = boosting.XGBoostSpark()
    model = engine.fit(run, engine.load(run))
    assert model.get_booster().num_boosted_rounds() == 3
    given: dict[str, Any] = {param.name: value for param, value in model.extractParamMap().items()}
    assert {name: given[name] for name in run.arguments} == run.arguments
    assert given["num_workers"] == run.cores
    assert not model.training_summary.train_objective_history
    parts = ("starting", "importing", "transferring", "training", "returning")
    assert all(run.figures[f"seconds_{name}"] >= 0 for name in parts)
    assert sum(run.figures[f"seconds_{name}"] for name in ("starting", "transferring", "training")) > 0


@pytest.mark.spark
def test_one_hot_features_are_the_same_on_both_sides(runs: Callable[..., Context], spark: SparkRuntime) -> None:
    import numpy as np
    from pyspark.ml.functions import vector_to_array
    from pyspark.sql.functions import col

    run = runs(logistic.WORKLOAD, logistic.MLlibLogistic, 1 / 64, spark=spark)
    table = read_train(run)
    node = one_hot_matrix(run.data, table).toarray()
    frame = one_hot_vectors(run, spark_rows(run, run.train_paths)).select(vector_to_array(col("features")).alias("x"))
    ours = np.array([row.x for row in frame.collect()])
    assert node.shape == ours.shape
    order = np.lexsort(node.T), np.lexsort(ours.T)
    np.testing.assert_allclose(node[order[0]], ours[order[1]], atol=1e-6)
