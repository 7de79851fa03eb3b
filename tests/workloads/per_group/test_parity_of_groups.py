"""Every engine trains the same model for each group, and it is the one that the algorithm's library would."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from cluster.session import SparkRuntime
from sparkscale.contract.dataset import LABEL, PreparedDataset
from tests.workloads.per_group.running import Runs, ran
from workloads.base import Params, Workload
from workloads.datasets.devices import Devices
from workloads.io.filesystem import read_parquet
from workloads.libraries.tasks import Here
from workloads.per_group import forecast, gradient_boosting, ridge
from workloads.per_group.engines import ENGINES
from workloads.per_group.results import read_models
from workloads.per_group.training import Rows

COEFFICIENT_TOLERANCE = 1e-9
LEAF_TOLERANCE = 1e-5
"""`pandas-loop` sums its histograms by two threads."""

BOOSTING = gradient_boosting.GroupBoostingParams(trees=5, learning_rate=0.3)
CASES: list[tuple[Workload, Params, type]] = [
    (ridge.WORKLOAD, ridge.RidgeParams(alpha=1.0), ridge.Ridge),
    (gradient_boosting.WORKLOAD, BOOSTING, gradient_boosting.XGBoost),
    (forecast.WORKLOAD, forecast.ForecastParams(), forecast.SeasonalRidge),
]


@pytest.fixture(scope="module")
def devices(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    """Skewed: the largest device has many rows, some have too few for a model."""
    source = Devices(rows=6000, devices=24, skew=0.8, features=6)
    return source.prepare(str(tmp_path_factory.mktemp("cache")), Here())


def models(table: pa.Table, storage: Path, trainer: Any) -> dict[int, Any]:
    """The model of each group that has one, as it was written to storage."""
    good = table.filter(pc.equal(table.column("outcome"), "ok"))
    contents = read_models(good.column("model").to_pylist(), str(storage))
    assert [len(content) for content in contents] == good.column("model_bytes").to_pylist()
    return dict(zip(good.column("group").to_pylist(), map(trainer().unpack, contents), strict=True))


def assert_same(first: Any, second: Any) -> None:
    """Coefficients, or trees: splits and leaves."""
    if isinstance(first, np.ndarray):
        np.testing.assert_allclose(first, second, rtol=COEFFICIENT_TOLERANCE, atol=COEFFICIENT_TOLERANCE)
        return
    for mine, theirs in zip(first.get_dump(dump_format="json"), second.get_dump(dump_format="json"), strict=True):
        assert_same_tree(json.loads(mine), json.loads(theirs))


def assert_same_tree(first: dict[str, Any], second: dict[str, Any]) -> None:
    if "leaf" in first:
        assert first["leaf"] == pytest.approx(second["leaf"], abs=LEAF_TOLERANCE)
        return
    assert (first["split"], first["split_condition"]) == (second["split"], second["split_condition"])
    for mine, theirs in zip(first["children"], second["children"], strict=True):
        assert_same_tree(mine, theirs)


@pytest.mark.spark
@pytest.mark.parametrize(("workload", "params", "trainer"), CASES, ids=lambda value: getattr(value, "name", ""))
def test_parity_of_all_engines_group_by_group(
    runs: Runs,
    spark: SparkRuntime,
    tmp_path: Path,
    devices: PreparedDataset,
    workload: Workload,
    params: Params,
    trainer: type,
) -> None:
    found = {}
    for engine in ENGINES:
        storage = tmp_path / engine.name
        on_spark = spark if engine.placement == "spark" else None
        run, table, quality = ran(runs, workload, engine.name, devices, storage, on_spark, params)
        assert run.figures["groups"] == 24
        run.stack.close()
        assert not list((storage / "layouts").glob("*")), "a layout is removed with its case"
        found[engine.name] = table, quality, models(table, storage, trainer)
    reference, best, expected = found.pop("pandas-loop")
    assert 0 < len(expected) < 24, "some groups are too small"
    for name, (table, quality, others) in found.items():
        assert others.keys() == expected.keys(), name
        for code, model in expected.items():
            assert_same(model, others[code])
        for column in ("key", "rows", "holdout_rows", "outcome", "error"):
            assert table.column(column).to_pylist() == reference.column(column).to_pylist(), (name, column)
        assert quality == pytest.approx(best, rel=1e-4), name


def group_rows(data: PreparedDataset, code: int) -> tuple[Any, Any]:
    """Standardised features and labels of a group's training rows."""
    table = read_parquet([str(p) for p in Path(data.root, "train").iterdir()])
    table = table.filter(pc.equal(table.column("group_device"), code))
    x = np.column_stack([(table.column(c.name).to_numpy() - c.mean) / c.std for c in data.columns])
    return x.astype(np.float64), table.column(LABEL).to_numpy()


def test_parity_of_the_ridge_with_scikit_learns(runs: Runs, tmp_path: Path, devices: PreparedDataset) -> None:
    from sklearn.linear_model import Ridge

    _, table, _ = ran(runs, ridge.WORKLOAD, "pandas-loop", devices, tmp_path, params=ridge.RidgeParams(alpha=3.0))
    for code, model in models(table, tmp_path, ridge.Ridge).items():
        theirs = Ridge(alpha=3.0, solver="cholesky").fit(*group_rows(devices, code))
        np.testing.assert_allclose(model, [*theirs.coef_, theirs.intercept_], rtol=1e-6, atol=1e-6)


def test_parity_of_the_boosting_with_xgboosts_own_estimator(
    runs: Runs, tmp_path: Path, devices: PreparedDataset
) -> None:
    import xgboost

    _, table, _ = ran(runs, gradient_boosting.WORKLOAD, "pandas-loop", devices, tmp_path, params=BOOSTING)
    found = models(table, tmp_path, gradient_boosting.XGBoost)
    raw = read_parquet([str(p) for p in Path(devices.root, "train").iterdir()]).sort_by("row")
    code = next(iter(found))
    rows = raw.filter(pc.equal(raw.column("group_device"), code))
    x = np.column_stack([rows.column(name).to_numpy() for name in devices.features])
    theirs = xgboost.XGBRegressor(
        n_estimators=5, max_depth=4, learning_rate=0.3, max_bin=64, reg_lambda=1.0, min_child_weight=5.0
    ).fit(x, rows.column(LABEL).to_numpy())
    assert_same(found[code], theirs.get_booster())


def test_a_forecast_never_sees_what_it_forecasts() -> None:
    """Lags are labels of earlier rows; the last fifth in time is held out, in whatever order rows come."""
    label = np.arange(200, dtype=float)
    arguments = {"lags": (1, 2, 7), "seasons": (10.0,), "waves": 1, "alpha": 0.0}
    x = forecast.lagged(label, np.arange(200), arguments)
    np.testing.assert_array_equal(x[:, 0], label[7:] - 1)
    np.testing.assert_array_equal(x[:, 2], label[7:] - 7)
    np.testing.assert_allclose(x[:, 3], np.sin(2 * np.pi * label[7:] / 10), atol=1e-9)
    job: Any = type("Job", (), {"arguments": arguments})()
    order = np.random.default_rng(0).permutation(200)
    nothing = np.zeros((200, 0), np.float32)
    shuffled = Rows(nothing, label[order], np.zeros(200, bool), order.astype(np.int64))
    split = forecast.SeasonalRidge().split(job, shuffled)
    assert split.y.tolist() == list(range(7, 160))
    assert split.y_held_out.tolist() == list(range(160, 200))
    np.testing.assert_array_equal(split.x_held_out[:, 0], split.y_held_out - 1)
