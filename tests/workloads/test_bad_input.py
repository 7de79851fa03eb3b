"""Data that no engine can use, or that some would use wrongly."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from cluster import profile
from cluster.budget import budget as granted
from cluster.session import SparkRuntime
from sparkscale.contract.case import Task
from sparkscale.contract.context import Context
from sparkscale.contract.dataset import LABEL, UNIT, PreparedDataset
from sparkscale.contract.errors import DatasetError, EngineUnsupported
from sparkscale.measure.plan import suite
from sparkscale.measure.plan.cases import PlannedCase, planned_cases
from tests.workloads.altering import changed, with_column
from workloads.base import Engine, Params, Workload
from workloads.data_parallel import feature_pipeline as pipeline
from workloads.data_parallel import gradient_boosting as boosting
from workloads.data_parallel import kmeans, mlp, pca
from workloads.data_parallel import linear_regression as linear
from workloads.data_parallel import logistic_regression as logistic
from workloads.datasets.tabular import Classification, Regression
from workloads.io.filesystem import row_groups
from workloads.libraries.tasks import Here
from workloads.quality.scoring import check_classes

Runs = Callable[..., Context]

FEW: dict[str, Params] = {
    boosting.WORKLOAD.name: boosting.BoostingParams(trees=2, depth=3),
    kmeans.WORKLOAD.name: kmeans.KMeansParams(clusters=3, seeds=1, max_iterations=5),
    logistic.WORKLOAD.name: logistic.LogisticParams(gradient_tolerance=0.01, loss_tolerance=0.001),
}
"""Parameters with which training is short, by workload."""


@pytest.mark.spark
@pytest.mark.parametrize(
    ("workload", "engine"),
    [
        (logistic.WORKLOAD, logistic.SklearnLogistic),
        (logistic.WORKLOAD, logistic.MLlibLogistic),
        (logistic.WORKLOAD, logistic.SGD),
        (boosting.WORKLOAD, boosting.XGBoost),
        (boosting.WORKLOAD, boosting.XGBoostSpark),
        (kmeans.WORKLOAD, kmeans.MLlibKMeans),
        (pca.WORKLOAD, pca.MLlibPCA),
        (pca.WORKLOAD, pca.SklearnPCA),
        (pipeline.WORKLOAD, pipeline.MLlibPipeline),
        (pipeline.WORKLOAD, pipeline.SklearnPipeline),
        (linear.WORKLOAD, linear.MLlibRidge),
    ],
)
def test_a_constant_feature_is_harmless(
    runs: Runs, spark: SparkRuntime, tmp_path: Path, workload: Workload, engine: type[Engine]
) -> None:
    source = Regression if workload is linear.WORKLOAD else Classification
    data = source(rows=1000, features=10).prepare(str(tmp_path / "cache"), Here())
    numeric = next(column.name for column in data.columns if column.kind == "numeric")
    data = changed(data, tmp_path / "changed", with_column(numeric, 1.0))
    run = runs(workload, engine, 1, FEW.get(workload.name), spark=spark, on=data)
    made: Any = engine()
    quality = workload.quality.score(run, made.predict(run, made.fit(run, made.load(run))))
    assert np.isfinite(quality[workload.quality.judged_by[data.task]])


def test_a_sample_of_one_class_is_refused_with_the_reason(runs: Runs, tmp_path: Path) -> None:
    data = Classification(rows=3000, features=10).prepare(str(tmp_path / "cache"), Here())
    check_classes(runs(boosting.WORKLOAD, boosting.XGBoost, 1, on=data))
    run = runs(boosting.WORKLOAD, boosting.XGBoost, 1, on=changed(data, tmp_path / "changed", with_column(LABEL, 0)))
    with pytest.raises(DatasetError, match=r"rows are all of class 0: measure a larger fraction"):
        check_classes(run)


@pytest.mark.spark
@pytest.mark.parametrize("cores", [2, 60])
def test_no_partition_of_a_barrier_stage_is_without_rows(
    runs: Runs, spark: SparkRuntime, tmp_path: Path, cores: int
) -> None:
    """A worker of xgboost.spark (3.2) that gets none fails, for its bins are not as many as the others'. Here 64
    files have a row each, which Spark reads in a few parts, and would deal out part by part.
    """
    data = Classification(rows=1000, features=10).prepare(str(tmp_path / "cache"), Here())
    few = changed(data, tmp_path / "changed", lambda table: table.slice(0, 1))
    run = runs(boosting.WORKLOAD, boosting.XGBoostSpark, 1, spark=spark, on=few)
    run.slots = cores
    held = boosting.XGBoostSpark().load(run).rdd.glom().map(len).collect()
    assert len(held) == cores <= sum(held)
    assert max(held) - min(held) <= 1


@pytest.mark.slow
@pytest.mark.spark
def test_a_rank_without_rows(runs: Runs, spark: SparkRuntime, tmp_path: Path) -> None:
    """Two ranks share one row: the one without takes its part in every step, and both end with the same weights."""
    data = Classification(rows=3000, features=10).prepare(str(tmp_path / "cache"), Here())
    kept = [False]

    def first_row(table: pa.Table) -> pa.Table:
        if UNIT not in table.column_names or kept[0]:
            return table.slice(0, 0)
        kept[0] = table.num_rows > 0
        return table.slice(0, 1)

    lone = changed(data, tmp_path / "changed", first_row)
    params = mlp.MlpParams(hidden=(4,), epochs=2)
    found = {}
    for engine in (mlp.Torch, mlp.DistributedTorch):
        made: Any = engine()
        run = runs(mlp.WORKLOAD, engine, 1, params, spark=spark, on=lone)
        assert sum(group.rows for group in row_groups(run.train_paths)) == 1
        found[engine.name] = made.fit(run, made.load(run)).model
    for (kernel, _), (other, _) in zip(found["torch"], found["torch-distributor"], strict=True):
        np.testing.assert_allclose(kernel, other, atol=1e-6)


def test_more_ranks_than_slots_are_refused(runs: Runs, spark: SparkRuntime) -> None:
    """A barrier stage would wait for them for ever."""
    run = runs(mlp.WORKLOAD, mlp.DistributedTorch, 1 / 64, mlp.MlpParams(ranks=3), spark=spark)
    engine = mlp.DistributedTorch()
    with pytest.raises(EngineUnsupported, match="3 ranks are too many: Spark has 2 slots"):
        engine.fit(run, engine.load(run))


@pytest.mark.parametrize("engine", [kmeans.SklearnKMeans, kmeans.MLlibKMeans])
def test_fewer_rows_than_clusters(runs: Runs, engine: type[Engine]) -> None:
    made: Any = engine()
    run = runs(kmeans.WORKLOAD, engine, 1 / 64, kmeans.KMeansParams(clusters=10**6))
    with pytest.raises(EngineUnsupported, match=r"1000000 clusters of [0-9]+ rows"):
        made.load(run)


@pytest.mark.parametrize("engine", [pca.SklearnPCA, pca.MLlibPCA])
def test_more_components_than_columns(runs: Runs, engine: type[Engine]) -> None:
    made: Any = engine()
    with pytest.raises(EngineUnsupported, match="999 components of flights, which has 20 numeric columns"):
        made.load(runs(pca.WORKLOAD, engine, 1 / 64, pca.PcaParams(components=999)))


def planned(folder: Path, text: str) -> list[PlannedCase]:
    (folder / "mine.toml").write_text(text)
    return planned_cases(suite.load(str(folder / "mine.toml")))


@pytest.mark.parametrize(
    ("workload", "task", "other"),
    [
        (linear.WORKLOAD, "regression", "classification"),
        (logistic.WORKLOAD, "classification", "regression"),
        (mlp.WORKLOAD, "classification", "regression"),
    ],
)
def test_labels_that_do_not_fit_the_task(
    data: PreparedDataset, tmp_path: Path, workload: Workload, task: Task, other: Task
) -> None:
    """Planned, and recorded as unsupported with the reason, whatever the engine."""
    text = f'[[measure]]\nworkload = "{workload.name}"\n'
    budget = granted(profile.load("local"))
    found = planned(tmp_path, text)
    assert {case.engine for case in found} == {engine for engine in workload.engines if "cpu" in engine.devices}
    for case in found:
        assert case.unsupported(data.model_copy(update={"task": task}), 1000, budget) is None
        reason = case.unsupported(data.model_copy(update={"task": other}), 1000, budget)
        assert reason == f"{case.engine.name} does not support {other}"


def test_fewer_rows_than_workers(data: PreparedDataset, tmp_path: Path) -> None:
    """Some would train on nothing; a single node does not care, but for a sample of next to none."""
    wide = granted(profile.load("local")).model_copy(update={"cores": 64})
    text = f'[[measure]]\nworkload = "{logistic.WORKLOAD.name}"\nengines = ["sklearn", "mllib"]\n'
    on_node, on_spark = planned(tmp_path, text)
    assert on_spark.unsupported(data, 63, wide) == "the sample has 63 rows for 64 cores: some would train on none"
    assert on_spark.unsupported(data, 64, wide) is None
    assert on_node.unsupported(data, 63, wide) is None
    assert "too few to train on" in str(on_node.unsupported(data, 29, wide))
