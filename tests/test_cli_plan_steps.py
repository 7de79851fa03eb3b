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
    own_profile = tmp_path / "mine.toml"
    own_profile.write_text('kind = "local"\ncores = "all"\nmemory = "50%"\n')
    out = tmp_path / "out"
    suite, cluster = ("--suite", str(tmp_path / "tiny.toml")), ("--cluster", str(own_profile))
    assert command("run", *suite, *cluster, "--out", str(out), "--no-report").returncode == 0
    own = ("plan", "--workload", "gradient_boosting", "--rows", "3e4", "--out", str(out), "--within", "2m", *cluster)
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
    assert {record.case.cluster for record in added} == {"mine"}
    assert {record.suite for record in added} == {"proposed"}
    assert {record.case.params["trees"] for record in added} == {5}
    assert max(record.case.rows for record in added) > max(record.case.rows for record in before)
