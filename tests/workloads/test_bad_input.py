"""Data that no engine can use, or that some would use wrongly."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cluster.session import SparkRuntime
from sparkscale.contract.context import Context
from sparkscale.contract.dataset import LABEL, PreparedDataset
from sparkscale.contract.errors import DatasetError, EngineUnsupported
from workloads.base import Engine, Workload
from workloads.data_parallel import feature_pipeline as pipeline
from workloads.data_parallel import gradient_boosting as boosting
from workloads.data_parallel import kmeans, pca
from workloads.data_parallel import linear_regression as linear
from workloads.data_parallel import logistic_regression as logistic
from workloads.datasets.tabular import Classification, Regression
from workloads.scoring import check_classes
from workloads.tasks import Here

Runs = Callable[..., Context]
Change = Callable[[pa.Table], pa.Table]


def changed(data: PreparedDataset, folder: Path, change: Change) -> PreparedDataset:
    """A copy whose every file went through `change`."""
    shutil.copytree(data.root, folder)
    for file in folder.rglob("*.parquet"):
        pq.write_table(change(pq.read_table(file)), file)
    return data.model_copy(update={"root": str(folder), "merged": {}})


def with_column(name: str, value: float) -> Change:
    def change(table: pa.Table) -> pa.Table:
        if name not in table.column_names:
            return table
        position = table.column_names.index(name)
        column = pa.array(np.full(table.num_rows, value), table.schema.field(name).type)
        return table.set_column(position, table.schema.field(name), column)

    return change


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
    data = source(rows=3000, features=10).prepare(str(tmp_path / "cache"), Here())
    numeric = next(column.name for column in data.columns if column.kind == "numeric")
    data = changed(data, tmp_path / "changed", with_column(numeric, 1.0))
    run = runs(workload, engine, 1, spark=spark, on=data)
    made: Any = engine()
    quality = workload.quality.score(run, made.predict(run, made.fit(run, made.load(run))))
    assert np.isfinite(quality[workload.quality.judged_by[data.task]])


def test_a_sample_of_one_class_is_refused_with_the_reason(runs: Runs, tmp_path: Path) -> None:
    data = Classification(rows=3000, features=10).prepare(str(tmp_path / "cache"), Here())
    check_classes(runs(boosting.WORKLOAD, boosting.XGBoost, 1, on=data))
    run = runs(boosting.WORKLOAD, boosting.XGBoost, 1, on=changed(data, tmp_path / "changed", with_column(LABEL, 0)))
    with pytest.raises(DatasetError, match=r"rows are all of class 0: measure a larger fraction"):
        check_classes(run)


@pytest.mark.parametrize("engine", kmeans.WORKLOAD.engines)
def test_fewer_rows_than_clusters(runs: Runs, engine: type[Engine]) -> None:
    made: Any = engine()
    run = runs(kmeans.WORKLOAD, engine, 1 / 64, kmeans.KMeansParams(clusters=10**6))
    with pytest.raises(EngineUnsupported, match=r"1000000 clusters of [0-9]+ rows"):
        made.load(run)


@pytest.mark.parametrize("engine", pca.WORKLOAD.engines)
def test_more_components_than_columns(runs: Runs, engine: type[Engine]) -> None:
    made: Any = engine()
    with pytest.raises(EngineUnsupported, match="999 components of flights, which has 20 numeric columns"):
        made.load(runs(pca.WORKLOAD, engine, 1 / 64, pca.PcaParams(components=999)))


@pytest.mark.parametrize("engine", [*linear.WORKLOAD.engines, logistic.SGD])
def test_a_task_that_an_engine_does_not_do(engine: type[Engine]) -> None:
    """Planning then says `unsupported`, with the reason (tests/measure/test_plan.py)."""
    assert engine.tasks == ({"classification"} if engine is logistic.SGD else {"regression"})
