"""Groups that go wrong, each caused for real: counted and visible, and never at the cost of another group."""

import importlib
import multiprocessing
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cluster import profile
from cluster.budget import budget as granted
from cluster.session import SparkRuntime
from sparkscale.contract.dataset import LABEL, TIME, PreparedDataset
from sparkscale.contract.errors import DatasetError, InvalidResult
from sparkscale.measure.plan import suite
from sparkscale.measure.plan.cases import planned_cases
from tests.workloads.altering import changed, with_column
from tests.workloads.per_group import trainers
from tests.workloads.per_group.running import Runs, ran
from workloads.datasets.devices import Devices
from workloads.datasets.table import Table
from workloads.io.filesystem import make_folder
from workloads.libraries.tasks import Here, peak_bytes
from workloads.per_group import forecast, gradient_boosting, group_rows, node, ridge, training
from workloads.per_group.engines import ENGINES
from workloads.per_group.laid_out import ParquetGroups
from workloads.per_group.layout import Plan, read_bucket
from workloads.per_group.pattern import case_groups, job_of
from workloads.per_group.training import GroupDeadline, Job, Rows, deadline, train_group

GROUPS = 12


@pytest.fixture(scope="module")
def devices(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    source = Devices(rows=100 * GROUPS, devices=GROUPS, skew=0.0, features=5)
    return source.prepare(str(tmp_path_factory.mktemp("cache")), Here())


def column_changed(
    name: str, change: Callable[[np.ndarray, np.ndarray], np.ndarray]
) -> Callable[[pa.Table], pa.Table]:
    """Of every file that has groups: the column, by the groups' codes and its values."""

    def apply(table: pa.Table) -> pa.Table:
        if "group_device" not in table.column_names:
            return table
        values = change(table.column("group_device").to_numpy(), table.column(name).to_numpy())
        field = table.schema.field(name)
        return table.set_column(table.column_names.index(name), field, pa.array(values, field.type))

    return apply


@pytest.mark.spark
@pytest.mark.parametrize("engine", [engine.name for engine in ENGINES])
def test_groups_that_raise_hang_or_cannot_be_written(
    runs: Runs, spark: SparkRuntime, tmp_path: Path, devices: PreparedDataset, engine: str
) -> None:
    """One group each; the ten others have models, whichever engine."""
    labelled = changed(devices, tmp_path / "data", column_changed(LABEL, lambda code, y: y + 1000.0 * code))
    on_spark = spark if trainers.WORKLOAD.engine(engine).placement == "spark" else None
    run, table, _ = ran(runs, trainers.WORKLOAD, engine, labelled, tmp_path / "storage", on_spark)
    rows = {row["group"]: row for row in table.to_pylist()}
    assert sorted(rows) == list(range(GROUPS))
    assert rows[trainers.RAISING]["outcome"] == "failed"
    assert rows[trainers.RAISING]["error"] == "ZeroDivisionError: made to fail"
    assert rows[trainers.HANGING]["outcome"] == "timeout"
    assert rows[trainers.HANGING]["error"] == "no model within 1 s"
    assert rows[trainers.UNSERIALISABLE]["outcome"] == "failed"
    assert "cannot be serialised: TypeError: cannot pickle a lock" in rows[trainers.UNSERIALISABLE]["error"]
    assert rows[trainers.LARGE]["outcome"] == "model too large"
    assert "480,000 bytes; at most 100,000 are allowed" in rows[trainers.LARGE]["error"]
    assert Counter(row["outcome"] for row in rows.values())["ok"] == GROUPS - 4 == run.figures["models"]
    assert (run.figures["groups_failed"], run.figures["groups_timeout"]) == (2, 1)
    assert all((row["model"] is None) == (row["outcome"] != "ok") for row in rows.values())


@pytest.mark.parametrize(
    ("reach", "got"),
    [
        (lambda frame: frame.iloc[1:], r"got \d+ training rows and \d+ held-out rows, but has \d+ and \d+\.$"),
        (lambda frame: pd.concat([frame, frame]), r"12 of 12 groups did not get all of their rows, or got too many"),
    ],
    ids=["lost", "doubled"],
)
def test_rows_that_are_lost_on_the_way_to_a_group_or_doubled_are_no_result(
    runs: Runs,
    tmp_path: Path,
    devices: PreparedDataset,
    monkeypatch: pytest.MonkeyPatch,
    reach: Callable[[pd.DataFrame], pd.DataFrame],
    got: str,
) -> None:
    """Every group had a model and scored as ok."""
    whole = group_rows.rows_of_frame
    monkeypatch.setattr(node, "rows_of_frame", lambda job, frame: whole(job, reach(frame)))
    with pytest.raises(InvalidResult, match=got):
        ran(runs, ridge.WORKLOAD, "pandas-loop", devices, tmp_path / "storage")


def test_a_deadline_that_passes_while_xgboost_bins_leaves_it_whole(runs: Runs, devices: PreparedDataset) -> None:
    """XGBoost asks for its rows through a callback, in which the alarm is seen: raised there, the group failed
    or the process died.
    """
    run = runs(gradient_boosting.WORKLOAD, ParquetGroups.made_for(gradient_boosting.XGBoost), 1, on=devices)
    job = job_of(run, gradient_boosting.XGBoost, case_groups(run).grouping, 1, in_task=False)
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        outcomes = process.submit(_train_large_groups_late, job).result(timeout=120)
    assert outcomes == ["timeout"] * 3 + ["ok"]


def _train_large_groups_late(job: Job) -> list[str]:
    """In a process of its own: the alarm comes again and again, so that several come while XGBoost bins."""
    training.RETRY_SECONDS = 0.05
    x = np.random.default_rng(0).normal(size=(400_000, 6)).astype(np.float32)

    def trained(count: int, seconds: float) -> str:
        rows = Rows(x[:count], x[:count, 0], np.arange(count) % 5 == 0, None)
        return train_group(replace(job, deadline_seconds=seconds), 0, rows, 0).outcome

    return [*(trained(len(x), 0.05 * part) for part in range(1, 4)), trained(1_000, 60.0)]


def test_a_deadline_that_passes_in_an_import_leaves_the_module_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of it would be left to all later groups: the deadline is raised after it."""
    (tmp_path / "slow_to_import.py").write_text("import time\ntime.sleep(0.3)\nwhole = True\n")
    monkeypatch.syspath_prepend(tmp_path)
    ended = time.monotonic() + 60
    with pytest.raises(GroupDeadline), deadline(0.1):
        module = importlib.import_module("slow_to_import")
        while time.monotonic() < ended:
            time.sleep(0.01)
    assert module.whole


def test_one_class_a_constant_column_and_a_constant_label(
    runs: Runs, data: PreparedDataset, devices: PreparedDataset, tmp_path: Path
) -> None:
    """A group of one class is named; what is constant harms nothing. `data` has groups of one class."""
    _, table, _ = ran(runs, ridge.WORKLOAD, "pandas-loop", data, tmp_path / "flights", fraction=1 / 16)
    assert {"ok", "too small"} <= set(table.column("outcome").to_pylist())
    late = changed(data, tmp_path / "late", _late)
    _, table, _ = ran(runs, ridge.WORKLOAD, "pandas-loop", late, tmp_path / "one-class", fraction=1 / 16)
    said = [row for row in table.to_pylist() if row["outcome"] == "one class"]
    assert said
    assert all("training rows are of class 1" in row["error"] for row in said)
    flat = changed(devices, tmp_path / "flat", with_column("sensor_000", 1.0))
    run, _, quality = ran(runs, ridge.WORKLOAD, "pandas-loop", flat, tmp_path / "constant")
    assert run.figures["models"] == GROUPS
    assert quality["group_r2"] > 0


def _late(table: pa.Table) -> pa.Table:
    """Every flight of planes with an even code is late."""
    if "group_plane" not in table.column_names:
        return table
    code, label = table.column("group_plane").to_numpy(), table.column(LABEL).to_numpy()
    changed_label = np.where(code % 2 == 0, 1, label).astype(np.int8)
    return table.set_column(
        table.column_names.index(LABEL), table.schema.field(LABEL), pa.array(changed_label, pa.int8())
    )


@pytest.mark.spark
@pytest.mark.parametrize("engine", ["joblib", "apply-in-pandas", "parquet-groups"])
def test_one_group_only(
    runs: Runs, spark: SparkRuntime, tmp_path: Path, devices: PreparedDataset, engine: str
) -> None:
    on_spark = spark if engine != "joblib" else None
    run, table, _ = ran(runs, ridge.WORKLOAD, engine, devices, tmp_path, on_spark, fraction=1 / 64)
    assert table.num_rows == 1 == run.figures["models"]
    assert run.case.rows == 80


@pytest.mark.spark
@pytest.mark.parametrize("engine", ["pandas-loop", "apply-in-pandas", "parquet-groups"])
def test_a_group_that_an_executor_cannot_hold_is_refused_before_the_shuffle(
    runs: Runs, spark: SparkRuntime, tmp_path: Path, engine: str
) -> None:
    """With its key and size; the others are trained, and its rows are not even shuffled."""
    skewed = Devices(rows=4000, devices=4, skew=2.0).prepare(str(tmp_path / "cache"), Here())
    on_spark = spark if engine != "pandas-loop" else None
    memory = 4 * 2**20
    run, table, _ = ran(
        runs, ridge.WORKLOAD, engine, skewed, tmp_path, on_spark, fraction=1, executor_memory_bytes=memory
    )
    (refused,) = [row for row in table.to_pylist() if row["outcome"] == "refused"]
    assert refused["key"] == "device-0000000"
    assert refused["error"].startswith(f"group device-0000000 has {refused['rows'] + refused['holdout_rows']:,} rows")
    assert "more than 25% of an executor's 4 MiB: not shuffled" in refused["error"]
    assert run.figures["models"] == 3
    with pytest.raises(DatasetError, match="No group can be trained: group device-0000000 has"):
        ran(runs, ridge.WORKLOAD, engine, skewed, tmp_path, on_spark, executor_memory_bytes=1000)


def test_models_that_are_no_better_than_means_keep_their_quality(
    runs: Runs, tmp_path: Path, devices: PreparedDataset
) -> None:
    noise = np.random.default_rng(0)
    random = changed(devices, tmp_path / "data", column_changed(LABEL, lambda _, y: noise.normal(size=len(y))))
    _, _, quality = ran(runs, ridge.WORKLOAD, "pandas-loop", random, tmp_path, params=ridge.RidgeParams(alpha=0.0))
    assert quality["group_rmse"] > 0
    assert quality["group_r2"] <= 0


def test_no_group_with_a_model_is_invalid(runs: Runs, tmp_path: Path, devices: PreparedDataset) -> None:
    params = ridge.RidgeParams(most_model_bytes=1)
    with pytest.raises(
        InvalidResult, match="None of the 12 groups has a model; the first says: 48 bytes; at most 1 are"
    ):
        ran(runs, ridge.WORKLOAD, "pandas-loop", devices, tmp_path, params=params)


def obstacle(folder: Path, data: PreparedDataset, workload: str, **params: object) -> str | None:
    """What a plan says of the first engine."""
    words = ", ".join(f'{key} = "{value}"' for key, value in params.items())
    (folder / "mine.toml").write_text(f'[[measure]]\nworkload = "{workload}"\nparams = {{ {words} }}\n')
    first = planned_cases(suite.load(str(folder / "mine.toml")))[0]
    return first.unsupported(
        data, first.workload.pattern.rows(data, first.params, 1, 0), granted(profile.load("local"))
    )


def test_what_no_engine_can_train_is_said_before_anything_runs(
    tmp_path: Path, data: PreparedDataset, devices: PreparedDataset
) -> None:
    name = ridge.WORKLOAD.name
    assert obstacle(tmp_path, data, name, by="tail") == (
        "flights has no grouping 'tail': choose `by` from plane, route"
    )
    plain = data.model_copy(update={"groupings": ()})
    assert "flights has no groups: name the column of a table with --group" in str(obstacle(tmp_path, plain, name))
    assert "no time column" in str(obstacle(tmp_path, data, forecast.WORKLOAD.name))
    assert "no time" not in str(obstacle(tmp_path, devices, forecast.WORKLOAD.name))
    small = Devices(rows=1000, devices=100).prepare(str(tmp_path / "cache"), Here())
    tiny = small.model_copy(update={"groupings": (small.groupings[0].model_copy(update={"min_rows": 10**6}),)})
    assert "each of the 100 groups is too small: the largest has" in str(obstacle(tmp_path, tiny, name))
    assert obstacle(tmp_path, devices, name) is None
    assert obstacle(tmp_path, data, name, by="route") is None
    assert obstacle(tmp_path, data, gradient_boosting.WORKLOAD.name) is None


def own_table(folder: Path) -> Path:
    """Three groups of a user's, one of them without a name."""
    random = np.random.default_rng(0)
    rows = 900
    frame = pd.DataFrame({"x": random.normal(size=rows), "store": np.tile(["north", "south", None], rows // 3)})
    frame["y"] = 2 * frame["x"] + random.normal(size=rows)
    frame.to_parquet(folder / "own.parquet")
    return folder / "own.parquet"


def test_the_users_own_groups_and_rows_without_one(runs: Runs, tmp_path: Path) -> None:
    """Held out within groups, unless asked otherwise; a null key is a group of its own, and said."""
    table = Table(path=str(own_table(tmp_path)), label="y", group="store")
    own = suite.load("per-group").on(table)
    source = own.source("own")
    assert isinstance(source, Table)
    assert source.rule == "random"
    data = source.prepare(str(tmp_path / "cache"), Here())
    assert any("300 rows have no value of the group column 'store'" in text for text in data.profile["warnings"])
    budget = granted(profile.load("local"))
    reasons = {case.workload.name: case.unsupported(data, 600, budget) for case in planned_cases(own)}
    assert (
        reasons.pop(forecast.WORKLOAD.name)
        == "own has no time column, and a forecast needs one: name the table's time column with --time"
    )
    assert set(reasons.values()) == {None}, "the groupings of the suite's own data are not asked for"
    _, found, _ = ran(runs, ridge.WORKLOAD, "pandas-loop", data, tmp_path, params=ridge.RidgeParams(alpha=1.0))
    rows = {row["key"]: row["rows"] + row["holdout_rows"] for row in found.to_pylist()}
    assert rows == {"north": 300, "south": 300, "(missing)": 300}
    whole = table.model_copy(update={"holdout": "group"}).prepare(str(tmp_path / "cache"), Here())
    assert "whole groups of own are held out, so no group's model could be judged" in str(
        obstacle(tmp_path, whole, ridge.WORKLOAD.name)
    )


def test_one_group_of_the_users_own_is_enough_when_rows_are_held_out(tmp_path: Path) -> None:
    frame = pd.read_parquet(own_table(tmp_path)).assign(store="only")
    frame.to_parquet(tmp_path / "single.parquet")
    table = Table(path=str(tmp_path / "single.parquet"), label="y", group="store").within_groups()
    assert table.prepare(str(tmp_path / "cache"), Here()).groupings[0].groups == 1


def _peak(job: Job, planned: Plan, folder: str, answers: "multiprocessing.Queue[int]") -> None:
    """In a process of its own: lays out, then trains every bucket, as tasks would one after the other."""
    make_folder(folder)
    pieces: dict[int, list[object]] = {}
    for number in range(len(planned.shares)):
        for bucket, piece in planned.lay_out(number):
            pieces.setdefault(bucket, []).append(piece)
    for held in pieces.values():
        for code, rows in read_bucket(job, folder, held).groups():  # type: ignore[arg-type]
            assert train_group(job, code, rows, 0).outcome == "ok"
    answers.put(peak_bytes())


def test_a_tasks_memory_does_not_grow_with_the_number_of_groups(
    runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four times the groups, the same peak: shares and buckets are of bounded size. Groups are of 100 rows."""
    from workloads.per_group import groups, layout

    monkeypatch.setattr(layout, "SHARE_BYTES", 4 * 2**20)
    monkeypatch.setattr(groups, "BUCKET_BYTES", 3 * 2**20)
    peaks = []
    for count in (1500, 6000):
        storage = tmp_path / str(count)
        data = Devices(rows=100 * count, devices=count, skew=0.0).prepare(str(storage), Here())
        run = runs(ridge.WORKLOAD, ParquetGroups.made_for(ridge.Ridge), 1, on=data)
        run.storage = str(storage)
        found = case_groups(run)
        job = job_of(run, ridge.Ridge, found.grouping, 1, in_task=False)
        planned = layout.plan(run, job, found, str(storage / "layout"))
        context = multiprocessing.get_context("spawn")
        answers: multiprocessing.Queue[int] = context.Queue()
        process = context.Process(target=_peak, args=(job, planned, str(storage / "layout"), answers))
        process.start()
        peaks.append(answers.get(timeout=120))
        process.join()
    few, many = peaks
    assert many < few + 60 * 2**20, [peak // 2**20 for peak in peaks]


def test_merged_copies_keep_groups_and_times(devices: PreparedDataset) -> None:
    """Or engines would have to open every slice of small data."""
    files = [file for path in devices.train_paths(1, 0) for file in Path(path).glob("*.parquet")]
    assert len(files) == 7
    assert {TIME, "group_device"} <= set(pq.read_schema(files[0]).names)
