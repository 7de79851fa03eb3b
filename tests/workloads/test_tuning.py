"""The parameter set `tuned`: the split, the search, and the model that comes of it."""

import io
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from cluster.budget import Budget, Grant
from cluster.profile import Local
from cluster.session import SparkRuntime
from sparkscale.contract.case import Capacity
from sparkscale.contract.context import Context
from sparkscale.contract.dataset import LABEL, ROW, TIME, UNIT, PreparedDataset
from sparkscale.measure.worker.phases import PhaseClock
from sparkscale.measure.worker.protocol import Measure, Open
from sparkscale.measure.worker.worker import Worker
from tests.workloads.altering import changed, with_column
from workloads.base import Engine, Workload
from workloads.data_parallel import gradient_boosting as boosting
from workloads.data_parallel import mlp, tuning
from workloads.data_parallel import random_forest as forest
from workloads.data_parallel.tuning import LEAST_GAIN, Tuned
from workloads.datasets.devices import Devices
from workloads.io.filesystem import read_parquet
from workloads.libraries.tasks import Here
from workloads.quality.scoring import Scores, score_holdout
from workloads.quality.validation import validation_split, with_params
from workloads.tuning import gradient_boosting as searches
from workloads.tuning import pattern as searching

Runs = Callable[..., Context]

ENGINES_OF_TUNING = [engine.name for engine in searches.WORKLOAD.engines]


def tuned(
    runs: Runs, tmp_path: Path, workload: Workload, engine: type[Engine], least: int, most: int, **options: Any
) -> tuple[Context, Any]:
    """The context and what `fit` returned."""
    assert workload.capacity
    capacity = Capacity(param=workload.capacity.param, least=least, most=most)
    run = runs(workload, engine, options.pop("fraction", 1 / 16), options.pop("params", None), "tuned", **options)
    run.case.params["capacity"] = capacity.model_dump()
    run.storage = str(tmp_path)
    made: Any = Tuned(engine(), workload)
    made.prepare(run)
    model = made.fit(run, made.load(run))
    assert score_holdout(run, made.predict(run, model))["auc"] > 0.6
    return run, model


def test_validation_rows_are_units_of_the_training_rows(
    runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = runs(boosting.WORKLOAD, boosting.XGBoost, 1 / 4)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    split = validation_split(run)
    every = read_parquet(run.train_paths, [ROW, UNIT])
    part = read_parquet(split.train_paths, [ROW, UNIT, LABEL])
    rest = read_parquet([split.data.holdout_path], [ROW, UNIT])
    assert split.case.rows == part.num_rows == split.data.rows(1 / 64, 0)
    assert 0.1 < rest.num_rows / every.num_rows < 0.3
    both = np.concatenate([part.column(ROW).to_numpy(), rest.column(ROW).to_numpy()])
    assert sorted(both) == sorted(every.column(ROW).to_numpy())
    assert not set(part.column(UNIT).to_pylist()) & set(rest.column(UNIT).to_pylist())
    moments = split.data.label_moments(split.case.fraction, split.case.sample_seed)
    assert moments is not None
    assert moments.mean == pytest.approx(part.column(LABEL).to_numpy().mean())
    assert list(tmp_path.iterdir()), "else the next assertion could not fail"
    run.stack.close()
    assert list(tmp_path.iterdir()) == [], "the copy goes with the case"


def test_the_search_ends_where_the_validation_loss_does(runs: Runs, tmp_path: Path) -> None:
    params = boosting.BoostingParams(learning_rate=0.3)
    run, model = tuned(runs, tmp_path, boosting.WORKLOAD, boosting.XGBoost, 1, 256, params=params)
    chosen = run.figures["capacity"]
    assert model.num_boosted_rounds() == chosen
    assert 1 < chosen < 256

    engine = boosting.XGBoost()
    losses = {}
    split = validation_split(run)
    part = engine.load(split)
    for trees in (2**power for power in range(9)):
        at = with_params(split, engine, params.changed({"trees": trees}))
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
    run, _ = tuned(runs, tmp_path, workload, engine, 2, 4, spark=spark, fraction=1 / 64)
    assert run.figures["capacity"] in (2, 4)
    assert "auc" not in run.figures
    assert run.case.params["set"] == "tuned"


def test_rows_are_held_out_where_there_is_one_unit_only(runs: Runs, data: PreparedDataset, tmp_path: Path) -> None:
    """As in data held out by time, whose training rows are all of one stretch."""
    one = changed(data, tmp_path / "one", with_column(UNIT, -1))
    run = runs(boosting.WORKLOAD, boosting.XGBoost, 1 / 64, on=one)
    split = validation_split(run)
    part, rest = (read_parquet(paths, [ROW]) for paths in (split.train_paths, [split.data.holdout_path]))
    assert part.num_rows + rest.num_rows == run.case.rows
    assert rest.num_rows == run.case.rows // 5
    assert not set(part.column(ROW).to_pylist()) & set(rest.column(ROW).to_pylist())


def test_of_rows_held_out_by_time_the_latest_are_the_validation_part(runs: Runs, tmp_path: Path) -> None:
    source = Devices(rows=2000, devices=10)
    latest = source.prepare(str(tmp_path / "cache"), Here()).model_copy(update={"holdout": "time"})
    run = runs(boosting.WORKLOAD, boosting.XGBoost, 1, on=latest)
    split = validation_split(run)
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
    split = validation_split(runs(boosting.WORKLOAD, boosting.XGBoost, 1, on=coarse))
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


def test_no_engine_pays_for_its_validation_part(
    runs: Runs, data: PreparedDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker makes it before it starts any clock; else a Spark engine would pay for the driver's work."""
    run = runs(boosting.WORKLOAD, boosting.XGBoost, 1 / 64, None, "tuned")
    capacity = Capacity(param="trees", least=2, most=2).model_dump()
    case = run.case.model_copy(update={"params": {**run.case.params, "capacity": capacity}})
    grant = Grant(cpus=tuple(os.sched_getaffinity(0)), memory_bytes=2**32, heap_bytes=2**31)
    opening = Open(
        profile=Local(name="local", kind="local"),
        budget=Budget(cores=len(grant.cpus), node=grant, driver=grant),
        endpoint=None,
        placement="node",
        threads=2,
        device="cpu",
        cgroup=None,
        limited=False,
        scratch=tmp_path,
    )
    replies = io.StringIO()
    said: list[str] = []

    def split(run: Context) -> Context:
        said.append(replies.getvalue())
        return validation_split(run)

    monkeypatch.setattr(tuning, "validation_split", split)
    monkeypatch.setattr(PhaseClock, "check_budget", lambda *_: None)  # this process's tree runs other tests
    measured = Worker(opening, replies).measure(Measure(case=case, data=data, tables=tmp_path))
    assert measured.observation.outcome == "ok", measured.observation.error
    assert set(measured.observation.seconds) == {"load", "fit", "predict"}
    assert said == [""], "one split, before the first phase was said to start"
    assert '"fit"' in replies.getvalue()


@pytest.mark.parametrize("engine", [name for name in ENGINES_OF_TUNING if name != "mllib-crossvalidator"])
def test_no_search_pays_for_its_validation_part(runs: Runs, monkeypatch: pytest.MonkeyPatch, engine: str) -> None:
    """`load` of the tuning pattern made it, inside the clock."""
    made: Any = searches.WORKLOAD.create_engine(engine, "aligned")
    run = runs(searches.WORKLOAD, type(made), 1 / 64)
    made.prepare(run)
    monkeypatch.setattr(searching, "validation_split", None)
    monkeypatch.setattr(type(made), "spread", lambda *given: given[2].train_paths)
    assert made.load(run).rows == made.split.train_paths != run.train_paths
