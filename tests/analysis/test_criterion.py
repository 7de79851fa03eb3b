"""Regression, and data whose truth is known: what a model gives up, and how far it stays below the ceiling."""

import re

import numpy as np
import pyarrow as pa
import pytest

from sparkscale.analysis.patterns.data_parallel import comparison as tradeoff
from sparkscale.analysis.patterns.data_parallel.cell import Cell
from sparkscale.contract.case import Case, Task
from sparkscale.contract.record import ErrorInfo
from sparkscale.store.store import Store
from tests.analysis.reading import shown
from tests.builders import case, record, stored

ROWS = 40_000
NOISE = {1 / 64: 1.0, 1 / 4: 0.1, 1.0: 0.05}
"""Of a model, beside the truth; the label's own is 1."""


def of(task: Task, fraction: float) -> Case:
    return case("sklearn", fraction).model_copy(update={"task": task})


def add(store: Store, measured: Case, noise: float, name: str) -> None:
    """A record whose model predicts the truth plus noise; negative noise: it has seen the label."""
    generator = np.random.default_rng(0)
    truth = generator.normal(0, 2, ROWS)
    label = truth + generator.normal(0, 1, ROWS)
    unit = generator.integers(0, 100, ROWS)
    score = truth + noise * np.random.default_rng(1).normal(0, 1, ROWS)
    if noise < 0:
        score = truth + (label - truth) * -noise
    quality = {"rmse": float(np.sqrt(np.mean((label - score) ** 2))), "r2": 0.8}
    if measured.task == "classification":
        probability, label = 1 / (1 + np.exp(-truth)), (label > 0).astype(float)
        truth, score, quality = probability, 1 / (1 + np.exp(-score)), {"auc": 0.9, "log_loss": 0.4}
    table = pa.table({"row": np.arange(ROWS), "unit": unit, "label": label, "score": score, "truth": truth})
    seconds = {"load": 1.0, "fit": 2.0, "predict": 0.5}
    host = store.describe("host", {"cpu": "C", "usable_cores": 2, "memory_bytes": 2**34, "os": "Linux"})
    made = record(name).model_copy(update={"case": measured, "quality": quality, "seconds": seconds, "host": host})
    store.add(made, {"scores": stored(table)})


def test_a_regression_is_judged_by_its_relative_rmse(store: Store) -> None:
    for fraction, noise in NOISE.items():
        add(store, of("regression", fraction), noise, f"r{fraction}")
    (comparison,) = tradeoff.comparisons(store, store.records())
    (curve,) = comparison.curves
    first, second = curve.steps
    assert first.estimate.value == pytest.approx(np.sqrt((1 + 1) / (1 + 0.05**2)) - 1, rel=0.03)
    assert (first.verdict, second.verdict) == ("not enough", "enough")
    text = shown(store)
    for expected in ("RMSE on the hold-out", "an RMSE within 1 %", "RMSE given up", "1/4", "+0.3", "%"):
        assert expected in text, text
    assert "AUC" not in text


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_models_stay_below_the_ceiling_by_what_they_give_up(store: Store, task: Task) -> None:
    for fraction, noise in NOISE.items():
        add(store, of(task, fraction), noise, f"r{fraction}")
    (comparison,) = tradeoff.comparisons(store, store.records())
    below = [cell.below_ceiling for cell in comparison.cells]
    assert all(step is not None for step in below)
    given_up = [step.estimate.value for step in below if step]
    assert given_up == sorted(given_up, reverse=True)
    assert given_up[0] > 0.02
    if task == "regression":
        assert comparison.ceiling == pytest.approx(1.0, abs=0.02)
    text = shown(store)
    assert "below the ceiling" in text
    assert "Ceiling on this hold-out" in text
    assert "suspect a leak" not in text


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_a_model_that_passes_the_ceiling_is_named(store: Store, task: Task) -> None:
    add(store, of(task, 1.0), -0.3, "leak")
    assert "passes the ceiling by more than noise: suspect a leak" in shown(store)


def test_a_quality_without_scores_is_a_mean_without_an_interval(store: Store) -> None:
    """A workload whose quality cannot be computed from scores: its records' qualities are all there is."""
    declared = record("a").model_copy(update={"case": of("regression", 1.0)}).declared
    judged = declared.judged["regression"].model_copy(update={"estimator": None})
    workload = declared.model_copy(update={"judged": {"regression": judged}})
    records = [
        record(f"r{number}").model_copy(
            update={"case": of("regression", 1.0), "quality": {"rmse": rmse}, "description": workload}
        )
        for number, rmse in enumerate((1.0, 2.0, 6.0))
    ]
    found = Cell(records[0].case, records, store).quality
    assert found is not None
    assert (found.value, found.interval, found.seeds) == (3.0, None, 3)
    assert found.why_none == "no stored scores"
    without = [one.model_copy(update={"quality": {}}) for one in records]
    assert Cell(records[0].case, without, store).quality is None


def test_engines_that_do_not_support_a_case_have_their_reason_and_no_table(store: Store) -> None:
    same = {
        "outcome": "unsupported",
        "error": ErrorInfo(type="EngineUnsupported", message="sklearn does no regression"),
        "seconds": {},
        "host": store.describe("host", {"cpu": "C", "usable_cores": 2, "memory_bytes": 2**34, "os": "Linux"}),
    }
    for number, fraction in enumerate((1 / 4, 1.0, 1.0)):
        update = {**same, "case": of("regression", fraction), "round": number}
        store.add(record(f"u{number}").model_copy(update=update), {})
    assert tradeoff.comparisons(store, store.records()) == []
    text = shown(store)
    assert re.search(r"1/4, 1 +│ unsupported +│ +3 │ sklearn does no regression", text), text
    assert "Cost and quality of each engine" not in text
