"""The parameter set `tuned`: the split, the search, and the model that comes of it."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from cluster.session import SparkRuntime
from sparkscale.contract.context import Context
from sparkscale.contract.dataset import ROW, TIME, UNIT, PreparedDataset
from tests.workloads.altering import changed, with_column
from workloads.base import Capacity, Engine, Workload
from workloads.data_parallel import gradient_boosting as boosting
from workloads.data_parallel import mlp
from workloads.data_parallel import random_forest as forest
from workloads.data_parallel.tuning import LEAST_GAIN, Tuned
from workloads.datasets.devices import Devices
from workloads.filesystem import read_parquet
from workloads.scoring import Scores, score_holdout
from workloads.tasks import Here
from workloads.validation import validation_split

Runs = Callable[..., Context]


def tuned(
    runs: Runs, tmp_path: Path, workload: Workload, engine: type[Engine], least: int, most: int, **options: Any
) -> tuple[Context, Any]:
    """The context and what `fit` returned."""
    assert workload.capacity
    capacity = Capacity(param=workload.capacity.param, least=least, most=most)
    run = runs(workload, engine, 1 / 16, options.pop("params", None), "tuned", **options)
    run.case.params["capacity"] = capacity.model_dump()
    run.storage = str(tmp_path)
    made = Tuned(engine(), workload)
    model = made.fit(run, made.load(run))
    assert score_holdout(run, made.predict(run, model))["auc"] > 0.6
    return run, model


def test_validation_rows_are_units_of_the_training_rows(runs: Runs, tmp_path: Path) -> None:
    run = runs(boosting.WORKLOAD, boosting.XGBoost, 1 / 4)
    run.storage = str(tmp_path)
    with ExitStack() as stack:
        split = validation_split(run, stack)
        every = read_parquet(run.train_paths, [ROW, UNIT])
        part = read_parquet(split.train_paths, [ROW, UNIT])
        rest = read_parquet([split.data.holdout_path], [ROW, UNIT])
        assert split.case.rows == part.num_rows
        assert 0.1 < rest.num_rows / every.num_rows < 0.3
        both = np.concatenate([part.column(ROW).to_numpy(), rest.column(ROW).to_numpy()])
        assert sorted(both) == sorted(every.column(ROW).to_numpy())
        assert not set(part.column(UNIT).to_pylist()) & set(rest.column(UNIT).to_pylist())
    assert list(tmp_path.iterdir()) == [], "the copy goes with the search"


def test_the_search_ends_where_the_validation_loss_does(runs: Runs, tmp_path: Path) -> None:
    params = boosting.BoostingParams(learning_rate=0.3)
    run, model = tuned(runs, tmp_path, boosting.WORKLOAD, boosting.XGBoost, 1, 256, params=params)
    chosen = run.figures["capacity"]
    assert model.num_boosted_rounds() == chosen
    assert 1 < chosen < 256

    engine = boosting.XGBoost()
    losses = {}
    with ExitStack() as stack:
        search = Tuned(engine, boosting.WORKLOAD)
        split = validation_split(run, stack)
        part = engine.load(split)
        for trees in (2**power for power in range(9)):
            at = search._with(split, Capacity(param="trees", least=1, most=256), trees)
            losses[trees] = score_holdout(at, engine.predict(at, engine.fit(at, part)))["log_loss"]
    gains = [trees for trees in losses if trees > 1 and losses[trees] < losses[trees // 2] * (1 - LEAST_GAIN)]
    stop = min(trees for trees in losses if trees > 1 and trees not in gains)
    assert chosen == min((trees for trees in losses if trees <= stop), key=lambda trees: losses[trees])


@pytest.mark.spark
@pytest.mark.parametrize(
    ("workload", "engine"),
    [
        (boosting.WORKLOAD, boosting.MLlibGBT),
        (boosting.WORKLOAD, boosting.XGBoostExternalMemory),
        (forest.WORKLOAD, forest.XGBoostForest),
        (mlp.WORKLOAD, mlp.Torch),
    ],
)
def test_every_kind_of_engine_is_tuned_alike(
    runs: Runs, spark: SparkRuntime, tmp_path: Path, workload: Workload, engine: type[Engine]
) -> None:
    run, _ = tuned(runs, tmp_path, workload, engine, 2, 4, spark=spark)
    assert run.figures["capacity"] in (2, 4)
    assert "auc" not in run.figures
    assert run.case.params["set"] == "tuned"


def test_rows_are_held_out_where_there_is_one_unit_only(runs: Runs, data: PreparedDataset, tmp_path: Path) -> None:
    """As in data held out by time, whose training rows are all of one stretch."""
    one = changed(data, tmp_path / "one", with_column(UNIT, -1))
    run = runs(boosting.WORKLOAD, boosting.XGBoost, 1 / 64, on=one)
    with ExitStack() as stack:
        split = validation_split(run, stack)
        part, rest = (read_parquet(paths, [ROW]) for paths in (split.train_paths, [split.data.holdout_path]))
        assert part.num_rows + rest.num_rows == run.case.rows
        assert rest.num_rows == run.case.rows // 5
        assert not set(part.column(ROW).to_pylist()) & set(rest.column(ROW).to_pylist())


def test_of_rows_held_out_by_time_the_latest_are_the_validation_part(runs: Runs, tmp_path: Path) -> None:
    source = Devices(rows=2000, devices=10)
    latest = source.prepare(str(tmp_path / "cache"), Here()).model_copy(update={"holdout": "time"})
    run = runs(boosting.WORKLOAD, boosting.XGBoost, 1, on=latest)
    with ExitStack() as stack:
        split = validation_split(run, stack)
        part, rest = (read_parquet(paths, [TIME]) for paths in (split.train_paths, [split.data.holdout_path]))
        before, after = (table.column(TIME).to_numpy() for table in (part, rest))
    assert before.max() < after.min()
    assert len(after) / (len(before) + len(after)) == pytest.approx(0.2, abs=0.01)


def test_a_validation_part_by_time_is_no_larger_than_two_fifths(runs: Runs, tmp_path: Path) -> None:
    """Two times, the later with three quarters of the rows: no cut between them is near a fifth."""
    whole = Devices(rows=2000, devices=10).prepare(str(tmp_path / "cache"), Here())

    def two_times(table: pa.Table) -> pa.Table:
        if TIME not in table.column_names:
            return table
        late = pc.greater_equal(table.column(TIME), pc.quantile(table.column(TIME), 0.25)[0]).cast(pa.int64())
        return table.set_column(table.column_names.index(TIME), table.schema.field(TIME), late)

    coarse = changed(whole, tmp_path / "coarse", two_times).model_copy(update={"holdout": "time"})
    with ExitStack() as stack:
        split = validation_split(runs(boosting.WORKLOAD, boosting.XGBoost, 1, on=coarse), stack)
        part, rest = (read_parquet(paths, [ROW]).num_rows for paths in (split.train_paths, [split.data.holdout_path]))
    assert 0.05 <= rest / (part + rest) <= 0.4


class WorseThanNothing(boosting.XGBoost):
    """Its smallest model ranks the wrong way round."""

    def predict(self, run: Context, model: Any) -> Scores:
        found = super().predict(run, model)
        return Scores(found.row, 1 - found.score) if model.num_boosted_rounds() == 1 else found


def test_a_useless_smallest_model_does_not_end_the_search(runs: Runs, tmp_path: Path) -> None:
    run, _ = tuned(runs, tmp_path, boosting.WORKLOAD, WorseThanNothing, 1, 16)
    assert run.figures["capacity"] > 2
