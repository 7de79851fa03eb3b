"""The command line: what it says, and that a wrong request writes nothing."""

import re
from pathlib import Path

import pytest

from cluster import gpu
from sparkscale import __version__
from sparkscale.store.store import Store
from tests.conftest import Call

BAD_REQUESTS = [
    (["--suite", "quik"], "Unknown suite 'quik': choose from asv, capacity, ceiling, cost, crossover, "),
    (["--suite", "{folder}/broken.toml"], "broken.toml is no valid TOML"),
    (["--suite", "{folder}/engine.toml"], "line 3: unknown engine 'xgbost': choose from *, sklearn, xgboost"),
    (["--suite", "{folder}/workload.toml"], "line 2: unknown workload 'boosting': choose from data_parallel."),
    (["--suite", "{folder}/fraction.toml"], "line 3: unknown fraction '1/5': choose from 1, 1/2"),
    (["--filter", "motor=x"], "Unknown filter key 'motor': choose from workload, engine"),
    (["--filter", "engine=xgbost"], "this suite has mllib, sklearn, sklearn-driver, xgboost, xgboost-spark"),
    (["--filter", "fraction=1/5"], "this suite has 1, 1/16, 1/4, 1/64"),
    (["--filter", "workload=logistic_regression,engine=xgboost"], "matches none of the suite's"),
    (["--resume"], "measure some with `sparkscale run`"),
]

BLOCK = '[[measure]]\nworkload = "data_parallel.gradient_boosting"\n'


@pytest.mark.parametrize(("arguments", "expected"), BAD_REQUESTS)
def test_a_wrong_request_is_one_sentence_and_writes_nothing(
    sparkscale: Call, tmp_path: Path, arguments: list[str], expected: str
) -> None:
    (tmp_path / "broken.toml").write_text("rounds = [\n")
    (tmp_path / "engine.toml").write_text(f'{BLOCK}engines = ["xgbost"]\n')
    (tmp_path / "workload.toml").write_text('[[measure]]\nworkload = "boosting"\n')
    (tmp_path / "fraction.toml").write_text(f'{BLOCK}fractions = ["1/5"]\n')
    before = sorted(tmp_path.iterdir())
    out = tmp_path / "out"
    done = sparkscale("run", "--out", str(out), *(text.format(folder=tmp_path) for text in arguments))
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("Error: ")
    assert len(done.stderr.strip().splitlines()) == 1
    assert expected in done.stderr
    assert sorted(tmp_path.iterdir()) == before


def test_a_process_says_the_same_and_exits_with_2(command: Call, tmp_path: Path) -> None:
    """The tests above run the command line in their own process."""
    done = command("run", "--suite", "quik", "--out", str(tmp_path / "out"))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("Error: Unknown suite 'quik': choose from asv, ")
    assert len(done.stderr.strip().splitlines()) == 1


def test_an_output_directory_that_cannot_be_written_is_refused(sparkscale: Call, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    for out in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/sparkscale")):
        done = sparkscale("run", "--out", str(out))
        assert done.returncode == 2
        assert re.match(rf"Error: The output directory {out} cannot be written \(.+\): choose another", done.stderr)
        assert len(done.stderr.strip().splitlines()) == 1
    assert (tmp_path / "file").read_text() == "in the way"


@pytest.mark.parametrize(
    "arguments", [["run", "--rounds", "0"], ["run", "--seed", "-1"], ["list", "moons"], ["walk"]]
)
def test_a_wrong_option_exits_with_2(sparkscale: Call, arguments: list[str]) -> None:
    assert sparkscale(*arguments).returncode == 2


@pytest.mark.parametrize("command", ["show", "export"])
def test_reading_where_nothing_was_measured_says_what_to_do(sparkscale: Call, tmp_path: Path, command: str) -> None:
    done = sparkscale(command, "--out", str(tmp_path / "none"))
    assert done.returncode == 2
    assert "measure some with `sparkscale run`" in done.stderr
    assert not (tmp_path / "none").exists()


def test_measurements_of_others_are_imported_shown_and_exported(sparkscale: Call, tmp_path: Path) -> None:
    path, out = tmp_path / "others.csv", ["--out", str(tmp_path / "out")]
    path.write_text("engine,rows,seconds,cores,auc\nmllib,100,9,320,0.7\nsklearn,100,3,,\nsklearn,200,,,\n")
    done = sparkscale("import", str(path), *out)
    assert (done.returncode, done.stdout) == (0, "")
    imported, skipped, how_to_show = done.stderr.splitlines()
    assert imported == f"Imported 2 measurements into {tmp_path / 'out'}."
    assert skipped == "1 row has neither seconds nor an outcome, and was left out."
    assert how_to_show.startswith("Show it with `sparkscale show --run ")
    shown = sparkscale("show", "--suite", "others.csv", *out)
    assert "320 cores" in shown.stdout
    assert "cores not stated" in shown.stdout
    exported = sparkscale("export", "--format", "csv", *out).stdout.strip().splitlines()
    assert len(exported) == 3
    assert "case.cluster" in exported[0]


def test_a_fault_in_measurements_of_others_is_one_sentence(sparkscale: Call, tmp_path: Path) -> None:
    path = tmp_path / "others.CSV"
    path.write_text("engine,rows,seconds\nmllib,100,9\nmllib,200,soon\n")
    done = sparkscale("import", str(path), "--out", str(tmp_path / "out"))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"Error: {path}, line 3: seconds 'soon' is no number")
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_debug_shows_the_traceback(command: Call) -> None:
    done = command("--debug", "run", "--suite", "quik")
    assert done.returncode != 0
    assert "Traceback" in done.stderr
    assert "ConfigError" in done.stderr


def test_version_and_help(sparkscale: Call) -> None:
    assert sparkscale("--version").stdout == f"sparkscale {__version__}\n"
    for command in ([], ["run"], ["list"], ["show"], ["export"]):
        done = sparkscale(*command, "--help")
        assert done.returncode == 0
        assert "Usage" in done.stdout
    assert "Examples" in sparkscale("run", "--help").stdout


def test_help_imports_nothing_heavy(command: Call) -> None:
    done = command("--help", env={"PYTHONPROFILEIMPORTTIME": "1"})
    heavy = {"pyspark", "torch", "xgboost", "sklearn", "pandas", "pyarrow", "numpy", "sqlalchemy", "scipy"}
    imported = {line.rsplit("|", 1)[-1].strip().split(".")[0] for line in done.stderr.splitlines()}
    assert "typer" in imported
    assert not imported & heavy


@pytest.mark.parametrize(
    ("topic", "expected"),
    [
        ("suites", ["quick", "standard", "gpu"]),
        ("workloads", ["data_parallel.gradient_boosting", "data_parallel.logistic_regression"]),
        ("engines", ["sklearn", "xgboost", "xgboost-spark", "mllib", "sklearn-driver"]),
        ("datasets", ["flights"]),
        ("clusters", ["local", "standalone-1x1", "standalone-2x1", "connect"]),
        (
            "metrics",
            ["time_to_model", "seconds_fit", "seconds_per_million_rows", "peak_memory", "auc_loss", "log_loss"],
        ),
    ],
)
def test_list_names_what_there_is(sparkscale: Call, topic: str, expected: list[str]) -> None:
    done = sparkscale("list", topic)
    assert done.returncode == 0, done.stderr
    for name in expected:
        assert name in done.stdout


def test_the_matrix_shows_what_runs_where(sparkscale: Call) -> None:
    done = sparkscale("list", "engines", "--matrix")
    assert done.returncode == 0, done.stderr
    cells = {
        tuple(words[:2]): words[2:]
        for words in ([word.strip() for word in line.strip("│").split("│")] for line in done.stdout.splitlines())
        if words[0].startswith("data_parallel")
    }
    boosting = "data_parallel.gradient_boosting"
    both = "cpu, gpu"
    assert cells[boosting, "xgboost-spark"] == [both, both, "–"]
    assert cells[boosting, "xgboost"] == [both] * 3
    assert cells[boosting, "mllib"] == ["cpu"] * 3
    assert "xgboost-spark needs a SparkContext, which a session of kind 'connect' does not have" in done.stdout
    assert sparkscale("list", "suites", "--matrix").returncode == 2


def test_without_a_gpu_its_cases_are_unsupported_and_say_why(sparkscale: Call, tmp_path: Path) -> None:
    found = gpu.discover()
    if found.devices:
        pytest.skip("this host has a GPU")
    few = ("--data", "classification", "--rows", "2000", "--rounds", "1")
    done = sparkscale("run", "--suite", "gpu", "--filter", "device=gpu", *few, "--out", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    with Store.existing(tmp_path / "out") as store:
        records = store.records()
    assert {"xgboost", "xgboost-spark", "cuml", "torch"} <= {record.case.engine for record in records}
    assert {record.outcome for record in records} == {"unsupported"}
    assert {record.error.message for record in records if record.error} == {f"no GPU: {found.reason}"}
    doctor = sparkscale("doctor", "--gpu")
    assert doctor.returncode == 1
    assert "Install the NVIDIA driver" in doctor.stdout


@pytest.mark.spark
def test_doctor_checks_each_part(command: Call) -> None:
    done = command("doctor")
    assert done.returncode == 0, done.stdout + done.stderr
    for part in ("Java", "Spark start-up", "BLAS in the JVM", "cores", "memory", "disk", "GPUs"):
        assert part in done.stdout


def test_doctor_without_a_usable_java_says_what_is_missing(command: Call, tmp_path: Path) -> None:
    """Spark's own start script is made to fail, so no Java will do."""
    shell = tmp_path / "bash"
    shell.write_text("#!/bin/sh\nexit 1\n")
    shell.chmod(0o755)
    done = command("doctor", env={"PATH": str(tmp_path), "JAVA_HOME": ""})
    assert done.returncode == 1
    assert "missing" in done.stdout
    assert "make setup" in done.stdout
