"""AUC, RMSE and their kin as functions of unit weights."""

from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score, root_mean_squared_error

from sparkscale.analysis import unit_quality
from sparkscale.analysis.statistics import Array
from sparkscale.analysis.unit_quality import UnitAuc, UnitRatio, value


def sample(seed: int, units: int = 30, rows: int = 3000) -> tuple[Array, Array, Array]:
    """Unit, label, score: units share a shift, so rows within one are alike; scores have ties."""
    generator = np.random.default_rng(seed)
    unit = generator.integers(0, units, rows)
    shift = generator.normal(0, 1, units)[unit]
    label = (generator.random(rows) < 1 / (1 + np.exp(-shift))).astype(int)
    score = np.round(shift * 0.3 + label * 0.5 + generator.normal(0, 1, rows), 1)
    return unit, label, score


def drawn_units(replicates: int, units: int) -> Array:
    """How often each unit is drawn in each replicate of a bootstrap."""
    generator = np.random.default_rng(7)
    return generator.multinomial(units, np.full(units, 1 / units), size=replicates).astype(float)


def test_it_is_the_auc_ties_included() -> None:
    unit, label, score = sample(1)
    assert value(UnitAuc.of(unit, label, score)) == pytest.approx(roc_auc_score(label, score), abs=1e-12)


def test_a_replicate_is_the_auc_of_the_rows_drawn() -> None:
    """Against the slow way: really repeating each unit's rows as often as the unit was drawn."""
    unit, label, score = sample(2)
    weights = drawn_units(25, 30)
    fast = UnitAuc.of(unit, label, score).at(weights)
    for replicate, drawn in zip(fast, weights, strict=True):
        rows = np.repeat(np.arange(len(unit)), drawn[unit].astype(int))
        assert replicate == pytest.approx(roc_auc_score(label[rows], score[rows]), abs=1e-12)


def test_many_units_are_bundled_whole() -> None:
    unit, label, score = sample(5, units=2000, rows=8000)
    found = UnitAuc.of(unit, label, score)
    assert len(found.positives) == unit_quality.MOST_UNITS
    assert value(found) == pytest.approx(roc_auc_score(label, score), abs=1e-12)


def share_explained(label: Array, score: Array) -> float:
    return float(1 - score.sum() / label.sum())


def share_right(label: Array, score: Array) -> float:
    return float(np.mean((score > 0.5) == (label == 1)))


@pytest.mark.parametrize(
    ("made", "plain"),
    [
        (UnitRatio.rmse, root_mean_squared_error),
        (UnitRatio.mean_score, lambda label, score: score.mean()),  # noqa: ARG005
        (UnitRatio.explained, share_explained),
        (UnitRatio.accuracy, share_right),
    ],
)
def test_a_replicate_of_a_ratio_is_that_of_the_rows_drawn(made: Any, plain: Any) -> None:
    """Against the slow way, as of the AUC."""
    unit, label, score = sample(6)
    found = made(unit, label, score)
    assert value(found) == pytest.approx(plain(label, score), rel=1e-12)
    weights = drawn_units(25, 30)
    for replicate, drawn in zip(found.at(weights), weights, strict=True):
        rows = np.repeat(np.arange(len(unit)), drawn[unit].astype(int))
        assert replicate == pytest.approx(plain(label[rows], score[rows]), rel=1e-12)


def test_six_positives_are_six_units_at_most() -> None:
    generator = np.random.default_rng(8)
    label = np.zeros(2000)
    label[:6] = 1
    found = UnitAuc.of(np.arange(2000), label, generator.normal(size=2000))
    assert found.units == unit_quality.MOST_UNITS
    assert 5 <= found.effective_units <= 6


def test_one_unit_with_nearly_all_rows_counts_as_one() -> None:
    """One mistyped date puts 99.97 % of the held-out rows into one stretch of time."""
    unit = np.concatenate([np.zeros(9997), [1, 2, 3]])
    found = UnitRatio.rmse(unit, np.zeros(10_000), np.ones(10_000))
    assert found.units == 4
    assert found.effective_units == pytest.approx(1.0, abs=0.001)


def test_a_weighting_without_a_positive_has_no_auc() -> None:
    found = UnitAuc.of(np.array([0, 0, 1, 1]), np.array([1, 0, 0, 0]), np.array([0.9, 0.1, 0.2, 0.3]))
    both, none = found.at(np.array([[1.0, 1.0], [0.0, 1.0]]))
    assert both == 1.0
    assert np.isnan(none)
