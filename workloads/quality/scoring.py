"""Scores predictions on the hold-out. Each learning task has one scoring function, the same for every engine."""

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
"""In the log-loss, probabilities are at least this far from 0 and 1. This is the precision of the stored scores."""


@dataclass(frozen=True)
class Scores:
    """Predictions for hold-out rows, in any order.

    `row` holds the row ids and `score` the predictions; the shapes are (rows,). A score is P(label = 1) in a
    classification, and the label's expected value in a regression.
    """

    row: Array
    score: Array


def auc(label: Array, score: Array) -> float:
    """Returns the area under the ROC curve.

    Ties count half (Mann-Whitney U divided by the product of the class sizes).
    """
    from scipy.stats import rankdata

    positive = label == 1
    n, p = len(label), int(positive.sum())
    ranks = rankdata(score)
    return float((ranks[positive].sum() - p * (p + 1) / 2) / (p * (n - p)))


def log_loss(label: Array, score: Array) -> float:
    """Returns the mean negative log-likelihood, in nats."""
    p = np.clip(score.astype(np.float64), CLIP, 1 - CLIP)
    return float(-np.mean(np.where(label == 1, np.log(p), np.log1p(-p))))


def rmse(label: Array, score: Array) -> float:
    """Returns the root of the mean squared error, in the units of the label."""
    return float(np.sqrt(np.mean((label - score) ** 2)))


def r2(label: Array, score: Array) -> float:
    """Returns one minus the mean squared error divided by the label's variance.

    A prediction of the hold-out's own mean has an R² of 0. A model cannot know that mean. So if the label has a
    trend, even a good model may have an R² below 0 on later rows.
    """
    return float(1 - np.mean((label - score) ** 2) / np.var(label))


def skill(loss: float, constant: float) -> dict[str, float]:
    """Returns the skill score 1 - loss / constant, where `constant` is the loss of a constant prediction.

    A model with a skill of 0 or less is no better than the constant (Murphy, Skill scores based on the mean square
    error, Monthly Weather Review 116, 1988). Returns an empty dictionary if the constant is perfect, because the
    score is then not defined.
    """
    return {"skill": 1 - loss / constant} if constant else {}


def _classification(label: Array, score: Array, base_rate: float) -> dict[str, float]:
    """Returns the AUC, the log-loss, and the skill compared with predicting `base_rate` for every row.

    The AUC is left out if the hold-out has only one class.
    """
    if not np.all((score >= 0) & (score <= 1)):
        raise InvalidResult("The engine returned a prediction that is no probability between 0 and 1.")
    quality = {"log_loss": log_loss(label, score)}
    if label.min() < label.max():
        quality = {"auc": auc(label, score), **quality}
    return quality | skill(quality["log_loss"], log_loss(label, np.full(len(label), base_rate)))


def _regression(label: Array, score: Array, mean: float) -> dict[str, float]:
    """Returns the RMSE, R², and the skill compared with predicting `mean` for every row.

    R² is left out if all hold-out labels are equal.
    """
    if not np.all(np.isfinite(score)):
        raise InvalidResult("The engine returned a prediction that is no finite number.")
    quality = {"rmse": rmse(label, score)}
    if label.min() < label.max():
        quality["r2"] = r2(label, score)
    return quality | skill(quality["rmse"] ** 2, float(np.mean((label - mean) ** 2)))


@dataclass(frozen=True)
class Scoring:
    """The function that scores predictions of a learning task, and the type in which predictions are stored.

    `quality` takes the labels, the predictions and the mean label of the training rows. This mean is the constant
    that a model must beat.
    """

    stored_as: type[np.floating[Any]]
    quality: Callable[[Array, Array, float], dict[str, float]]


SCORINGS: dict[Task, Scoring] = {
    "classification": Scoring(np.float32, _classification),
    "regression": Scoring(np.float64, _regression),
}


def check_classes(run: Context) -> None:
    """Raises DatasetError if the sample of a classification has only one class.

    Some libraries would train on such a sample and predict a constant.
    """
    if run.data.task != "classification":
        return
    seen = classes(run.train_paths)
    if len(seen) < 2:
        only = ", ".join(map(str, seen))
        raise DatasetError(f"The sample's {run.case.rows:,} rows are all of class {only}: measure a larger fraction.")


def classes(paths: list[str]) -> set[int]:
    """Returns the classes of the labels in these folders. Stops reading after it has found a second class."""
    seen: set[int] = set()
    for group in row_groups(paths):
        seen.update(pa.compute.unique(group.read([LABEL]).column(LABEL)).to_pylist())
        if len(seen) > 1:
            break
    return seen


def mean_label(paths: list[str]) -> float:
    """Returns the mean label of the rows in these folders. In a classification this is the share of class 1.

    Reads one row group after the other.
    """
    total, rows = 0.0, 0
    for group in row_groups(paths):
        label = group.read([LABEL]).column(LABEL)
        total += float(pa.compute.sum(label).as_py() or 0)
        rows += len(label)
    return total / rows


def positions_of(rows: Array, row: Array) -> Array:
    """Returns, for each hold-out row, the index of the prediction with the same id; shape (rows,).

    `rows` holds the hold-out's ids in ascending order, and `row` holds the ids of the predictions. Raises
    InvalidResult if an id is missing, occurs twice, or is not in the hold-out.
    """
    order: Array = np.argsort(row, kind="stable")
    if not np.array_equal(row[order], rows):
        raise InvalidResult(
            f"The engine's predictions do not contain each of the {len(rows)} hold-out rows exactly once."
        )
    return order


def score_holdout(run: Context, scores: Scores) -> dict[str, float]:
    """Returns AUC and log-loss, or RMSE and R², on the hold-out, and the skill compared with a constant prediction.

    The constant is the mean label of the training rows. This function stores the table {row, unit, label, score}. If
    the hold-out has the column `truth`, the stored table has this column, too. It holds the predictions of a model
    that knows how the data was made.

    A skill of 0 or less is not an error. Raises InvalidResult if a hold-out row is missing or scored twice. Also
    raises InvalidResult if a prediction is not a number, or if a classification has a prediction that is not a
    probability. Raises EngineUnsupported if the learning task has no scoring function.
    """
    if run.data.task not in SCORINGS:
        raise EngineUnsupported(
            f"Predictions for the learning task {run.data.task} have no scoring: choose a data set with one of "
            f"{', '.join(SCORINGS)}."
        )
    scoring = SCORINGS[run.data.task]
    truth = [TRUTH] if TRUTH in schema_of(run.data.holdout_path).names else []
    holdout = read_parquet([run.data.holdout_path], [ROW, UNIT, LABEL, *truth]).sort_by(ROW)
    order = positions_of(holdout.column(ROW).to_numpy(), scores.row)
    score = scores.score[order].astype(scoring.stored_as)
    quality = scoring.quality(holdout.column(LABEL).to_numpy(), score, mean_label(run.train_paths))
    table = holdout.select([ROW, UNIT, LABEL]).append_column("score", pa.array(score))
    for name in truth:
        table = table.append_column(name, pa.array(holdout.column(name).to_numpy().astype(scoring.stored_as)))
    run.table(SCORES, table)
    return quality
