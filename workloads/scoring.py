"""One scoring function per task, the same for every engine."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sparkscale.contract.context import Context
from sparkscale.contract.dataset import LABEL, ROW, UNIT
from sparkscale.contract.errors import EngineUnsupported, InvalidResult
from sparkscale.contract.record import SCORES

Array = np.ndarray[Any, Any]

CLIP = 1e-7
"""Probabilities are kept this far from 0 and 1 in the log-loss: the precision of the stored scores."""


@dataclass(frozen=True)
class Scores:
    """Predictions for hold-out rows, in any order. `score` is P(label = 1). Both of shape (rows,)."""

    row: Array
    score: Array


def auc(label: Array, score: Array) -> float:
    """Area under the ROC curve, ties counted half (Mann-Whitney U over the product of the class sizes)."""
    from scipy.stats import rankdata

    positive = label == 1
    n, p = len(label), int(positive.sum())
    ranks = rankdata(score)
    return float((ranks[positive].sum() - p * (p + 1) / 2) / (p * (n - p)))


def log_loss(label: Array, score: Array) -> float:
    """Mean negative log-likelihood in nats."""
    p = np.clip(score.astype(np.float64), CLIP, 1 - CLIP)
    return float(-np.mean(np.where(label == 1, np.log(p), np.log1p(-p))))


def score_holdout(run: Context, scores: Scores) -> dict[str, float]:
    """AUC and log-loss over the hold-out; stores the scores as a table {row, unit, label, score}.

    Raises InvalidResult when a hold-out row is missing, scored twice or not a finite probability, or when the AUC
    is no better than a constant prediction's 0.5.
    """
    if run.data.task != "classification":
        raise EngineUnsupported(f"No scoring for the task {run.data.task} yet.")
    holdout = pq.read_table(run.data.holdout_path, columns=[ROW, UNIT, LABEL])
    rows = holdout.column(ROW).to_numpy()
    order = np.argsort(scores.row, kind="stable")
    if not np.array_equal(scores.row[order], np.sort(rows)):
        raise InvalidResult(f"The predictions do not hold each of the {len(rows)} hold-out rows exactly once.")
    score = scores.score[order].astype(np.float32)
    if not np.all((score >= 0) & (score <= 1)):
        raise InvalidResult("A prediction is no probability between 0 and 1.")
    holdout = holdout.sort_by(ROW)
    label = holdout.column(LABEL).to_numpy()
    quality = {"auc": auc(label, score), "log_loss": log_loss(label, score)}
    if quality["auc"] <= 0.5:
        raise InvalidResult(f"AUC {quality['auc']:.3f} is no better than a constant prediction.")
    run.table(SCORES, holdout.append_column("score", pa.array(score)))
    return quality
