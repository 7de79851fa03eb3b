"""Searches by every engine: what they find, and trials that raise, hang, exhaust memory or die."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from pydantic import ValidationError

from cluster.session import SparkRuntime
from sparkscale.contract.context import Context
from sparkscale.contract.dataset import LABEL, UNIT, PreparedDataset
from sparkscale.contract.errors import DatasetError
from sparkscale.contract.record import TRIALS
from tests.workloads.altering import changed
from tests.workloads.tuning import faulty
from workloads import registry
from workloads.base import Params, Workload
from workloads.data_parallel import logistic_regression as logistic
from workloads.data_parallel.gradient_boosting import BoostingParams
from workloads.io.filesystem import read_parquet
from workloads.quality.validation import validation_split
from workloads.tuning import gradient_boosting as boosting
from workloads.tuning.pattern import AllTrialsFailed
from workloads.tuning.space import Choice, Range

Runs = Callable[..., Context]

SPARK_TRIALS = pytest.param("hyperopt-sparktrials", marks=pytest.mark.slow)
IN_PROCESSES = ["grid", "random-joblib", "hyperopt", SPARK_TRIALS, "optuna-joblib", "optuna-spark"]
CROSS_VALIDATOR = pytest.param("mllib-crossvalidator", marks=pytest.mark.slow)
ENGINES = [
    CROSS_VALIDATOR if engine.name in CROSS_VALIDATOR.values else engine.name for engine in boosting.WORKLOAD.engines
]
FEW = {"trials": 4, "random_starts": 2}


def ran(
    runs: Runs,
    workload: Workload,
    engine: str,
    storage: Path,
    spark: SparkRuntime | None = None,
    params: Params | None = None,
    **options: Any,
) -> tuple[Context, pa.Table, dict[str, float]]:
    """The context, its table of trials, and the winner's quality."""
    kind = workload.engine(engine)
    fraction = options.pop("fraction", 1 / 16)
    on_spark = spark if kind.placement == "spark" else None
    run = runs(workload, kind, fraction, params, spark=on_spark, **options)
    run.storage = str(storage)
    made: Any = workload.create_engine(engine, "aligned")
    workload.quality.check(run)
    made.prepare(run)
    winner = made.tune(run, made.load(run))
    quality = workload.quality.score(run, made.predict(run, winner))
    return run, run.tables[TRIALS], quality


@pytest.mark.spark
@pytest.mark.parametrize("engine", ENGINES)
def test_every_engine_searches(runs: Runs, spark: SparkRuntime, tmp_path: Path, engine: str) -> None:
    space = {"learning_rate": Range(low=0.1, high=0.5, scale="log"), "depth": Range(low=2, high=4, whole=True)}
    params = boosting.WORKLOAD.params.model_copy(
        update={**FEW, "model": BoostingParams(trees=5), "target_loss": 10.0, "space": space}
    )
    run, table, quality = ran(runs, boosting.WORKLOAD, engine, tmp_path, spark, params)
    rows = table.to_pylist()
    assert quality["auc"] > 0.6
    assert len(rows) == 4 == run.figures["trials"]
    assert {row["outcome"] for row in rows} == {"ok"}
    assert 1 <= run.figures["concurrency"] <= run.slots
    assert run.figures["best_loss"] == min(row["loss"] for row in rows)
    of_folds = engine == "mllib-crossvalidator"
    assert run.figures.get("seconds_to_target") == (None if of_folds else min(row["told"] for row in rows))
    assert all(0 <= row["start"] < row["end"] <= row["told"] + 0.01 for row in rows)
    assert len({row["parameters"] for row in rows}) == len(rows)
    assert set(json.loads(rows[0]["parameters"])) == set(space)
    run.stack.close()


@pytest.mark.spark
@pytest.mark.parametrize("engine", IN_PROCESSES)
def test_trials_that_raise_hang_exhaust_memory_or_die(
    runs: Runs, spark: SparkRuntime, tmp_path: Path, engine: str
) -> None:
    """Depths from 2 to 9: four of them go wrong, the search goes on, and one of the others wins."""
    every = Choice(choices=tuple(range(2, 10)))
    params = faulty.WORKLOAD.params.model_copy(update={"space": {"depth": every}, "trials": 12, "random_starts": 12})
    run, table, quality = ran(runs, faulty.WORKLOAD, engine, tmp_path, spark, params)
    by_depth = {json.loads(row["parameters"])["depth"]: row for row in table.to_pylist()}
    assert quality["auc"] > 0.6
    said = {
        faulty.RAISING: ("failed", "ZeroDivisionError: made to fail"),
        faulty.HANGING: ("timeout", "no model within 4 s"),
        faulty.GREEDY: ("oom", "needed more than the 768 MiB that a trial may have"),
        faulty.DYING: ("failed", "its process ended with 3"),
    }
    assert len(set(said) & set(by_depth)) >= 2
    for depth, row in by_depth.items():
        assert (row["outcome"], row["error"]) == said.get(depth, ("ok", None))
        assert (row["loss"] == float("inf")) == (depth in said)
    outcomes = Counter(row["outcome"] for row in table.to_pylist())
    assert run.figures["trials_failed"] == sum(outcomes.values()) - outcomes["ok"]
    run.stack.close()
    if kind_of(engine) == "node":
        templates = {int(row["where"].partition("/")[2]) for row in table.to_pylist()}
        _, left = psutil.wait_procs([psutil.Process(pid) for pid in templates if psutil.pid_exists(pid)], timeout=10)
        assert not left


def kind_of(engine: str) -> str:
    return faulty.WORKLOAD.engine(engine).placement


def test_all_trials_failing_fail_the_case(runs: Runs, tmp_path: Path) -> None:
    params = faulty.WORKLOAD.params.model_copy(update={"space": {"depth": Choice(choices=(2, 5))}, "trials": 2})
    with pytest.raises(AllTrialsFailed, match="All 2 trials failed; the first says: ZeroDivisionError: made to fail"):
        ran(runs, faulty.WORKLOAD, "grid", tmp_path, params=params)


@pytest.mark.spark
@pytest.mark.parametrize("engine", ["optuna-joblib", "optuna-spark"])
def test_more_at_once_than_slots_runs_and_says_what_was_reached(
    runs: Runs, spark: SparkRuntime, tmp_path: Path, engine: str
) -> None:
    # long enough for processes that start one after the other to meet
    long = BoostingParams(trees=400)
    params = boosting.WORKLOAD.params.model_copy(update={"trials": 8, "parallelism": 5, "model": long})
    run, _, _ = ran(runs, boosting.WORKLOAD, engine, tmp_path, spark, params)
    assert run.figures["concurrency"] == 2
    if engine == "optuna-spark":
        assert run.figures["bytes_shipped"] > 0


def test_a_validation_part_of_one_class_is_refused(runs: Runs, data: PreparedDataset, tmp_path: Path) -> None:
    """No flight of the weeks that are held out for validation is late."""
    engine = boosting.WORKLOAD.engine("grid")
    split = validation_split(runs(boosting.WORKLOAD, engine, 1 / 64))
    days = pc.unique(read_parquet([split.data.holdout_path], [UNIT]).column(UNIT))

    def on_time(table: pa.Table) -> pa.Table:
        if LABEL not in table.column_names:
            return table
        held_out = pc.is_in(table.column(UNIT), days)
        label = pc.if_else(held_out, pa.scalar(0, pa.int8()), table.column(LABEL))
        return table.set_column(table.column_names.index(LABEL), table.schema.field(LABEL), label)

    one = changed(data, tmp_path / "data", on_time)
    with pytest.raises(DatasetError, match="The validation part is all of class 0, so no trial could be judged"):
        ran(runs, boosting.WORKLOAD, "grid", tmp_path, fraction=1 / 64, on=one)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"trials": 0}, "greater than or equal to 1"),
        (
            {"space": {"colour": {"low": 1, "high": 2}}},
            "the space has an unknown parameter 'colour': choose from trees",
        ),
        ({"space": {"depth": {"low": 3, "high": 3}}}, "the range from 3 to 3 is empty"),
        ({"space": {"l2": {"low": 0, "high": 1, "scale": "log"}}}, "a log scale does not reach 0"),
        ({"space": {"depth": {"low": 0, "high": 4, "whole": True}}}, "the space's 'depth' cannot be 0"),
        ({"space": {}}, "the space has no parameter"),
        ({"model": {"trees": -5}}, "greater than or equal to 1"),
    ],
)
def test_impossible_searches_say_why(given: dict[str, Any], said: str) -> None:
    own = boosting.WORKLOAD.params.model_dump()
    with pytest.raises(ValidationError, match=said):
        type(boosting.WORKLOAD.params).model_validate({**own, **given})


def test_parameters_of_the_model_that_are_not_given_are_the_workloads() -> None:
    own = boosting.WORKLOAD.params.model_dump()
    made = boosting.TuningBoostingParams.model_validate({**own, "model": {"depth": 3}})
    assert (made.model.depth, made.model.trees) == (3, 50)


def test_every_workload_is_registered() -> None:
    assert {name for name in registry.workloads() if name.startswith("tuning.")} == {
        "tuning.gradient_boosting",
        "tuning.mlp",
        "tuning.random_forest",
    }


@pytest.mark.spark
@pytest.mark.parametrize("engine", ["hyperopt-mllib", CROSS_VALIDATOR])
def test_a_search_leaves_a_session_in_which_mllib_still_trains(
    runs: Runs, spark: SparkRuntime, tmp_path: Path, engine: str
) -> None:
    """Tags of a session made closures of MLlib that hold it unserialisable, for good."""
    params = boosting.WORKLOAD.params.model_copy(update={**FEW, "trials": 2, "model": BoostingParams(trees=2)})
    ran(runs, boosting.WORKLOAD, engine, tmp_path, spark, params)
    run = runs(logistic.WORKLOAD, logistic.MLlibLogistic, 1 / 64, spark=spark)
    mllib = logistic.MLlibLogistic()
    assert mllib.fit(run, mllib.load(run)).coefficients.size


@pytest.mark.spark
def test_a_model_of_mllib_beyond_its_deadline_is_cancelled(runs: Runs, spark: SparkRuntime, tmp_path: Path) -> None:
    params = boosting.WORKLOAD.params.model_copy(
        update={"trials": 1, "model": BoostingParams(trees=3000), "trial_deadline_seconds": 5.0}
    )
    with pytest.raises(AllTrialsFailed, match="All 1 trials failed; the first says: no model within 5 s"):
        ran(runs, boosting.WORKLOAD, "hyperopt-mllib", tmp_path, spark, params, fraction=1 / 64)
