"""Workloads, data sets and profiles of a package outside of the repository."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from sparkscale.store.store import Store
from tests import outside
from tests.conftest import Call

REPOSITORY = Path(__file__).parents[1]


def status() -> str:
    done = subprocess.run(
        ["git", "status", "--porcelain"], cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=60
    )
    return done.stdout


def with_package(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Runs the command line in a process that finds the package in this folder."""
    return run(folder, "-m", "sparkscale", *arguments)


def run(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Runs Python where it finds the package in this folder."""
    return subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(REPOSITORY)])},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package, and with the records of its suite."""
    found = tmp_path_factory.mktemp("outside")
    before = status()
    done = with_package(found, "run", "--suite", str(outside.installed(found)), "--out", str(found / "out"))
    assert done.returncode == 0, done.stderr
    assert status() == before
    return found


@pytest.fixture(scope="module")
def shown(folder: Path) -> str:
    """What `show` prints of its records where it is installed."""
    done = with_package(folder, "show", "--out", str(folder / "out"))
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_workload_of_another_package_is_measured_and_shown(shown: str) -> None:
    for words in (
        "data_parallel.median on ramp, cluster local, cpu",
        "mean absolute error on the hold-out",
        "median: Yes. For numpy, 1/64 of the rows is enough, for the 2 samples drawn here.",
        "numpy differs: looks at no feature.",
    ):
        assert words in shown.replace("\n", " "), shown


LISTS = """
import sys
from sparkscale.cli.main import main
for topic in sys.argv[1:]:
    print("topic", topic, flush=True)
    sys.argv = ["sparkscale", "list", topic]
    try:
        main()
    except SystemExit as end:
        assert not end.code
"""


def test_its_workload_data_set_and_profile_are_listed(folder: Path) -> None:
    listed = {
        "workloads": "data_parallel.median",
        "datasets": "ramp",
        "clusters": "one-core",
        "metrics": "absolute_error",
    }
    done = run(folder, "-c", LISTS, *listed)
    assert done.returncode == 0, done.stderr
    lists = dict(text.split("\n", 1) for text in done.stdout.split("topic ")[1:])
    assert {topic: name in lists[topic] for topic, name in listed.items()} == dict.fromkeys(listed, True)
    assert "0.05 NOK per hour (ours, 2026-11-28)" in lists["clusters"]


def test_its_records_are_read_where_the_package_is_not_installed(folder: Path, shown: str) -> None:
    here = subprocess.run(
        [sys.executable, "-m", "sparkscale", "show", "--out", str(folder / "out")],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert here.returncode == 0, here.stderr
    assert here.stdout == shown


def test_a_record_of_an_engine_that_no_longer_exists_is_shown(folder: Path, tmp_path: Path, sparkscale: Call) -> None:
    """Neither its workload nor its engine is known to any installed package."""
    out = tmp_path / "out"
    shutil.copytree(folder / "out", out)
    with closing(sqlite3.connect(out / "records.sqlite")) as connection, connection:
        for table in ("records", "descriptions"):
            rows = connection.execute(f"SELECT rowid, content FROM {table}").fetchall()
            for row, content in rows:
                changed = content.replace('"numpy"', '"gone"').replace("data_parallel.median", "data_parallel.past")
                connection.execute(f"UPDATE {table} SET content = ? WHERE rowid = ?", (changed, row))
    done = sparkscale("show", "--out", str(out), "--format", "json")
    assert done.returncode == 0, done.stderr
    blocks = json.loads(done.stdout)
    assert any(
        block["text"].startswith("data_parallel.past on ramp") for block in blocks if block["kind"] == "heading"
    )
    (costs,) = [block for block in blocks if block.get("title") == "Cost and quality of each engine"]
    assert {row[0] for row in costs["rows"]} == {"gone"}
    assert all(row[3]["median"] > 0 for row in costs["rows"])


@pytest.mark.slow
@pytest.mark.spark
def test_its_code_reaches_executors_that_have_not_seen_it(folder: Path) -> None:
    """A daemon's Python has no PYTHONPATH: the function of a task comes with the session."""
    suite = folder / "spark.toml"
    suite.write_text(outside.SUITE.replace('"numpy"', '"spark-median"'))
    where = ("--cluster", "standalone-1x1", "--out", str(folder / "spark"))
    done = with_package(folder, "run", "--suite", str(suite), "--rounds", "1", *where)
    assert done.returncode == 0, done.stderr
    records = json.loads(with_package(folder, "export", "--out", str(folder / "spark")).stdout)
    measured = [record for record in records if record["temperature"] == "warm"]
    assert [record["outcome"] for record in measured] == ["ok", "ok"]
    assert all(abs(record["quality"]["absolute_error"]) < 5 for record in measured)
    (described,) = {record["software"] for record in records}
    with Store.existing(folder / "spark") as store:
        assert store.description(described).content["packages"]["somebody"] == "1.0"


def test_a_package_that_cannot_be_loaded_is_named(tmp_path: Path) -> None:
    outside.installed(tmp_path)
    (tmp_path / "somebody" / "median.py").write_text("import nothing_of_this_name\n")
    done = with_package(tmp_path, "list", "workloads")
    assert done.returncode == 2
    assert done.stderr.startswith(
        "Error: The package somebody adds 'median' to sparkscale.workloads, but somebody.median:WORKLOAD cannot be "
        "loaded: ModuleNotFoundError"
    )
