"""One scoring function per task, the same for every engine."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute

from sparkscale.contract.case import Task
from sparkscale.contract.context import Context
from sparkscale.contract.dataset import LABEL, ROW, TRUTH, UNIT
from sparkscale.contract.errors import DatasetError, EngineUnsupported, InvalidResult
from sparkscale.contract.record import SCORES
from workloads.io.filesystem import read_parquet, row_groups, schema_of

Array = np.ndarray[Any, Any]

CLIP = 1e-7
"""Probabilities are kept this far from 0 and 1 in the log-loss: the precision of the stored scores."""


@dataclass(frozen=True)
class Scores:
    """Predictions for hold-out rows, in any order: P(label = 1), or the label's expected value. Shapes (rows,)."""

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


def rmse(label: Array, score: Array) -> float:
    """Root of the mean squared error, in the label's units."""
    return float(np.sqrt(np.mean((label - score) ** 2)))


def r2(label: Array, score: Array) -> float:
    """One minus the mean squared error over the label's variance: 0 is what the hold-out's own mean reaches.

    A model cannot know that mean: where the label has a trend, a good model of later rows may have R² below 0.
    """
    return float(1 - np.mean((label - score) ** 2) / np.var(label))


def skill(loss: float, constant: float) -> dict[str, float]:
    """The skill score 1 - loss / constant, where `constant` is the loss of a constant prediction: a model with 0 or
    less is no better (Murphy, Skill scores based on the mean square error, Monthly Weather Review 116, 1988).

    Empty if the constant is perfect, for then the score is not defined.
    """
    return {"skill": 1 - loss / constant} if constant else {}


def _classification(label: Array, score: Array, base_rate: float) -> dict[str, float]:
    """Without AUC where the hold-out has one class only. The skill is that of the log-loss."""
    if not np.all((score >= 0) & (score <= 1)):
        raise InvalidResult("A prediction is no probability between 0 and 1.")
    quality = {"log_loss": log_loss(label, score)}
    if label.min() < label.max():
        quality = {"auc": auc(label, score), **quality}
    return quality | skill(quality["log_loss"], log_loss(label, np.full(len(label), base_rate)))


def _regression(label: Array, score: Array, mean: float) -> dict[str, float]:
    """Without R² where all labels of the hold-out are the same. The skill is that of the squared error."""
    if not np.all(np.isfinite(score)):
        raise InvalidResult("A prediction is no finite number.")
    quality = {"rmse": rmse(label, score)}
    if label.min() < label.max():
        quality["r2"] = r2(label, score)
    return quality | skill(quality["rmse"] ** 2, float(np.mean((label - mean) ** 2)))


@dataclass(frozen=True)
class Scoring:
    """How a task's predictions are stored, and judged: `quality` takes labels, predictions and the mean label of the
    training rows, which is the constant that a model must beat.
    """

    stored_as: type[np.floating[Any]]
    quality: Callable[[Array, Array, float], dict[str, float]]


SCORINGS: dict[Task, Scoring] = {
    "classification": Scoring(np.float32, _classification),
    "regression": Scoring(np.float64, _regression),
}


def check_classes(run: Context) -> None:
    """Raises DatasetError when a classification's sample has one class only: some libraries would train on it, and
    predict a constant.
    """
    if run.data.task != "classification":
        return
    seen = classes(run.train_paths)
    if len(seen) < 2:
        only = ", ".join(map(str, seen))
        raise DatasetError(f"The sample's {run.case.rows:,} rows are all of class {only}: measure a larger fraction.")


def classes(paths: list[str]) -> set[int]:
    """Of the labels in these folders; reading ends with the row group that shows a second one."""
    seen: set[int] = set()
    for group in row_groups(paths):
        seen.update(pa.compute.unique(group.read([LABEL]).column(LABEL)).to_pylist())
        if len(seen) > 1:
            break
    return seen


def mean_label(paths: list[str]) -> float:
    """The mean label of the rows in these folders, in a classification the share of class 1. Reads the row groups one
    after the other.
    """
    total, rows = 0.0, 0
    for group in row_groups(paths):
        label = group.read([LABEL]).column(LABEL)
        total += float(pa.compute.sum(label).as_py() or 0)
        rows += len(label)
    return total / rows


def in_order(row: Array, rows: Array) -> Array:
    """The positions of `rows`, which ascend, in `row`. Raises InvalidResult when one is missing or there twice."""
    order: Array = np.argsort(row, kind="stable")
    if not np.array_equal(row[order], rows):
        raise InvalidResult(f"The predictions do not hold each of the {len(rows)} hold-out rows exactly once.")
    return order


def score_holdout(run: Context, scores: Scores) -> dict[str, float]:
    """AUC and log-loss, or RMSE and R², over the hold-out, and the skill against a constant prediction, which is the
    mean label of the training rows. Stores a table {row, unit, label, score} and, where the data set knows it, truth:
    what a model that knows the truth would predict.

    A model that is no better than the constant keeps its qualities: the skill says it. Raises InvalidResult when a
    hold-out row is missing or scored twice, or when a prediction is no probability or no number. Raises
    EngineUnsupported for a task that has no scoring.
    """
    if run.data.task not in SCORINGS:
        raise EngineUnsupported(f"No scoring for the task {run.data.task} yet.")
    scoring = SCORINGS[run.data.task]
    truth = [TRUTH] if TRUTH in schema_of(run.data.holdout_path).names else []
    holdout = read_parquet([run.data.holdout_path], [ROW, UNIT, LABEL, *truth]).sort_by(ROW)
    order = in_order(scores.row, holdout.column(ROW).to_numpy())
    score = scores.score[order].astype(scoring.stored_as)
    quality = scoring.quality(holdout.column(LABEL).to_numpy(), score, mean_label(run.train_paths))
    table = holdout.select([ROW, UNIT, LABEL]).append_column("score", pa.array(score))
    for name in truth:
        table = table.append_column(name, pa.array(holdout.column(name).to_numpy().astype(scoring.stored_as)))
    run.table(SCORES, table)
    return quality
