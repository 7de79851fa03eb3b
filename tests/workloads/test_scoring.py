"""Qualities against scikit-learn's, wrong results, and poor models, which are no wrong ones."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from sklearn import metrics

from sparkscale.contract.context import Context
from sparkscale.contract.dataset import LABEL, ROW
from sparkscale.contract.errors import InvalidResult
from sparkscale.contract.record import SCORES
from workloads.data_parallel import kmeans, knn
from workloads.data_parallel.gradient_boosting import WORKLOAD, XGBoost
from workloads.datasets.table import Table
from workloads.libraries.tasks import Here
from workloads.quality import scoring
from workloads.quality.scoring import Array, Scores, score_holdout
from workloads.quality.scoring_unlabelled import Clusters, score_clusters

Change = Callable[[Array, Array], Scores]


@pytest.fixture
def run(runs: Callable[..., Context]) -> Context:
    return runs(WORKLOAD, XGBoost, 1 / 64)


@pytest.fixture
def truth(run: Context) -> tuple[Array, Array]:
    table = pq.read_table(run.data.holdout_path, columns=[ROW, LABEL])
    return table.column(ROW).to_numpy(), table.column(LABEL).to_numpy()


def test_auc_and_log_loss_agree_with_scikit_learn() -> None:
    generator = np.random.default_rng(1)
    label = generator.integers(0, 2, 5000)
    score = np.round(np.clip(0.3 * label + generator.random(5000) * 0.7, 0, 1), 2)
    assert scoring.auc(label, score) == pytest.approx(metrics.roc_auc_score(label, score), abs=1e-12)
    clipped = np.clip(score, scoring.CLIP, 1 - scoring.CLIP)
    assert scoring.log_loss(label, score) == pytest.approx(metrics.log_loss(label, clipped), abs=1e-12)


def test_the_order_of_predictions_does_not_matter(run: Context, truth: tuple[Array, Array]) -> None:
    row, label = truth
    score = np.clip(label * 0.2 + np.random.default_rng(2).random(len(row)) * 0.8, 0, 1)
    order = np.random.default_rng(3).permutation(len(row))
    straight = score_holdout(run, Scores(row, score))
    assert score_holdout(run, Scores(row[order], score[order])) == straight
    assert straight["auc"] == pytest.approx(metrics.roc_auc_score(label, score), abs=1e-6)
    table = run.tables[SCORES]
    assert table.column_names == [ROW, "unit", LABEL, "score"]
    assert table.num_rows == len(row)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda row, label: Scores(row[1:], label[1:] * 1.0), "exactly once"),
        (lambda row, label: Scores(np.r_[row, row[:1]], np.r_[label, label[:1]] * 1.0), "exactly once"),
        (lambda row, label: Scores(row, label * 2.0), "no probability"),
        (lambda row, label: Scores(row, np.where(label == 1, np.nan, 0.5)), "no probability"),
    ],
)
def test_a_result_that_is_wrong_is_invalid(
    run: Context, truth: tuple[Array, Array], change: Change, reason: str
) -> None:
    with pytest.raises(InvalidResult, match=reason):
        score_holdout(run, change(*truth))
    assert not run.tables


@pytest.mark.parametrize("change", [lambda label: np.full(len(label), 0.6), lambda label: 0.3 - 0.2 * label])
def test_a_poor_model_keeps_its_score_and_its_skill_says_how_poor_it_is(
    run: Context, truth: tuple[Array, Array], change: Callable[[Array], Array]
) -> None:
    row, label = truth
    quality = score_holdout(run, Scores(row, change(label)))
    assert quality["auc"] <= 0.5
    assert quality["skill"] < 0.0
    assert run.tables[SCORES].num_rows == len(row)


def test_skill_is_against_the_mean_label_of_the_training_rows(run: Context, truth: tuple[Array, Array]) -> None:
    """And not against that of the hold-out, which nobody can know."""
    row, label = truth
    train = np.concatenate([pq.read_table(folder, columns=[LABEL]).column(LABEL) for folder in run.train_paths])
    rate = train.mean()
    assert scoring.mean_label(run.train_paths) == pytest.approx(rate, abs=1e-12)
    assert rate != label.mean()
    constant = score_holdout(run, Scores(row, np.full(len(row), rate)))
    assert constant["skill"] == pytest.approx(0.0, abs=1e-6)
    better = np.clip(rate + 0.1 * (label - rate), 0, 1)
    expected = 1 - metrics.log_loss(label, better) / metrics.log_loss(label, np.full(len(row), rate))
    assert score_holdout(run, Scores(row, better))["skill"] == pytest.approx(expected, abs=1e-6)


def test_a_good_model_of_a_trending_target_is_no_wrong_one(runs: Callable[..., Context], tmp_path: Path) -> None:
    """The latest rows are held out, so trees stay below the trend: R² against the hold-out's own mean is negative,
    though no constant that the training rows know comes near.
    """
    generator = np.random.default_rng(0)
    day = np.arange(4000) // 10
    cycle = generator.normal(size=len(day))
    table = pd.DataFrame(
        {
            "when": pd.Timestamp("2024-01-01") + pd.to_timedelta(day, unit="D"),
            "age": day.astype(float) + generator.random(len(day)),
            "cycle": cycle,
            "sales": 0.5 * day + cycle,
        }
    )
    table.to_parquet(tmp_path / "sales.parquet")
    data = Table(path=str(tmp_path / "sales.parquet"), label="sales", time="when").prepare(str(tmp_path), Here())
    run = runs(WORKLOAD, XGBoost, 1.0, on=data)
    engine = XGBoost()
    quality = score_holdout(run, engine.predict(run, engine.fit(run, engine.load(run))))
    assert quality["r2"] < 0
    assert quality["skill"] > 0.9


def test_a_hold_out_without_contrast_has_no_quality_that_needs_one() -> None:
    ones, half = np.ones(10), np.full(10, 0.5)
    assert set(scoring.SCORINGS["classification"].quality(ones, half, 0.5)) == {"log_loss", "skill"}
    assert set(scoring.SCORINGS["regression"].quality(ones, half, 0.5)) == {"rmse", "skill"}
    assert set(scoring.SCORINGS["regression"].quality(ones, half, 1.0)) == {"rmse"}


def test_clusters_that_are_no_better_than_the_mean_keep_their_score(runs: Callable[..., Context]) -> None:
    run = runs(kmeans.WORKLOAD, kmeans.WORKLOAD.engine("sklearn"), 1 / 64)
    row = pq.read_table(run.data.holdout_path, columns=[ROW]).column(ROW).to_numpy()
    width = sum(column.kind == "numeric" for column in run.data.columns)
    far = Clusters(row, np.zeros(len(row), dtype=int), np.full((1, width), 9.0))
    quality = score_clusters(run, far)
    assert quality["variance_explained"] < 0
    assert quality["inertia"] > 81 * width
    assert run.tables[SCORES].num_rows == len(row)


def test_the_vote_of_neighbours_is_held_against_the_most_frequent_class(runs: Callable[..., Context]) -> None:
    """Three flights of four are in time: an accuracy of 0.75 says nothing yet."""
    run = runs(knn.WORKLOAD, knn.SklearnNeighbours, 1 / 64)
    engine = knn.SklearnNeighbours()
    quality = knn.score(run, engine.predict(run, engine.fit(run, engine.load(run))))
    late = run.tables[SCORES].column(LABEL).to_numpy().mean()
    assert scoring.mean_label(run.train_paths) < 0.5
    assert quality["skill"] == pytest.approx(1 - (1 - quality["accuracy"]) / late)
