"""`sparkscale plan`: what it prints for a store, and what it says to a wrong request."""

import json
from pathlib import Path
from typing import Any

import pytest

from sparkscale.store.store import Store
from tests.analysis.plan.measured import PRICE, ROWS, Measured
from tests.calling import called
from tests.conftest import Call

RECORDS = Path(__file__).parents[1] / "docs" / "results" / "records"
JOB = ("plan", "--workload", "gradient_boosting")
CLOUD = """kind = "external"
master = "yarn"
executors = 8
cores = 4
memory = "8g"

[price]
per_hour = 4.0
currency = "USD"
source = "a test"
date = "2026-11-28"
"""


@pytest.fixture(scope="module")
def boosting(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder with the public records of gradient boosting with five sizes, on two cores."""
    out = tmp_path_factory.mktemp("boosting")
    assert called("import", str(RECORDS / "crossover-boosting.parquet"), "--out", str(out)).returncode == 0
    return str(out)


def filled(folder: Path, **fields: Any) -> str:
    """The folder of a store with made records."""
    with Store.open(folder) as store:
        Measured(**fields).into(store)
    return str(folder)


def test_the_first_line_is_the_answer(sparkscale: Call, boosting: str) -> None:
    done = sparkscale(*JOB, "--rows", "3e6", "--out", boosting)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("• Use xgboost on one node (2 cores) with 1/")
    words = " ".join(done.stdout.split())
    for expected in (
        "of RMSE given up (",
        "All rows take ",
        "Planned: 3,000,000 rows, at most +1.00% given up (the workload's tolerance). From 50 records",
        "Options that meet the wish, the fastest first",
        "10 measured configurations of this workload were predicted without their own runs",
        "Settings to use",
        "OMP_NUM_THREADS=2",
    ):
        assert expected in words


def test_lines_fit_100_columns(sparkscale: Call, boosting: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sparkscale.output.WIDTH", 100)
    done = sparkscale(*JOB, "--rows", "3e6", "--deadline", "1m", "--all", "--out", boosting)
    assert max(map(len, done.stdout.splitlines())) <= 100
    assert "Options that do not, the nearest first" in done.stdout


def test_formats_for_documents_and_programs(sparkscale: Call, boosting: str) -> None:
    asked = (*JOB, "--rows", "1e6", "--out", boosting)
    assert "| engine | where |" in sparkscale(*asked, "--format", "markdown").stdout
    blocks = json.loads(sparkscale(*asked, "--format", "json").stdout)
    assert blocks[0]["kind"] == "answer"
    assert len(blocks[0]["evidence"]) == 25, "the executions of XGBoost"


def test_settings_for_spark_are_those_of_a_session(sparkscale: Call, tmp_path: Path) -> None:
    out = filled(tmp_path, cores=(1, 2, 4, 8), engines=("mllib",), price=PRICE)
    done = sparkscale(*JOB, "--rows", "64000", "--deadline", "4.5s", "--out", out)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("• Use mllib on 8 executors of 1 core, cluster c8 with all rows (64,000): ")
    assert "spark-submit \\\n" in done.stdout
    for line in (
        "--conf spark.executor.instances=8",
        "--conf spark.executor.cores=1",
        "--conf spark.executor.memory=8192m",
        "--conf spark.task.cpus=1",
        "--conf spark.sql.shuffle.partitions=8",
        "--conf spark.dynamicAllocation.enabled=false",
    ):
        assert line in done.stdout
    assert "secret" not in done.stdout


def test_an_offered_profile_is_planned_with_its_price_and_executors(sparkscale: Call, tmp_path: Path) -> None:
    (tmp_path / "cloud.toml").write_text(CLOUD)
    out = filled(tmp_path / "out", cores=(2, 4, 8, 16), engines=("mllib",), kind="external")
    offered = ("--cluster", str(tmp_path / "cloud.toml"), "--executors", "1,2,4")
    done = sparkscale(*JOB, "--rows", str(ROWS), "--deadline", "3.2s", "--budget", "1", *offered, "--out", out)
    assert done.returncode == 0, done.stderr
    assert "Use mllib on 4 executors of 4 cores, cluster cloud with all rows" in " ".join(done.stdout.split())
    assert "the cheapest first" in done.stdout
    assert "--conf spark.executor.instances=4" in done.stdout
    assert "--conf spark.executor.memory=4915m" in done.stdout, "0.6 of 8 GiB"
    assert "--conf spark.executor.memoryOverhead=3276m" in done.stdout
    assert "Fewer executors than those of the profile cost in proportion." in done.stdout


def test_nothing_that_fits_shows_the_nearest(sparkscale: Call, boosting: str) -> None:
    done = sparkscale(*JOB, "--rows", "3e6", "--deadline", "0.2s", "--max-loss", "0.0001", "--out", boosting)
    assert done.returncode == 0
    assert done.stdout.startswith("• Nothing meets the wish. The nearest is xgboost on one node (2 cores) with 1/")
    assert "Settings to use" not in done.stdout


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--rows", "0"], "--rows 0 is impossible: plan for 1 or more."),
        (["--rows", "-5"], "--rows: '-5' is no number of rows: write 1e6, 10_000_000 or 100M."),
        (["--rows", "many"], "--rows: 'many' is no number of rows"),
        (["--rows", "1e6", "--columns", "0"], "--columns 0 is impossible"),
        (["--rows", "1e6", "--deadline", "soon"], "--deadline soon is no duration: write it like 90s, 20m or 1h30m."),
        (["--rows", "1e6", "--deadline", "0.01s"], "--deadline 0.01 s is shorter than what even a tiny sample takes"),
        (["--rows", "1e6", "--max-loss", "-1"], "--max-loss -1 is impossible"),
        (["--rows", "1e6", "--budget", "0"], "--budget 0 is impossible"),
        (
            ["--rows", "1e6", "--budget", "5"],
            "--budget needs a price: add [price] with per_hour, currency, source an",
        ),
        (["--rows", "1e6", "--executors", "0,2"], "--executors 0,2 is no list of numbers of 1 or more"),
        (["--rows", "1e6", "--executors", "two"], "--executors two is no list of numbers of 1 or more"),
        (["--rows", "1e6", "--cluster", "mars"], "Unknown cluster 'mars': choose from "),
        (["--rows", "1e6", "--data", "flights"], "has no records of gradient_boosting on this data set"),
        (["--rows", "1e6", "--label", "x"], "--label needs --data."),
    ],
)
def test_a_wrong_request_is_one_sentence(
    sparkscale: Call, boosting: str, arguments: list[str], expected: str
) -> None:
    done = sparkscale(*JOB, *arguments, "--out", boosting)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("Error: ")
    assert expected in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("archive", "workload", "expected"),
    [
        (
            "crossover-boosting",
            "pca",
            "has no records of pca: it has data_parallel.gradient_boosting. Measure it with",
        ),
        ("data-parallel", "pca", "Every engine of data_parallel.pca was measured with one size only (265,960 rows)"),
        ("tuning", "tuning.gradient_boosting", "cannot be planned: only data-parallel training can."),
    ],
)
def test_records_that_cannot_answer_are_one_sentence(
    sparkscale: Call, tmp_path: Path, archive: str, workload: str, expected: str
) -> None:
    assert sparkscale("import", str(RECORDS / f"{archive}.parquet"), "--out", str(tmp_path)).returncode == 0
    done = sparkscale("plan", "--workload", workload, "--rows", "1e6", "--out", str(tmp_path))
    assert (done.returncode, done.stdout) == (2, "")
    assert expected in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_an_empty_folder_says_what_to_do(sparkscale: Call, tmp_path: Path) -> None:
    done = sparkscale(*JOB, "--rows", "1e6", "--out", str(tmp_path))
    assert done.returncode == 2
    assert "measure some with `sparkscale run`" in done.stderr


def test_emulated_hosts_cannot_be_planned_for(sparkscale: Call) -> None:
    done = sparkscale("plan", "--workload", "gradient_boosting", "--rows", "1e6", "--cluster", "emulated-2x1")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("Error: Cluster 'emulated-2x1' has emulated hosts, and a plan is for real ones")
