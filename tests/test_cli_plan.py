"""`sparkscale plan --measure`: a real run of what the plan proposes, and the plan after it."""

from pathlib import Path

import pytest

from sparkscale.store.store import Store
from tests.conftest import Call

SUITE = """
rounds = 2
[dataset.tiny]
kind = "classification"
rows = 20000
features = 5
[[measure]]
workload = "data_parallel.gradient_boosting"
engines = ["xgboost"]
datasets = ["tiny"]
fractions = ["1/16", "1/8", "1/4"]
params = { trees = 5 }
"""


@pytest.mark.slow
def test_what_is_proposed_is_measured_and_narrows_the_plan(tmp_path: Path, command: Call) -> None:
    (tmp_path / "tiny.toml").write_text(SUITE)
    out = tmp_path / "out"
    assert command("run", "--suite", str(tmp_path / "tiny.toml"), "--out", str(out), "--no-report").returncode == 0
    own = ("plan", "--workload", "gradient_boosting", "--rows", "3e4", "--out", str(out), "--within", "2m")
    proposed = command(*own, "--propose")
    assert proposed.returncode == 0, proposed.stderr
    assert "What to measure next" in proposed.stdout

    measured = command(*own, "--measure", "--format", "markdown")
    assert measured.returncode == 0, measured.stderr
    assert "Before these runs, xgboost with" in measured.stdout and " Now: " in measured.stdout
    assert "What to measure next" in measured.stderr
    with Store.existing(out) as store:
        first, second = store.runs()
        added = [record for record in store.records(second) if not record.is_warmup]
        before = [record for record in store.records(first) if not record.is_warmup]
    assert added and {record.outcome for record in added} == {"ok"}
    assert {record.suite for record in added} == {"proposed"}
    assert {record.case.params["trees"] for record in added} == {5}
    assert max(record.case.rows for record in added) > max(record.case.rows for record in before)


def test_emulated_hosts_cannot_be_planned_for(sparkscale: Call) -> None:
    done = sparkscale("plan", "--workload", "gradient_boosting", "--rows", "1e6", "--cluster", "emulated-2x1")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("Error: Cluster 'emulated-2x1' has emulated hosts, and a plan is for real ones")
