"""The GPU's drop-in libraries, as far as a machine without CUDA allows: what they are asked, and that they refuse.

spark_rapids_ml is the real one, which imports CUDA only when it trains. cuML cannot be imported: its place is taken
by the signatures of its 26.6 release.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from cluster.budget import Budget, Grant
from cluster.session import SparkRuntime
from sparkscale.contract.case import Task
from sparkscale.contract.context import Context
from sparkscale.contract.dataset import PreparedDataset
from sparkscale.measure.plan import suite
from sparkscale.measure.plan.cases import planned_cases
from workloads import registry
from workloads.base import Engine, Sample, Workload
from workloads.data_parallel import kmeans, knn, pca
from workloads.data_parallel import linear_regression as linear
from workloads.data_parallel import logistic_regression as logistic
from workloads.data_parallel import random_forest as forest
from workloads.data_parallel.pattern import read_train
from workloads.data_parallel.rapids import FALL_BACK, Cuml, Rapids
from workloads.datasets.tabular import Classification, Regression
from workloads.libraries.tasks import Here

Runs = Callable[..., Context]

FOREST_WORDS = {
    "n_estimators": 50,
    "max_depth": 8,
    "n_bins": 64,
    "max_features": 8,
    "min_samples_leaf": 5,
    "bootstrap": True,
}
HANDED: list[tuple[type[Engine], str, Workload, Task, dict[str, Any]]] = [
    (
        logistic.RapidsLogistic,
        "classification.LogisticRegression",
        logistic.WORKLOAD,
        "classification",
        {"C": 1000.0, "penalty": "l2", "max_iter": 200, "tol": 1e-6, "standardization": False, "fit_intercept": True},
    ),
    (
        linear.RapidsRidge,
        "regression.LinearRegression",
        linear.WORKLOAD,
        "regression",
        {"alpha": 0.001, "l1_ratio": 0.0, "solver": "eig", "standardization": False, "fit_intercept": True},
    ),
    (
        forest.RapidsForest,
        "classification.RandomForestClassifier",
        forest.WORKLOAD,
        "classification",
        {
            "n_estimators": 50,
            "max_depth": 8,
            "n_bins": 64,
            "max_features": 8,
            "min_samples_leaf": 5,
            "bootstrap": True,
        },
    ),
    (
        forest.RapidsForest,
        "regression.RandomForestRegressor",
        forest.WORKLOAD,
        "regression",
        {
            "n_estimators": 50,
            "max_depth": 8,
            "n_bins": 64,
            "max_features": 8,
            "min_samples_leaf": 5,
            "bootstrap": True,
        },
    ),
    (
        kmeans.RapidsKMeans,
        "clustering.KMeans",
        kmeans.WORKLOAD,
        "clustering",
        {"n_clusters": 20, "max_iter": 100, "tol": 1e-4, "init": "k-means||"},
    ),
    (pca.RapidsPCA, "feature.PCA", pca.WORKLOAD, "clustering", {"n_components": 8}),
]


def stated(engine: type[Engine], workload: Workload, task: Task) -> dict[str, Any]:
    """The arguments that go to the estimator itself."""
    words = engine().arguments(workload.params, Sample(task, 1000, 20))
    return {name: value for name, value in words.items() if name not in ("seeds", "withMean", "withStd")}


@pytest.mark.spark
@pytest.mark.parametrize(("engine", "name", "workload", "task", "wanted"), HANDED)
def test_spark_rapids_ml_hands_the_same_parameters_to_cuml(
    runs: Runs,
    spark: SparkRuntime,
    engine: type[Engine],
    name: str,
    workload: Workload,
    task: Task,
    wanted: dict[str, Any],
) -> None:
    run = runs(workload, engine, 1 / 64, spark=spark, device="gpu")
    estimator = engine().estimator(run, name)(**stated(engine, workload, task))
    assert (estimator._num_workers, estimator._float32_inputs) == (run.slots, False)
    found = estimator.cuml_params
    assert {word: found[word] for word in wanted if word in found} == {w: v for w, v in wanted.items() if w in found}
    unheard = wanted.keys() - found.keys()
    assert {word: estimator.getOrDefault(word) for word in unheard} == {word: wanted[word] for word in unheard}
    defaults = engine().default_arguments(task)
    own = {param.name: value for param, value in engine().estimator(run, name)().extractParamMap().items()}
    named = {word: defaults[word] for word in stated(engine, workload, task) if word != "k"}
    assert {word: own[word] for word in named} == named


@pytest.mark.spark
def test_spark_rapids_ml_does_not_fall_back_to_the_cpu(runs: Runs, spark: SparkRuntime) -> None:
    """Asked for what cuML has not, it would train with pyspark.ml, if a profile's setting allowed it."""
    spark.spark.conf.set(FALL_BACK, "true")
    run = runs(linear.WORKLOAD, linear.RapidsRidge, 1 / 64, spark=spark, device="gpu")
    estimator = linear.RapidsRidge().estimator(run, "regression.LinearRegression")
    assert spark.spark.conf.get(FALL_BACK) == "false"
    with pytest.raises(ValueError, match="l-bfgs"):
        estimator(solver="l-bfgs")


@pytest.mark.spark
def test_the_cost_of_clusters_is_that_of_mllib(runs: Runs, spark: SparkRuntime) -> None:
    """Models of spark_rapids_ml do not tell theirs."""
    few = kmeans.KMeansParams(clusters=5, seeds=1)
    run = runs(kmeans.WORKLOAD, kmeans.MLlibKMeans, 1 / 64, few, spark=spark)
    engine = kmeans.MLlibKMeans()
    train = engine.load(run)
    model = engine.fit(run, train)
    assert kmeans.RapidsKMeans().cost(model, train) == pytest.approx(engine.cost(model, train), rel=1e-6)


@pytest.mark.spark
@pytest.mark.parametrize("engine", [linear.MLlibRidge, linear.RapidsRidge])
def test_the_penalty_that_each_library_is_given(
    runs: Runs, spark: SparkRuntime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: Any
) -> None:
    """MLlib divides it by the label's deviation; spark_rapids_ml, without standardisation, does not."""
    data = Regression(rows=3000, features=5).prepare(str(tmp_path), Here())
    run = runs(linear.WORKLOAD, engine, 1, spark=spark, on=data)
    made = engine()
    rows = made.load(run)
    deviation = float(read_train(run).column("label").to_numpy().std())
    handed: dict[str, Any] = {}

    class Recorder:
        def __init__(self, **words: Any) -> None:
            handed.update(words)

        def fit(self, rows: Any) -> None: ...

    monkeypatch.setattr(engine, "estimator", lambda *_: Recorder)
    made.fit(run, rows)
    scale = 1.0 if engine is linear.RapidsRidge else deviation
    assert deviation != pytest.approx(1, abs=0.1)
    assert handed["regParam"] == pytest.approx(scale / run.case.rows, rel=1e-12)


TREES = {
    "n_estimators": 100,
    "max_depth": 16,
    "max_features": "sqrt",
    "n_bins": 128,
    "min_samples_leaf": 1,
    "bootstrap": True,
    "random_state": None,
}
SIGNATURES: dict[str, dict[str, Any]] = {
    "cluster.KMeans": {
        "n_clusters": 8,
        "max_iter": 300,
        "tol": 1e-4,
        "random_state": None,
        "init": "scalable-k-means++",
        "n_init": "auto",
    },
    "decomposition.PCA": {"n_components": None, "svd_solver": "auto", "tol": 1e-7, "whiten": False},
    "linear_model.Ridge": {
        "alpha": 1.0,
        "fit_intercept": True,
        "solver": "auto",
        "tol": 1e-4,
        "max_iter": None,
    },
    "linear_model.LogisticRegression": {
        "penalty": "l2",
        "tol": 1e-4,
        "C": 1.0,
        "fit_intercept": True,
        "max_iter": 1000,
        "solver": "qn",
    },
    "ensemble.RandomForestClassifier": TREES,
    "ensemble.RandomForestRegressor": {**TREES, "max_features": 1.0},
    "neighbors.NearestNeighbors": {
        "n_neighbors": 5,
        "algorithm": "auto",
        "metric": "euclidean",
        "n_jobs": None,
    },
}
"""Keyword arguments and defaults of cuML 26.6."""


class HandedOverError(Exception):
    """Ends a training that would need CUDA; carries what the estimator was made with."""


@pytest.fixture
def cuml(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """cuML's modules, whose estimators refuse words that cuML's do; the types of output that it was set to."""
    outputs: list[str] = []
    package = ModuleType("cuml")
    package.set_global_output_type = outputs.append  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "cuml", package)
    for path, words in SIGNATURES.items():
        module, name = path.split(".")

        class Estimator:
            known = words

            def __init__(self, **given: Any) -> None:
                unknown = given.keys() - self.known.keys()
                if unknown:
                    raise TypeError(f"unexpected keyword arguments {unknown}")
                self.given = given

            def fit(self, *data: Any) -> None:
                assert data
                raise HandedOverError(self.given)

        home = sys.modules.get(f"cuml.{module}") or ModuleType(f"cuml.{module}")
        setattr(home, name, Estimator)
        monkeypatch.setitem(sys.modules, f"cuml.{module}", home)
    return outputs


@pytest.mark.parametrize(
    ("engine", "workload", "name", "wanted"),
    [
        (kmeans.CumlKMeans, kmeans.WORKLOAD, "cluster.KMeans", {"n_clusters": 20, "n_init": 5, "init": "k-means++"}),
        (pca.CumlPCA, pca.WORKLOAD, "decomposition.PCA", {"n_components": 8, "svd_solver": "full"}),
        (linear.CumlRidge, linear.WORKLOAD, "linear_model.Ridge", {"alpha": 1.0, "solver": "lsmr"}),
        (
            logistic.CumlLogistic,
            logistic.WORKLOAD,
            "linear_model.LogisticRegression",
            {"C": 1.0, "solver": "qn", "max_iter": 200},
        ),
        (
            forest.CumlForest,
            forest.WORKLOAD,
            "ensemble.RandomForestClassifier",
            {"n_estimators": 50, "n_bins": 64, "max_depth": 8, "min_samples_leaf": 5, "random_state": 0},
        ),
        (knn.CumlNeighbours, knn.WORKLOAD, "neighbors.NearestNeighbors", {"n_neighbors": 10, "algorithm": "brute"}),
    ],
)
def test_cuml_is_handed_words_that_it_knows(
    runs: Runs,
    tmp_path: Path,
    cuml: list[str],
    engine: type[Engine],
    workload: Workload,
    name: str,
    wanted: dict[str, Any],
) -> None:
    source = Regression if workload is linear.WORKLOAD else Classification
    data = source(rows=3000, features=12).prepare(str(tmp_path), Here())
    run = runs(workload, engine, 1, device="gpu", on=data)
    made: Any = engine()
    with pytest.raises(HandedOverError) as handed:
        made.predict(run, made.fit(run, made.load(run)))
    assert handed.value.args[0].items() >= wanted.items()
    assert set(cuml) == {"numpy"}
    if engine is not knn.CumlNeighbours:
        task: Task = "regression" if workload is linear.WORKLOAD else "classification"
        defaults = made.default_arguments(task)
        assert {word: SIGNATURES[name][word] for word in defaults} == defaults


def test_squared_distances_go_to_the_nearest_centre() -> None:
    import pyarrow as pa

    rows = pa.array([[0.0, 0.0], [3.0, 4.0], [1.0, 0.0]])
    batch = pa.RecordBatch.from_arrays([rows], ["features"])
    (found,) = kmeans.squared_distances(iter([batch]), np.array([[0.0, 0.0], [3.0, 3.0]]))
    assert found.column(0).to_pylist() == [0 + 1 + 1]


GPU_ONLY = [
    (workload, engine)
    for workload in registry.workloads().values()
    for engine in workload.engines
    if issubclass(engine, Cuml | Rapids)
]


def test_without_the_package_they_are_unsupported_with_what_installs_it(data: PreparedDataset) -> None:
    assert {engine.name for _, engine in GPU_ONLY} == {"cuml", "spark-rapids-ml"}
    grant = Grant(cpus=(0, 1), memory_bytes=2**30, heap_bytes=2**29, gpus=(0,))
    with_gpu = Budget(cores=2, node=grant, driver=grant, gpus=1)
    none = grant.model_copy(update={"gpus": ()})
    without = with_gpu.model_copy(update={"node": none, "driver": none, "gpus": 0, "no_gpu": "none here"})
    for case in planned_cases(suite.load("gpu")):
        if issubclass(case.engine, Cuml | Rapids):
            assert case.unsupported(data, 1000, without) == "no GPU: none here"
            reason = case.unsupported(data, 1000, with_gpu)
            assert reason == f"{case.engine.name} needs the package cuml: pip install 'sparkscale[rapids]'"


def test_a_star_means_the_engines_of_the_device(tmp_path: Path) -> None:
    text = '[[measure]]\nworkload = "data_parallel.kmeans"\ndevices = ["cpu", "gpu"]\n'
    (tmp_path / "s.toml").write_text(text)
    found = [(case.engine.name, case.device) for case in planned_cases(suite.load(str(tmp_path / "s.toml")))]
    assert found == [("sklearn", "cpu"), ("cuml", "gpu"), ("mllib", "cpu"), ("spark-rapids-ml", "gpu")]
    (tmp_path / "s.toml").write_text(text + 'engines = ["sklearn"]\n')
    named = [(case.engine.name, case.device) for case in planned_cases(suite.load(str(tmp_path / "s.toml")))]
    assert named == [("sklearn", "cpu"), ("sklearn", "gpu")]
