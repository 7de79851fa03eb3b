"""Data sets from the command line: prepared, listed, described, removed, and measured by every engine."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import numpy as np
import pandas as pd
import psutil
import pytest

from cluster.profile import cache_folder, load
from sparkscale.measure.run import data
from sparkscale.store.store import Store
from tests.builders import frame
from tests.measure.observing import records
from workloads.datasets.devices import Devices
from workloads.datasets.tabular import Classification, Regression
from workloads.libraries.tasks import Here

Call = Callable[..., "CompletedProcess[str]"]

SUITE = """
rounds = 1
[dataset.classes]
path = "t.parquet"
label = "label"
[dataset.mine]
path = "t.parquet"
label = "target"
group = "device"
[[measure]]
workload = "data_parallel.gradient_boosting"
engines = ["xgboost", "xgboost-external-memory", "xgboost-spark", "mllib"]
datasets = ["classes", "mine"]
params = { trees = 5, learning_rate = 0.3 }
[[measure]]
workload = "data_parallel.logistic_regression"
engines = ["sklearn", "sgd", "mllib"]
datasets = ["classes", "mine"]
"""
TREES = {"xgboost", "xgboost-external-memory", "xgboost-spark", "mllib"}


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("user") / "table.parquet"
    frame(3000).to_parquet(path)
    return path


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
@pytest.mark.spark
@pytest.mark.usefixtures("one_pass")
def test_a_table_is_measured_by_every_way_of_reading_it(sparkscale: Call, table: Path, tmp_path: Path) -> None:
    """As a classification and as a regression, with a group; its path is relative to the suite's file."""
    (tmp_path / "t.parquet").write_bytes(table.read_bytes())
    (tmp_path / "s.toml").write_text(SUITE)
    done = sparkscale("run", "--suite", str(tmp_path / "s.toml"), "--out", str(tmp_path / "out"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "The hold-out is random, but 'when' is a time" in done.stderr
    measured = records(tmp_path / "out")
    classes, regression = (
        [record for record in measured if record.case.dataset == dataset] for dataset in ("classes", "mine")
    )
    assert {record.case.engine for record in classes} == TREES | {"sklearn", "sgd"}
    assert len(classes) == 7
    assert {record.outcome for record in classes} == {"ok"}
    assert all(record.quality["auc"] > 0.7 for record in classes)
    (description,) = {record.data for record in classes}
    with Store.existing(tmp_path / "out") as store:
        profile = store.description(str(description)).content["profile"]
    assert profile["rows"] == 3000
    assert profile["label"]["positive"] == "yes"
    boosted = [record for record in regression if "boosting" in record.case.workload]
    assert {record.case.engine for record in boosted} == TREES
    assert {record.outcome for record in boosted} == {"ok"}
    assert all(record.quality["r2"] > 0.5 for record in boosted)
    linear = [record for record in regression if "logistic" in record.case.workload]
    assert len(linear) == 3
    assert {record.outcome for record in linear} == {"unsupported"}
    assert all(record.error and "does not support regression" in record.error.message for record in linear)
    assert "RMSE" in done.stdout
    assert "does not support regression" in done.stdout


POOR_AND_GOOD = """
rounds = 1
[dataset.trend]
path = "sales.parquet"
label = "sales"
time = "when"
features = ["age", "size"]
[dataset.turned]
path = "sales.parquet"
label = "sold"
time = "when"
features = ["size"]
[[measure]]
workload = "data_parallel.gradient_boosting"
engines = ["xgboost"]
datasets = ["trend", "turned"]
params = { trees = 20, learning_rate = 0.3 }
"""


def test_a_poor_model_is_measured_and_has_a_warning_and_a_good_one_of_a_trend_has_none(
    sparkscale: Call, tmp_path: Path
) -> None:
    """Both were `invalid`, without time and score: the one for its AUC, the other for its R²."""
    generator = np.random.default_rng(0)
    day = np.arange(3000) // 10
    table = pd.DataFrame(
        {
            "when": pd.Timestamp("2024-01-01") + pd.to_timedelta(day, unit="D"),
            "age": day + generator.random(len(day)),
            "size": generator.normal(size=len(day)),
            "sales": 0.5 * day + generator.normal(size=len(day)),
        }
    )
    # The last fifth of the days turns round what the others teach.
    table["sold"] = (table["size"] > 0) == (day < 240)
    table.to_parquet(tmp_path / "sales.parquet")
    (tmp_path / "s.toml").write_text(POOR_AND_GOOD)
    done = sparkscale("run", "--suite", str(tmp_path / "s.toml"), "--out", str(tmp_path / "out"))
    assert done.returncode == 0, done.stdout + done.stderr
    found = {record.case.dataset: record for record in records(tmp_path / "out")}
    good, poor = found["trend"], found["turned"]
    assert good.outcome == "ok"
    assert good.quality["r2"] < 0 < good.quality["skill"]
    assert poor.outcome == "ok"
    assert poor.seconds["fit"] > 0
    assert f"xgboost, 1: AUC {poor.quality['auc']:.3f} is no better than a constant prediction." in done.stdout
    assert done.stdout.count("no better than") == 1, "only the poor model has the warning"


RARE_CLASS = """
rounds = 1
[[measure]]
workload = "data_parallel.gradient_boosting"
engines = ["xgboost", "sklearn"]
fractions = ["1/64", "1/4", "1"]
params = { trees = 50, min_child_weight = 0.01 }
[[measure]]
workload = "data_parallel.gradient_boosting"
engines = ["xgboost"]
fractions = ["1/64"]
params = { trees = 50, min_child_weight = 0.01 }
isolate = true
"""


def test_a_sample_of_one_class_fails_with_that_reason_and_the_others_go_on(sparkscale: Call, tmp_path: Path) -> None:
    """10,000 rows of which 30 are positive: the smallest sample has none, and every case failed for it.

    After a warm-up without both classes the next sample is tried. It erases nothing.
    """
    rare = frame(10_000)
    rare["label"] = np.where(rare["a.b `c`"].rank(ascending=False) <= 30, "yes", "no")
    rare.to_parquet(tmp_path / "rare.parquet")
    (tmp_path / "s.toml").write_text(RARE_CLASS)
    arguments = ["--suite", str(tmp_path / "s.toml"), "--data", str(tmp_path / "rare.parquet"), "--label", "label"]
    done = sparkscale("run", *arguments, "--fixed-seeds", "--out", str(tmp_path))
    assert done.returncode == 1, done.stdout + done.stderr
    with Store.existing(tmp_path) as store:
        found = store.records()
    by_id = {record.id: record for record in found}
    warmups = [record for record in found if record.is_warmup]
    measured = [record for record in found if not record.is_warmup and not record.isolated]
    assert len(measured) == 6
    (alone,) = [record for record in found if record.isolated]
    small = [record for record in measured if record.case.fraction == 1 / 64]
    assert {record.case.engine for record in small} == {"xgboost", "sklearn"}
    for failed in (alone, *small):
        assert failed.outcome == "failed"
        assert failed.error is not None
        assert failed.error.message.startswith("The sample's 1"), "it has its own reason, and not its warm-up's"
        assert "rows are all of class 0: measure a larger" in failed.error.message
    for engine in ("xgboost", "sklearn"):
        tried = [record for record in warmups if record.case.engine == engine]
        assert [record.case.fraction for record in tried] == [2.0 ** (j - 6) for j in range(len(tried))]
        assert {record.outcome for record in tried[:-1]} == {"failed"}, "the fault was not caused"
        assert all(record.error and "rows are all of class 0" in record.error.message for record in tried[:-1])
        assert tried[-1].outcome in ("ok", "invalid")
        mine = {record.case.fraction: record for record in measured if record.case.engine == engine}
        assert mine[1.0].outcome == "ok", done.stdout + done.stderr
        assert [by_id[warmup] for warmup in mine[1.0].warmed_by] == tried[-1:]
    assert "In its warm-up" not in done.stdout + done.stderr
    assert "on rare" in done.stdout
    again = sparkscale("run", "--suite", str(tmp_path / "s.toml"), "--out", str(tmp_path), "--resume")
    assert again.returncode == 1, again.stderr
    assert f"begun with --data {tmp_path / 'rare.parquet'}: 7 executions have a record" in again.stderr
    with Store.existing(tmp_path) as store:
        assert store.invocation().data is not None
        assert len(store.records()) == len(found)


# Further faults of tables, of places and of synthetic data: tests/workloads/test_table.py and test_synthetic.py.
BAD = [
    (["--data", "{table}"], "Name the column of {table} to predict with --label: it has Amount"),
    (["--data", "{table}", "--label", "nope"], "has no column 'nope', which --label names"),
    (["--data", "{table}", "--label", "label", "--group", "code"], "has 3,000 groups in 3,000 rows"),
    (["--data", "{table}", "--label", "label", "--holdout", "time"], "--holdout time needs --time COLUMN"),
    (["--data", "{table}", "--label", "label", "--rows", "5"], "has no setting 'rows': it has label, group, time"),
    (["--data", "flights", "--rows", "5"], "has no setting 'rows': it is fixed"),
    (["--data", "flihgts"], "Unknown data set 'flihgts': choose from flights, classification"),
    (
        ["--data", "classification", "--rows", "many"],
        "rows: 'many' is no number of rows: write 1e6, 10_000_000 or 100M",
    ),
    (["--data", "classification", "--rows", "10"], "greater than or equal to 1000"),
    (["--label", "y"], "--label needs --data"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD)
def test_a_wrong_data_set_is_one_sentence_and_leaves_nothing(
    sparkscale: Call, table: Path, tmp_path: Path, arguments: list[str], message: str
) -> None:
    before = files(cache_folder())
    done = sparkscale("run", "--out", str(tmp_path / "out"), *(text.format(table=table) for text in arguments))
    assert done.returncode == 2, done.stderr
    lines = [line for line in done.stderr.splitlines() if not line.startswith(("starting", "preparing"))]
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("Error: ")
    assert message.format(table=table) in lines[0]
    assert not (tmp_path / "out").exists()
    assert {path for path in files(cache_folder()) - before if ".hashes" not in path} == set()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["prepare", "classification", "--set", "colour=red"],
            "has no setting 'colour': it has rows, features, seed",
        ),
        (["prepare", "classification", "--set", "balance"], "--set balance is not KEY=VALUE"),
        (
            ["prepare", "classification", "--set", "features=1"],
            "features: Input should be greater than or equal to 2",
        ),
        (["prepare", "classification", "--set", "balance=0.01"], "balance must lie between"),
        (["prepare", "classification", "--cluster", "moon"], "Unknown cluster 'moon'"),
        (["describe", "moons"], "No data set 'moons' in"),
        (["remove", "moons"], "No data set 'moons' in"),
    ],
)
def test_a_wrong_data_command_is_one_sentence(sparkscale: Call, arguments: list[str], message: str) -> None:
    done = sparkscale("data", *arguments, *(["--no-spark"] if arguments[0] == "prepare" else []))
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_prepare_list_describe_remove(sparkscale: Call, tmp_path: Path) -> None:
    cache = {"XDG_CACHE_HOME": tmp_path}
    assert "Nothing is cached" in sparkscale("data", "list", env=cache).stdout
    storage = str(tmp_path / "sparkscale")
    prepare = ["data", "prepare", "--no-spark"]
    first = sparkscale(*prepare, "classification", "--rows", "20_000", "--set", "features=8", env=cache)
    assert first.returncode == 0, first.stderr
    assert "of 1 parts" in first.stderr
    again = sparkscale(*prepare, "classification", "--rows", "2e4", "--set", "features=8", "--tasks", "3", env=cache)
    assert _hash(first.stdout) == _hash(again.stdout)
    for another in (Devices(rows="30k"), Classification(rows="20k")):
        another.prepare(storage, Here())
    listed = sparkscale("data", "list", env=cache).stdout
    assert listed.count("classification-20k-") == 2
    assert "devices-30k-" in listed
    assert "merged" not in listed
    described = sparkscale("data", "describe", "devices", env=cache).stdout
    assert "groups by device" in described
    assert "1,000, of" in described
    several = sparkscale("data", "remove", "classification", env=cache)
    assert several.returncode == 2
    assert "is 2 data sets: name one of" in several.stderr
    one = sparkscale("data", "remove", "devices-30k", env=cache)
    assert one.returncode == 0
    assert "Removed devices-30k-" in one.stdout
    assert sparkscale("data", "remove", "classification", "--all", env=cache).returncode == 0
    left = [path for path in (tmp_path / "sparkscale" / "datasets").iterdir() if path.name != ".hashes"]
    assert left == []


def test_options_say_how_a_table_is_read(sparkscale: Call, table: Path, tmp_path: Path) -> None:
    cache = {"XDG_CACHE_HOME": tmp_path}
    options = ("--group", "device", "--time", "when", "--holdout", "group", "--features", "City,device")
    named = ("--label", "whole", "--task", "regression")
    done = sparkscale("data", "prepare", str(table), "--no-spark", *options, *named, env=cache)
    assert done.returncode == 0, done.stderr
    where = load("local").model_copy(update={"storage": str(tmp_path / "sparkscale")})
    (made,) = [entry.data for entry in data.cached(where) if entry.data]
    assert (made.task, made.holdout, made.profile["label"]["name"]) == ("regression", "group", "whole")
    assert [column.source for column in made.columns] == ["City", "device"]
    assert len(made.groupings) == 1
    assert (made.definition["group"], made.definition["time"]) == ("device", "when")


def test_a_uri_is_taken_as_it_is_and_a_path_from_the_working_directory() -> None:
    paths = {place: data.source_of(place, {"label": "y"}) for place in ("ftp://h/t.parquet", "here/t.parquet")}
    assert {place: getattr(source, "path", None) for place, source in paths.items()} == {
        "ftp://h/t.parquet": "ftp://h/t.parquet",
        "here/t.parquet": str(Path.cwd() / "here" / "t.parquet"),
    }


def _hash(text: str) -> str:
    (found,) = re.findall(r"content hash\s*│ ([0-9a-f]{16})", text)
    return str(found)


def test_damage_is_said_and_mended(sparkscale: Call, tmp_path: Path) -> None:
    cache = {"XDG_CACHE_HOME": tmp_path}
    prepare = ["data", "prepare", "regression", "--rows", "2000", "--no-spark"]
    Regression(rows=2000).prepare(str(tmp_path / "sparkscale"), Here())
    (victim,) = (tmp_path / "sparkscale" / "datasets").glob("regression-2k-*/train/slice-07/part-00000.parquet")
    whole = victim.read_bytes()
    victim.write_bytes(whole[: len(whole) // 2])
    done = sparkscale(*prepare, env=cache)
    assert done.returncode == 0
    assert "is damaged (train/slice-07/part-00000.parquet): it is prepared again" in done.stderr
    assert victim.read_bytes() == whole


def test_a_kill_in_the_middle_of_writing_leaves_nothing_that_looks_valid(sparkscale: Call, tmp_path: Path) -> None:
    cache: dict[str, Any] = {"XDG_CACHE_HOME": str(tmp_path)}
    command = [sys.executable, "-m", "sparkscale", "data", "prepare", "classification", "--rows", "8M", "--no-spark"]
    store = tmp_path / "sparkscale" / "datasets"
    with subprocess.Popen(
        command, env={**os.environ, **cache}, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        deadline = time.monotonic() + 120
        while not list(store.glob("classification-8M-*/train/*/*.parquet")):
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    assert _gone(cache["XDG_CACHE_HOME"])
    (left,) = store.glob("classification-8M-*")
    assert not (left / "manifest.json").exists()
    listed = sparkscale("data", "list", env=cache).stdout
    assert "half-written" in listed
    removed = sparkscale("data", "remove", left.name, env=cache)
    assert removed.returncode == 0, removed.stderr
    assert not left.exists()


def _gone(cache: str) -> bool:
    """Whether no process of a killed command is left, in a little while."""
    for _ in range(100):
        if not any(_environment(process).get("XDG_CACHE_HOME") == cache for process in psutil.process_iter()):
            return True
        time.sleep(0.1)
    return False


def _environment(process: psutil.Process) -> dict[str, str]:
    try:
        return dict(process.environ())
    except psutil.Error:
        return {}


def test_a_measuring_worker_carries_no_weight_of_preparing() -> None:
    """They would stand in the peak memory of every node engine."""
    code = "import sys, sparkscale.measure.worker.worker; print({'pandas', 'pyarrow.dataset'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "set()\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[dataset.a]\npath = "t.parquet"\n', r"dataset.a.table.label.*Field required"),
        ('[dataset.a]\nkind = "moons"\n', "dataset.a"),
        ('[dataset.a]\nkind = "classification"\nrows = "x"\n', "no number of rows"),
        ('[dataset.a]\nkind = "classification"\nrow = 5\n', "Extra inputs are not permitted"),
    ],
)
def test_a_wrong_data_set_in_a_suite_is_named(sparkscale: Call, tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "s.toml").write_text(f'{text}[[measure]]\nworkload = "data_parallel.gradient_boosting"\n')
    done = sparkscale("run", "--suite", str(tmp_path / "s.toml"), "--out", str(tmp_path / "out"))
    assert done.returncode == 2
    assert re.search(message, done.stderr), done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


RARE = """
rounds = 1
[[measure]]
workload = "inference.boosting"
engines = ["single-process"]
fractions = ["1/64"]
params = { train_fraction = 0.015625 }

[[measure]]
workload = "inference.boosting"
engines = ["single-process"]
fractions = ["1/64"]
params = { train_fraction = 1.0, model = { trees = 2 } }
"""


def test_a_model_that_cannot_be_made_costs_its_own_cases_only(sparkscale: Call, tmp_path: Path) -> None:
    """Of eight rows of the rarer class none is in a sample of 250, on which a model is to be trained."""
    rows = np.arange(20_000)
    values = np.random.default_rng(0).normal(size=(len(rows), 2))
    table = pd.DataFrame({"x": values[:, 0], "y": values[:, 1], "clicked": (rows < 8).astype(int)})
    table.to_parquet(tmp_path / "rare.parquet")
    (tmp_path / "s.toml").write_text(RARE)
    arguments = ["--data", str(tmp_path / "rare.parquet"), "--label", "clicked", "--out", str(tmp_path / "out")]
    done = sparkscale("run", "--suite", str(tmp_path / "s.toml"), *arguments)
    assert done.returncode == 1, done.stderr
    found = {record.case.params["train_fraction"]: record for record in records(tmp_path / "out")}
    assert {fraction: record.outcome for fraction, record in found.items()} == {1 / 64: "failed", 1.0: "ok"}
    error = found[1 / 64].error
    assert error is not None
    assert "The model could not be made: The sample's " in error.message
    assert " rows are all of class 0: measure a larger fraction." in error.message
