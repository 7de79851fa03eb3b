"""What a user asks `decide` for, and what is wrong with it, before anything is prepared."""

from pathlib import Path
from typing import Any

import pytest

from sparkscale.contract.errors import ConfigError
from sparkscale.decide.request import DecideRequest, measuring_request
from sparkscale.measure.run.run import begin

SMALL = """
[dataset.small]
kind = "classification"
rows = 4000
features = 4
"""
TWO_WORKLOADS = f"""
{SMALL}
[[measure]]
workload = "data_parallel.logistic_regression"
datasets = ["small"]
engines = ["sklearn"]
[[measure]]
workload = "inference.boosting"
datasets = ["small"]
"""


def of(folder: Path, **options: Any) -> DecideRequest:
    return DecideRequest(**{"out": folder / "out", "within_seconds": 60.0, **options})


@pytest.fixture
def suite(tmp_path: Path) -> str:
    path = tmp_path / "two.toml"
    path.write_text(TWO_WORKLOADS)
    return str(path)


def test_all_questions_leave_out_workers_if_there_is_one_profile(tmp_path: Path) -> None:
    request = measuring_request(of(tmp_path))
    assert request.suite == "decide"
    assert request.questions == ("sample", "engine", "cluster")
    assert request.confidence == 0.95
    assert measuring_request(of(tmp_path, clusters=("standalone-1x1", "standalone-2x1"))).questions == (
        "sample",
        "engine",
        "cluster",
        "workers",
    )


def test_a_workload_needs_no_pattern_in_its_name(tmp_path: Path) -> None:
    assert measuring_request(of(tmp_path, workload="gradient_boosting")).filter == (
        "workload=data_parallel.gradient_boosting"
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"question": "speed"}, "Unknown question 'speed': choose from sample, engine, cluster, workers or all."),
        (
            {"question": "workers"},
            "The question 'workers' compares clusters, and local is only one: name several, such as --cluster "
            "standalone-1x1,standalone-2x1.",
        ),
        (
            {"suite": "inference"},
            "The suite inference measures inference.boosting, and `decide` answers questions about "
            "data_parallel workloads only: choose another suite, or one of its workloads with --workload.",
        ),
        (
            {"workload": "mlp"},
            "The suite decide has no workload 'mlp': it has data_parallel.gradient_boosting.",
        ),
        (
            {"clusters": ("standalone-2x1", "emulated-2x1")},
            "emulated-2x1 has emulated hosts, which `decide` does not compare with real ones: choose either emulated "
            "clusters or real ones.",
        ),
    ],
)
def test_a_wrong_request_is_one_sentence(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        measuring_request(of(tmp_path, **options))
    assert str(caught.value) == message


def test_the_pattern_of_a_workload_that_is_not_measured_does_not_matter(tmp_path: Path, suite: str) -> None:
    with pytest.raises(ConfigError, match=r"measures inference\.boosting"):
        measuring_request(of(tmp_path, suite=suite))
    assert measuring_request(of(tmp_path, suite=suite, workload="logistic_regression")).questions


def test_a_resumed_run_keeps_its_request(tmp_path: Path, suite: str) -> None:
    first = measuring_request(of(tmp_path, suite=suite, workload="logistic_regression", question="engine", seed=3))
    begun = begin(first)
    resumed = measuring_request(of(tmp_path, resume=True))
    assert (resumed.resume, resumed.invocation, resumed.suite) == (True, begun.id, suite)
    assert (begun.questions, begun.confidence, begun.command) == (("engine",), 0.95, "decide")
    same = measuring_request(of(tmp_path, resume=True, workload="logistic_regression", question="engine"))
    assert same.questions == ("engine",)
    with pytest.raises(ConfigError, match=r"measures data_parallel\.logistic_regression, not .*: leave --workload"):
        measuring_request(of(tmp_path, resume=True, workload="inference.boosting"))
