"""Qualities against scikit-learn's, and results that are worth no time."""

from collections.abc import Callable

import numpy as np
import pyarrow.parquet as pq
import pytest
from sklearn import metrics

from sparkscale.contract.context import Context
from sparkscale.contract.dataset import LABEL, ROW
from sparkscale.contract.errors import InvalidResult
from sparkscale.contract.record import SCORES
from workloads import scoring
from workloads.data_parallel.gradient_boosting import WORKLOAD, XGBoost
from workloads.scoring import Array, Scores, score_holdout

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
        (lambda row, label: Scores(row, np.full(len(label), 0.24)), "no better than a constant"),
        (lambda row, label: Scores(row, 1.0 - label), "no better than a constant"),
    ],
)
def test_a_result_that_is_worth_no_time_is_invalid(
    run: Context, truth: tuple[Array, Array], change: Change, reason: str
) -> None:
    with pytest.raises(InvalidResult, match=reason):
        score_holdout(run, change(*truth))
    assert not run.tables
