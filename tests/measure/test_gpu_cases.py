"""Cases on GPUs that are made up: none of them may have a time. The doctor, where a GPU is real."""

from pathlib import Path

import pytest

from cluster import gpu
from sparkscale.measure.doctor.gpu import examine_gpus
from sparkscale.store.store import Store
from tests.conftest import Ask
from tests.measure.observing import Silent, records

SMALL = """
rounds = 1
[dataset.small]
kind = "classification"
rows = 4000
features = 4
"""

FALL_BACK = f"""{SMALL}
[[measure]]
workload = "data_parallel.gradient_boosting"
engines = ["xgboost", "xgboost-spark"]
datasets = ["small"]
params = {{ trees = 2 }}
devices = ["gpu"]
isolate = true
"""


@pytest.mark.slow
@pytest.mark.spark
def test_no_case_on_made_up_gpus_has_a_time(ask: Ask, tmp_path: Path) -> None:
    """NVML lists devices, CUDA finds none: XGBoost warns and trains on the CPU, here and in Spark's tasks."""
    if gpu.discover().devices:
        pytest.skip("this host has a GPU")
    suite = tmp_path / "fallback.toml"
    suite.write_text(FALL_BACK)
    command = ["-m", "sparkscale", "run", "--suite", str(suite), "--out", str(tmp_path / "out")]
    assert ask(*command, timeout=200).returncode == 1
    with Store.existing(tmp_path / "out") as store:
        found = store.records()
    assert [(record.outcome, record.seconds) for record in found] == [("failed", {})] * 2
    assert all("not on a GPU" in record.error.message for record in found if record.error)
    assert {record.case.engine for record in found if record.error} == {"xgboost", "xgboost-spark"}


SHARED = f"""{SMALL}
[[measure]]
workload = "data_parallel.gradient_boosting"
engines = ["xgboost-spark"]
datasets = ["small"]
params = {{ trees = 2 }}
devices = ["gpu"]

[[measure]]
workload = "inference.boosting"
engines = ["parquet-map"]
datasets = ["small"]
devices = ["gpu"]
isolate = true
"""


@pytest.mark.slow
@pytest.mark.spark
def test_tasks_that_share_a_gpu_predict_and_do_not_train_one_model(ask: Ask, tmp_path: Path) -> None:
    if gpu.discover().devices:
        pytest.skip("this host has a GPU")
    suite, profile = tmp_path / "sharing.toml", tmp_path / "two-on-one.toml"
    suite.write_text(SHARED)
    profile.write_text('kind = "standalone"\nmemory = "2g"\ndriver_memory = "2g"\ngpus = 1\ntasks_per_gpu = 2\n')
    command = ["-m", "sparkscale", "run", "--suite", str(suite), "--out", str(tmp_path / "out")]
    done = ask(*command, "--cluster", str(profile), timeout=200)
    assert done.returncode == 1, done.stderr
    found = {record.case.engine: record for record in records(tmp_path / "out")}
    assert {engine: record.outcome for engine, record in found.items()} == {
        "xgboost-spark": "unsupported",
        "parquet-map": "failed",
    }
    messages = {engine: record.error.message for engine, record in found.items() if record.error}
    assert "needs its own GPU: set tasks_per_gpu = 1" in messages["xgboost-spark"]
    assert "not on a GPU" in messages["parquet-map"]


@pytest.mark.gpu
@pytest.mark.spark
def test_the_doctor_finds_gpus_that_work() -> None:
    found = gpu.discover()
    if not found.devices:
        pytest.skip(f"no GPU: {found.reason}")
    assert [check for check in examine_gpus(Silent) if not check.ok] == []
