"""Doubts about a quality: the model is no better than a constant, or too good to be true."""

from collections import defaultdict
from collections.abc import Iterable, Iterator

from sparkscale.analysis import metrics
from sparkscale.contract.case import show_fraction
from sparkscale.contract.record import RunRecord

TOO_GOOD = {"auc": 0.999, "r2": 0.9999, "group_r2": 0.9999}
"""A model above these has probably seen the label."""
NAMES = {"auc": "AUC", "r2": "R²", "group_r2": "R²"}
CONSTANTS = {
    "log_loss": ("log-loss", "skill", "predicting the training rows' share of class 1"),
    "rmse": ("RMSE", "skill", "predicting the training rows' mean"),
    "accuracy": ("accuracy", "skill", "predicting the training rows' most frequent class"),
    "inertia": ("inertia", "variance_explained", "the mean of all rows"),
    "variance_explained": ("variance explained", "variance_explained", "the mean of all rows"),
    "group_rmse": ("RMSE", "group_r2", "each group's own mean"),
    "brier": ("Brier score", "brier_skill", "each group's own mean"),
}
"""By stored quality: its name, the skill that is above 0 only for a model better than a constant, that constant."""


def quality_warning(record: RunRecord) -> str | None:
    """Why the quality of an ok record deserves doubt, as a sentence without its full stop. Returns None if nothing
    speaks against it.
    """
    quality = record.quality if record.outcome == "ok" else {}
    if quality.get("auc", 1.0) <= 0.5:
        return f"AUC {quality['auc']:.3f} is no better than a constant prediction"
    for stored, (name, against, constant) in CONSTANTS.items():
        if stored in quality and quality.get(against, 1.0) <= 0:
            return f"{name} {quality[stored]:.4g} is no better than {constant}"
    for stored, most in TOO_GOOD.items():
        if quality.get(stored, 0.0) > most:
            return f"{NAMES[stored]} {quality[stored]:.6f} is suspiciously good: look for a leak"
    return None


def quality_warnings(records: Iterable[RunRecord]) -> Iterator[str]:
    """The warnings of the records of one table: a sentence for each engine and fraction that has one. It holds the
    first warning and, unless all executions have one, how many do.
    """
    executions: dict[str, list[str | None]] = defaultdict(list)
    for record in metrics.scored(list(records)):
        executions[f"{record.case.engine}, {show_fraction(record.case.fraction)}"].append(quality_warning(record))
    for subject, warnings in executions.items():
        told = [warning for warning in warnings if warning]
        if told:
            share = "" if len(told) == len(warnings) else f" (in {len(told)} of {len(warnings)} executions)"
            yield f"{subject}: {told[0]}{share}."
