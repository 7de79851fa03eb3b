"""AUC and RMSE as functions of unit weights, and their bootstrap."""

from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score, root_mean_squared_error

from sparkscale.analysis import statistics
from sparkscale.analysis.statistics import (
    Array,
    ClusteredAuc,
    ClusteredRatio,
    Interval,
    Spread,
    interval,
    median_interval,
)


def sample(seed: int, units: int = 30, rows: int = 3000) -> tuple[Array, Array, Array]:
    """Unit, label, score: units share a shift, so rows within one are alike; scores have ties."""
    generator = np.random.default_rng(seed)
    unit = generator.integers(0, units, rows)
    shift = generator.normal(0, 1, units)[unit]
    label = (generator.random(rows) < 1 / (1 + np.exp(-shift))).astype(int)
    score = np.round(shift * 0.3 + label * 0.5 + generator.normal(0, 1, rows), 1)
    return unit, label, score


def test_it_is_the_auc_ties_included() -> None:
    unit, label, score = sample(1)
    assert ClusteredAuc.of(unit, label, score).value() == pytest.approx(roc_auc_score(label, score), abs=1e-12)


def test_a_replicate_is_the_auc_of_the_rows_drawn() -> None:
    """Against the slow way: really repeating each unit's rows as often as the unit was drawn."""
    unit, label, score = sample(2)
    weights = statistics.draws(30)[:25]
    fast = ClusteredAuc.of(unit, label, score).at(weights)
    for replicate, drawn in zip(fast, weights, strict=True):
        rows = np.repeat(np.arange(len(unit)), drawn[unit].astype(int))
        assert replicate == pytest.approx(roc_auc_score(label[rows], score[rows]), abs=1e-12)


def test_clustered_rows_make_the_interval_wider_than_independent_ones() -> None:
    unit, label, score = sample(3)
    clustered = interval(ClusteredAuc.of(unit, label, score).replicates())
    single = interval(ClusteredAuc.of(np.arange(len(unit)), label, score).replicates())
    assert clustered.high - clustered.low > 1.5 * (single.high - single.low)


def test_the_interval_covers_about_as_often_as_it_says() -> None:
    """The population's AUC is that of a very large sample; 95 % of 120 intervals, less what few units cost."""
    truth = ClusteredAuc.of(*sample(0, units=3000, rows=300_000)).value()
    covered = [
        found.low <= truth <= found.high
        for seed in range(1, 121)
        for found in [interval(ClusteredAuc.of(*sample(seed, units=60, rows=1500)).replicates())]
    ]
    assert 0.85 < np.mean(covered) <= 1


def test_differences_are_paired() -> None:
    unit, label, score = sample(4)
    better = score + 0.02 * label
    one, other = ClusteredAuc.of(unit, label, score), ClusteredAuc.of(unit, label, better)
    paired = interval(other.replicates() - one.replicates())
    alone = interval(one.replicates())
    assert paired.low > 0
    assert paired.high - paired.low < 0.1 * (alone.high - alone.low)


def test_many_units_are_bundled_whole() -> None:
    unit, label, score = sample(5, units=2000, rows=8000)
    found = ClusteredAuc.of(unit, label, score)
    assert len(found.positives) == statistics.MOST_CLUSTERS
    assert found.value() == pytest.approx(roc_auc_score(label, score), abs=1e-12)


def share_explained(label: Array, score: Array) -> float:
    return float(1 - score.sum() / label.sum())


def share_right(label: Array, score: Array) -> float:
    return float(np.mean((score > 0.5) == (label == 1)))


@pytest.mark.parametrize(
    ("made", "plain"),
    [
        (ClusteredRatio.rmse, root_mean_squared_error),
        (ClusteredRatio.mean_score, lambda label, score: score.mean()),  # noqa: ARG005
        (ClusteredRatio.explained, share_explained),
        (ClusteredRatio.accuracy, share_right),
    ],
)
def test_a_replicate_of_a_ratio_is_that_of_the_rows_drawn(made: Any, plain: Any) -> None:
    """Against the slow way, as of the AUC."""
    unit, label, score = sample(6)
    found = made(unit, label, score)
    assert found.value() == pytest.approx(plain(label, score), rel=1e-12)
    weights = statistics.draws(30)[:25]
    for replicate, drawn in zip(found.at(weights), weights, strict=True):
        rows = np.repeat(np.arange(len(unit)), drawn[unit].astype(int))
        assert replicate == pytest.approx(plain(label[rows], score[rows]), rel=1e-12)


def test_the_interval_of_few_rounds_is_their_range() -> None:
    assert median_interval([2.0, 1.0, 4.0]) == Interval(1.0, 4.0)
    many = median_interval([1.0, 1.1, 1.2, 1.3, 9.0])
    assert 1.0 <= many.low < 1.2 < many.high <= 9.0
    assert median_interval([1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 9.0]).high < 9.0


def test_a_spread_is_median_and_range() -> None:
    assert Spread.of([3.0, 1.0, 2.0]) == Spread(2.0, 1.0, 3.0, 3)
    assert Spread.of([]) is None
