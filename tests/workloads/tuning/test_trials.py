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
from workloads.tuning.pattern import AllTrialsFailed, SingleNodeModels
from workloads.tuning.space import Choice, Range

Runs = Callable[..., Context]

SLOW = {"hyperopt-sparktrials", "mllib-crossvalidator"}
ENGINES = {
    engine: pytest.param(engine.name, marks=pytest.mark.slow if engine.name in SLOW else ())
    for engine in boosting.WORKLOAD.engines
}
IN_PROCESSES = [param for engine, param in ENGINES.items() if issubclass(engine, SingleNodeModels)]
ON_CLUSTER = [param for engine, param in ENGINES.items() if not issubclass(engine, SingleNodeModels)]
RANDOM_STARTS = 6
ALL_DEPTHS = {"hyperopt": 13, "optuna": 30, "random": 30, "grid": 0}
"""Seeds, by library, with which the random starts have every depth that goes wrong, and the one that hangs once."""
SMALLEST = 1 / 64


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
    fraction = options.pop("fraction", SMALLEST)
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
@pytest.mark.parametrize("engine", IN_PROCESSES)
def test_every_engine_of_one_process_per_trial_searches_on_when_trials_go_wrong(
    runs: Runs, spark: SparkRuntime, tmp_path: Path, engine: str
) -> None:
    """Trials of four depths raise, hang, exhaust memory or die: the search goes on, and one of the others wins."""
    space: dict[str, Any] = {"depth": Choice(choices=tuple(range(2, 8)))}
    if engine != "grid":  # a grid of two parameters would repeat the depth that hangs
        space["learning_rate"] = Range(low=0.1, high=0.5, scale="log")
    # SparkTrials starts a Python worker and a template for each trial, and what it draws depends on time
    trials, least = (5, 1) if engine == "hyperopt-sparktrials" else (6, 4) if engine == "grid" else (8, 4)
    seed = ALL_DEPTHS[engine.partition("-")[0]]
    starts = {"random_starts": RANDOM_STARTS, "sampler_seed": seed}
    changes = {"space": space, "trials": trials, "target_loss": 10.0, **starts}
    params = faulty.WORKLOAD.params.model_copy(update=changes)
    run, table, quality = ran(runs, faulty.WORKLOAD, engine, tmp_path, spark, params)
    rows = table.to_pylist()
    check_search(run, rows, quality)
    assert len(rows) == trials
    assert set(json.loads(rows[0]["parameters"])) == set(space)
    by_depth = {json.loads(row["parameters"])["depth"]: row for row in rows}
    said = {
        faulty.RAISING: ("failed", "ZeroDivisionError: made to fail"),
        faulty.HANGING: ("timeout", "no model within 3 s"),
        faulty.GREEDY: ("oom", "needed more than the 768 MiB that a trial may have"),
        faulty.DYING: ("failed", "its process ended with 3"),
    }
    assert len(said.keys() & by_depth.keys()) >= least, "choose another seed"
    for depth, row in by_depth.items():
        assert (row["outcome"], row["error"]) == said.get(depth, ("ok", None))
        assert (row["loss"] == float("inf")) == (depth in said)
    outcomes = Counter(row["outcome"] for row in rows)
    assert run.figures["trials_failed"] == sum(outcomes.values()) - outcomes["ok"]
    run.stack.close()
    if faulty.WORKLOAD.engine(engine).placement == "node":
        templates = {int(row["where"].partition("/")[2]) for row in rows}
        _, left = psutil.wait_procs([psutil.Process(pid) for pid in templates if psutil.pid_exists(pid)], timeout=10)
        assert not left


@pytest.mark.spark
@pytest.mark.parametrize("engine", ON_CLUSTER)
def test_every_engine_of_the_whole_cluster_searches_and_leaves_a_session_in_which_mllib_still_trains(
    runs: Runs, spark: SparkRuntime, tmp_path: Path, engine: str
) -> None:
    """Tags of a session made closures of MLlib that hold it unserialisable, for good."""
    space = {"learning_rate": Range(low=0.1, high=0.5, scale="log"), "depth": Range(low=1, high=2, whole=True)}
    params = boosting.WORKLOAD.params.model_copy(
        update={"trials": 2, "model": BoostingParams(trees=2), "target_loss": 10.0, "space": space}
    )
    run, table, quality = ran(runs, boosting.WORKLOAD, engine, tmp_path, spark, params)
    rows = table.to_pylist()
    check_search(run, rows, quality)
    assert len(rows) == 2
    assert {row["outcome"] for row in rows} == {"ok"}
    assert set(json.loads(rows[0]["parameters"])) == set(space)
    few = logistic.LogisticParams(max_iterations=2)
    run = runs(logistic.WORKLOAD, logistic.MLlibLogistic, SMALLEST, few, spark=spark)
    mllib = logistic.MLlibLogistic()
    assert mllib.fit(run, mllib.load(run)).coefficients.size


def check_search(run: Context, rows: list[dict[str, Any]], quality: dict[str, float]) -> None:
    """Checks what holds for the search of every engine."""
    engine: Any = boosting.WORKLOAD.engine(run.case.engine)
    assert quality["auc"] > 0.6
    assert len(rows) == run.figures["trials"]
    assert len({row["parameters"] for row in rows}) == len(rows)
    assert 1 <= run.figures["concurrency"] <= run.slots
    assert run.figures["best_loss"] == min(row["loss"] for row in rows)
    told = min(row["told"] for row in rows if row["outcome"] == "ok")
    assert run.figures.get("seconds_to_target") == (told if engine.judges_on_split else None)
    assert all(0 <= row["start"] < row["end"] <= row["told"] + 0.01 for row in rows)


def test_all_trials_failing_fail_the_case(runs: Runs, tmp_path: Path) -> None:
    params = faulty.WORKLOAD.params.model_copy(update={"space": {"depth": Choice(choices=(2, 5))}, "trials": 2})
    with pytest.raises(AllTrialsFailed, match="All 2 trials failed; the first says: ZeroDivisionError: made to fail"):
        ran(runs, faulty.WORKLOAD, "grid", tmp_path, params=params)


@pytest.mark.spark
@pytest.mark.parametrize("engine", ["optuna-joblib", "optuna-spark"])
def test_more_at_once_than_slots_runs_and_says_what_was_reached(
    runs: Runs, spark: SparkRuntime, tmp_path: Path, engine: str
) -> None:
    space = {"depth": Choice(choices=(faulty.MEETING, faulty.MEETING + 1))}
    changes = {"space": space, "trials": 3, "parallelism": 5, "trial_deadline_seconds": 60.0}
    params = faulty.WORKLOAD.params.model_copy(update=changes)
    run, table, _ = ran(runs, faulty.WORKLOAD, engine, tmp_path, spark, params)
    assert run.figures["concurrency"] == run.slots == len(set(table.column("where").to_pylist()))
    if engine == "optuna-spark":
        assert run.figures["bytes_shipped"] > 0


def test_a_validation_part_of_one_class_is_refused(runs: Runs, data: PreparedDataset, tmp_path: Path) -> None:
    """No flight of the weeks that are held out for validation is late."""
    engine = boosting.WORKLOAD.engine("grid")
    split = validation_split(runs(boosting.WORKLOAD, engine, SMALLEST))
    days = pc.unique(read_parquet([split.data.holdout_path], [UNIT]).column(UNIT))

    def on_time(table: pa.Table) -> pa.Table:
        if LABEL not in table.column_names:
            return table
        held_out = pc.is_in(table.column(UNIT), days)
        label = pc.if_else(held_out, pa.scalar(0, pa.int8()), table.column(LABEL))
        return table.set_column(table.column_names.index(LABEL), table.schema.field(LABEL), label)

    one = changed(data, tmp_path / "data", on_time)
    with pytest.raises(DatasetError, match="The validation part is all of class 0, so no trial could be judged"):
        ran(runs, boosting.WORKLOAD, "grid", tmp_path, on=one)


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
def test_a_model_of_mllib_beyond_its_deadline_is_cancelled(runs: Runs, spark: SparkRuntime, tmp_path: Path) -> None:
    params = boosting.WORKLOAD.params.model_copy(
        update={"trials": 1, "model": BoostingParams(trees=3000), "trial_deadline_seconds": 1.0}
    )
    with pytest.raises(AllTrialsFailed, match="All 1 trials failed; the first says: no model within 1 s"):
        ran(runs, boosting.WORKLOAD, "hyperopt-mllib", tmp_path, spark, params)
