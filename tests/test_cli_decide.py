"""`sparkscale decide` on a real table: its answers, what it stores, how it goes on, and wrong requests."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sparkscale.store.store import Store
from tests.conftest import Call

ROWS = 6000
SUITE = """
rounds = 3
[[measure]]
workload = "data_parallel.gradient_boosting"
engines = ["sklearn", "xgboost"]
fractions = ["1/4", "1"]
params = { trees = 5 }
[[measure]]
workload = "data_parallel.gradient_boosting"
engines = ["sklearn"]
fractions = ["1"]
params = { trees = 5 }
isolate = true
"""


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A Parquet file with a label that follows from two of its columns."""
    generator = np.random.default_rng(0)
    features = generator.normal(size=(ROWS, 4))
    label = (features[:, 0] - features[:, 1] + generator.normal(size=ROWS) > 0).astype(int)
    path = tmp_path_factory.mktemp("table") / "clicks.parquet"
    names = [f"f{number}" for number in range(4)]
    pd.DataFrame(features, columns=names).assign(clicked=label, one=1).to_parquet(path)
    return str(path)


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("suite") / "two.toml"
    path.write_text(SUITE)
    return str(path)


def options(table: str, suite: str, out: Path, label: str = "clicked") -> list[str]:
    return ["decide", "--data", table, "--label", label, "--suite", suite, "--out", str(out)]


@pytest.mark.slow
def test_a_decision_is_one_run_that_other_commands_read_and_that_goes_on(
    sparkscale: Call, table: str, suite: str, tmp_path: Path
) -> None:
    done = sparkscale(*options(table, suite, tmp_path), "--question", "engine", "--within", "90s", "--format", "json")
    assert done.returncode in (0, 3), done.stderr
    content = json.loads(done.stdout)
    (question,) = content["questions"]
    assert question["question"] == "engine"
    assert content["resolved"] == (done.returncode == 0)
    assert 2 <= content["executions"] <= content["executions_of_suite"] == 2 * 2 * 3
    assert "step 1, " in done.stderr

    with Store.existing(tmp_path) as store:
        (run,) = store.runs()
        invocation = store.invocation(identity=run)
        records = store.records(run)
    assert (invocation.command, invocation.questions, invocation.confidence) == ("decide", ("engine",), 0.95)
    measured = [record for record in records if not record.is_warmup]
    assert len(measured) == len({(record.case.id, record.round) for record in measured}) == content["executions"]
    assert not any(record.isolated for record in records)
    assert set(question["records"]) <= {record.id for record in records}

    for command in ("show", "answer"):
        shown = sparkscale(command, "--out", str(tmp_path))
        assert shown.returncode == 0
        assert "Which engine on one node?" in shown.stdout, command
        assert f"`sparkscale decide` chose what to measure in run {run}," in " ".join(shown.stdout.split()), command
    assert sparkscale("export", "--out", str(tmp_path)).stdout.count('"temperature"') == len(records)

    archive, imported = tmp_path / "one.parquet", str(tmp_path / "imported")
    packed = ("--format", "archive", "--condensed", "--to", str(archive))
    assert sparkscale("export", *packed, "--out", str(tmp_path)).returncode == 0
    assert sparkscale("import", str(archive), "--out", imported).returncode == 0
    assert "Which engine on one node?" in sparkscale("answer", "--out", imported).stdout
    compared = sparkscale("compare", str(tmp_path), imported)
    assert compared.returncode in (0, 3), compared.stderr
    other = sparkscale("run", "--suite", suite, "--resume", "--out", str(tmp_path))
    assert (other.returncode, f"There is no run of suite '{suite}'" in other.stderr) == (2, True)

    again = sparkscale("decide", "--resume", "--within", "1m", "--out", str(tmp_path), "--format", "json")
    assert again.returncode in (0, 3), again.stderr
    assert json.loads(again.stdout)["run"] == run
    assert f"resuming run {run}" in again.stderr
    with Store.existing(tmp_path) as store:
        assert store.runs() == [run]

    short = sparkscale("decide", "--resume", "--within", "1s", "--out", str(tmp_path), "--format", "json")
    assert short.returncode == again.returncode, short.stderr
    assert "too short" not in short.stderr  # what was measured still answers

    for wrong, message in (
        (("--question", "sample"), "The run to resume has question engine, not sample: leave --question out"),
        (("--confidence", "0.9"), "The run to resume has confidence 0.95, not 0.9: leave --confidence out"),
        (("--cluster", "local-1g"), "The run to resume has cluster (none), not local-1g: leave --cluster out"),
        (("--suite", "quick"), "There is no run of `sparkscale decide` of suite 'quick'"),
        (("--data", "flights"), "The run to resume measured another data set: leave --data out"),
        (("--seed", "4"), "The run to resume has seed 0, not 4: leave --seed out"),
    ):
        refused = sparkscale("decide", "--resume", "--out", str(tmp_path), *wrong)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert message in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--within", "soon"), "--within soon is no duration: write it like 90s, 20m or 1h30m."),
        (("--question", "speed"), "Unknown question 'speed': choose from sample, engine, cluster, workers or all."),
        (("--question", "workers"), "The question 'workers' compares clusters, and local is only one"),
        (("--suite", "per-group"), "`decide` answers questions about data_parallel workloads only"),
        (("--workload", "mlp"), "has no workload 'mlp': it has data_parallel.gradient_boosting."),
        (("--resume",), "No records in "),
        (("--label", "one"), "one"),
        (("--within", "1s"), "--within 1 s is too short: "),
    ],
)
def test_a_wrong_request_is_one_sentence_and_stores_nothing(
    sparkscale: Call, table: str, suite: str, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    replaced = {name for name in arguments if name.startswith("--")}
    usual = options(table, suite, tmp_path)
    kept = [usual[0]]
    for name, value in zip(usual[1::2], usual[2::2], strict=True):
        kept += [] if name in replaced else [name, value]
    done = sparkscale(*kept, *arguments)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert message in done.stderr
    assert done.stderr.count("Error: ") == 1
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "records.sqlite").exists()


def test_a_table_on_which_no_engine_can_run_is_refused(sparkscale: Call, suite: str, tmp_path: Path) -> None:
    path = tmp_path / "few.parquet"
    pd.DataFrame({"x": range(24), "clicked": [0, 1] * 12}).to_parquet(path)
    done = sparkscale(*options(str(path), suite, tmp_path / "out"))
    assert done.returncode == 2
    assert done.stderr.count("Error: ") == 1
    assert not (tmp_path / "out" / "records.sqlite").exists()


def test_a_question_about_one_node_needs_an_engine_there(sparkscale: Call, table: str, tmp_path: Path) -> None:
    path = tmp_path / "spark.toml"
    path.write_text('[[measure]]\nworkload = "data_parallel.gradient_boosting"\nengines = ["mllib"]\n')
    done = sparkscale(*options(table, str(path), tmp_path / "out"), "--question", "engine")
    assert done.returncode == 2
    assert "No engine on one node of the suite spark can run here" in done.stderr
    assert not (tmp_path / "out" / "records.sqlite").exists()


@pytest.mark.slow
def test_an_interrupt_keeps_the_records_and_says_how_to_go_on(table: str, suite: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sparkscale", *options(table, suite, tmp_path), "--within", "5m"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        for line in lines_of(process):
            if line.startswith("step 2"):
                break
        process.send_signal(signal.SIGINT)
        rest = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    resume = f"sparkscale decide --resume --within 5m --out {tmp_path}"
    assert f"Interrupted. The records so far are kept: continue with `{resume}`." in rest
    with Store.existing(tmp_path) as store:
        assert [record for record in store.records() if not record.is_warmup]


def lines_of(process: "subprocess.Popen[str]", patience: float = 90.0) -> Iterator[str]:
    """The lines that the process prints to stderr, for a while."""
    assert process.stderr is not None
    end = time.monotonic() + patience
    for line in process.stderr:
        yield line
        assert time.monotonic() < end
