"""Qualities with a warning, and without."""

import pytest

from sparkscale.analysis.plausibility import quality_warning, quality_warnings
from sparkscale.contract.declared import WorkloadDescription
from sparkscale.contract.record import Outcome, RunRecord
from tests import builders
from tests.builders import case_of
from workloads import registry

CASE = case_of(
    workload="data_parallel.gradient_boosting",
    pattern="data_parallel",
    engine="xgboost",
    dataset="flights",
    dataset_id="d",
    rows=1000,
    params={"set": "aligned", "arguments": {}},
)


def declaring(names: set[str]) -> WorkloadDescription | None:
    """A workload that has these qualities."""
    return next(
        (one for one in registry.descriptions() if names <= {quality.name for quality in one.qualities}),
        None,
    )


def record(quality: dict[str, float], outcome: Outcome = "ok", number: int = 1) -> RunRecord:
    described = {"round": number, "case": CASE, "outcome": outcome, "quality": quality}
    return builders.record(f"r{number}").model_copy(update=described | {"description": declaring(set(quality))})


@pytest.mark.parametrize(
    ("quality", "warning"),
    [
        ({"auc": 0.7, "log_loss": 0.5, "skill": 0.1}, None),
        ({"auc": 0.5, "log_loss": 0.7, "skill": 0.0}, "AUC 0.500 is no better than a constant prediction"),
        (
            {"auc": 0.7, "log_loss": 0.912, "skill": -0.3},
            "log-loss 0.912 is no better than predicting the training rows' share of class 1",
        ),
        ({"auc": 0.9995, "log_loss": 0.01, "skill": 0.9}, "AUC 0.999500 is suspiciously good: look for a leak"),
        ({"rmse": 3.0, "r2": -0.6, "skill": 0.9}, None),
        (
            {"rmse": 3.0, "r2": -0.6, "skill": -0.1},
            "RMSE 3 is no better than predicting the training rows' mean",
        ),
        ({"rmse": 3.0, "r2": 0.99995, "skill": 0.99}, "R² 0.999950 is suspiciously good: look for a leak"),
        (
            {"accuracy": 0.75, "recall": 1.0, "skill": -0.01},
            "accuracy 0.75 is no better than predicting the training rows' most frequent class",
        ),
        ({"inertia": 9.0, "variance_explained": 0.0}, "inertia 9 is no better than the mean of all rows"),
        ({"variance_explained": -0.1}, "variance explained -0.1 is no better than the mean of all rows"),
        ({"group_rmse": 2.0, "group_r2": 0.0}, "RMSE 2 is no better than each group's own mean"),
        (
            {"brier": 0.25, "brier_skill": -1.0},
            "Brier score 0.25 is no better than each group's own mean",
        ),
        ({"rmse": 3.0}, None),
        ({"equal_cells": 1.0, "equal_rows": 1.0}, None),
    ],
)
def test_a_quality_gets_a_warning_if_it_is_poor_or_too_good(quality: dict[str, float], warning: str | None) -> None:
    assert quality_warning(record(quality)) == warning


def test_a_case_without_a_result_has_no_quality_to_warn_of() -> None:
    assert quality_warning(record({"auc": 0.4}, outcome="invalid")) is None


def test_a_table_says_how_many_executions_have_the_warning() -> None:
    good, poor = {"auc": 0.6, "skill": 0.1}, {"auc": 0.49, "skill": -0.1}
    told = list(quality_warnings([record(good, number=1), record(poor, number=2), record(good, number=3)]))
    assert told == ["xgboost, 1/4: AUC 0.490 is no better than a constant prediction (in 1 of 3 executions)."]
    assert list(quality_warnings([record(good)])) == []
